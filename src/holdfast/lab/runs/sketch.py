"""Percentiles of any number of durations in a bounded space.

A count for each step of a geometric ladder, so that a percentile is off by at most half a step: 1%. (*DDSketch*:
Masson, Rim and Lee, VLDB 2019.)
"""

from __future__ import annotations

from collections import Counter
from math import ceil, log

__all__ = ["Sketch"]

_STEP = 1.02
_LOG_STEP = log(_STEP)
_LEAST = 1e-6
_MIDDLE = 2 / (1 + _STEP)


class Sketch:
    """Takes durations in seconds. What is below a microsecond counts as 0."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: Counter[int | None] = Counter()
        self.count = 0

    def add(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self._counts[None if seconds < _LEAST else ceil(log(seconds) / _LOG_STEP)] += 1

    def percentile(self, share: float) -> float:
        """The seconds that a ``share`` (0 to 1) of all do not exceed (nearest rank), within 1%; 0 of none."""
        rank = max(1, ceil(share * self.count))
        seen = self._counts[None]
        if seen >= rank or not self.count:
            return 0.0
        for step in sorted(each for each in self._counts if each is not None):
            seen += self._counts[step]
            if seen >= rank:
                return float(_STEP**step) * _MIDDLE
        raise AssertionError("every duration is on a step")
