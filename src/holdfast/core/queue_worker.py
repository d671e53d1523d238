"""Workers behind a request queue: hand a request in, and get its result later.

The caller does not hold a thread or run the work itself. Nothing polls: a request that may start is started by whoever
made room for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from holdfast.core._functions import is_async
from holdfast.core._options import options_by_name
from holdfast.core._turns import DROPPED, HELD, WAITING, TaskWaker
from holdfast.core.classify import classify
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.core._priority_line import Request

__all__ = ["TaskWorker", "ThreadWorker"]

ItemT = TypeVar("ItemT")
R = TypeVar("R")
_STREAM = "a worker has nobody to give its items to; collect them in the handler"


@options_by_name
class TaskWorker(Generic[ItemT, R]):
    """Handles requests in tasks of the running event loop.

    Args:
        queue: decides who is next. Several workers may share one.
        handler: an async function of one request.
    """

    def __init__(self, queue: RequestQueue, handler: Callable[[ItemT], Awaitable[R]]) -> None:
        _check_queue(queue)
        if not is_async(handler, streams=_STREAM):
            raise ConfigError("handler", handler, "must be an async function: a plain one needs a ThreadWorker")
        self.queue = queue
        self._handler = handler

    def submit(self, item: ItemT, *, priority: int | None = None, size: int | None = None) -> asyncio.Task[R]:
        """Hand ``item`` in; the task ends with the handler's result, and cancelling it gives the request up.

        Args:
            item: what the handler is called with.
            priority, size: see :meth:`RequestQueue.admit`.

        Raises:
            QueueFullError: there is no room for it, or the queue is closed.
            DeadlineExceededError: the context's deadline has passed.

        The task fails with ``ShedError`` or ``DeadlineExceededError`` when the request was dropped while it waited.
        """
        loop = asyncio.get_running_loop()
        # A waker from the start: should the loop be closed before the task runs, the queue finds that nobody is there.
        request = self.queue.ask(priority=priority, size=size, waker=TaskWaker(self.queue.clock))
        task = loop.create_task(self._run(request, item))
        task.add_done_callback(lambda _: self.queue.give_up(request))  # for a task that is cancelled before it runs
        return task

    async def _run(self, request: Request, item: ItemT) -> R:
        await request.wait_async()
        try:
            result = await self._handler(item)
        except BaseException as error:
            self.queue.leave(request, classify(error))
            raise
        self.queue.leave(request)
        return result


@options_by_name
class ThreadWorker(Generic[ItemT, R]):
    """Handles requests in threads. Usable from threads and from tasks (with ``asyncio.wrap_future``).

    Args:
        queue: decides who is next. Several workers may share one.
        handler: a plain function of one request; it runs in the context in which the request was submitted.
        executor: runs the handler, and should have ``max_concurrent`` threads; by default a pool of its own, which
            :meth:`close` ends.
    """

    def __init__(self, queue: RequestQueue, handler: Callable[[ItemT], R], *, executor: Executor | None = None) -> None:
        _check_queue(queue)
        if is_async(handler, streams=_STREAM):
            raise ConfigError("handler", handler, "must be a plain function: an async one needs a TaskWorker")
        self.queue = queue
        self._handler = handler
        given: object = executor
        if given is not None and not isinstance(given, Executor):
            raise ConfigError("executor", given, "must be an executor of concurrent.futures, or None")
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(queue.options.max_concurrent, "holdfast-worker")

    def submit(self, item: ItemT, *, priority: int | None = None, size: int | None = None) -> Future[R]:
        """Hand ``item`` in; the future gets the handler's result, and cancelling it gives up a request that waits.

        Args:
            item: what the handler is called with.
            priority, size: see :meth:`RequestQueue.admit`.

        Raises:
            QueueFullError: there is no room for it, or the queue is closed.
            DeadlineExceededError: the context's deadline has passed.

        The future fails with ``ShedError`` or ``DeadlineExceededError`` when the request was dropped while it waited.
        """
        future: Future[R] = Future()
        context = contextvars.copy_context()
        job = _Job(self.queue, self._executor, future, lambda: context.run(self._handler, item))
        job.start(self.queue.ask(priority=priority, size=size, waker=job))
        return future

    def close(self, seconds: float | None = None) -> bool:
        """:meth:`RequestQueue.drain`, then end the threads of its own; gives what that gives."""
        done = self.queue.drain(seconds)
        if self._own:
            self._executor.shutdown(wait=done)
        return done


def _check_queue(queue: object) -> None:
    if not isinstance(queue, RequestQueue):
        raise ConfigError("queue", queue, "must be a RequestQueue")


class _Job(Generic[R]):
    """One request on its way to a thread; the waker of its own turn."""

    loop = None

    __slots__ = ("_begun", "_executor", "_future", "_lock", "_queue", "_request", "_work")

    def __init__(self, queue: RequestQueue, executor: Executor, future: Future[R], work: Callable[[], R]) -> None:
        self._queue = queue
        self._executor = executor
        self._future = future
        self._work = work
        self._lock = threading.Lock()
        self._request: Request | None = None
        self._begun = False

    def start(self, request: Request) -> None:
        """The queue let the request in."""
        self._request = request
        self._future.add_done_callback(self._ended)
        if not self.wake():
            self._queue.give_up(request)

    def wake(self) -> bool:
        """Look at the turn: run, fail, or wait for the time to call."""
        request = self._request
        if request is None:
            return True  # it looks when it knows its request
        state = request.state
        if state is WAITING:
            self._set_alarm(request)
            return True
        with self._lock:
            begun, self._begun = self._begun, True
        if begun:
            return True
        if state is HELD:
            try:
                self._executor.submit(self._run, request)
            except RuntimeError as error:  # the pool was shut down
                self._fail(error)
                return False
        elif state is DROPPED:
            self._fail(self._queue.refusal(request))
        return True

    def _fail(self, error: Exception) -> None:
        if self._future.set_running_or_notify_cancel():
            self._future.set_exception(error)

    def _set_alarm(self, request: Request) -> None:
        at_ns = request.alarm_ns
        if at_ns is not None:
            seconds = max(0, at_ns - self._queue.clock.now_ns()) / NS_PER_SECOND
            timer = threading.Timer(seconds, self._queue.alarm, [request])
            timer.daemon = True
            timer.start()

    def _run(self, request: Request) -> None:
        if not self._future.set_running_or_notify_cancel():
            return  # whoever cancelled it gave it up
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001  it belongs to whoever asks the future
            self._queue.leave(request, classify(error))
            self._future.set_exception(error)
        else:
            self._queue.leave(request)
            self._future.set_result(result)

    def _ended(self, future: Future[R]) -> None:
        if future.cancelled() and self._request is not None:
            self._queue.give_up(self._request)
