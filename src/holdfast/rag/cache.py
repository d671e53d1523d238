"""The answer cache: fresh answers to save work, old ones to have something to say when the rest is down."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.types import Answer, Scalar

__all__ = ["AnswerCache", "CachedAnswer", "cache_key"]

_KEYS = 256
_as_json = json.JSONEncoder(ensure_ascii=False).encode  # made once: ``json.dumps`` makes one for each key


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
    if query.filters:
        return _key_of(query.question, query.collection, top_k, sorted(query.filters.items()))
    return _known_key(query.question, query.collection, top_k)


@lru_cache(_KEYS)
def _known_key(question: str, collection: str, top_k: int) -> str:
    """A question's key is asked for several times while it is answered."""
    return _key_of(question, collection, top_k, [])


def _key_of(question: str, collection: str, top_k: int, filters: list[tuple[str, Scalar]]) -> str:
    words = " ".join(question.casefold().split()).rstrip(" ?!.")
    text = _as_json([words, collection, top_k, filters])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
