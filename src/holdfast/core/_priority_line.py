"""The line of a request queue: priorities, first come first served within one, bounded by count and by memory.

Every operation costs the same however many wait: a linked list for each of the ten priorities, a bit for each that is
not empty, sums that are kept, and a heap of the times at which requests expire. Not thread-safe: its owner holds a
lock. It knows no clock: times are given to it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from holdfast.core._turns import Turn, TurnOwner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.core._gcra import Gcra
    from holdfast.core.policy import CallRef

__all__ = ["LOW", "PRIORITIES", "PriorityLine", "Request"]

PRIORITIES = 10
LOW = 5
"""Priorities below this are low: they give way to the others when the queue is full."""

_LOW_BITS = (1 << LOW) - 1
_SLACK = 64  # stale entries of the heap that are not worth a clean-up


class Request(Turn):
    """One caller's request, waiting or under way.

    Attributes:
        call: on whose behalf it was asked for, in a pipeline.
        number: grows with every request of the queue.
        priority: 0 to 9.
        size: bytes of memory that it holds.
        asked_ns: when it came.
        began_ns: when its turn came.
        cut: whether ``due_ns`` is the context's deadline; of one that waits.
        why: why it was dropped.
        charge: the rate that its start was charged to, and the receipt for that; the options may name another by now.
        retry_after: when it was dropped, the seconds until all that still waited would be served.
    """

    __slots__ = ("asked_ns", "began_ns", "call", "charge", "cut", "number", "priority", "retry_after", "size", "why")

    call: CallRef | None
    began_ns: int
    cut: bool
    why: str
    retry_after: float | None

    def __init__(self, owner: TurnOwner[Any], *, number: int, priority: int, size: int, asked_ns: int) -> None:
        super().__init__(owner)
        self.number = number
        self.priority = priority
        self.size = size
        self.asked_ns = asked_ns
        self.charge: tuple[Gcra, int] | None = None


class PriorityLine:
    """Requests that wait.

    Attributes:
        count: how many.
        size: bytes that they hold.
        low_size: bytes that those of low priority hold.
    """

    __slots__ = ("_due", "_filled", "_lines", "count", "low_size", "size")

    def __init__(self) -> None:
        self._lines: tuple[OrderedDict[int, Request], ...] = tuple(OrderedDict() for _ in range(PRIORITIES))
        self._filled = 0  # bit p: somebody of priority p waits
        self._due: list[tuple[int, int, Request]] = []
        self.count = 0
        self.size = 0
        self.low_size = 0

    def put(self, request: Request) -> None:
        """Add a request behind those of its priority."""
        self._lines[request.priority][request.number] = request
        self._filled |= 1 << request.priority
        self.count += 1
        self.size += request.size
        if request.priority < LOW:
            self.low_size += request.size
        if request.due_ns is not None:
            heapq.heappush(self._due, (request.due_ns, request.number, request))

    def remove(self, request: Request) -> None:
        """Take a waiting request out."""
        line = self._lines[request.priority]
        del line[request.number]
        if not line:
            self._filled &= ~(1 << request.priority)
        self.count -= 1
        self.size -= request.size
        if request.priority < LOW:
            self.low_size -= request.size
        if len(self._due) > 2 * self.count + _SLACK:
            self._due = [each for each in self._due if self._waits(each[2])]
            heapq.heapify(self._due)

    def first(self, *, newest: bool = False) -> Request | None:
        """The oldest request of the highest priority, or the newest of it."""
        if not self._filled:
            return None
        line = self._lines[self._filled.bit_length() - 1]
        return line[next(reversed(line) if newest else iter(line))]

    def oldest_low(self) -> Request | None:
        """The oldest request of low priority."""
        heads = (line[next(iter(line))] for line in self._lines[:LOW] if line) if self._filled & _LOW_BITS else ()
        return min(heads, key=lambda request: request.number, default=None)

    def expired(self, now_ns: int) -> Request | None:
        """A waiting request whose time is up, if there is one."""
        while self._due:
            due_ns, _, request = self._due[0]
            if self._waits(request):
                return request if due_ns <= now_ns else None
            heapq.heappop(self._due)
        return None

    def depths(self) -> tuple[int, ...]:
        """How many wait, by priority."""
        return tuple(len(line) for line in self._lines)

    def __iter__(self) -> Iterator[Request]:
        for line in reversed(self._lines):
            yield from line.values()

    def _waits(self, request: Request) -> bool:
        return request.number in self._lines[request.priority]
