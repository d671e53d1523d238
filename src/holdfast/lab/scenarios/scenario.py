"""A scenario: everything that a run is made of, but the configuration under test, the seed and the rate of faults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from holdfast.core._options import duration, flag, options_by_name, text, whole
from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws
from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.latency import AT_ONCE, Latency
from holdfast.lab.scenarios.checks import share
from holdfast.lab.scenarios.failing import INJECTED, FaultLine, OutageLine
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.lab.scenarios.traffic import Traffic

__all__ = ["Scenario"]

_PARTS = ("cache", "embedder", "store")
_OURS = frozenset({"admin", "admin_token", "faults", "models", "keys", "seed"})
"""Options of a simulated provider that are the lab's own affair."""


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is played.

    Attributes:
        name: as commands and reports call it.
        about: what it shows, in a sentence.
        seconds: for how long questions are asked, in virtual time.
        traffic: the questions.
        rates: the rates at which it is played, one run each, for faults whose rate is ``"injected"``; empty where
            nothing of it varies.
        faults: what fails, by schedule.
        apart: whether each fault is played by itself, every component in a run of its own, see :meth:`cases`.
        outages: what fails at random times.
        flushes: when the cache forgets everything, in seconds of the run.
        deadline: seconds after which an answer is no use any more.
        slo: the share of questions that must get a useful answer for a bucket to be good, 0 to 1.
        seed: what is drawn from where the command says nothing else.
        configuration: the name of the configuration under test where the command says nothing else.
        settings: of the engine, see :class:`holdfast.lab.world.options.WorldOptions`.
        provider: options of every simulated provider, beside the usual ones; ``providers``: those of single ones.
        parts: what calls to ``cache``, ``embedder`` and ``store`` take besides.
        round_trip: what the way to a provider and back takes.

    Raises:
        ConfigError: a value is out of its range, or the parts do not fit together.
    """

    name: str
    about: str
    seconds: float
    traffic: Traffic
    rates: tuple[float, ...] = ()
    faults: tuple[FaultLine, ...] = ()
    apart: bool = False
    outages: tuple[OutageLine, ...] = ()
    flushes: tuple[float, ...] = ()
    deadline: float = 30.0
    slo: float = 0.99
    seed: int = 7
    configuration: str = "holdfast"
    settings: Mapping[str, object] = field(default_factory=dict)
    provider: Mapping[str, object] = field(default_factory=dict)
    providers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    parts: Mapping[str, Latency] = field(default_factory=dict)
    round_trip: Latency = AT_ONCE

    def __post_init__(self) -> None:
        for name in ("name", "configuration"):
            if not text(name, getattr(self, name)).strip():
                raise ConfigError(name, getattr(self, name), "must not be empty")
        text("about", self.about)
        duration("seconds", self.seconds)
        duration("deadline", self.deadline)
        share("slo", self.slo)
        whole("seed", self.seed, least=0)
        for rate in self.rates:
            share("rates", rate)
        lines: tuple[FaultLine | OutageLine, ...] = (*self.faults, *self.outages)
        varies = any(line.rate == INJECTED for line in lines)
        if varies != bool(self.rates):
            rule = "must be there for faults whose rate is injected" if varies else "no fault's rate is injected"
            raise ConfigError("rates", list(self.rates), rule)
        if flag("apart", self.apart) and (self.outages or not self.faults):
            raise ConfigError("apart", self.apart, "needs [[faults]], and no [[outages]]")
        self.cases()  # their rule
        for at in self.flushes:
            duration("flushes", at, or_zero=True)
        for part in self.parts:
            if part not in _PARTS:
                raise ConfigError("parts", part, f"must be one of {', '.join(_PARTS)}")
        named = {f"providers.{name}": options for name, options in self.providers.items()}
        for name, options in {"provider": self.provider, **named}.items():
            try:
                _provider(SimulatorOptions(), options)
            except ConfigError as error:
                raise ConfigError(f"{name}.{error.field}", error.value, error.rule) from error

    def cases(self) -> tuple[Scenario, ...]:
        """What is played: the scenario, or one for each of its faults and components, where they are played apart.

        These are named after it and the fault, e.g. ``"matrix/store garbage empty"``.
        """
        if not self.apart:
            return (self,)
        found: dict[str, Scenario] = {}
        for line in self.faults:
            for alone in line.each():
                name = f"{self.name}/{' '.join(filter(None, (*alone.components, alone.kind, alone.way)))}"
                if name in found:
                    raise ConfigError("faults", name, "stands there twice")
                found[name] = replace(self, name=name, faults=(alone,), apart=False)
        return tuple(found.values())

    def plan(self, seed: int, rate: float | None) -> FaultPlan:
        """What fails in a run: the same for every configuration."""
        draws = Draws(seed)
        scheduled = [fault for place, line in enumerate(self.faults) for fault in line.faults(rate, draws, place)]
        random = [fault for line in self.outages for fault in line.faults(rate, draws, self.seconds)]
        return FaultPlan(fault for fault in (*scheduled, *random) if fault.rate > 0)

    def world(self, seed: int, rate: float | None) -> WorldOptions:
        """The world of a run, before a configuration has its say."""
        usual = WorldOptions()
        every = _provider(usual.provider, self.provider)
        return WorldOptions(
            seed=seed,
            settings=dict(self.settings),
            faults=self.plan(seed, rate),
            provider=every,
            providers={name: _provider(every, options) for name, options in self.providers.items()},
            parts=dict(self.parts),
            round_trip=self.round_trip,
        )


def _provider(base: SimulatorOptions, changes: Mapping[str, Any]) -> SimulatorOptions:
    known = [each.name for each in fields(SimulatorOptions) if each.name not in _OURS]
    for name, value in changes.items():
        if name not in known:
            raise ConfigError(name, value, f"must be one of {', '.join(known)}")
    return SimulatorOptions(**{**{each.name: getattr(base, each.name) for each in fields(base)}, **changes})
