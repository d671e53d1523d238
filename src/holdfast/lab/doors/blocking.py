"""The ``Blocking`` port without threads: work runs at once, and takes the time that a model of it says."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.core._options import options_by_name, whole
from holdfast.errors import RejectedError
from holdfast.lab.latency import AT_ONCE, Latency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.lab.draws import Draws
    from holdfast.lab.virtual.clock import VirtualClock

__all__ = ["ModelledBlocking"]

P = ParamSpec("P")
T = TypeVar("T")


@options_by_name
class ModelledBlocking:
    """Runs functions that block on virtual threads, of which there are as many as in production.

    Work waits for a thread, holds it for its latency, and takes effect at the end of that. What it sleeps on the
    virtual clock is added. As with ``ThreadBlocking``, work that has not begun is dropped when its caller is cancelled,
    work that runs is not: it holds its thread to its end, and takes effect.

    Args:
        clock, draws: time and chance.
        latencies: by kind of work, ``"store.read"``, or by the part before the dot, ``"store"``.
        otherwise: for kinds that are not named; no time by default.
        max_workers: threads, 1 or more.
        max_waiting: work that may wait for a thread, 0 or more; more is refused with ``RejectedError``.
        dedicated: kinds of work with threads of their own, e.g. ``{"embed.batch": 2}``.

    Attributes:
        calls: pieces of work that were begun, by kind.
    """

    def __init__(
        self,
        clock: VirtualClock,
        draws: Draws,
        *,
        latencies: Mapping[str, Latency] | None = None,
        otherwise: Latency = AT_ONCE,
        max_workers: int = 4,
        max_waiting: int = 1000,
        dedicated: Mapping[str, int] | None = None,
    ) -> None:
        whole("max_waiting", max_waiting, least=0)
        self.calls: dict[str, int] = {}
        self._clock = clock
        self._draws = draws
        self._latencies = dict(latencies or {})
        self._otherwise = otherwise
        self._shared = _Threads(clock, whole("max_workers", max_workers, least=1), max_waiting)
        self._dedicated = {
            kind: _Threads(clock, whole(f"dedicated[{kind}]", workers, least=1), max_waiting)
            for kind, workers in (dedicated or {}).items()
        }
        self._kinds: dict[str, tuple[Latency, _Threads]] = {}
        self._closed = False

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` in a copy of the caller's context, as a thread would.

        Raises:
            RejectedError: it was closed, or too much is waiting.
        """
        if self._closed:
            raise RejectedError(f"{kind}: the pool of threads is closed; the service is shutting down.")
        known = self._kinds.get(kind)
        if known is None:
            latency = self._latencies.get(kind) or self._latencies.get(kind.partition(".")[0]) or self._otherwise
            known = self._kinds[kind] = latency, self._dedicated.get(kind) or self._shared
        latency, threads = known
        takes_ns = latency.draw_ns(self._draws, kind, *self._draws.next_attempt(kind)) if latency.median else 0
        self.calls[kind] = self.calls.get(kind, 0) + 1
        work = _Work(kind, fn, args, kwargs, takes_ns)
        threads.submit(work)
        result: T = await work.done
        return result

    async def close(self) -> None:
        """Take no more work, and wait for what waits and runs. Idempotent."""
        self._closed = True
        for threads in (self._shared, *self._dedicated.values()):
            await threads.drained()


class _Work:
    """One call: what to do, how long it takes, and who waits for it."""

    __slots__ = ("args", "context", "done", "fn", "kind", "kwargs", "takes_ns")

    def __init__(
        self, kind: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], takes_ns: int
    ) -> None:
        self.kind = kind
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.takes_ns = takes_ns
        self.context: Context = copy_context()
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Threads:
    """A bounded number of virtual threads, and the line in front of them."""

    def __init__(self, clock: VirtualClock, workers: int, max_waiting: int) -> None:
        self._clock = clock
        self._later = clock.call_later_ns_in
        self._free = self._workers = workers
        self._most = max_waiting
        self._line: deque[_Work] = deque()
        self._idle: list[asyncio.Future[None]] = []

    def submit(self, work: _Work) -> None:
        if self._free:
            self._begin(work)
            return
        if len(self._line) >= self._most:
            self._line = deque(each for each in self._line if not each.done.done())  # callers that have gone
        if len(self._line) >= self._most:
            limit = self._workers + self._most
            raise RejectedError(f"{work.kind}: {limit} pieces of blocking work wait or run already; try again later.")
        self._line.append(work)

    async def drained(self) -> None:
        while self._free < self._workers:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def _begin(self, work: _Work) -> None:
        self._free -= 1
        if work.takes_ns:
            self._later(work.context, work.takes_ns, self._do, work)
        else:
            work.context.run(self._do, work)

    def _do(self, work: _Work) -> None:
        """The time has passed: do it. What it sleeps itself passes for this thread alone."""
        result: object = None
        error: BaseException | None = None
        begun = self._clock.now_ns()
        try:
            result = work.fn(*work.args, **work.kwargs)
        except StopIteration as stopped:  # a future cannot carry it, and would never be done
            error = RuntimeError(f"{work.kind}: the function raised StopIteration")
            error.__cause__ = stopped
        except BaseException as raised:  # noqa: BLE001 - it is raised to the caller
            error = raised
        if slept := self._clock.back_to(begun):
            self._later(work.context, slept, self._end, work, result, error)
        else:
            self._end(work, result, error)

    def _end(self, work: _Work, result: object, error: BaseException | None) -> None:
        if work.done.done():
            pass  # its caller has gone
        elif error is None:
            work.done.set_result(result)
        else:
            work.done.set_exception(error)
        self._free += 1
        while self._line and self._free:
            following = self._line.popleft()
            if not following.done.done():
                self._begin(following)
        if self._free == self._workers:
            idle, self._idle = self._idle, []
            for each in idle:
                if not each.done():
                    each.set_result(None)
