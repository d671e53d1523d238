"""An embedder that remembers: texts that were embedded before cost a look into the cache."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import Embedder, EmbedKind, Vectors
    from holdfast.state.embeddings import EmbeddingCache

__all__ = ["CachedEmbedder"]

_log = logging.getLogger(__name__)


class CachedEmbedder:
    """An embedder behind a cache. A cache that fails is a cache that knows nothing.

    A call with a single text goes past the cache: it asks whether the embedder works, and what is remembered could not
    tell.

    Args:
        embedder: makes the vectors that are not known; closed with this one.
        cache: made for the embedder's id and dimension. It bounds the time that it takes by itself.
    """

    def __init__(self, embedder: Embedder, cache: EmbeddingCache) -> None:
        self._embedder = embedder
        self._cache = cache

    @property
    def id(self) -> str:
        """The vector space."""
        return self._embedder.id

    @property
    def name(self) -> str:
        """The embedder's name."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._embedder.dimension

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``: what is known from the cache, each other text once."""
        if len(texts) == 1:
            return await self._embedder.embed(texts, kind=kind)
        known = await self._look_up(list(dict.fromkeys(texts)), kind)
        missing = [text for text, vector in known.items() if vector is None]
        if missing:
            fresh = dict(zip(missing, await self._embedder.embed(missing, kind=kind), strict=True))
            known.update(fresh)
            await self._keep(fresh, kind)
        rows = [vector for text in texts if (vector := known[text]) is not None]
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    async def close(self) -> None:
        """Release the embedder. The cache belongs to whoever made it."""
        await self._embedder.close()

    async def _look_up(self, texts: list[str], kind: EmbedKind) -> dict[str, Vectors | None]:
        if not texts:
            return {}
        try:
            found = await self._cache.get_many(texts, kind=kind)
        except Exception as error:  # noqa: BLE001 - whatever it was, the embedder is there
            _log.debug("no embeddings from %s: %s", self._cache.name, error)
            return dict.fromkeys(texts)
        return dict(zip(texts, found, strict=True))

    async def _keep(self, vectors: dict[str, Vectors], kind: EmbedKind) -> None:
        try:
            await self._cache.put_many(vectors, kind=kind)
        except Exception as error:  # noqa: BLE001 - writing the cache is best effort
            _log.debug("embeddings not kept in %s: %s", self._cache.name, error)
