"""How long a target takes, as load balancing wants to know it: quick to see that it got worse, slow to forgive.

The peak-EWMA of Finagle: an average that forgets with time, and that jumps to a value above it at once. The latency of
a model call is its time to first token, for the rest depends on how long the answer is.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns

if TYPE_CHECKING:
    from holdfast.core.clock import Clock

__all__ = ["PeakEwma"]


class PeakEwma:
    """A moving average of latencies that never hides a peak.

    One value is a float, so that reading it needs no lock; two threads that observe at once may lose one observation.

    Args:
        clock: the source of time.
        decay: seconds in which an old value loses 63% of its weight, above 0; 10 by default.
    """

    __slots__ = ("_clock", "_decay_ns", "_seen_ns", "_value")

    def __init__(self, clock: Clock, *, decay: float = 10.0) -> None:
        self._clock = clock
        self._decay_ns = to_ns(decay)
        self._value = 0.0
        self._seen_ns = clock.now_ns()

    @property
    def seconds(self) -> float:
        """The average now, 0 before the first observation. It falls while nothing is observed: an old peak fades."""
        return self._value * self._weight(self._clock.now_ns())

    @property
    def last_known(self) -> float:
        """The average at the last observation, however long ago; 0 before the first."""
        return self._value

    def observe(self, seconds: float) -> None:
        """A call took this long."""
        now = self._clock.now_ns()
        weight = self._weight(now)
        if seconds > self._value * weight:
            self._value = seconds
        else:
            self._value = self._value * weight + seconds * (1 - weight)
        self._seen_ns = now

    def penalize(self, most: float) -> None:
        """A call failed: whoever compares targets is to see that, though failing may be quick.

        It counts as a call of twice the average, of one second at least and ``most`` seconds at most.
        """
        self.observe(min(most, max(1.0, 2 * self.seconds)))

    def _weight(self, now_ns: int) -> float:
        """What is left of the value that was seen last."""
        return exp(-max(0, now_ns - self._seen_ns) / self._decay_ns)
