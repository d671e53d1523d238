"""Figures as people read them. What was not measured is a dash, never a 0."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.lab.report.intervals import Estimate

__all__ = ["MISSING", "count", "dollars", "estimate", "interval", "number", "percent", "points", "seconds", "span"]

MISSING = "–"


def percent(value: float | None) -> str:
    """A share, 0 to 1, with more digits near either end: next to nothing is not nothing, and next to all not all."""
    if value is None or not isfinite(value):
        return MISSING
    hundredths = 100 * value
    if hundredths in (0, 100):
        return f"{hundredths:.0f}%"
    to_the_end = min(abs(hundredths), abs(100 - hundredths))
    if to_the_end < 0.001:
        return "<0.001%" if abs(hundredths) < 1 else ">99.999%" if hundredths < 100 else "100%"
    digits = 3 if to_the_end < 0.1 else 2 if to_the_end < 1 or abs(hundredths) < 10 else 1
    return f"{hundredths:.{digits}f}%"


def points(value: float | None) -> str:
    """A difference of shares, in percentage points, with its sign."""
    if value is None or not isfinite(value):
        return MISSING
    hundredths = 100 * value
    return f"{hundredths:+.3f}" if abs(hundredths) < 0.1 else f"{hundredths:+.2f}"


def seconds(value: float | None) -> str:
    """A time in seconds."""
    if value is None or not isfinite(value):
        return MISSING
    if not value:
        return "0 s"
    return f"{value:.3f} s" if abs(value) < 1 else f"{value:.2f} s" if abs(value) < 100 else f"{value:,.0f} s"


def span(value: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if value >= 2 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


def number(value: float | None) -> str:
    """Any other figure."""
    if value is None or not isfinite(value):
        return MISSING
    if not value:
        return "0"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def count(value: float | None) -> str:
    """How many."""
    if value is None or not isfinite(value):
        return MISSING
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def dollars(value: float | None) -> str:
    """A price in US dollars."""
    if value is None or not isfinite(value):
        return MISSING
    if not value:
        return "$0"
    return f"${value:,.4f}" if abs(value) < 1 else f"${value:,.2f}"


def estimate(value: Estimate | None, shown: Callable[[float | None], str]) -> str:
    """A figure with its interval, where there is one."""
    if value is None:
        return MISSING
    around = interval(value, shown)
    return f"{shown(value.value)} [{around[0]}, {around[1]}]" if around else shown(value.value)


def interval(value: Estimate, shown: Callable[[float | None], str]) -> tuple[str, str] | None:
    """The ends of an interval; None where there is none, or none that could be seen."""
    if value.low is None or value.high is None:
        return None
    low, high = shown(value.low), shown(value.high)
    return None if low == high == shown(value.value) else (low, high)
