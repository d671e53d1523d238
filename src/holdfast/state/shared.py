"""A shared cache with this process's own behind it, so that losing the server is a loss of hits and of nothing else.

What is kept goes to both. What is asked for comes from the shared one, and from the own one only while the shared one
is away: what other processes forgot is not known there, see :attr:`SharedCache.alone`. Nothing has to be done when the
server is back; the guard's next probe finds out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.patience import Patience
from holdfast.errors import HoldfastError, RejectedError, StateUnavailableError
from holdfast.state.base import CacheSnapshot
from holdfast.state.patience import current_patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.pipeline import Pipeline
    from holdfast.state.base import CacheBackend

    T = TypeVar("T")

__all__ = ["SharedCache"]

_FIRST_RETRY_SECONDS = 1
_LAST_RETRY_SECONDS = 16


class SharedCache:
    """A cache on a server, and a spare in memory.

    Reading and writing never raise for a server that is away; forgetting does, for somebody has to know.

    Args:
        shared: the one on the server; closed with this one.
        own: the spare; closed with this one.
        guard: stands around each reading and writing of ``shared``, see :func:`holdfast.state.guard.cache_guard`.
        clock: measures the waits, and times the repetition of what has to be forgotten.
        on_failure: told of each call that failed; not of those that an open breaker refused.
    """

    def __init__(
        self,
        shared: CacheBackend,
        *,
        own: CacheBackend,
        guard: Pipeline,
        clock: Clock,
        on_failure: Callable[[HoldfastError], None] | None = None,
    ) -> None:
        self._shared = shared
        self._own = own
        self._guard = guard
        self._clock = clock
        self._on_failure = on_failure
        self._in_time = Patience(clock)
        self._paying: asyncio.Task[None] | None = None
        self.alone = False
        """Whether the last reading was answered by the own cache, which does not know what other processes forgot."""

    def __repr__(self) -> str:
        return f"<SharedCache {self._shared!r}, {self._own!r}>"

    @property
    def name(self) -> str:
        """The shared cache's name."""
        return self._shared.name

    async def get(self, key: str) -> bytes | None:
        """What is kept under ``key``."""
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each of ``keys``, in their order."""
        try:
            found = await self._ask(self._shared.get_many, keys)
        except HoldfastError:
            found = await self._own.get_many(keys)
            self.alone = True
        else:
            self.alone = False
        return found

    async def set(self, key: str, value: bytes, *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep ``value`` for ``ttl`` seconds, above 0 and at most 30 days, in place of what was there."""
        await self.set_many({key: value}, ttl=ttl, tags=tags)

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        """Like :meth:`set`, for several values with the same tags."""
        await self._own.set_many(values, ttl=ttl, tags=tags)
        try:
            await self._ask(self._shared.set_many, values, ttl=ttl, tags=tags)
        except HoldfastError:
            return  # this process has it

    async def delete(self, *keys: str) -> None:
        """Forget what is kept under ``keys``.

        Raises:
            StateUnavailableError: the shared cache keeps it.
        """
        await self._own.delete(*keys)
        try:
            await self._ask(self._shared.delete, *keys)
        except StateUnavailableError:
            raise
        except HoldfastError as error:
            raise StateUnavailableError(f"{self.name} is left alone for a while: {error}") from error

    async def invalidate(self, *tags: str, quiet: float = 0.0) -> None:
        """Forget every entry that carries one of ``tags``; see :meth:`CacheBackend.invalidate`.

        It does not ask the guard whether the shared cache is worth a call. When it raises, it is tried again every few
        seconds until it is done or the cache is closed.
        """
        await self._own.invalidate(*tags, quiet=quiet)
        try:
            await self._shared.invalidate(*tags, quiet=quiet)
        except StateUnavailableError:
            self._pay_later()
            raise

    async def clear(self) -> None:
        """Forget everything. When it raises, see :meth:`invalidate`."""
        await self._own.clear()
        try:
            await self._shared.clear()
        except StateUnavailableError:
            self._pay_later()
            raise

    async def close(self) -> None:
        """Release connections and memory."""
        paying, self._paying = self._paying, None
        if paying is not None:
            paying.cancel()
            await asyncio.gather(paying, return_exceptions=True)
        await self._shared.close()
        await self._own.close()

    def snapshot(self) -> CacheSnapshot:
        """What both did: values given by either; kept, refused and evicted on the server."""
        shared, own = self._shared.snapshot(), self._own.snapshot()
        return CacheSnapshot(
            hits=shared.hits + own.hits,
            misses=shared.misses + own.misses,
            unreadable=shared.unreadable,
            kept=shared.kept,
            refused=shared.refused,
            evicted=shared.evicted,
        )

    async def _ask(self, work: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call the shared cache, as long as the question that runs here can wait for it.

        Raises:
            HoldfastError: it gave nothing.
        """
        patience = current_patience()
        left = None if patience is None else patience.left
        if left == 0:
            raise StateUnavailableError(f"{self.name} is not asked: this question has waited long enough.")
        started = self._clock.now_ns()
        try:
            found: T = await self._guard.call(self._within, left, work, args, kwargs)
        except HoldfastError as error:
            if patience is not None:
                patience.lose()
            if self._on_failure is not None and not isinstance(error, RejectedError):
                self._on_failure(error)
            raise
        finally:
            if patience is not None:
                patience.spend(self._clock.now_ns() - started)
        return found

    async def _within(
        self, seconds: float | None, work: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> T:
        if seconds is None:
            return await work(*args, **kwargs)
        due_ns = self._clock.now_ns() + to_ns(seconds)
        try:
            return await self._in_time.until(due_ns, work(*args, **kwargs), TimeoutError)
        except TimeoutError as error:
            raise StateUnavailableError(f"{self.name} did not answer while this question could wait.") from error

    def _pay_later(self) -> None:
        if self._paying is None or self._paying.done():
            self._paying = asyncio.get_running_loop().create_task(self._pay())

    async def _pay(self) -> None:
        """What is owed was noted by the shared cache; ask it until it is done."""
        wait = _FIRST_RETRY_SECONDS
        while True:
            await self._clock.asleep_ns(wait * NS_PER_SECOND)
            try:
                await self._shared.invalidate()
            except StateUnavailableError:
                wait = min(2 * wait, _LAST_RETRY_SECONDS)
            else:
                return
