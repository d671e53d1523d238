"""The cache of embeddings: float32 vectors by embedder, kind of text, and text."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core._options import text, whole
from holdfast.state.typed import TypedCache, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from holdfast.state.base import CacheBackend

__all__ = ["EmbeddingCache", "VectorCodec"]

_KEYS = 256
"""Keys that are remembered, with their texts: questions and passages."""
_LONGEST = 8_192
"""Characters: the keys of longer texts are made each time, so that what is remembered takes some megabytes at most."""
_TOLERANCE = 1e-3


class VectorCodec:
    """Vectors of one dimension and of length 1, as little-endian float32.

    Args:
        dimension: numbers in a vector, 1 or more.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = whole("dimension", dimension, least=1)
        self.version = f"f32-{dimension}"

    def encode(self, value: NDArray[np.float32], /) -> bytes:
        """The bytes to keep.

        Raises:
            ValueError: the vector has another dimension.
        """
        if value.shape != (self._dimension,):
            raise ValueError(f"a vector of shape {value.shape}, where ({self._dimension},) is expected")
        return value.astype("<f4").tobytes()

    def decode(self, data: bytes, /) -> NDArray[np.float32]:
        """The vector.

        Raises:
            ValueError: it has another dimension, or is not of length 1: it would poison every comparison.
        """
        vector: NDArray[np.float32] = np.frombuffer(data, "<f4").astype(np.float32)
        if vector.shape != (self._dimension,) or not abs(float(vector @ vector) - 1) < _TOLERANCE:
            raise ValueError("not a unit vector of this dimension")
        return vector


class EmbeddingCache:
    """Vectors that an embedder made. They never get old: with the same id the same text has the same vector.

    Args:
        embedder_id: the vector space; part of the key, so that spaces never mix.
        dimension: numbers in a vector.
        ttl: seconds for which a vector is kept.
    """

    def __init__(self, backend: CacheBackend, *, embedder_id: str, dimension: int, ttl: float = 7 * 86_400.0) -> None:
        self._id = text("embedder_id", embedder_id)
        self._cache: TypedCache[NDArray[np.float32]] = TypedCache(
            backend, VectorCodec(dimension), kind="embedding", ttl=ttl
        )

    @property
    def name(self) -> str:
        """The backend's name."""
        return self._cache.name

    @property
    def unreadable(self) -> int:
        """Vectors that were found and could not be used."""
        return self._cache.unreadable

    async def get_many(self, texts: Sequence[str], *, kind: str) -> list[NDArray[np.float32] | None]:
        """The vector of each text, in their order; None where it is not known.

        Args:
            kind: ``"query"`` or ``"document"``: some models embed them differently.
        """
        return await self._cache.get_many([_key(self._id, kind, text) for text in texts])

    async def put_many(self, vectors: Mapping[str, NDArray[np.float32]], *, kind: str) -> None:
        """Keep the vectors of these texts."""
        await self._cache.put_many({_key(self._id, kind, text): vector for text, vector in vectors.items()})


def _key(embedder_id: str, kind: str, text: str) -> str:
    return _remembered(embedder_id, kind, text) if len(text) <= _LONGEST else key_of(embedder_id, kind, text)


@lru_cache(_KEYS)
def _remembered(embedder_id: str, kind: str, text: str) -> str:
    """What is not found is kept under the same key a moment later."""
    return key_of(embedder_id, kind, text)
