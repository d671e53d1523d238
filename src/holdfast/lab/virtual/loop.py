"""An asyncio event loop whose time is a number: it never waits, and does the same thing every time.

While something is ready, it runs, and no time passes. When nothing is ready, the loop jumps to the next timer. Timers
of one time fire in the order in which they were set, and callbacks run in the order in which they became ready, so that
a program without another source of chance has one course only. What it did is hashed as it goes
(:mod:`~holdfast.lab.virtual.trace`): each callback with the task on whose behalf it runs, each jump, each timer.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
import threading
from asyncio.events import _set_running_loop
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast
from weakref import ref

from holdfast.core.clock import NS_PER_SECOND
from holdfast.lab.virtual.clock import Instant, VirtualClock
from holdfast.lab.virtual.errors import DeadlockError, RunawayError, VirtualTimeError
from holdfast.lab.virtual.furniture import Furniture
from holdfast.lab.virtual.handles import TASK, Callback, numbered_task, shuffled
from holdfast.lab.virtual.outside import BLOCKING_INSTEAD
from holdfast.lab.virtual.pending import pending_tasks
from holdfast.lab.virtual.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

__all__ = ["VirtualLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_AT_ONCE = 1_000_000
_SWEEP = 128
_FEW_GENERATORS = 1_000


class VirtualLoop(Furniture):
    """The loop.

    Args:
        seed: for the order of what is ready at once, with ``shuffle``.
        wall_ns: the Unix time at the start.
        shuffle: whether the order between tasks that are ready at the same time is drawn, to find code that relies on
            it. Callbacks of one task keep their order.
        max_steps: callbacks that may run in all.
        max_seconds: virtual time that may pass.

    Attributes:
        clock: reads and waits in this loop's time.
        trace: the hash of what happened.
        steps: callbacks that ran.
        failures: errors that callbacks raised; they end the run.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        wall_ns: int = 0,
        shuffle: bool = False,
        max_steps: int = 1 << 62,
        max_seconds: float = 1e9,
    ) -> None:
        super().__init__()
        self._instant = Instant()
        self.clock = VirtualClock(self, self._instant, wall_ns)
        self.trace = Trace()
        self.steps = 0
        self.failures: list[BaseException] = []
        self._rng = random.Random(seed) if shuffle else None  # noqa: S311 - it guards no secret
        self._most_steps = max_steps
        self._last_ns = round(max_seconds * NS_PER_SECOND)
        self._ready: list[Callback] = []
        self._timers: list[tuple[int, int, Callback]] = []
        self._timer_count = 0
        self._dropped = 0
        self._drop = self._timer_dropped
        self._task_count = 0
        self._stopping = self._closed = False
        self._thread: int | None = None
        self._generators: list[ref[AsyncGenerator[Any, Any]]] = []
        self._sweep_at = _FEW_GENERATORS

    # --- time -----------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the loop's start."""
        return self._instant.ns / NS_PER_SECOND

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Callback:
        """Run ``callback`` before any time passes."""
        handle = Callback(self._drop, 0, callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Callback:
        """The same; refused in a foreign thread, whose time is another."""
        if self._thread is not None and threading.get_ident() != self._thread:
            raise self.refuse("call_soon_threadsafe", "another thread", BLOCKING_INSTEAD)
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Callback:
        """Run ``callback`` after ``delay`` seconds."""
        return self.call_after_ns(round(delay * NS_PER_SECOND), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Callback:
        """Run ``callback`` at ``when`` seconds of the loop's time."""
        delay_ns = round(when * NS_PER_SECOND) - self._instant.ns
        return self.call_after_ns(delay_ns, callback, *args, context=context)

    def call_after_ns(
        self, ns: int, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Callback:
        """Run ``callback`` after ``ns`` nanoseconds; none and fewer are soon."""
        if ns <= 0:
            return self.call_soon(callback, *args, context=context)
        due = self._instant.ns + ns
        self._timer_count = count = self._timer_count + 1
        handle = Callback(self._drop, due, callback, args, copy_context() if context is None else context)
        handle.waits = True
        heapq.heappush(self._timers, (due, count, handle))
        self.trace.add(due)
        return handle

    def _timer_dropped(self) -> None:
        """For a timer: it was cancelled. When most timers are, they are thrown out together."""
        self._dropped += 1
        if self._dropped > _SWEEP and self._dropped * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].fn is not None]
            heapq.heapify(self._timers)
            self._dropped = 0

    # --- running --------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until ``future`` is done, and give what it gives.

        Raises:
            DeadlockError: it waits for what nobody will bring.
            RunawayError: a bound was passed.
            VirtualTimeError: a callback raised.
        """
        task: asyncio.Future[T] = asyncio.ensure_future(cast("Awaitable[T]", future), loop=self)
        stop = self._stop_for
        task.add_done_callback(stop)
        try:
            self.run_forever()
        except BaseException:
            if task.done() and not task.cancelled():
                task.exception()  # it is known: what is raised now came first
            raise
        finally:
            task.remove_done_callback(stop)
        if not task.done():
            raise VirtualTimeError("The loop was stopped before the program was done.")
        return task.result()

    def run_forever(self) -> None:
        """Run until :meth:`stop`.

        Raises:
            DeadlockError, RunawayError, VirtualTimeError: as for :meth:`run_until_complete`.
        """
        if self._closed or self._thread is not None:
            raise RuntimeError("This event loop is " + ("closed" if self._closed else "already running"))
        hooks = sys.get_asyncgen_hooks()
        self._thread = threading.get_ident()
        sys.set_asyncgen_hooks(firstiter=self._generator_begun, finalizer=self._generator_lost)
        try:
            _set_running_loop(self)
            self._run()
        finally:
            self._stopping = False
            self._thread = None
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _run(self) -> None:
        add, get, at_once = self.trace.add, Context.get, 0
        while not self._stopping:
            if not self._ready or (self._timers and self._timers[0][0] <= self._instant.ns):
                if not self._ready:
                    at_once = 0
                self._fire()
            batch, self._ready = self._ready, []
            if self._rng is not None and len(batch) > 1:
                batch = shuffled(batch, self._rng)
            at_once += len(batch)
            self.steps += len(batch)
            if at_once > _MOST_AT_ONCE or self.steps > self._most_steps:
                self._ready[:0] = batch
                raise self._runaway(at_once)
            rest = iter(batch)
            for handle in rest:
                fn = handle.fn
                if fn is None:
                    continue
                context = handle.context
                add(get(context, TASK, 0))
                handle.fn = None
                try:
                    context.run(fn, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    self._ready[:0] = rest
                    raise
                except BaseException as error:  # noqa: BLE001 - it ends the run, below
                    self._callback_failed(fn, error)
            if self.failures:
                raise self._failed() from self.failures[0]

    def _fire(self) -> None:
        """Make the timers ready that are due; when nothing else is ready, those that are due next."""
        timers, ready = self._timers, self._ready
        while timers and timers[0][2].fn is None:
            heapq.heappop(timers)
            self._dropped -= 1
        if not timers:
            if ready:
                return
            raise DeadlockError(pending_tasks(self), self.time())
        now = self._instant.ns
        if not ready and timers[0][0] > now:
            now = timers[0][0]
            if now > self._last_ns:
                raise RunawayError(
                    f"The program is not done after {self._last_ns / NS_PER_SECOND:g} s of virtual time, which is what "
                    f"it was given (max_seconds). Pending:" + "".join(f"\n  {line}" for line in pending_tasks(self))
                )
            self._instant.ns = now
            self.trace.add(-now)
            self.trace.settle()
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            if handle.fn is None:
                self._dropped -= 1
                continue
            handle.waits = False
            ready.append(handle)

    def grant(self, steps: int, seconds: float) -> None:
        """Allow so many steps and so much time from here on: for cleaning up after a bound was passed."""
        self._most_steps = self.steps + steps
        self._last_ns = self._instant.ns + round(seconds * NS_PER_SECOND)

    def stop(self) -> None:
        """Stop when what is ready now has run."""
        self._stopping = True

    def _stop_for(self, _: object) -> None:
        self._stopping = True

    def close(self) -> None:
        """Forget everything that is still to come."""
        if self._thread is not None:
            raise RuntimeError("Cannot close a running event loop")
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._thread is not None

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    # --- tasks and generators -------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """A task of this loop. It is numbered from 1, which also names it when it is given no ``name``."""
        self._task_count = number = self._task_count + 1
        if context is None:
            context = copy_context()
            context.run(TASK.set, number)
        return numbered_task(number, coro, self, name, context)

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that were begun and not ended."""
        left = [generator for each in self._generators if (generator := each()) is not None]
        self._generators.clear()
        for each in left:
            await each.aclose()

    def _generator_begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Remember it, in the order in which they begin. Those that are gone are thrown out together: most of them."""
        self._generators.append(ref(generator))
        if len(self._generators) > self._sweep_at:
            self._generators = [each for each in self._generators if each() is not None]
            self._sweep_at = max(_FEW_GENERATORS, 2 * len(self._generators))

    def _generator_lost(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.create_task(generator.aclose())

    # --- errors ---------------------------------------------------------------------------------------------------

    def _callback_failed(self, fn: Callable[..., object], error: BaseException) -> None:
        if self.handler is None:
            error.add_note(f"It was raised by the callback {fn!r}, which nobody waits for.")
            self.failures.append(error)
        else:
            self.handler(self, {"message": "a callback raised", "exception": error, "callback": fn})

    def _failed(self) -> VirtualTimeError:
        error = self.failures[0]
        return VirtualTimeError(f"A callback raised {type(error).__name__}: {error}")

    def _runaway(self, at_once: int) -> RunawayError:
        what = (
            f"{at_once:,} callbacks ran at {self.time():g} s without any time passing: something goes round in circles"
            if at_once > _MOST_AT_ONCE
            else f"{self.steps:,} callbacks ran, more than the program was given (max_steps)"
        )
        return RunawayError(f"{what}. Pending:" + "".join(f"\n  {line}" for line in pending_tasks(self)))
