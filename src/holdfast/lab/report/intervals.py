"""Estimates with 95% intervals.

Runs with other seeds are independent of each other; questions of one run are not quite, as errors come in clusters. So
wherever two runs or more were made, intervals come from the differences between them (Student's t). One run alone has
an interval for shares only, as if its questions were independent (Wilson); where errors cluster, that is too narrow.
Rare events have the interval of a Poisson count over the time of all runs: none in ten minutes is not none a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, lgamma, log, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Estimate", "difference", "events", "jackknife", "mean", "part_of_runs", "share"]

_Z = 1.959964
_TAIL = 0.025
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""The 97.5% points of Student's t for 1 to 30 degrees of freedom; beyond, two terms of its expansion do."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval; None where there is too little for one."""

    value: float
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """As data."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @property
    def sign(self) -> int:
        """1 where it is surely above 0, -1 where it is surely below, and 0 where nobody can tell."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


def mean(values: Sequence[float], *, least: float = -inf, most: float = inf) -> Estimate | None:
    """The mean of independent values, with Student's t; None of none, or when one is no finite number.

    Args:
        values: one of each run.
        least, most: what the true value cannot be beyond.
    """
    if not values or not all(map(isfinite, values)):
        return None
    middle = fmean(values)
    if len(values) < 2:
        return Estimate(middle)
    half = _t(len(values) - 1) * stdev(values) / sqrt(len(values))
    return Estimate(middle, max(least, middle - half), min(most, middle + half))


def share(counts: Sequence[tuple[int, int]]) -> Estimate | None:
    """The share of some of all, from ``(some, all)`` of each run; None where there was nothing.

    Runs that all have the same share say nothing about how it varies: then, and for a single run, it is Wilson's.
    """
    counts = [(some, whole) for some, whole in counts if whole > 0]
    if not counts:
        return None
    shares = [some / whole for some, whole in counts]
    some, whole = (sum(column) for column in zip(*counts, strict=True))
    between = mean(shares, least=0.0, most=1.0)
    if between is not None and len(set(shares)) > 1:
        return Estimate(some / whole, between.low, between.high)
    return _wilson(some, whole)


def difference(counts: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Estimate | None:
    """The first share less the second one, of runs that had the same faults.

    Args:
        counts: for each seed, ``(some, all)`` of the one and of the other. Where they do not vary between seeds, and
            for one seed, the two count as independent shares, which makes the interval too wide rather than too narrow:
            what fails in the one fails in the other.
    """
    counts = [pair for pair in counts if pair[0][1] > 0 and pair[1][1] > 0]
    differences = [one[0] / one[1] - other[0] / other[1] for one, other in counts]
    if len(set(differences)) != 1:
        return mean(differences)
    sums = [tuple(sum(column) for column in zip(*side, strict=True)) for side in zip(*counts, strict=True)]
    half = _Z * sqrt(sum(_variance(some, whole) for some, whole in sums))
    return Estimate(differences[0], differences[0] - half, differences[0] + half)


def events(count: int, exposure: float) -> Estimate | None:
    """How often something rare happens in one unit of time, with the exact interval of a Poisson count (Garwood, 1936).

    Args:
        count: how often it happened.
        exposure: in how many units; None is the rate of no time at all.
    """
    if not exposure > 0:
        return None
    low = _solved(lambda expected: 1 - _at_most(count - 1, expected), _TAIL) if count else 0.0
    high = _solved(lambda expected: 1 - _at_most(count, expected), 1 - _TAIL)
    return Estimate(count / exposure, low / exposure, high / exposure)


def jackknife(runs: int, of: Callable[[Sequence[int]], float | None], *, most: float = inf) -> Estimate | None:
    """A figure that is no mean, e.g. a quotient of means: its interval from what it is without each run in turn.

    Args:
        runs: how many there are.
        of: the figure, from the places of the runs that count; None where it has no value.
        most: what the true value cannot be above.
    """
    every = range(runs)
    value = of(every)
    if value is None or runs < 2:
        return None if value is None else Estimate(value)
    pseudo = []
    for left_out in every:
        without = of([place for place in every if place != left_out])
        if without is None:
            return Estimate(value)
        pseudo.append(runs * value - (runs - 1) * without)
    around = mean(pseudo)
    if around is None or around.low is None or around.high is None:
        return Estimate(value)
    half = (around.high - around.low) / 2
    return Estimate(value, value - half, min(max(most, value), value + half))


def part_of_runs(above: Sequence[float], below: Sequence[float], *, least: float) -> Estimate | None:
    """The quotient of two means over the same runs, of which the upper one is a part of the lower one: at most 1.

    None where the lower one is less than ``least``.
    """

    def of(places: Sequence[int]) -> float | None:
        denominator = fmean(below[place] for place in places)
        return fmean(above[place] for place in places) / denominator if denominator >= least else None

    return jackknife(len(above), of, most=1.0) if above else None


def _at_most(count: int, expected: float) -> float:
    """The chance of at most so many independent events, where so many are expected."""
    if count < 0:
        return 0.0
    return sum(exp(each * log(expected) - expected - lgamma(each + 1)) for each in range(count + 1))


def _solved(rising: Callable[[float], float], wanted: float) -> float:
    """Where a function of positive numbers that rises from 0 to 1 has a value."""
    low, high = 1e-9, 1.0
    while rising(high) < wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return high


def _t(freedom: int) -> float:
    return _T[freedom - 1] if freedom <= len(_T) else _Z + (_Z**3 + _Z) / (4 * freedom)


def _wilson(some: int, whole: int) -> Estimate:
    """Wilson's score interval, which is right for shares near 0 as well, and for none at all."""
    part, square = some / whole, _Z * _Z
    scale = 1 + square / whole
    middle = (part + square / (2 * whole)) / scale
    half = _Z / scale * sqrt(part * (1 - part) / whole + square / (4 * whole * whole))
    return Estimate(part, middle - half if some else 0.0, middle + half if some < whole else 1.0)


def _variance(some: int, whole: int) -> float:
    """Of a share; with two more of each kind (Agresti and Caffo), so that no error at all is no certainty."""
    shifted = (some + 1) / (whole + 2)
    return shifted * (1 - shifted) / (whole + 2)
