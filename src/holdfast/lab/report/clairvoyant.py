"""The best that any policy could have done: one that knows every fault beforehand, and that nothing slows down.

It has the same dependencies as the engine and gets the same questions. It knows the outcome of every call before it is
made, so it waits for nothing that fails, and calls again at once, up to :attr:`Clairvoyant.calls` times; it may let a
question wait, up to :attr:`Clairvoyant.patience` seconds, for the end of an outage. It ignores how its calls load the
dependencies. A dependency is therefore lost to a question only when it fails in all of these calls, through all of that
time. A full answer takes the store, the embedder and the first model, where these are configured; a degraded one any
model, and the store unless a copy of its documents is at hand; anything less is always there, if local fallbacks are.

What it would have got is a mean over the draws of single calls, given the plan of faults and the times of the
questions. No draw has to be made for it, and two runs with the same plan have the same clairvoyant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from holdfast.core._options import duration, flag, options_by_name, whole
from holdfast.errors import ConfigError
from holdfast.lab.faults.plan import Kind
from holdfast.lab.report.groups import IDEAL
from holdfast.lab.runs.outcome import Bucket, Measures, Outcome
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.lab.faults.plan import Fault
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["Clairvoyant", "clairvoyant", "with_clairvoyants"]

_ANSWER_SECONDS = 5.0
"""What is kept of a deadline to make the answer in."""

_MIXED = 5
"""What ``mixed`` is drawn from; one of them is slowness."""


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Clairvoyant:
    """What it has at its hands.

    Attributes:
        models: the components that can write an answer, the first one first; none where answers are quoted.
        store, embedder: the components of these names; an empty ``embedder`` is none.
        calls: to one dependency for one question, 1 or more.
        patience: seconds that a question may wait for an outage to end: its deadline, less the time of an answer.
        copied: whether a copy of the documents is at hand, which a model can answer from while the store is lost.
        local: whether there are answers that need no dependency: old ones, quoted ones, common ones.

    Raises:
        ConfigError: a value is out of its range.
    """

    models: Sequence[str] = ("model:openai/gpt-4o-mini", "model:anthropic/claude-haiku-4-5")
    store: str = "store"
    embedder: str = "embedder"
    calls: int = 6
    patience: float = 25.0
    copied: bool = True
    local: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.models, str):
            raise ConfigError("models", self.models, "must be a list of components, e.g. ['model:openai/gpt-4o-mini']")
        whole("calls", self.calls, least=1)
        duration("patience", self.patience, or_zero=True)
        flag("copied", self.copied)
        flag("local", self.local)

    def qualities(self, plan: Iterable[Fault], at: float) -> dict[Tier, float]:
        """How likely it is that the best answer to a question asked at a time is of each tier.

        Args:
            plan: the faults, with times of the run.
            at: when the question is asked.
        """
        faults = list(plan)
        store = self._reaches(faults, self.store, at)
        embedder = self._reaches(faults, self.embedder, at) if self.embedder else 1.0
        models = [self._reaches(faults, name, at) for name in self.models] or [1.0]
        full = store * embedder * models[0]
        any_model = (1.0 if self.copied else store) * (1 - prod(1 - each for each in models))
        rest = max(0.0, 1 - any_model)
        return {
            Tier.FULL: full,
            Tier.DEGRADED: max(0.0, any_model - full),
            Tier.MINIMAL: rest if self.local else 0.0,
            Tier.OFFLINE: 0.0 if self.local else rest,
        }

    def _reaches(self, faults: Sequence[Fault], component: str, at: float) -> float:
        mine = [fault for fault in faults if fault.concerns(component)]
        ends = [fault.end for fault in mine if at < fault.end <= at + self.patience]
        return max(1 - self._hit(mine, moment) ** self.calls for moment in (at, *ends))

    def _hit(self, faults: Sequence[Fault], moment: float) -> float:
        """The share of calls at a moment that fail; what is only slow, and not too slow to wait for, does not."""
        spared = 1.0
        for fault in faults:
            if fault.begin <= moment < fault.end:
                rate = fault.rate
                if fault.seconds <= self.patience and fault.kind is Kind.SLOW:
                    rate = 0.0
                elif fault.seconds <= self.patience and fault.kind is Kind.MIXED:
                    rate *= (_MIXED - 1) / _MIXED
                spared *= 1 - rate
        return 1 - spared


def clairvoyant(outcome: Outcome, plan: Iterable[Fault], options: Clairvoyant | None = None) -> Outcome:
    """What the clairvoyant policy would have got in a run's place.

    Args:
        outcome: any configuration's, of the scenario, the rate and the seed; its timeline says when questions came.
        plan: the faults of the run.
        options: what it has at its hands.

    Returns:
        An outcome whose ``errors``, ``error_rate``, ``useful_degraded`` and ``quality`` are expected values, and whose
        other measures are their defaults.
    """
    options = options or Clairvoyant()
    faults = list(plan)
    asked = sum(bucket.offered for bucket in outcome.timeline)
    sums = dict.fromkeys(Tier, 0.0)
    timeline: list[Bucket] = []
    for bucket in outcome.timeline:
        chances = options.qualities(faults, bucket.at)
        for tier, chance in chances.items():
            sums[tier] += bucket.offered * chance
        errors = round(bucket.offered * chances[Tier.OFFLINE])
        degraded = round(bucket.offered * (chances[Tier.DEGRADED] + chances[Tier.MINIMAL]))
        timeline.append(
            Bucket(
                at=bucket.at,
                offered=bucket.offered,
                useful=bucket.offered - errors,
                degraded=min(degraded, bucket.offered - errors),
                errors=errors,
                attempts=0,
                retries=0,
                tier=max(chances, key=lambda tier: chances[tier]).value,
                open_breakers=(),
                p95=0.0,
            )
        )
    shares = {tier: sums[tier] / asked if asked else float(tier is Tier.FULL) for tier in Tier}
    return Outcome(
        scenario=outcome.scenario,
        configuration=IDEAL,
        seed=outcome.seed,
        rate=outcome.rate,
        seconds=outcome.seconds,
        trace="",
        measures=Measures(
            asked=asked,
            errors=round(sums[Tier.OFFLINE]),
            error_rate=shares[Tier.OFFLINE],
            useful_degraded=shares[Tier.DEGRADED] + shares[Tier.MINIMAL],
            quality=sum(shares[tier] * tier.quality / Tier.FULL.quality for tier in Tier),
        ),
        timeline=tuple(timeline),
    )


def with_clairvoyants(outcomes: Iterable[Outcome], scenarios: Iterable[Scenario]) -> list[Outcome]:
    """The outcomes, and what the clairvoyant would have got in each scenario that is known, at each rate and seed.

    It has the models and the embedder of the scenario's world, and waits as long as the scenario's questions do.

    Args:
        outcomes: of any configurations; outcomes of the clairvoyant among them are made anew.
        scenarios: those that were played, as they were played.
    """
    known = {scenario.name: scenario for scenario in scenarios}
    measured = [outcome for outcome in outcomes if outcome.configuration != IDEAL or outcome.scenario not in known]
    cases = {(run.scenario, run.rate, run.seed): run for run in measured if run.scenario in known and run.timeline}
    return measured + [_in(known[run.scenario], run) for run in cases.values()]


def _in(scenario: Scenario, run: Outcome) -> Outcome:
    world = scenario.world(run.seed, run.rate)
    settings = world.engine_settings()
    models = [name.strip() for name in str(settings.get("model") or "").split(",") if name.strip()]
    options = Clairvoyant(
        models=[f"model:{name}" for name in models],
        embedder="" if settings.get("embedder") == "none" else "embedder",
        copied=settings.get("standby_megabytes") != 0,
        patience=max(0.0, scenario.deadline - _ANSWER_SECONDS),
    )
    return clairvoyant(run, world.faults, options)
