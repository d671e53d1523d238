"""The answer cache on any backend: what ``rag.cache`` asks for, in memory or shared through Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.llm.messages import Usage
from holdfast.rag.cache import CachedAnswer
from holdfast.rag.types import Answer
from holdfast.state.dataclass_codec import DataclassCodec
from holdfast.state.remembering import RememberingCodec
from holdfast.state.shared import SharedCache
from holdfast.state.typed import TypedCache

if TYPE_CHECKING:
    from holdfast.state.base import CacheBackend

__all__ = ["BackedAnswerCache"]

_QUIET_SECONDS = 600.0
"""The longest deadline of a question: what began before a document was deleted has ended after it."""


class BackedAnswerCache:
    """An ``AnswerCache`` on a backend.

    An answer is forgotten when a document that it cites is deleted, and for ten minutes nothing that cites it is kept:
    a question that was under way may still rest on it. When documents change, nothing is forgotten; the generation in
    the entry tells that an answer is not current.

    Args:
        backend: may hold other caches' values beside the answers.
        ttl: seconds for which an answer is kept at all, at least the time for which a stale one is better than nothing.
    """

    def __init__(self, backend: CacheBackend, *, ttl: float = 86_400.0) -> None:
        self._backend = backend
        codec: DataclassCodec[CachedAnswer] = DataclassCodec(CachedAnswer, names={"Answer": Answer, "Usage": Usage})
        self._codec = RememberingCodec(codec)
        self._cache = TypedCache(backend, self._codec, kind="answer", ttl=ttl)

    @property
    def name(self) -> str:
        """The backend's name, e.g. ``"cache:redis"``."""
        return self._cache.name

    @property
    def alone(self) -> bool:
        """Whether the answer that was read last may be one that another process has forgotten."""
        return isinstance(self._backend, SharedCache) and self._backend.alone

    @property
    def unreadable(self) -> int:
        """Entries that were found and could not be read."""
        return self._cache.unreadable

    async def get(self, key: str) -> CachedAnswer | None:
        """What was put under this key, if it is still there."""
        return await self._cache.get(key)

    async def put(self, key: str, entry: CachedAnswer) -> None:
        """Keep ``entry``, in place of what was there."""
        cited = {citation.document_id for citation in entry.answer.citations}
        await self._cache.put(key, entry, tags=[_tag(document_id) for document_id in sorted(cited)])

    async def drop(self, key: str) -> None:
        """Forget what was put under this key."""
        await self._cache.forget(key)
        self._codec.forget()

    async def forget(self, document_id: str) -> None:
        """Forget every answer that cites this document. When it raises, see ``CacheBackend.invalidate``."""
        await self._backend.invalidate(_tag(document_id), quiet=_QUIET_SECONDS)
        self._codec.forget()

    async def clear(self) -> None:
        """Forget everything, whatever the backend holds beside the answers included."""
        await self._backend.clear()
        self._codec.forget()


def _tag(document_id: str) -> str:
    return f"document:{document_id}"
