"""Measures one run while it goes on, in a memory that does not grow with the number of questions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from holdfast.core.events import BreakerTransition, RetryScheduled
from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.runs.course import Course
from holdfast.lab.runs.openings import Openings
from holdfast.lab.runs.outcome import BUCKET_SECONDS, Measures
from holdfast.lab.runs.recovering import recovered, share_good
from holdfast.lab.runs.sketch import Sketch
from holdfast.lab.scenarios.failing import interruptions
from holdfast.rag.types import Tier
from holdfast.telemetry.events import ModelCallPriced, TierChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.events import Event
    from holdfast.lab.runs.outcome import Bucket
    from holdfast.lab.scenarios.scenario import Scenario
    from holdfast.lab.simulator.calls import Call
    from holdfast.lab.world.record import Asked
    from holdfast.lab.world.world import World

__all__ = ["Meter", "error_cause"]

_A_DAY = 86_400.0
_FULL = Tier.FULL.value
_QUALITY = {each.value: each.quality / Tier.FULL.quality for each in Tier}
_WASTED = "wasted"
_ENOUGH = 10
"""Questions that a window needs to say how many calls there were for each."""


def error_cause(asked: Asked, deadline: float) -> str:
    """Why a question ended in a user-facing error, see :class:`~holdfast.lab.runs.outcome.Measures`; empty: it did not.

    Args:
        asked: what became of it.
        deadline: seconds after which an answer is no use any more.
    """
    if asked.error:
        return "rejected" if asked.error in _REJECTIONS else "failed"
    if asked.source == "rejected":
        return "rejected"
    if not asked.useful:
        return "static"
    if asked.seconds > deadline:
        return "late"
    if asked.fact is False:
        return "wrong" if asked.answered else "unanswered"
    return ""


_REJECTIONS = frozenset(
    {
        "BulkheadFullError",
        "CircuitOpenError",
        "ConcurrencyLimitError",
        "QueueFullError",
        "QuotaExhaustedError",
        "RateLimitedError",
        "RejectedError",
        "ShedError",
    }
)


class Meter:
    """Listens to a world from its beginning on.

    Args:
        world: the one that is played.
        scenario: what is played.
    """

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._plan = FaultPlan(world.options.faults)
        self._course = Course(scenario.seconds, settle=4 * scenario.deadline)
        self._openings = Openings(self._plan)
        self._latencies, self._first_texts = Sketch(), Sketch()
        self._asked = self._useful = self._degraded = self._crashed = 0
        self._quality = 0.0
        self._causes: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._tiers: Counter[str] = Counter()
        self._model_calls = self._model_retries = self._wasted_calls = self._wasted_tokens = 0
        self._usd: Counter[tuple[str, str]] = Counter()
        self._falls: list[tuple[float, float | None]] = []
        world.record.keep = False
        world.record.on_asked = self._ended
        for provider in world.providers.values():
            provider.on_call = self._called
        self._stop = world.events.listen(self._hear, BreakerTransition, ModelCallPriced, RetryScheduled, TierChanged)

    def finish(self) -> tuple[Measures, tuple[Bucket, ...]]:
        """What was measured. Call it once, when every question has ended."""
        self._stop()
        scenario, seconds = self._scenario, self._scenario.seconds
        self._openings.finish(min(self._world.seconds, seconds))
        buckets = self._course.finish()
        spans = interruptions(self._plan, seconds)
        outages = recovered(buckets, spans, slo=scenario.slo, seconds=seconds)
        asked = self._asked
        errors = asked - self._useful
        measures = Measures(
            asked=asked,
            errors=errors,
            error_rate=errors / asked if asked else 0.0,
            error_causes=_sorted(self._causes),
            wrong=self._causes["wrong"],
            useful_degraded=self._degraded / asked if asked else 0.0,
            availability=share_good(buckets, scenario.slo),
            goodput=self._useful / seconds,
            p50=self._latencies.percentile(0.5),
            p95=self._latencies.percentile(0.95),
            p99=self._latencies.percentile(0.99),
            first_text_p95=self._first_texts.percentile(0.95),
            mttr=outages.mttr,
            recovery=outages.recovery,
            unrecovered=outages.unrecovered,
            full_again=self._full(spans, seconds),
            attempts_per_request=self._model_calls / asked if asked else 0.0,
            attempts_per_request_max=_worst_window(buckets),
            retry_share=self._model_retries / self._model_calls if self._model_calls else 0.0,
            wasted_calls=self._wasted_calls,
            wasted_tokens=self._wasted_tokens,
            cost_usd=round(sum(self._usd.values()), 9),
            cost_by_cause=self._cost(1),
            cost_by_model=self._cost(0),
            openings=self._openings.opened,
            false_openings=self._openings.undeserved * _A_DAY / seconds,
            seconds_in_tier={name: round(spent, 3) for name, spent in sorted(self._course.seconds_in_tier.items())},
            quality=self._quality / asked if asked else 1.0,
            sources=_sorted(self._sources),
            tiers=_sorted(self._tiers),
            calls=self._calls(),
            crashes=self._crashed,
        )
        return measures, buckets

    # --- questions ------------------------------------------------------------------------------------------------

    def _ended(self, asked: Asked) -> None:
        cause = error_cause(asked, self._scenario.deadline)
        degraded = asked.tier != _FULL
        self._asked += 1
        if cause:
            self._causes[cause] += 1
        else:
            self._useful += 1
            self._degraded += degraded
            self._quality += _QUALITY.get(asked.tier, 0.0)
        self._sources[asked.source or asked.error] += 1
        self._tiers[asked.tier or "none"] += 1
        self._latencies.add(asked.seconds)
        if asked.first is not None:
            self._first_texts.add(asked.first)
        self._course.ended(asked.at, asked.seconds, useful=not cause, degraded=degraded)

    # --- calls ----------------------------------------------------------------------------------------------------

    def _called(self, call: Call) -> None:
        """A call to a provider is over. What it is keyed by tells which request it was for, and its number there."""
        request, number = call.drawn if isinstance(call.drawn, tuple) else ("", 1)
        if not request:
            return  # a probe, or other work of no question
        self._model_calls += 1
        self._course.called(call.seconds)
        if number > 1:
            self._model_retries += 1
            self._course.retried(call.seconds)

    def _hear(self, event: Event) -> None:
        now = self._world.seconds
        match event:
            case BreakerTransition():
                if not event.shadow:
                    self._openings.moved(now, event.dependency, event.from_state, event.to_state)
                    self._course.breaker(now, event.dependency, opened=event.to_state == "open")
            case ModelCallPriced():
                self._usd[event.model, event.cause] += event.usd  # type: ignore[assignment]
                if event.cause == _WASTED:
                    self._wasted_calls += 1
                    self._wasted_tokens += event.prompt_tokens + event.completion_tokens
            case RetryScheduled():
                self._course.retried(now)
            case TierChanged():
                self._course.tier(now, event.to_tier)
                if event.to_tier == _FULL:
                    if self._falls:
                        self._falls[-1] = (self._falls[-1][0], now)
                elif event.from_tier == _FULL:
                    self._falls.append((now, None))

    # --- sums -----------------------------------------------------------------------------------------------------

    def _full(self, spans: Sequence[tuple[float, float]], seconds: float) -> tuple[float, ...]:
        """For each outage that ended: seconds until the service was at its full tier, before the next one began."""
        found = []
        for place, (_, end) in enumerate(spans):
            if end >= seconds:
                continue
            horizon = spans[place + 1][0] if place + 1 < len(spans) else seconds
            below = [(fell, back) for fell, back in self._falls if fell < horizon and (back is None or back > end)]
            last = max((horizon if back is None else back for _, back in below), default=end)
            found.append(round(float(min(last, horizon) - end), 3))
        return tuple(found)

    def _cost(self, place: int) -> dict[str, float]:
        costs: dict[str, float] = {}
        for key, usd in sorted(self._usd.items()):
            costs[key[place]] = round(costs.get(key[place], 0.0) + usd, 9)
        return costs

    def _calls(self) -> dict[str, int]:
        calls = Counter(self._world.faults.calls)
        for name, provider in self._world.providers.items():
            made = provider.calls.counts()["calls"]
            calls[f"model:{name}"] += made if isinstance(made, int) else 0
        return _sorted(calls)


def _worst_window(buckets: Sequence[Bucket]) -> float:
    """Calls for each question in the worst ten seconds, of those with at least ten questions."""
    width = round(10 / BUCKET_SECONDS)
    worst = 0.0
    for place in range(len(buckets) - width + 1):
        window = buckets[place : place + width]
        offered = sum(each.offered for each in window)
        if offered >= _ENOUGH:
            worst = max(worst, sum(each.attempts for each in window) / offered)
    return worst


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}
