"""Who asks how much, and when: arrivals that do not wait for answers (an open loop), as users of a service arrive."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING

from holdfast.core._options import duration, not_negative, options_by_name, positive, whole
from holdfast.errors import ConfigError
from holdfast.lab.scenarios.checks import share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.lab.draws import Draws

__all__ = ["ARRIVALS", "Burst", "Diurnal", "Ramp", "Spike", "Traffic"]

ARRIVALS = ("poisson", "even")
_MOST_A_SECOND = 10_000
_MOST_AT_ONCE = 100_000
_WHOLE = 1 - 1e-9  # sums of shares are not exact


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """For some time there is ``factor`` times the traffic.

    Attributes:
        begin, seconds: when it begins, and how long it lasts.
        factor: 0 or more; below 1 it is a lull.

    Raises:
        ConfigError: a value is out of its range.
    """

    begin: float
    seconds: float
    factor: float

    def __post_init__(self) -> None:
        duration("begin", self.begin, or_zero=True)
        duration("seconds", self.seconds)
        not_negative("factor", self.factor)

    def at(self, second: float) -> float:
        """The factor at a time of the run."""
        return self.factor if self.begin <= second < self.begin + self.seconds else 1.0


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """The traffic grows, or shrinks, evenly to ``factor`` times what it was, and stays there.

    Attributes:
        begin, seconds: when it begins to change, and how long it takes.
        factor: 0 or more.

    Raises:
        ConfigError: a value is out of its range.
    """

    begin: float
    seconds: float
    factor: float

    def __post_init__(self) -> None:
        duration("begin", self.begin, or_zero=True)
        duration("seconds", self.seconds)
        not_negative("factor", self.factor)

    def at(self, second: float) -> float:
        """The factor at a time of the run."""
        done = min(1.0, max(0.0, (second - self.begin) / self.seconds))
        return 1.0 + done * (self.factor - 1.0)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Diurnal:
    """Day and night: a cosine, lowest at the beginning.

    Attributes:
        period: seconds of a day, above 0.
        swing: how far it goes above and below the mean, 0 to 1.

    Raises:
        ConfigError: a value is out of its range.
    """

    period: float = 86_400.0
    swing: float = 0.5

    def __post_init__(self) -> None:
        duration("period", self.period)
        share("swing", self.swing)

    def at(self, second: float) -> float:
        """The factor at a time of the run."""
        return 1.0 - self.swing * cos(2 * pi * second / self.period)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """``count`` questions at one moment, besides the others.

    Raises:
        ConfigError: a value is out of its range.
    """

    at: float
    count: int

    def __post_init__(self) -> None:
        duration("at", self.at, or_zero=True)
        if whole("count", self.count, least=1) > _MOST_AT_ONCE:
            raise ConfigError("count", self.count, f"must be at most {_MOST_AT_ONCE:,}")


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Questions over time.

    Attributes:
        rate: questions a second, before all factors, above 0 and at most 10,000.
        arrivals: ``"poisson"``: each on its own; ``"even"``: one after the other at equal distances.
        spikes, ramps: factors of the rate; they multiply.
        diurnal: day and night; None: it is always day.
        bursts: many at once.
        skew: how unequal questions are: the n-th is asked in proportion to 1/n**skew; 0: all alike.
        new_share: the share of questions that are worded anew, so that no cache of exact questions knows them.
        streamed: the share of answers that are streamed.
        low_share: the share of questions of low priority (2 instead of 5), which may be shed first.

    Raises:
        ConfigError: a value is out of its range.
    """

    rate: float
    arrivals: str = "poisson"
    spikes: tuple[Spike, ...] = ()
    ramps: tuple[Ramp, ...] = ()
    diurnal: Diurnal | None = None
    bursts: tuple[Burst, ...] = ()
    skew: float = 1.0
    new_share: float = 0.5
    streamed: float = 0.0
    low_share: float = 0.0

    def __post_init__(self) -> None:
        if positive("rate", self.rate) > _MOST_A_SECOND:
            raise ConfigError("rate", self.rate, f"must be at most {_MOST_A_SECOND:,} a second")
        if self.arrivals not in ARRIVALS:
            raise ConfigError("arrivals", self.arrivals, f"must be one of {', '.join(ARRIVALS)}")
        not_negative("skew", self.skew)
        for name in ("new_share", "streamed", "low_share"):
            share(name, getattr(self, name))

    def at(self, second: float) -> float:
        """Questions a second at a time of the run; bursts apart."""
        rate = self.rate
        for shape in self._shapes():
            rate *= shape.at(second)
        return rate if self.diurnal is None else rate * self.diurnal.at(second)

    def peak(self) -> float:
        """A bound of :meth:`at`: what all shapes together could give."""
        rate = self.rate
        for shape in self._shapes():
            rate *= max(1.0, shape.factor)
        return rate if self.diurnal is None else rate * (1.0 + self.diurnal.swing)

    def times(self, seconds: float, draws: Draws) -> Iterator[float]:
        """When questions arrive, in order, from 0 to before ``seconds``; the same for the same draws.

        Arrivals at a rate that changes are arrivals at its bound, some of which are left out (*thinning*: Lewis and
        Shedler, 1979).
        """
        bursts = sorted((each.at, each.count) for each in self.bursts if each.at < seconds)
        for time in self._flow(seconds, draws):
            while bursts and bursts[0][0] <= time:
                at, count = bursts.pop(0)
                yield from [at] * count
            yield time
        for at, count in bursts:
            yield from [at] * count

    def _shapes(self) -> tuple[Spike | Ramp, ...]:
        return (*self.spikes, *self.ramps)

    def _flow(self, seconds: float, draws: Draws) -> Iterator[float]:
        peak = self.peak()
        if not peak:
            return
        changes = bool(self.spikes or self.ramps or self.diurnal)
        time, due, number = 0.0, 0.0, 0
        while True:
            number += 1
            if self.arrivals == "even":
                time += 1 / peak
                due += self.at(time) / peak
                kept = due > _WHOLE
                due -= kept
            else:
                time += draws.exponential(1 / peak, "users", "arrival", number)
                kept = not changes or draws.chance(self.at(time) / peak, "users", "kept", number)
            if time >= seconds:
                return
            if kept:
                yield time
