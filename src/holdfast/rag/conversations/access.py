"""The store of conversations behind its pipeline, opened when it is needed first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from holdfast.errors import RetriesExhaustedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.records.base import Conversation, ConversationPage, ConversationStore, Turn

__all__ = ["GuardedStore"]

P = ParamSpec("P")
T = TypeVar("T")


class GuardedStore:
    """Calls a store under its policies. A store that is down when the service starts is opened once it is back.

    What it raises is what the store raises, or the policies' refusal: of repetitions that failed, the last failure.

    Args:
        store: closed by its owner.
        guard: the pipeline around each call.
    """

    def __init__(self, store: ConversationStore, guard: Pipeline) -> None:
        self._store = store
        self._guard = guard
        self._opened = False

    async def open(self) -> None:
        """Open the store unless that was done."""
        if not self._opened:
            await self._call(self._store.open)
            self._opened = True

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation | None:
        """A conversation, or its last turns."""
        await self.open()
        return await self._call(self._store.get, conversation_id, last=last)

    async def append(self, conversation_id: str, turn: Turn, *, guarded: bool = True) -> None:
        """Keep a turn.

        Args:
            guarded: False to try once, whatever a circuit breaker thinks: when there is no later.
        """
        if guarded:
            await self.open()
            await self._call(self._store.append, conversation_id, turn)
            return
        if not self._opened:
            await self._store.open()
        await self._store.append(conversation_id, turn)

    async def summarise(self, conversation_id: str, summary: str, *, upto: int, created_at: float) -> bool:
        """Keep a summary; False when it came too late."""
        await self.open()
        return await self._call(self._store.summarise, conversation_id, summary, upto=upto, created_at=created_at)

    async def delete(self, conversation_id: str) -> bool:
        """Remove a conversation; False when it was not there."""
        await self.open()
        return await self._call(self._store.delete, conversation_id)

    async def page(self, *, limit: int, cursor: str | None) -> ConversationPage:
        """Some conversations."""
        await self.open()
        return await self._call(self._store.page, limit=limit, cursor=cursor)

    async def _call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._guard.call(fn, *args, **kwargs)
        except RetriesExhaustedError as error:
            if isinstance(error.__cause__, StoreError):
                raise error.__cause__ from error  # what failed matters, not how often it was tried
            raise
