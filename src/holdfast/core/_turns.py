"""Waiting for a turn: one object that a thread or a task waits on, and what wakes it.

The owner of the turns (a bulkhead, a queue) decides under its own lock who is next, changes the turn's state there,
and wakes the waiter after the lock is released. A waiter that is woken looks at its state again; being woken once too
often is harmless. Each waiter keeps its own time, so that nothing runs while nobody waits.

A turn is given up exactly once, whatever happens to its waiter: a waiter that is cancelled takes its turn out of the
line, and when the turn was given a moment before, the owner gives it to the next in line.
"""

from __future__ import annotations

import asyncio
import threading
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from holdfast.core.clock import NS_PER_SECOND

if TYPE_CHECKING:
    from typing import Self

    from holdfast.core.clock import Clock

__all__ = [
    "DROPPED",
    "HELD",
    "LEFT",
    "WAITING",
    "Loops",
    "TaskWaker",
    "ThreadWaker",
    "Turn",
    "TurnOwner",
    "TurnState",
    "Waker",
    "is_gone",
]

TurnT_contra = TypeVar("TurnT_contra", contravariant=True)


class TurnState(Enum):
    """Where a turn is in its life."""

    WAITING = auto()
    HELD = auto()
    """The work may run."""
    LEFT = auto()
    """The work is over, or the waiter gave its turn up."""
    DROPPED = auto()
    """The owner refused it after it had waited."""


# The names on the hot paths: looking a member up in an Enum costs several times as much.
WAITING, HELD, LEFT, DROPPED = TurnState


class Waker(Protocol):
    """Wakes whoever waits for a turn."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that the waiter lives on: once it is closed, nobody is there. None for a thread."""
        ...

    def wake(self) -> bool:
        """Let the waiter look again; from any thread. False when it is gone and nobody will ever look."""
        ...


class TurnOwner(Protocol[TurnT_contra]):
    """What the waiting side asks of the owner of a turn."""

    @property
    def clock(self) -> Clock:
        """The clock that turns are timed by."""
        ...

    def watch(self, turn: TurnT_contra, waker: Waker) -> None:
        """Wake by ``waker`` from now on, under the owner's lock."""
        ...

    def give_up(self, turn: TurnT_contra) -> None:
        """The waiter is gone: take the turn out of the line, or give it to the next. Harmless when it is over."""
        ...

    def time_is_up(self, turn: TurnT_contra) -> None:
        """Drop the turn if it still waits."""
        ...

    def alarm(self, turn: TurnT_contra) -> None:
        """The time has come at which the turn was asked to call."""
        ...

    def refusal(self, turn: TurnT_contra) -> Exception:
        """The error for a turn that was dropped, fresh."""
        ...


class Turn:
    """One caller's turn: waited for, held, and left.

    Attributes:
        state: changed under the owner's lock only.
        due_ns: when it is dropped if it still waits; None is never.
        alarm_ns: when the waiter is to call the owner on behalf of all who wait; None is never.
    """

    __slots__ = ("alarm_ns", "due_ns", "owner", "state", "waker")

    def __init__(self, owner: TurnOwner[Any], *, due_ns: int | None = None, state: TurnState = WAITING) -> None:
        self.owner = owner
        self.state = state
        self.due_ns = due_ns
        self.alarm_ns: int | None = None
        self.waker: Waker | None = None

    def wait(self) -> Self:
        """Block the thread until the turn has come.

        The length of the wait is real time, for no clock can wake a thread.

        Raises:
            RejectedError: the turn was dropped.
            DeadlineExceededError: the context's deadline came first.
        """
        if self.state is WAITING:
            waker = ThreadWaker()
            try:
                self.owner.watch(self, waker)
                while self.state is WAITING:
                    ring, ns = self._next()
                    if not waker.wait(ns):
                        self._rung(ring=ring)
            except BaseException:
                self.owner.give_up(self)
                raise
        return self.outcome()

    async def wait_async(self) -> Self:
        """Let the task wait until the turn has come; raises what :meth:`wait` does."""
        if self.state is WAITING:
            waker = TaskWaker(self.owner.clock)
            try:
                self.owner.watch(self, waker)
                while self.state is WAITING:
                    ring, ns = self._next()
                    if not await waker.wait(ns):
                        self._rung(ring=ring)
            except BaseException:
                self.owner.give_up(self)
                raise
        return self.outcome()

    def outcome(self) -> Self:
        """The turn, or the error that it was dropped with."""
        if self.state is DROPPED:
            raise self.owner.refusal(self)
        return self

    def _next(self) -> tuple[bool, int | None]:
        """Whether the alarm comes before the end of the wait, and how long until the first of them."""
        due, alarm = self.due_ns, self.alarm_ns
        ring = alarm is not None and (due is None or alarm < due)
        until = alarm if ring else due
        return ring, None if until is None else until - self.owner.clock.now_ns()

    def _rung(self, *, ring: bool) -> None:
        if ring:
            self.owner.alarm(self)
        else:
            self.owner.time_is_up(self)


def is_gone(waker: Waker | None) -> bool:
    """Whether nobody will ever look again; not so where nobody began to wait yet."""
    return waker is not None and waker.loop is not None and waker.loop.is_closed()


class Loops:
    """The event loops that somebody in a line lives on, so that a line learns cheaply that some in it are gone.

    A loop that is closed leaves its tasks as they are: they neither run nor end, and stand in line for ever. Whoever
    owns a line asks here where the line matters, and looks through it only when a loop was closed. What is taken out
    then must be kept alive until the owner's lock is released: with the last reference to such a task its coroutine is
    closed, and leaves the line by itself, which takes that lock.
    """

    __slots__ = ("_loops",)

    def __init__(self) -> None:
        self._loops: set[asyncio.AbstractEventLoop] = set()

    def add(self, waker: Waker) -> None:
        """Somebody waits."""
        if waker.loop is not None:
            self._loops.add(waker.loop)

    def lost(self) -> bool:
        """Whether a loop was closed since this was asked last."""
        closed = [loop for loop in self._loops if loop.is_closed()]
        self._loops.difference_update(closed)
        return bool(closed)


class ThreadWaker:
    """Wakes a thread."""

    __slots__ = ("_event",)

    loop = None

    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> bool:
        """Let the thread go on."""
        self._event.set()
        return True

    def wait(self, ns: int | None) -> bool:
        """Block for ``ns`` at most; False when nobody woke it before."""
        seconds = None if ns is None else min(max(ns, 0) / NS_PER_SECOND, threading.TIMEOUT_MAX)
        woken = self._event.wait(seconds)
        self._event.clear()
        return woken


class TaskWaker:
    """Wakes the task that made it, on its event loop and from any thread."""

    __slots__ = ("_clock", "_future", "_thread", "_woken", "loop")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._future: asyncio.Future[bool] | None = None
        self._woken = False

    def wake(self) -> bool:
        """Let the task go on; False when its event loop is closed."""
        try:
            if threading.get_ident() == self._thread:
                self._end(woken=True)
            else:
                self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            if self.loop.is_closed():
                return False
            raise
        return True

    async def wait(self, ns: int | None) -> bool:
        """Wait for ``ns`` at most; False when nobody woke it before."""
        if not self._woken:
            self._future = self.loop.create_future()
            timer = None if ns is None else self._clock.call_later_ns(ns, self._ring)
            try:
                await self._future
            finally:
                if timer is not None:
                    timer.cancel()
        woken, self._woken = self._woken, False
        return woken

    def _wake(self) -> None:
        self._end(woken=True)

    def _ring(self) -> None:
        self._end(woken=False)

    def _end(self, *, woken: bool) -> None:
        """End the wait; on the loop's thread."""
        self._woken = self._woken or woken
        if self._future is not None and not self._future.done():
            self._future.set_result(woken)
