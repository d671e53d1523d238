"""Waiting in line for a rate limiter.

There is a line for each of two classes: calls of a priority that has its own share of the capacity, and the others.
Only the call at the front of a line sleeps, for exactly as long as the limit says; it then makes way, and that wakes
the next. So order is strict, a call that gives up costs nobody a turn, and nobody asks before there can be an answer.
What is given back while the front sleeps is seen when it wakes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from holdfast.core._turns import TaskWaker, ThreadWaker, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.core._reservation import Reservation
    from holdfast.core._turns import Waker
    from holdfast.core.clock import Clock
    from holdfast.core.demand import Demand
    from holdfast.core.policy import CallRef
    from holdfast.errors import RateLimitedError

__all__ = ["Line", "LineOwner", "Queued"]


class LineOwner(Protocol):
    """What one in line asks of the limiter."""

    @property
    def clock(self) -> Clock:
        """The clock that waits are timed by."""
        ...

    def watch(self, place: Queued, waker: Waker) -> bool:
        """Whether it is the turn of ``place``; otherwise ``waker`` hears of it when it is."""
        ...

    def step(self, place: Queued) -> Reservation | int:
        """For the one at the front: the reservation, or the nanoseconds to sleep before asking again."""
        ...

    def overdue(self, place: Queued) -> RateLimitedError:
        """The refusal of one whose turn did not come in time."""
        ...

    def quit(self, place: Queued) -> None:
        """Take ``place`` out of its line, if it is there."""
        ...


class Queued:
    """A place in line. Wait for it, or cancel it: those behind wait for you.

    Attributes:
        joined_ns: when the place was taken; what follows is there from then on.
        expected_ns: how long it should take, as things stood then.
        latest_ns: when the turn comes too late.
        turn: whether it has come.
    """

    __slots__ = ("_limiter", "call", "cost", "demand", "expected_ns", "joined_ns", "latest_ns", "low", "turn", "waker")

    joined_ns: int
    expected_ns: int
    latest_ns: int
    turn: bool

    def __init__(
        self, limiter: LineOwner, cost: float, *, low: bool, demand: Demand | None, call: CallRef | None
    ) -> None:
        self._limiter = limiter
        self.cost = cost
        self.low = low
        self.demand = demand
        self.call = call
        self.waker: Waker | None = None

    def wait(self) -> Reservation:
        """Block the thread until it is let in.

        Raises:
            RateLimitedError: it would take longer than it may after all (a rate was lowered, a cost was higher).
        """
        limiter = self._limiter
        try:
            waker = ThreadWaker()
            for ns in self._looks():
                if limiter.watch(self, waker) or waker.wait(ns):
                    break
            else:
                if not limiter.watch(self, waker):
                    raise limiter.overdue(self)
            while isinstance(step := limiter.step(self), int):
                limiter.clock.sleep_ns(step)
            return step
        finally:
            self.cancel()

    async def wait_async(self) -> Reservation:
        """Let the task wait until it is let in; a cancelled task leaves the line.

        Raises:
            RateLimitedError: as for :meth:`wait`.
        """
        limiter = self._limiter
        try:
            waker = TaskWaker(limiter.clock)
            for ns in self._looks():
                if limiter.watch(self, waker) or await waker.wait(ns):
                    break
            else:
                if not limiter.watch(self, waker):
                    raise limiter.overdue(self)
            while isinstance(step := limiter.step(self), int):
                await limiter.clock.asleep_ns(step)
            return step
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Leave the line; harmless when it is left already."""
        self._limiter.quit(self)

    def _looks(self) -> Iterator[int]:
        """How long to wait until the next look: whoever is before us may be gone without a word, with its event loop.

        So there is one when the turn should have come, and one at the end.
        """
        for until in (min(self.joined_ns + self.expected_ns, self.latest_ns), self.latest_ns):
            ns = until - self._limiter.clock.now_ns()
            if ns > 0:
                yield ns


class Line:
    """The places of one class, and what they ask for together."""

    __slots__ = ("cost", "places")

    def __init__(self) -> None:
        self.places: deque[Queued] = deque()
        self.cost: float = 0

    def join(self, place: Queued) -> None:
        place.turn = not self.places
        self.places.append(place)
        self.cost += place.cost

    def remove(self, place: Queued) -> bool:
        """Whether it was there."""
        if self.places and self.places[0] is place:
            self.places.popleft()
        else:
            try:
                self.places.remove(place)
            except ValueError:
                return False
        self.cost = self.cost - place.cost if self.places else 0
        return True

    def drop_gone(self) -> list[Queued]:
        """Take out those whose event loop was closed; gives them. Somebody else may be at the front then."""
        gone = [place for place in self.places if is_gone(place.waker)]
        for place in gone:
            self.remove(place)
        return gone
