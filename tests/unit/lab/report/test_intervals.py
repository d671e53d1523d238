"""Estimates and their intervals, against figures that are known."""

from __future__ import annotations

import random
from math import inf, nan

import pytest

from holdfast.lab.report.intervals import Estimate, difference, events, jackknife, mean, part_of_runs, share


def test_students_interval() -> None:
    """Three runs have the interval of Student's t with two degrees of freedom."""
    found = mean([1.0, 2.0, 3.0])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2.0, -0.4841, 4.4841), abs=1e-3)


def test_bounds_of_what_is_possible() -> None:
    """An interval does not reach beyond what the true value can be."""
    found = mean([0.9, 1.0], least=0.0, most=1.0)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.3147, 1.0), abs=1e-3)


@pytest.mark.parametrize("values", [[], [1.0, nan], [inf]])
def test_nothing_measured(values: list[float]) -> None:
    """Of no values, and of what is no number, there is no mean."""
    assert mean(values) is None


def test_one_run_has_no_interval() -> None:
    """One run says nothing about how runs vary."""
    assert mean([3.0]) == Estimate(3.0)


@pytest.mark.parametrize(
    ("some", "whole", "low", "high"),
    [(0, 1000, 0.0, 0.003827), (5, 100, 0.02154, 0.11175), (100, 100, 0.96301, 1.0)],
)
def test_wilsons_interval(some: int, whole: int, low: float, high: float) -> None:
    """A single run's share has Wilson's interval, which says something of no errors at all, too."""
    found = share([(some, whole)])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_equal_runs_are_pooled() -> None:
    """Three runs without any error are not certain, but as good as one that is three times as long."""
    assert share([(0, 1000)] * 3) == share([(0, 3000)])


def test_runs_that_vary() -> None:
    """Shares of runs that differ have the interval of the runs, not of their questions."""
    found, pooled = share([(10, 1000), (90, 1000)]), share([(100, 2000)])
    assert found is not None
    assert pooled is not None
    assert found.value == pooled.value == 0.05
    assert (found.low, found.high) == pytest.approx((0.0, 0.558), abs=1e-3)


def test_share_of_nothing() -> None:
    """Runs without questions have no share."""
    assert share([(0, 0)]) is None


def test_difference_of_pairs() -> None:
    """What both runs of a pair have in common cancels out."""
    found = difference([((20, 100), (10, 100)), ((51, 100), (40, 100)), ((80, 100), (71, 100))])
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.sign == 1


def test_difference_of_one_pair() -> None:
    """One pair of runs has the interval of two independent shares."""
    found = difference([((60, 1000), (10, 1000))])
    assert found is not None
    assert found.value == pytest.approx(0.05)
    assert found.low == pytest.approx(0.05 - 0.0165, abs=1e-3)


@pytest.mark.parametrize(("pairs", "sign"), [([((1, 1000), (0, 1000))] * 2, 0), ([((0, 1000), (90, 1000))], -1)])
def test_sign(pairs: list[tuple[tuple[int, int], tuple[int, int]]], sign: int) -> None:
    """A difference has a sign only where its interval leaves 0 out."""
    found = difference(pairs)
    assert found is not None
    assert found.sign == sign


def test_jackknife_of_a_mean() -> None:
    """For a mean the jackknife gives what Student's t gives."""
    values = [1.0, 4.0, 2.0, 8.0]
    found = jackknife(4, lambda places: sum(values[each] for each in places) / len(places))
    plain = mean(values)
    assert found is not None
    assert plain is not None
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_ratio_without_a_denominator() -> None:
    """A quotient whose denominator is next to nothing has no value."""
    assert part_of_runs([0.1], [0.0001], least=0.005) is None
    assert part_of_runs([], [], least=0.005) is None


def test_ratio_with_one_run_that_carries_it() -> None:
    """Where leaving one run out leaves no quotient, there is a value and no interval."""
    assert part_of_runs([0.25, 0.0], [0.5, 0.0], least=0.05) == Estimate(0.5)


def test_coverage() -> None:
    """Intervals of five runs hold the true mean about as often as they say."""
    chance = random.Random(3)
    hits = 0
    for _ in range(2000):
        found = mean([chance.gauss(0, 1) for _ in range(5)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
    assert hits / 2000 == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / 2000) ** 0.5)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (20, 12.217, 30.888)]
)
def test_rare_events(count: int, low: float, high: float) -> None:
    """A count has the exact interval of Poisson's distribution, as tables have it, in the units of its time."""
    found = events(count, 0.5)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2 * count, 2 * low, 2 * high), rel=2e-3)
    assert events(count, 0.0) is None
