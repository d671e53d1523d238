"""A local embedder without a model: quick, the same everywhere, and behind the ``Blocking`` port as the real one is."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core._options import options_by_name, whole
from holdfast.lab.simulator.vectors import plain, vector_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import EmbedKind, Vectors

__all__ = ["HashedEmbedder"]

_REMEMBERED = 4_096


@options_by_name
class HashedEmbedder:
    """Embeds texts by the words and pieces of words in them, see :mod:`holdfast.lab.simulator.vectors`.

    Args:
        blocking: charges the time: kinds ``embed.query`` and ``embed.batch``.
        dimension: numbers in a vector, 1 or more.

    Attributes:
        id: the vector space.
        dimension: numbers in a vector.
    """

    name = "embedder:local"

    def __init__(self, blocking: Blocking, *, dimension: int = 128) -> None:
        self._blocking = blocking
        self.dimension = whole("dimension", dimension, least=1)
        self.id = f"lab:hashed:{dimension}"

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``; see :meth:`holdfast.llm.embedding.Embedder.embed`."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        work = "embed.query" if kind == "query" else "embed.batch"
        return await self._blocking.run(work, self._vectors, texts)

    async def close(self) -> None:
        """Nothing is held."""

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        return np.array([_vector(plain(text), self.dimension) for text in texts])


@lru_cache(_REMEMBERED)
def _vector(text: str, dimension: int) -> Vectors:
    return np.array(vector_of(text, dimension), np.float32)
