"""The cache of search results: what was found for a question in the documents of one generation."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from holdfast.rag.caching.found import FoundCodec
from holdfast.state.typed import TypedCache, key_of

if TYPE_CHECKING:
    from holdfast.rag.query import Query
    from holdfast.rag.search import Found
    from holdfast.state.base import CacheBackend

__all__ = ["SearchCache"]

_KEYS = 256
"""Keys that are remembered: more than questions are under way. With their questions a megabyte at most."""


class SearchCache:
    """Keeps what searches found. Results that lack something are not kept.

    The store's generation is part of the key. It changes in the same transaction as the documents, so that an ingest or
    a deletion makes all earlier results unfindable at once, for every process, even when the cache is down just then.

    Args:
        ttl: seconds for which a result is kept; it only bounds the space, for results do not get old.
    """

    def __init__(self, backend: CacheBackend, *, ttl: float = 3_600.0) -> None:
        self._cache: TypedCache[Found] = TypedCache(backend, FoundCodec(), kind="search", ttl=ttl)

    @property
    def name(self) -> str:
        """The backend's name."""
        return self._cache.name

    async def get(self, query: Query, *, k: int, generation: int, embedder_id: str | None) -> Found | None:
        """What was found for this question, in the documents as they are.

        Args:
            generation: the store's generation, read before the search.
            embedder_id: the vector space that is searched; None for a search by words only.
        """
        return await self._cache.get(_key(query, k, generation, embedder_id))

    async def put(self, query: Query, found: Found, *, k: int, generation: int, embedder_id: str | None) -> None:
        """Keep what was found, unless something was missing."""
        if not found.reasons:
            await self._cache.put(_key(query, k, generation, embedder_id), found)


def _key(query: Query, k: int, generation: int, embedder_id: str | None) -> str:
    # Not normalised as for answers: the vector depends on every letter.
    if query.filters:
        return key_of(query.question, query.collection, sorted(query.filters.items()), k, generation, embedder_id)
    return _known_key(query.question, query.collection, k, generation, embedder_id)


@lru_cache(_KEYS)
def _known_key(question: str, collection: str, k: int, generation: int, embedder_id: str | None) -> str:
    """What is not found is kept under the same key a moment later."""
    return key_of(question, collection, [], k, generation, embedder_id)
