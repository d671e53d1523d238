"""The production side of the ``Blocking`` port: a bounded pool of named threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.core._options import options_by_name, text, whole
from holdfast.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadBlocking"]

P = ParamSpec("P")
T = TypeVar("T")


@options_by_name
class ThreadBlocking:
    """Runs functions that block on a bounded pool of threads.

    A thread cannot be stopped. When a caller is cancelled, work that has not begun is dropped, with its function and
    its arguments, and its place is free at once; work that runs is abandoned: nobody waits for it, its result is thrown
    away, and it holds its thread to its end. At most ``max_workers`` pieces of work run, abandoned ones included, and
    at most ``max_waiting`` wait, so neither can pile up.

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
        text("name", name)
        kinds: object = dedicated
        if kinds is not None and not isinstance(kinds, Mapping):
            raise ConfigError("dedicated", kinds, "must be a mapping of kinds of work to numbers of threads")
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
        self._workers = workers
        self._limit = workers + max_waiting
        self._lock = threading.Lock()
        self._closed = False
        self._pending: set[Future[Any]] = set()
        # What waits is kept here, where it can be dropped: the executor would hold on to what was cancelled until one
        # of its threads gets to it, which threads that are stuck never do.
        self._waiting: dict[Future[Any], Callable[[], Any]] = {}  # in the order of its coming
        self._busy: set[object] = set()  # one for each thread that takes work

    def submit(self, kind: str, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise RejectedError(f"{kind}: the pool of threads is closed; the service is shutting down.")
            if len(self._pending) >= self._limit:
                raise RejectedError(
                    f"{kind}: {self._limit} pieces of blocking work wait or run already; try again later."
                )
            if len(self._busy) < self._workers:
                self._begin()
            future: Future[T] = Future()
            self._pending.add(future)
            self._waiting[future] = work
        future.add_done_callback(self._done)
        return future

    def _begin(self) -> None:
        """Let one thread more take work; under the lock, so that it finds what it is begun for."""
        turn = object()
        self._busy.add(turn)
        try:
            self._executor.submit(self._take_turns, turn)
        except RuntimeError:  # the interpreter ends, or the system has no thread left
            self._busy.discard(turn)
            raise

    def _take_turns(self, turn: object) -> None:
        """On a thread: do what waits, one after the other, until nothing does."""
        for future, work in iter(partial(self._next, turn), None):
            _run(future, work)
            del future, work  # an error refers back to this frame, and would be kept alive by it

    def _next(self, turn: object) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if turn not in self._busy:
                return None  # the executor kept a turn whose thread it could not start
            for future in self._waiting:
                return future, self._waiting.pop(future)
            self._busy.discard(turn)
            return None

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
            self._waiting.pop(future, None)  # it was cancelled before its turn


def _run(future: Future[Any], work: Callable[[], Any]) -> None:
    """Do ``work`` for whoever waits for ``future``, unless nobody does any more."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  it is raised to the caller
        future.set_exception(error)
        del future, work  # the error holds this frame, which must not hold the error
    else:
        future.set_result(result)


async def _over(future: Future[Any]) -> None:
    """Wait until ``future`` is done, however it ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    await done.wait()
