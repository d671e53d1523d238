"""An embedder for tests: no model, no files, the same vectors everywhere."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import EmbedKind, Vectors

__all__ = ["HashEmbedder"]

_WORD = re.compile(r"\w+")


class HashEmbedder:
    """Counts a text's words in buckets chosen by their hash, and scales the counts to length 1.

    Texts with words in common have a cosine above 0, texts without have one near 0 (words may share a bucket), and none
    is below 0. A text without words gives the first unit vector. This is the "hashing trick" (Weinberger et al. 2009)
    without signs.

    Args:
        dimension: numbers in a vector; at least 1, 64 by default.
        max_words: words that are read of a text; the rest is cut.
        name: the dependency's name.

    Attributes:
        calls: what was asked for, in order: the texts and the kind of each call that had texts.
    """

    def __init__(self, *, dimension: int = 64, max_words: int = 256, name: str = "embedder:hash") -> None:
        if dimension < 1:
            raise ValueError("dimension must be at least 1")
        self.calls: list[tuple[tuple[str, ...], EmbedKind]] = []
        self._dimension = dimension
        self._max_words = max_words
        self._name = name

    @property
    def id(self) -> str:
        """The vector space."""
        return f"test:hash:{self._dimension}:{self._max_words}"

    @property
    def name(self) -> str:
        """The dependency's name."""
        return self._name

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._dimension

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``; see :meth:`holdfast.llm.embedding.Embedder.embed`. Both kinds get the same vectors."""
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, not one string")
        counts = np.zeros((len(texts), self._dimension), np.float32)
        if not texts:
            return counts
        self.calls.append((tuple(texts), kind))
        for row, text in zip(counts, texts, strict=True):
            for word in _WORD.findall(text.lower())[: self._max_words]:
                row[self._bucket(word)] += 1
            if not row.any():
                row[0] = 1
        vectors: Vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return vectors

    async def close(self) -> None:
        """Nothing is held."""

    def _bucket(self, word: str) -> int:
        # not hash(): Python salts it, and a test must see the same vectors in every process
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest) % self._dimension
