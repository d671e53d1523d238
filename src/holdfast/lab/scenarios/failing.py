"""What fails in a scenario, as lines of data: by a fixed schedule, or at random times and lengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal, TypeAlias

from holdfast.core._options import duration, options_by_name, text, whole
from holdfast.errors import ConfigError
from holdfast.lab.faults.outages import random_outages
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.scenarios.checks import share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from holdfast.lab.draws import Draws

__all__ = ["INJECTED", "FaultLine", "OutageLine", "Rate", "interruptions"]

INJECTED = "injected"
"""As a rate: the one that the run is played at."""

Rate: TypeAlias = "float | Literal['injected']"


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLine:
    """A fault, or the same fault of several components, each on its own draws.

    Attributes:
        components: see :attr:`holdfast.lab.faults.plan.Fault.component`.
        kind, begin, end, seconds, way: see :class:`holdfast.lab.faults.plan.Fault`.
        ways: several of them, as one fault each.
        rate: the share of calls that it hits, 0 to 1; ``"injected"``: the rate that the run is played at.
        pick: how many of the components fail, drawn by the seed; None: all of them.

    Raises:
        ConfigError: a value is out of its range.
    """

    components: tuple[str, ...]
    kind: str
    rate: Rate = 1.0
    begin: float = 0.0
    end: float = inf
    seconds: float = 5.0
    way: str = ""
    ways: tuple[str, ...] = ()
    pick: int | None = None

    def __post_init__(self) -> None:
        _names(self.components)
        _rate(self.rate)
        text("way", self.way)
        _ways(self.ways)
        if self.way and self.ways:
            raise ConfigError("ways", self.ways, f"stands beside way={self.way!r}: one of them is enough")
        if self.pick is not None and whole("pick", self.pick, least=1) > len(self.components):
            raise ConfigError("pick", self.pick, f"must be at most {len(self.components)}, the number of components")
        _ = [*self.faults(0.0, None)]  # the fault's own rules

    def faults(self, injected: float | None, draws: Draws | None, place: int = 0) -> Iterator[Fault]:
        """The faults of a run.

        Args:
            injected: the rate that the run is played at; None is 0.
            draws: chance, for :attr:`pick`; None picks nothing out.
            place: the line's place in the scenario.
        """
        for component in _picked(self.components, self.pick, draws, place):
            for way in self.ways or (self.way,):
                yield Fault(
                    component=component,
                    kind=Kind(self.kind) if self.kind in list(Kind) else self.kind,  # type: ignore[arg-type]
                    rate=_at(self.rate, injected),
                    begin=self.begin,
                    end=self.end,
                    seconds=self.seconds,
                    way=way,
                )

    def each(self) -> Iterator[FaultLine]:
        """The line as lines of one component and one way."""
        for component in self.components:
            for way in self.ways or (self.way,):
                yield replace(self, components=(component,), ways=(), way=way, pick=None)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class OutageLine:
    """Outages at random times, with lengths of a heavy tail, see :func:`~holdfast.lab.faults.outages.random_outages`.

    Attributes:
        components: what fails.
        kind: how.
        every: the mean time between two, in seconds.
        shortest, tail, longest: their lengths.
        rate: the share of calls that fail in an outage; below 1 it is a partial one; ``"injected"`` as in a fault.
        group: a name: the components share the times of their outages, and with all others of that group; empty: each
            has its own.

    Raises:
        ConfigError: a value is out of its range.
    """

    components: tuple[str, ...]
    every: float
    shortest: float
    kind: str = Kind.DOWN
    tail: float = 1.5
    longest: float = 600.0
    rate: Rate = 1.0
    group: str = ""

    def __post_init__(self) -> None:
        _names(self.components)
        if self.kind not in list(Kind):
            raise ConfigError("kind", self.kind, f"must be one of {', '.join(Kind)}")
        for name in ("every", "shortest", "longest"):
            duration(name, getattr(self, name))
        if not self.tail > 0:
            raise ConfigError("tail", self.tail, "must be above 0")
        _rate(self.rate)
        text("group", self.group)

    def faults(self, injected: float | None, draws: Draws, until: float) -> Iterator[Fault]:
        """The outages of a run that lasts ``until``."""
        for component in self.components:
            yield from random_outages(
                component,
                draws,
                until=until,
                every=self.every,
                shortest=self.shortest,
                tail=self.tail,
                longest=self.longest,
                kind=Kind(self.kind),
                rate=_at(self.rate, injected),
                group=self.group,
            )


def interruptions(faults: Iterable[Fault], until: float) -> list[tuple[float, float]]:
    """From when to when something fails that does not fail all the time, in order; what overlaps is one.

    Args:
        until: the end of the run: what begins later is left out, and what is still on then ends there.
    """
    spans = sorted(
        (each.begin, min(each.end, until))
        for each in faults
        if each.rate > 0 and each.begin < until and (each.begin > 0 or each.end < until)
    )
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _picked(components: Sequence[str], pick: int | None, draws: Draws | None, place: int) -> Sequence[str]:
    if pick is None or draws is None:
        return components
    return sorted(components, key=lambda each: draws.uniform("scenario", "pick", place, each))[:pick]


def _at(rate: Rate, injected: float | None) -> float:
    return (injected or 0.0) if rate == INJECTED else float(rate)


def _names(components: object) -> None:
    if not components or not isinstance(components, tuple) or not all(isinstance(each, str) for each in components):
        raise ConfigError("components", components, "must name at least one component, e.g. store")


def _ways(ways: object) -> None:
    if not isinstance(ways, tuple) or not all(each and isinstance(each, str) for each in ways):
        raise ConfigError("ways", ways, "must be names, e.g. empty")


def _rate(rate: object) -> None:
    if rate != INJECTED:
        if isinstance(rate, str):
            raise ConfigError("rate", rate, f"must be a share from 0 to 1, or {INJECTED!r}")
        share("rate", rate)
