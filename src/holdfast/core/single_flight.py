"""Single flight: identical calls at the same time are made once, and every caller gets the result.

The async form runs the work in a task of its own. Callers come and go: one that is cancelled, the first one included,
takes nothing from the others, and when nobody waits any more the work is cancelled. The work carries on the first
caller's context without its deadline; each caller's wait ends at its own.

The sync form runs the work in the thread of the first caller, and the others wait. When that caller's own deadline
ends the work, or what ends it is no ordinary exception (a ``KeyboardInterrupt``), one of the others makes the call.

Calls are shared within one event loop, and between threads. A flight whose loop was closed before the work had ended
will never land: nobody can join it, and it is forgotten when the next flight begins.

An exception goes to the first caller as it is, and to each other one as a copy, so that nobody's traceback, notes or
cause grow with those of the others.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import _get_running_loop
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast

from holdfast.core._copies import copy_of
from holdfast.core._flights import AsyncFlight, SyncFlight
from holdfast.core._functions import call_key, checked_result, is_async
from holdfast.core._options import function, options_by_name, whole
from holdfast.core._place import Place
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import CURRENT, remaining_ns
from holdfast.core.events import FlightsFull, FlightShared
from holdfast.errors import ConfigError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.policy import Site

__all__ = ["FlightSnapshot", "SingleFlight"]

P = ParamSpec("P")
R = TypeVar("R")

_STREAMS = "what one caller reads is gone for the others; share the function that reads it to its end"
_INSIDE: ContextVar[tuple[object, ...]] = ContextVar("holdfast_flights", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightSnapshot:
    """A single flight at one moment.

    Attributes:
        executions: the calls that were made for one caller or more.
        shared: the callers who joined one that was under way.
        unshared: the calls made by themselves because ``max_flights`` were under way.
        flights: different calls under way; ``waiting`` callers share them.
    """

    executions: int
    shared: int
    unshared: int
    flights: int
    waiting: int


FlightT = TypeVar("FlightT", AsyncFlight, SyncFlight)
KeyT = TypeVar("KeyT", bound="Hashable")


@options_by_name
class SingleFlight:
    """A policy: calls of the same function with the same key share one execution.

    All callers get the same result object: treat it as read-only.

    Args:
        key: a function of the call's arguments that gives what identifies the call, something that can be hashed; by
            default all arguments. Leave nothing out of it on which the answer depends, such as the user.
        max_flights: different calls under way at once, 1 or more; above it calls are made by themselves.
        clock, events: where the policy is used outside a pipeline; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "single_flight"

    def __init__(
        self,
        *,
        key: Callable[..., Hashable] | None = None,
        max_flights: int = 10_000,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        function("key", key)
        self._max = whole("max_flights", max_flights, least=1)
        self._key = key
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._lock = threading.Lock()
        self._async: dict[tuple[asyncio.AbstractEventLoop, Hashable], AsyncFlight] = {}
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()  # those that have, or had, flights
        self._sync: dict[Hashable, SyncFlight] = {}
        self._ending: set[asyncio.Task[Any]] = set()  # cancelled work; the loop alone would not keep it alive
        self._executions = self._shared = self._unshared = 0

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        self._place.attach(site)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``, a plain or an async function.

        Raises:
            ConfigError: ``fn`` cannot be shared; a generator function's items go to one reader only.
        """
        if is_async(fn, streams=_STREAMS):

            async def shared_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401
                return await self._fly_async(call_key(self._key, fn, args, kwargs), fn, args, kwargs)

            return update_wrapper(cast("Callable[P, R]", shared_async), fn)

        def shared(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast("R", self._fly(call_key(self._key, fn, args, kwargs), fn, args, kwargs))

        return update_wrapper(shared, fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)``, shared; gives something to await for an async function.

        Raises:
            ConfigError: ``fn`` cannot be shared, or its arguments cannot be hashed and there is no ``key``.
        """
        return self._do(call_key(self._key, fn, args, kwargs), fn, args, kwargs)

    def do(self, key: Hashable, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Like :meth:`call`, for calls that are the same because their ``key`` is, whatever ``fn`` is."""
        return self._do(call_key(lambda: key, None, (), {}), fn, args, kwargs)

    def snapshot(self) -> FlightSnapshot:
        """Everything about it, at one moment."""
        self._forget_closed()
        with self._lock:
            waiting = [flight.waiting for flight in self._async.values()]
            waiting += [flight.waiting for flight in self._sync.values()]
            return FlightSnapshot(
                executions=self._executions,
                shared=self._shared,
                unshared=self._unshared,
                flights=len(waiting),
                waiting=sum(waiting),
            )

    def _do(self, key: Hashable, fn: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        if is_async(fn, streams=_STREAMS):
            return cast("R", self._fly_async(key, fn, args, kwargs))
        return cast("R", self._fly(key, fn, args, kwargs))

    def _board(
        self, flights: dict[KeyT, FlightT], key: KeyT, new: Callable[[], FlightT]
    ) -> tuple[FlightT | None, bool]:
        """The flight to wait for, and whether it is a new one that the caller has to start; None when it is full.

        Raises:
            ConfigError: the call is made from inside the very work that it would wait for.
        """
        flight, begins = self._join_or_begin(flights, key, new)
        if (begins or flight is None) and self._forget_closed() and flight is None:
            flight, begins = self._join_or_begin(flights, key, new)
        if flight is None:
            with self._lock:
                self._unshared += 1
            self._tell_full()
        return flight, begins

    def _join_or_begin(
        self, flights: dict[KeyT, FlightT], key: KeyT, new: Callable[[], FlightT]
    ) -> tuple[FlightT | None, bool]:
        with self._lock:
            flight = flights.get(key)
            begins = flight is None
            if flight is not None:
                if flight.mark in _INSIDE.get():
                    rule = "makes the same call again from inside, and would wait for itself: give that another key"
                    raise ConfigError("fn", flight.fn, rule)
                self._shared += 1
            elif len(self._async) + len(self._sync) < self._max:
                flight = flights[key] = new()
                self._executions += 1
            else:
                return None, False
            flight.waiting += 1
            return flight, begins

    def _forget_closed(self) -> bool:
        """Forget the flights of loops that were closed before they landed; whether there were any.

        What they hold is let go outside the lock: closing a coroutine runs its ``finally``.
        """
        if not self._loops or (len(self._loops) == 1 and _get_running_loop() in self._loops):
            return False  # mostly there is one loop, and it runs
        with self._lock:
            closed = [loop for loop in self._loops if loop.is_closed()]
            self._loops.difference_update(closed)
            dropped = [self._async.pop(where) for where in list(self._async) if where[0] in closed] if closed else []
        self._ending.difference_update([task for task in tuple(self._ending) if task.get_loop().is_closed()])
        return bool(dropped)

    def _forget(self, flights: dict[KeyT, FlightT], key: KeyT, flight: FlightT) -> None:
        with self._lock:
            if flights.get(key) is flight:
                del flights[key]

    def _tell_full(self) -> None:
        if self._place.heard:
            self._place.emit(FlightsFull, flights=self._max)

    def _tell_shared(self, waiting: int) -> None:
        if self._place.heard:
            self._place.emit(FlightShared, waiting=waiting)

    def _time_left(self) -> int | None:
        """Nanoseconds until the caller's deadline.

        Raises:
            DeadlineExceededError: it has passed.
        """
        left = remaining_ns(self._place.clock)
        if left == 0:
            raise self._late_error()
        return left

    def _late_error(self) -> DeadlineExceededError:
        name = self._place.name or "the dependency"
        return DeadlineExceededError(f"The time for the whole operation was used up waiting for the call to {name}.")

    # --- async: everything about one flight happens in the thread of its event loop -----------------------------------

    async def _fly_async(
        self, key: Hashable, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        left = self._time_left()
        where = loop, key
        flight, first = self._board(self._async, where, partial(AsyncFlight, fn))
        if flight is None:
            return await _read(fn, args, kwargs)
        if first:
            if loop not in self._loops:
                with self._lock:
                    self._loops.add(loop)
            context = copy_context()
            context.run(_enter, flight.mark)
            flight.task = loop.create_task(_read(fn, args, kwargs), context=context)
            flight.task.add_done_callback(partial(self._landed, where, flight))
        else:
            self._tell_shared(flight.waiting)
        try:
            await self._wait(loop, flight, left)
            if flight.error is None:
                return flight.result
            raise flight.error if first else copy_of(flight.error)
        finally:
            self._leave(where, flight)
            del flight  # a frame that holds the error it raises keeps both alive

    async def _wait(self, loop: asyncio.AbstractEventLoop, flight: AsyncFlight, left: int | None) -> None:
        """Until the flight has landed, or the caller's deadline."""
        landed = loop.create_future()
        flight.waiters[landed] = None
        timer = None if left is None else self._place.clock.call_later_ns(left, partial(_wake, landed, done=False))
        try:
            if not await landed:
                raise self._late_error()
        finally:
            del flight.waiters[landed]
            if timer is not None:
                timer.cancel()

    def _leave(self, where: tuple[asyncio.AbstractEventLoop, Hashable], flight: AsyncFlight) -> None:
        """One caller less; the last one takes the work along."""
        if where[0].is_closed():
            return  # the collector closes a caller whom nobody woke; it may come at any moment, so take no lock
        with self._lock:
            flight.waiting -= 1
        task = flight.task
        if flight.waiting or task.done():
            return
        self._forget(self._async, where, flight)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    def _landed(
        self, where: tuple[asyncio.AbstractEventLoop, Hashable], flight: AsyncFlight, task: asyncio.Task[Any]
    ) -> None:
        self._forget(self._async, where, flight)
        flight.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if flight.error is None:
            flight.result = task.result()
        for waiter in flight.waiters:
            _wake(waiter, done=True)

    # --- sync -------------------------------------------------------------------------------------------------------

    def _fly(self, key: Hashable, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        while True:
            left = self._time_left()
            flight, first = self._board(self._sync, key, partial(SyncFlight, fn))
            if flight is None:
                return checked_result(fn(*args, **kwargs), fn, streams=_STREAMS)
            try:
                if first:
                    return self._lead(key, flight, fn, args, kwargs)
                self._tell_shared(flight.waiting)
                if not flight.landed.wait(None if left is None else left / NS_PER_SECOND):
                    raise self._late_error()
                if flight.error is not None:
                    raise copy_of(flight.error)
                if not flight.abandoned:
                    return flight.result
            finally:
                with self._lock:
                    flight.waiting -= 1
                del flight

    def _lead(
        self, key: Hashable, flight: SyncFlight, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        """Make the call for all."""
        token = _INSIDE.set((*_INSIDE.get(), flight.mark))
        try:
            result = flight.result = checked_result(fn(*args, **kwargs), fn, streams=_STREAMS)
            flight.abandoned = False
        except Exception as error:
            if not (isinstance(error, DeadlineExceededError) and remaining_ns(self._place.clock) == 0):
                flight.error = error
            raise
        finally:
            _INSIDE.reset(token)
            self._forget(self._sync, key, flight)
            flight.landed.set()
            del flight
        return result


async def _read(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """The work of a flight."""
    return checked_result(await fn(*args, **kwargs), fn, streams=_STREAMS)


def _enter(mark: object) -> None:
    """Make a context that of the work: it knows that it is inside, and no caller's deadline is its own."""
    CURRENT.set(None)
    _INSIDE.set((*_INSIDE.get(), mark))


def _wake(waiter: asyncio.Future[bool], *, done: bool) -> None:
    if not waiter.done():
        waiter.set_result(done)
