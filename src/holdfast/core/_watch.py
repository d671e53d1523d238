"""Cancels tasks whose time is up, for less than a timer each.

A timer of the event loop costs microseconds to set and to drop. Calls that share one limit end their time in the order
in which they began, so one armed timer, for the oldest, serves them all: beginning and ending a watch are an insertion
into and a removal from an ordered dict.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.clock import Clock, Timer

__all__ = ["Watch", "Watchdog"]


class Watch:
    """The watched tasks of one event loop; touched by that loop's thread only."""

    __slots__ = ("_alone", "_clock", "_last", "_number", "_tasks", "_timer", "loop")

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._clock = clock
        self._tasks: dict[int, tuple[int, asyncio.Task[object]]] = {}  # in the order of the times that are due
        self._last = 0
        self._timer: Timer | None = None
        self._alone: dict[int, Timer] = {}
        self._number = 0

    def start(self, task: asyncio.Task[object], due_ns: int) -> int:
        """Cancel ``task`` at ``due_ns`` of the clock unless :meth:`stop` comes first; gives the key for it, never 0."""
        if due_ns < self._last:
            return self._start_alone(task, due_ns)
        self._last = due_ns
        self._number = key = self._number + 1
        self._tasks[key] = due_ns, task
        if self._timer is None:
            self._arm(due_ns)
        return key

    def stop(self, key: int) -> bool:
        """End a watch. True when the time was up first, and the task was cancelled: ``uncancel`` is then due."""
        if key > 0:
            return self._tasks.pop(key, None) is None
        timer = self._alone.pop(key, None)
        if timer is None:
            return True
        timer.cancel()
        return False

    def _start_alone(self, task: asyncio.Task[object], due_ns: int) -> int:
        """A watch that ends before one that began earlier (a deadline shortened it) has a timer to itself."""
        self._number += 1
        key = -self._number

        def fire() -> None:
            if self._alone.pop(key, None) is not None:
                task.cancel()

        self._alone[key] = self._clock.call_later_ns(due_ns - self._clock.now_ns(), fire)
        return key

    def _arm(self, due_ns: int) -> None:
        self._timer = self._clock.call_later_ns(due_ns - self._clock.now_ns(), self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.now_ns()
        due = []
        for key, (due_ns, task) in self._tasks.items():
            if due_ns > now:
                self._arm(due_ns)
                break
            due.append((key, task))
        for key, task in due:
            del self._tasks[key]
            task.cancel()


class Watchdog:
    """The watches of one policy in one pipeline, one for each event loop."""

    __slots__ = ("_clock", "_lock", "_watches", "latest")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[asyncio.AbstractEventLoop, Watch] = {}
        self.latest: Watch | None = None  # most programs have one loop: the first guess

    def here(self) -> tuple[asyncio.Task[object], Watch]:
        """The running task, and the watch of its loop."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("A timeout or a deadline needs a task to cancel: await the call inside one.")
        watch = self.latest
        return task, watch if watch is not None and watch.loop is loop else self.watch(loop)

    def watch(self, loop: asyncio.AbstractEventLoop) -> Watch:
        """The watch of ``loop``."""
        with self._lock:
            watch = self._watches.get(loop)
            if watch is None:
                self._watches = {each: one for each, one in self._watches.items() if not each.is_closed()}
                watch = self._watches[loop] = Watch(self._clock, loop)
            self.latest = watch
            return watch
