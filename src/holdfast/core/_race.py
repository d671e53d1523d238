"""Runs one hedged call: several tasks, of which the first success wins. :mod:`~holdfast.core.hedge` decides when.

Everything after the start happens in callbacks of the event loop: a task that ended, a timer that fired. The caller
waits on one future, and on nothing else: neither a loser that takes its time to be cancelled, nor one that refuses to
be, can delay the winner. Such a *stray* is held on to, counted until it ends, and told of when it lingers.

Callbacks run what users wrote: a classification, a listener, a budget. What those raise is the caller's to know, and
ends the race as any end of it does; on the event loop it would be lost, and the caller wait for ever.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import CURRENT, remaining_ns
from holdfast.core.demand import CURRENT as DEMAND
from holdfast.core.events import HedgeLoserLeft, HedgeStarted, HedgeWon
from holdfast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.core.clock import Timer
    from holdfast.core.faults import Fault
    from holdfast.core.hedge import Hedge

__all__ = ["INDEX", "Race", "Stray"]

INDEX: ContextVar[int] = ContextVar("holdfast_hedge_index", default=0)

R = TypeVar("R")

_GRACE_NS = NS_PER_SECOND  # the time that an ordinary loser has for cleaning up before it is told of


class Race(Generic[R]):
    """One call and its hedges, on the running event loop.

    Args:
        hedge: decides, and is told how it ended.
        make: makes the coroutine of one call.
    """

    __slots__ = (
        "_begun",
        "_clock",
        "_context",
        "_delay",
        "_done",
        "_errors",
        "_hedge",
        "_loop",
        "_make",
        "_open",
        "_ran",
        "_tasks",
        "_timers",
        "_winner",
    )

    _done: asyncio.Future[R]
    _delay: int | None

    def __init__(self, hedge: Hedge, make: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self._hedge = hedge
        self._make = make
        self._clock = hedge.place.clock
        self._context = copy_context()  # callbacks run in it; each call has a copy of its own
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[R]] = []
        self._errors: dict[int, BaseException] = {}
        self._timers: dict[Callable[[], None], Timer] = {}
        self._begun = self._clock.now_ns()
        self._ran: int | None = None  # the original call's time, once it succeeded
        self._winner = 0
        self._open = True

    async def run(self) -> R:
        """The result of the first call that has one.

        Raises:
            DeadlineExceededError: the context's deadline came first.
        """
        until = CURRENT.get()
        if until is not None and until <= self._begun:
            raise self._late_error()
        self._delay = self._hedge.begin()
        self._done = self._loop.create_future()
        self._start()
        try:
            if until is not None:
                self._call_later(until - self._begun, self._out_of_time)
            self._wait()
            return await self._done
        finally:
            self._close()

    def _start(self) -> None:
        """One more call."""
        index = len(self._tasks)
        context = self._context.copy()
        context.run(INDEX.set, index)
        demand = DEMAND.get()
        if demand is not None:
            context.run(DEMAND.set, demand.inner())  # each says for itself what it used
        task = self._loop.create_task(self._make(), context=context)
        self._tasks.append(task)
        task.add_done_callback(partial(self._ended, index), context=self._context)

    def _wait(self) -> None:
        """See to it that the next hedge is made in time."""
        if self._delay == 0:
            while self._start_hedge(None):
                pass
        elif self._delay is not None and len(self._tasks) <= self._hedge.options.max_hedges:
            self._call_later(self._delay, self._late)

    def _late(self) -> None:
        if self._start_hedge(None):
            self._wait()

    def _start_hedge(self, fault: Fault | None) -> bool:
        """Make a hedge, if it may be."""
        hedge, made = self._hedge, len(self._tasks) - 1
        if hedge.decide(made, fault, remaining_ns(self._clock)) is not None:
            return False
        self._start()
        if hedge.place.heard:
            reason = "late" if fault is None else "failed"
            hedge.place.emit(HedgeStarted, hedge=made + 1, reason=reason, waited_ns=self._clock.now_ns() - self._begun)
        return True

    def _ended(self, index: int, task: asyncio.Task[R]) -> None:
        """A call is over; only the first success, and the last failure, end the race."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not self._open or self._done.done():
            return
        try:
            self._settle(index, task, error)
        except BaseException as trouble:  # noqa: BLE001  it is raised to the caller
            self._fail(trouble)

    def _settle(self, index: int, task: asyncio.Task[R], error: BaseException | None) -> None:
        if error is None:
            self._winner = index
            if index == 0:
                self._ran = self._clock.now_ns() - self._begun
            self._done.set_result(task.result())
            return
        self._errors[index] = error
        if self._start_hedge(self._hedge.classify(error)):
            self._cancel_timer(self._late)
            self._wait()
        elif len(self._errors) == len(self._tasks):
            first = self._errors[0]
            for number in range(1, len(self._tasks)):
                other = self._errors[number]
                first.add_note(f"The hedge {number} failed too: {type(other).__name__}: {other}")
            self._done.set_exception(first)

    def _fail(self, trouble: BaseException) -> None:
        """End the race with what a callback raised."""
        if self._done.done():
            return  # it was won, or lost, before that
        if isinstance(trouble, StopIteration):  # a future cannot carry it, and would never be done
            wrapped = RuntimeError("What decides about a hedge raised StopIteration.")
            wrapped.__cause__ = trouble
            trouble = wrapped
        self._done.set_exception(trouble)

    def _out_of_time(self) -> None:
        self._done.set_exception(self._late_error())

    def _close(self) -> None:
        """Cancel what runs, without waiting for it, and tell how it went."""
        self._open = False
        for timer in self._timers.values():
            timer.cancel()
        now = self._clock.now_ns()
        cut = not self._tasks[0].done()
        for index, task in enumerate(self._tasks):
            if not task.done():
                task.cancel()
                Stray(self._hedge, index, task, now)
        # What holds the error that is raised through this frame would keep both alive until the collector comes.
        self._timers.clear()
        self._tasks.clear()
        self._errors.clear()
        del self._done
        ran = now - self._begun if self._ran is None else self._ran
        failed = self._ran is None and not cut
        self._hedge.ended(ran, failed=failed, cut=cut, winner=self._winner)
        if self._winner and self._hedge.place.heard:
            self._hedge.place.emit(HedgeWon, hedge=self._winner, waited_ns=now - self._begun)

    def _call_later(self, ns: int, callback: Callable[[], None]) -> None:
        """A timer whose callback runs in the context of the call, whoever moves the clock."""
        self._timers[callback] = self._clock.call_later_ns(ns, partial(self._fire, callback))

    def _fire(self, callback: Callable[[], None]) -> None:
        if self._open and not self._done.done():
            try:
                self._context.run(callback)
            except BaseException as trouble:  # noqa: BLE001  it is raised to the caller
                self._fail(trouble)

    def _cancel_timer(self, callback: Callable[[], None]) -> None:
        timer = self._timers.pop(callback, None)
        if timer is not None:
            timer.cancel()

    def _late_error(self) -> DeadlineExceededError:
        name = self._hedge.place.name or "the dependency"
        return DeadlineExceededError(f"The time for the whole operation was used up in the hedged call to {name}.")


class Stray:
    """A loser that was cancelled and has not ended yet."""

    __slots__ = ("_hedge", "_index", "_since", "_task", "_timer")

    def __init__(self, hedge: Hedge, index: int, task: asyncio.Task[Any], now: int) -> None:
        self._hedge = hedge
        self._index = index
        self._task = task
        self._since = now
        heard = hedge.place.heard
        self._timer = hedge.place.clock.call_later_ns(_GRACE_NS, self._tell) if heard else None
        hedge.strays.add(self)
        task.add_done_callback(self._gone)

    @property
    def gone(self) -> bool:
        """Whether it ended, or its event loop did."""
        return self._task.done() or self._task.get_loop().is_closed()

    def _gone(self, _: object) -> None:
        self._hedge.strays.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        if not self._task.done():
            lingered = self._hedge.place.clock.now_ns() - self._since
            self._hedge.place.emit(HedgeLoserLeft, hedge=self._index, lingered_ns=lingered)
