"""A count over the last seconds, in constant memory."""

from __future__ import annotations

__all__ = ["WindowCount"]

_NS_PER_SECOND = 1_000_000_000


class WindowCount:
    """How often something happened within the last ``seconds``, to a second's precision.

    Args:
        seconds: the length of the window, at least 1.
    """

    __slots__ = ("_counts", "_second", "_total")

    def __init__(self, seconds: int = 60) -> None:
        self._counts = [0] * seconds
        self._second = 0
        self._total = 0

    def add(self, now_ns: int, count: int = 1) -> None:
        """Note ``count`` occurrences at monotonic time ``now_ns``."""
        self._move_to(now_ns)
        self._counts[self._second % len(self._counts)] += count
        self._total += count

    def total(self, now_ns: int) -> int:
        """Occurrences within the window that ends at ``now_ns``."""
        self._move_to(now_ns)
        return self._total

    def _move_to(self, now_ns: int) -> None:
        second = now_ns // _NS_PER_SECOND
        size = len(self._counts)
        for passed in range(self._second + 1, min(second, self._second + size) + 1):
            self._total -= self._counts[passed % size]
            self._counts[passed % size] = 0
        self._second = max(self._second, second)
