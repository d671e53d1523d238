"""Scales: from a value to its place along an axis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Linear", "Scale", "ShareScale"]


class Scale(ABC):
    """Values from 0 up, along an axis from ``start`` to ``end``.

    Args:
        start: the place of 0.
        end: the place of the largest value.
    """

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    @abstractmethod
    def part(self, value: float) -> float:
        """How far along the axis the value is, 0 to 1."""

    def at(self, value: float) -> float:
        """The place of a value. What is beyond an end of the axis, or no number, is at that end, or at 0."""
        part = self.part(value) if isfinite(value) else 0.0
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)


class Linear(Scale):
    """Equal steps for equal differences, up to a round number.

    Args:
        start, end: as above.
        most: the largest value that is to have a place.

    Attributes:
        ticks: round values from 0 to the end of the axis.
    """

    def __init__(self, start: float, end: float, most: float) -> None:
        super().__init__(start, end)
        step = _round_step(most if isfinite(most) and most > 0 else 1.0)
        count = max(1, ceil((most if isfinite(most) and most > 0 else 1.0) / step - 1e-9))
        self.ticks = tuple(step * each for each in range(count + 1))

    def part(self, value: float) -> float:
        """In proportion."""
        return value / self.ticks[-1]


@dataclass(frozen=True, slots=True)
class _Decades:
    least: int
    most: int


class ShareScale(Scale):
    """Shares from 0 to 1, a decade as long as the next; 0 has a place of its own, before the first of them.

    A logarithmic axis shows that 0.1% and 1% are as far apart as 1% and 10% are, and has no 0. This one has: what lies
    between 0 and the first decade is drawn in proportion.

    Args:
        start, end: as above.
        values: that are to be seen. The axis begins at the decade of the least of them, and at 0.01% at the lowest.

    Attributes:
        ticks: 0, and the decades: 0.001, 0.01, ...
    """

    def __init__(self, start: float, end: float, values: Iterable[float]) -> None:
        super().__init__(start, end)
        seen = [value for value in values if isfinite(value) and value > 0]
        least = max(-4, min((floor(log10(value)) for value in seen), default=-2))
        most = min(0, max((ceil(log10(value) - 1e-9) for value in seen), default=0))
        self._decades = _Decades(min(least, -1), max(most, min(least, -1) + 1))
        first, last = self._decades.least, self._decades.most
        self.ticks = (0.0, *(10.0**each for each in range(first, last + 1)))

    def part(self, value: float) -> float:
        """By its decade."""
        first, last = self._decades.least, self._decades.most
        length = last - first + 1  # one more for what is below the first decade
        if value <= 10.0**first:
            return max(0.0, value) / 10.0**first / length
        return (1 + log10(value) - first) / length


def _round_step(most: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are three to seven steps."""
    rough = most / 4
    power: float = 10.0 ** floor(log10(rough))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(step - rough))
