"""Cancels tasks whose time is up, for less than a timer each.

A timer of the event loop costs microseconds to set and to drop. Calls that share one limit end their time in the order
in which they began, so one armed timer, for the oldest, serves them all: beginning and ending a watch are an insertion
into and a removal from an ordered dict. A watch that ends earlier than one that began before it sets that timer forward
where it has to, and gets one of its own only when it is still there as the armed one fires: few live as long.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import current_task
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.clock import Clock, Timer

__all__ = ["Cut", "Watch", "Watchdog"]

_NEVER_NS = 1 << 63  # longer than any clock will run


class Cut(NamedTuple):
    """How a watch ended.

    Attributes:
        task: the task that was watched.
        before: the requests to cancel it that were open when the watch began.
        fired: whether the time was up: the task was cancelled, and whoever ends the watch must ``uncancel`` it.
    """

    task: asyncio.Task[object]
    before: int
    fired: bool


class Watch:
    """The watched tasks of one event loop; touched by that loop's thread only.

    Attributes:
        hook: what tells that this loop runs in this thread. A loop installs its own hook for async generators, a new
            object each time it starts to run; asking for it costs a third of ``asyncio.get_running_loop``, which makes
            a system call on some versions of Python.
        start: ``start(due_ns)`` watches the running task until ``due_ns`` of the clock; gives a key, never 0.
        stop: ``stop(key)`` ends the watch of work that was done, and takes a cancellation back that came too late.
        close: ``close(key)`` ends the watch of work that failed; the caller settles what that means.
    """

    __slots__ = ("_fire", "_tasks", "close", "hook", "loop", "start", "stop")

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop, hook: object) -> None:
        self.loop = loop
        self.hook = hook
        self._tasks: dict[int, tuple[int, Any, int]] = {}  # in the order of the times that are due
        self.start: Callable[[int], int]
        self.stop: Callable[[int], None]
        self.close: Callable[[int], Cut]
        self.start, self.stop, self.close, self._fire = _watch(clock, loop, self._tasks)


def _watch(  # noqa: C901, PLR0915  six short functions around one state
    clock: Clock, loop: asyncio.AbstractEventLoop, tasks: dict[int, tuple[int, Any, int]]
) -> tuple[Callable[[int], int], Callable[[int], None], Callable[[int], Cut], Callable[[], None]]:
    """What a watch does, as closures: methods that look the same things up cost half as much again."""
    last = number = 0
    armed = _NEVER_NS
    timer: Timer | None = None
    cuts: dict[int, Cut] = {}
    early: dict[int, tuple[int, Any, int]] = {}  # out of that order; the timer comes before them, and sees to them
    alone: dict[int, tuple[Timer, Cut]] = {}
    remove = tasks.pop

    def start(due_ns: int) -> int:
        nonlocal last, number
        task = current_task(loop)
        if task is None:
            raise RuntimeError("A timeout or a deadline needs a task to cancel: await the call inside one.")
        number += 1
        if due_ns < last and tasks:  # it ends before one that began earlier: a deadline shortened it
            early[number] = due_ns, task, task.cancelling()
        else:
            last = due_ns
            tasks[number] = due_ns, task, task.cancelling()
        if due_ns < armed:
            arm(due_ns)
        return number

    def stop(key: int) -> None:
        if remove(key, None) is None and early.pop(key, None) is None:
            cut = close(key)
            if cut.fired:
                cut.task.uncancel()

    def close(key: int) -> Cut:
        watched = remove(key, None) or early.pop(key, None)
        if watched is not None:
            return Cut(watched[1], watched[2], fired=False)
        timed = alone.pop(key, None)
        if timed is None:
            return cuts.pop(key)
        timed[0].cancel()
        return timed[1]

    def start_alone(key: int, due_ns: int, task: asyncio.Task[object], before: int) -> None:
        """A watch with a timer to itself."""

        def fire_alone() -> None:
            timed = alone.pop(key, None)
            if timed is not None:
                cuts[key] = timed[1]._replace(fired=True)
                task.cancel()

        alone[key] = clock.call_later_ns(due_ns - clock.now_ns(), fire_alone), Cut(task, before, fired=False)

    def arm(due_ns: int) -> None:
        nonlocal timer, armed
        if timer is not None:
            timer.cancel()
        armed = due_ns
        timer = clock.call_later_ns(due_ns - clock.now_ns(), fire)

    def fire() -> None:
        nonlocal timer, armed
        timer = None
        armed = _NEVER_NS
        now = clock.now_ns()
        due = []
        for key, (due_ns, _, _) in tasks.items():
            if due_ns > now:
                arm(due_ns)
                break
            due.append(key)
        over = [(key, *tasks.pop(key)) for key in due]
        for key, watched in early.items():
            if watched[0] > now:
                start_alone(key, *watched)
            else:
                over.append((key, *watched))
        early.clear()
        for key, _, task, before in over:
            cuts[key] = Cut(task, before, fired=True)
            task.cancel()

    return start, stop, close, fire


class Watchdog:
    """The watches of one policy in one pipeline, one for each event loop."""

    __slots__ = ("_clock", "_lock", "_watches", "latest")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[asyncio.AbstractEventLoop, Watch] = {}
        self.latest = _NOWHERE
        """The watch that was used last: most programs have one loop, and this is the one. Compare its hook."""

    def here(self) -> Watch:
        """The watch of the running loop."""
        hook = sys.get_asyncgen_hooks()[0]
        watch = self.latest
        return watch if watch.hook is hook else self.find(hook)

    def find(self, hook: object) -> Watch:
        """The watch of the running loop, whose hook is ``hook``; None tells nothing, and is never remembered."""
        loop = asyncio.get_running_loop()
        with self._lock:
            watch = self._watches.get(loop)
            if watch is None:
                self._watches = {each: one for each, one in self._watches.items() if not each.is_closed()}
                watch = self._watches[loop] = Watch(self._clock, loop, _NO_LOOP)
            watch.hook = _NO_LOOP if hook is None else hook
            self.latest = watch
            return watch


_NO_LOOP: Any = object()
_NOWHERE = Watch(SYSTEM_CLOCK, _NO_LOOP, _NO_LOOP)  # one for all: a watch refers to itself, and is only asked its hook
