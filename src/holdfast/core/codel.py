"""CoDel: tells a queue that only absorbs a burst from one that stands, by the shortest wait in an interval.

After "Controlling Queue Delay" (Nichols and Jacobson, 2012) in the form for request queues of "Fail at Scale" (Maurer,
2015): a burst drains, so somebody soon waits next to nothing; when nobody did for an interval, the queue stands, and
whoever has waited long is dropped until somebody waits little again.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core._options import duration, flag, options_by_name
from holdfast.core.clock import to_ns
from holdfast.errors import ConfigError

__all__ = ["CoDel", "CoDelState"]


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class CoDel:
    """When a request queue drops what waits although nothing has expired.

    Made for work of milliseconds. For work of seconds choose a target of about a tenth of the callers' patience and an
    interval of several services, or every backlog is one that stands.

    Args:
        interval: seconds over which the shortest wait is taken, above 0.
        target: seconds that the shortest wait may be, above 0 and below ``interval``. Over it, what waited more than
            twice as long is dropped.
        newest_first: while the queue stands, start the newest request of a priority first: its caller is the likeliest
            to be still there.
    """

    interval: float = 0.1
    target: float = 0.005
    newest_first: bool = False

    def __post_init__(self) -> None:
        duration("interval", self.interval)
        if duration("target", self.target) >= self.interval:
            raise ConfigError("target", self.target, f"must be below interval={self.interval:g}")
        flag("newest_first", self.newest_first)


class CoDelState:
    """What CoDel knows of one queue. Not thread-safe: its owner holds a lock.

    Attributes:
        standing: whether the queue stands.
    """

    __slots__ = ("_ends_ns", "_interval_ns", "_shortest_ns", "_target_ns", "newest_first", "standing")

    def __init__(self, options: CoDel) -> None:
        self._interval_ns = to_ns(options.interval)
        self._target_ns = to_ns(options.target)
        self.newest_first = options.newest_first
        self.standing = False
        self._ends_ns: int | None = None
        self._shortest_ns = 0

    def sees(self, now_ns: int, wait_ns: int) -> bool:
        """The oldest waiting request has waited so long; True when it is to be dropped."""
        if self._ends_ns is None or now_ns >= self._ends_ns:
            # An interval in which nobody came to their turn says nothing of the next.
            fresh = self._ends_ns is not None and now_ns < self._ends_ns + self._interval_ns
            self.standing = fresh and self._shortest_ns > self._target_ns
            self._ends_ns = now_ns + self._interval_ns
            self._shortest_ns = wait_ns
        else:
            self._shortest_ns = min(self._shortest_ns, wait_ns)
        return self.standing and wait_ns > 2 * self._target_ns
