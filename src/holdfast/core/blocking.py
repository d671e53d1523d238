"""The production side of the ``Blocking`` port: a bounded pool of named threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.core._options import whole
from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ThreadBlocking"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadBlocking:
    """Runs functions that block on a bounded pool of threads.

    A thread cannot be stopped. When a caller is cancelled, work that has not begun is dropped; work that runs is
    abandoned: nobody waits for it, its result is thrown away, and it holds its thread to its end. Everything that is
    waiting or running counts against ``max_waiting``, so abandoned work cannot pile up without limit.

    Args:
        max_workers: threads, 1 or more.
        max_waiting: work that may wait for a thread, 0 or more; more is refused with ``RejectedError``.
        dedicated: kinds of work with threads of their own, e.g. ``{"embed.batch": 1}``, so that long work of one kind
            does not keep short work of another waiting.
        name: the beginning of the threads' names.
    """

    def __init__(
        self,
        max_workers: int = 4,
        *,
        max_waiting: int = 1000,
        dedicated: Mapping[str, int] | None = None,
        name: str = "holdfast",
    ) -> None:
        whole("max_waiting", max_waiting, least=0)
        self._shared = _Pool(whole("max_workers", max_workers, least=1), max_waiting, name)
        self._dedicated = {
            kind: _Pool(whole(f"dedicated[{kind}]", workers, least=1), max_waiting, f"{name}-{kind}")
            for kind, workers in (dedicated or {}).items()
        }

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` on a thread, in a copy of the caller's context.

        Raises:
            RejectedError: the pool is closed, or too much is waiting.
        """
        context = contextvars.copy_context()

        def work() -> T:
            try:
                return context.run(fn, *args, **kwargs)
            except StopIteration as error:  # a future cannot carry it, and would never be done
                raise RuntimeError(f"{kind}: the function raised StopIteration") from error

        return await asyncio.wrap_future(self._dedicated.get(kind, self._shared).submit(kind, work))

    async def close(self) -> None:
        """Take no more work, and wait for what waits and runs, abandoned work included. Idempotent."""
        pools = (self._shared, *self._dedicated.values())
        for pool in pools:
            pool.refuse()
        for pool in pools:
            await pool.drained()


class _Pool:
    """Threads of one sort, and the count of what they have to do."""

    def __init__(self, workers: int, max_waiting: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._limit = workers + max_waiting
        self._lock = threading.Lock()
        self._closed = False
        self._pending: set[Future[Any]] = set()

    def submit(self, kind: str, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise RejectedError(f"{kind}: the pool of threads is closed; the service is shutting down.")
            if len(self._pending) >= self._limit:
                raise RejectedError(
                    f"{kind}: {self._limit} pieces of blocking work wait or run already; try again later."
                )
            future = self._executor.submit(work)
            self._pending.add(future)
        future.add_done_callback(self._done)
        return future

    def refuse(self) -> None:
        with self._lock:
            self._closed = True

    async def drained(self) -> None:
        with self._lock:
            pending = list(self._pending)
        # The futures are only watched: cancelling close() must not cancel the work.
        if pending:
            await asyncio.wait([asyncio.ensure_future(_over(future)) for future in pending])
        self._executor.shutdown()  # nothing is left to wait for but idle threads

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(future)


async def _over(future: Future[Any]) -> None:
    """Wait until ``future`` is done, however it ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    await done.wait()
