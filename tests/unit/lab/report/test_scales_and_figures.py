"""Scales of plots, and figures as people read them."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest

from holdfast.lab.report.figures import MISSING, count, dollars, estimate, number, percent, points, seconds, span
from holdfast.lab.report.intervals import Estimate
from holdfast.lab.report.scales import Linear, ShareScale


def test_decades_are_equally_long() -> None:
    """On the scale of shares a decade is as long as the next, and 0 is at the beginning."""
    scale = ShareScale(0, 400, [0.0, 0.002, 0.5])
    assert scale.ticks == pytest.approx((0.0, 0.001, 0.01, 0.1, 1.0))
    assert [scale.at(tick) for tick in scale.ticks] == pytest.approx([0, 100, 200, 300, 400])
    assert scale.at(0.0005) == pytest.approx(50)


@pytest.mark.parametrize("values", [[], [0.0], [1.0], [1e-12], [nan, inf], [0.3, 0.2]])
def test_scales_of_any_shares(values: list[float]) -> None:
    """Whatever the values, the scale rises from its start to its end."""
    scale = ShareScale(10, 20, values)
    places = [scale.at(each / 1000) for each in range(1001)]
    assert places[0] == 10
    assert all(a <= b for a, b in pairwise(places))
    assert places[-1] <= 20


@pytest.mark.parametrize("value", [nan, -1.0, -inf])
def test_what_has_no_place(value: float) -> None:
    """What is no share is at the beginning."""
    assert ShareScale(10, 20, [0.5]).at(value) == 10


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (50, (0, 10, 20, 30, 40, 50)),
        (3, (0, 0.5, 1, 1.5, 2, 2.5, 3)),
        (0.7, (0, 0.2, 0.4, 0.6, 0.8)),
        (0, (0, 0.2, 0.4, 0.6, 0.8, 1)),
    ],
)
def test_round_ticks(most: float, ticks: tuple[float, ...]) -> None:
    """A linear axis has round ticks, up to the largest value or just beyond."""
    assert Linear(0, 1, most).ticks == pytest.approx(ticks)


def test_an_axis_for_no_number() -> None:
    """An axis whose largest value is no number is drawn all the same."""
    assert Linear(0, 1, nan).ticks[-1] == 1
    assert Linear(0, 1, inf).at(0.5) == 0.5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.9999, "99.990%"),
        (0.99996, "99.996%"),
        (0.999999, ">99.999%"),
        (0.97, "97.0%"),
        (1.001, "100.100%"),
        (1.0000000000000002, "100%"),
        (0.5, "50.0%"),
        (0.0123, "1.23%"),
        (0.00052, "0.052%"),
        (0.000001, "<0.001%"),
        (nan, MISSING),
        (None, MISSING),
    ],
)
def test_percent(value: float | None, shown: str) -> None:
    """Shares have as many digits as say something, near 0 and near 1."""
    assert percent(value) == shown


def test_other_figures() -> None:
    """Times, counts, prices and differences have their units and signs."""
    assert [seconds(each) for each in (0.0123, 1.5, 1234.0, None)] == ["0.012 s", "1.50 s", "1,234 s", MISSING]
    assert [count(each) for each in (1234.0, 1.5, inf)] == ["1,234", "1.5", MISSING]
    assert [dollars(each) for each in (0.01234, 1234.5, None)] == ["$0.0123", "$1,234.50", MISSING]
    assert [points(each) for each in (0.0123, -0.00012, None)] == ["+1.23", "-0.012", MISSING]
    assert [number(each) for each in (1.23456, 1234.5, nan)] == ["1.235", "1,234.5", MISSING]
    assert [seconds(0.0), number(0.0), dollars(0.0), count(0.0)] == ["0 s", "0", "$0", "0"]
    assert [span(each) for each in (30, 90, 600, 86_400, 864_000)] == ["30 s", "90 s", "10 min", "24 h", "10 days"]


def test_estimates() -> None:
    """An interval is shown where there is one, and where it can be seen."""
    assert estimate(Estimate(0.5, 0.4, 0.6), percent) == "50.0% [40.0%, 60.0%]"
    assert estimate(Estimate(0.5, 0.50001, 0.50002), percent) == "50.0%"
    assert estimate(Estimate(0.5), percent) == "50.0%"
    assert estimate(None, percent) == MISSING
