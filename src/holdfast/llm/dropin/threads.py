"""Blocking work of a client that knows no event loop, on threads that never keep a process from ending."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DaemonBlocking"]

P = ParamSpec("P")
T = TypeVar("T")

_MOST_WAITING = 1_000


class DaemonBlocking:
    """The ``Blocking`` port on daemon threads, made when they are needed and gone when they are idle.

    A thread that waits for a provider cannot be stopped. :class:`holdfast.core.blocking.ThreadBlocking` waits for its
    threads when the process ends, as a service should; a script that is stopped with Ctrl-C must not hang until a
    provider has answered.

    Args:
        most: threads at once; more work waits.
        idle_seconds: how long a thread waits for more work.
    """

    def __init__(self, *, most: int = 256, idle_seconds: float = 10.0) -> None:
        self._most = most
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._closed = False

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` on a thread, in a copy of the caller's context.

        Raises:
            RejectedError: it is closed, or too much is waiting.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            if future.cancelled():
                return
            try:
                result = context.run(fn, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001  it is raised to whoever waits
                if isinstance(error, StopIteration):  # a future cannot carry it
                    error = RuntimeError(f"{kind}: the function raised StopIteration")
                _tell(loop, future, None, error)
            else:
                _tell(loop, future, result, None)

        self._submit(kind, work)
        return await future

    async def close(self) -> None:
        """Take no more work. Idle threads go at once; nobody waits for those that are busy."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._threads -= len(idle)
        for inbox in idle:
            inbox.put(_nothing)

    def _submit(self, kind: str, work: Callable[[], None]) -> None:
        with self._lock:
            if self._closed or len(self._waiting) >= _MOST_WAITING:
                raise RejectedError(f"{kind}: {'the threads are closed' if self._closed else 'too much is waiting'}.")
            if self._idle:
                self._idle.pop().put(work)
            elif self._threads < self._most:
                threading.Thread(target=self._work, args=(work,), name="holdfast-http", daemon=True).start()
                self._threads += 1
            else:
                self._waiting.append(work)

    def _work(self, work: Callable[[], None] | None) -> None:
        inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        while work is not None:
            work()
            work = None  # what it holds is not kept while nothing is to be done
            work = self._next(inbox)

    def _next(self, inbox: queue.SimpleQueue[Callable[[], None]]) -> Callable[[], None] | None:
        """What to do next; None when the thread is to end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                self._threads -= 1
                return None
            self._idle.append(inbox)
        try:
            work = inbox.get(timeout=self._idle_seconds)
        except queue.Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    self._threads -= 1
                    return None
            work = inbox.get()  # it was given something in the last moment
        return None if work is _nothing else work


def _nothing() -> None:
    """Stands for the end."""


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], result: object, error: Any) -> None:  # noqa: ANN401
    def settle() -> None:
        if future.done():
            return  # nobody waits any more
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)
