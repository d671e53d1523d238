"""A bounded window of durations, and exact percentiles of it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil

__all__ = ["LatencyWindow"]

_ROUNDING = 1e-9  # 100 * 0.29 shall be rank 29


class LatencyWindow:
    """The latest ``size`` durations, and any percentile of them: the smallest that ``percent`` % do not exceed.

    Adding one costs a binary search and two moves of a small block of memory.
    """

    __slots__ = ("_latest", "_size", "_sorted")

    def __init__(self, size: int) -> None:
        self._size = size
        self._latest: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, ns: int) -> None:
        """Take one in; the oldest goes when there are too many."""
        if len(self._latest) == self._size:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        self._latest.append(ns)
        insort(self._sorted, ns)

    def percentile(self, percent: float) -> int:
        """The nearest-rank percentile, in nanoseconds; there must be at least one duration."""
        return self._sorted[max(0, ceil(len(self._sorted) * percent / 100 - _ROUNDING) - 1)]

    def __len__(self) -> int:
        return len(self._sorted)
