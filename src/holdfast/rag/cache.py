"""The answer cache: fresh answers to save work, old ones to have something to say when the rest is down."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.types import Answer

__all__ = ["AnswerCache", "CachedAnswer", "cache_key"]


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

    @property
    def alone(self) -> bool:
        """Whether what was read last may be what another process has forgotten, because nobody could be asked."""
        ...

    async def get(self, key: str) -> CachedAnswer | None:
        """What was put under this key, if it is still there."""
        ...

    async def put(self, key: str, entry: CachedAnswer) -> None:
        """Keep ``entry``, in place of what was there."""
        ...

    async def drop(self, key: str) -> None:
        """Forget what was put under this key."""
        ...

    async def forget(self, document_id: str) -> None:
        """Forget every answer that cites this document.

        Raises:
            StateUnavailableError: other processes may still give such an answer; it is tried again by itself.
        """
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...


def cache_key(query: Query, *, top_k: int) -> str:
    """The key of a question: equal for questions that differ only in case, spacing and a closing question mark."""
    words = " ".join(query.question.casefold().split()).rstrip(" ?!.")
    parts = [words, query.collection, top_k, sorted(query.filters.items())]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
