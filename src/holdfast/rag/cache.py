"""The answer cache: fresh answers to save work, old ones to have something to say when the rest is down."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.types import Answer

__all__ = ["AnswerCache", "CachedAnswer", "MemoryAnswerCache", "cache_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """An answer with what is needed to judge it later.

    Attributes:
        generation: the store's generation when it was made; another one means that documents have changed since.
        stored_ns: when it was made, Unix nanoseconds.
    """

    answer: Answer
    generation: int
    stored_ns: int


@runtime_checkable
class AnswerCache(Protocol):
    """Keeps answers by key. It may forget anything at any time."""

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs, e.g. ``"cache:memory"``."""
        ...

    async def get(self, key: str) -> CachedAnswer | None:
        """What was put under this key, if it is still there."""
        ...

    async def put(self, key: str, entry: CachedAnswer) -> None:
        """Keep ``entry``, in place of what was there."""
        ...

    async def forget(self, document_id: str) -> None:
        """Forget every answer that cites this document."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...


class MemoryAnswerCache:
    """The least recently used answers of this process.

    Args:
        size: how many answers are kept, at least 1. An answer takes about 5 kB.
    """

    name = "cache:memory"

    def __init__(self, *, size: int = 1_000) -> None:
        if size < 1:
            raise ConfigError("size", size, "must be at least 1")
        self._size = size
        self._entries: OrderedDict[str, CachedAnswer] = OrderedDict()

    async def get(self, key: str) -> CachedAnswer | None:
        """What was put under this key, if it is still there."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    async def put(self, key: str, entry: CachedAnswer) -> None:
        """Keep ``entry``; the answer that was not asked for the longest goes when there are too many."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    async def forget(self, document_id: str) -> None:
        """Forget every answer that cites this document."""
        citing = [
            key
            for key, entry in self._entries.items()
            if any(citation.document_id == document_id for citation in entry.answer.citations)
        ]
        for key in citing:
            del self._entries[key]

    async def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def cache_key(query: Query, *, top_k: int) -> str:
    """The key of a question: equal for questions that differ only in case, spacing and a closing question mark."""
    words = " ".join(query.question.casefold().split()).rstrip(" ?!.")
    parts = [words, query.collection, top_k, sorted(query.filters.items())]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
