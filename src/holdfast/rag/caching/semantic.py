"""The semantic cache: finds an earlier question that is the same in other words. Off by default (``semantic_cache``).

It holds no answers. It gives the key under which the answer cache keeps the answer to the earlier question, so that
there is one place where answers expire, become stale, and are forgotten.

Two judges must agree: the vectors lie close together, and the words differ only in what carries no meaning
(:mod:`holdfast.rag.caching.sameness`). Neither suffices; ``python -m benchmarks.semantic_cache`` measures both.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core._options import number, text, whole
from holdfast.errors import ConfigError
from holdfast.rag.caching.sameness import Reading, difference, read
from holdfast.state.typed import key_of

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.query import Query

__all__ = ["DEFAULT_THRESHOLD", "Near", "SemanticIndex"]

DEFAULT_THRESHOLD = 0.95
"""The least cosine of two questions that are taken for one."""

_TRIED = 8
"""Neighbours whose words are compared: the same question is among the nearest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """An earlier question that is the same.

    Attributes:
        key: the answer cache's key of it.
        question: as it was asked.
        cosine: how close it is.
    """

    key: str
    question: str
    cosine: float


@dataclass(frozen=True, slots=True)
class _Known:
    row: int
    question: str
    reading: Reading


class SemanticIndex:
    """The questions that were answered lately, by their vectors. In this process's memory, for one event loop.

    Questions meet only where everything else on which an answer depends is the same: the collection, the filters, the
    number of passages, and the embedder.

    Args:
        embedder_id: the vector space.
        dimension: numbers in a vector.
        threshold: the least cosine, above 0 and at most 1.
        max_entries: questions that are remembered, 1 or more; the one that was longest neither added nor found goes.
    """

    def __init__(
        self, *, embedder_id: str, dimension: int, threshold: float = DEFAULT_THRESHOLD, max_entries: int = 5_000
    ) -> None:
        self._space = text("embedder_id", embedder_id)
        whole("dimension", dimension, least=1)
        if not 0 < number("threshold", threshold) <= 1:
            raise ConfigError("threshold", threshold, "must be above 0 and at most 1")
        self._threshold = threshold
        self._max = whole("max_entries", max_entries, least=1)
        self._vectors = np.zeros((0, dimension), np.float32)
        self._owner: list[tuple[str, str] | None] = []  # who has the row
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._known)

    def find(self, query: Query, vector: Vectors, *, top_k: int) -> Near | None:
        """The nearest earlier question that is the same question, if there is one.

        Args:
            vector: the question's vector, of length 1.
            top_k: the number of passages that an answer would rest on.
        """
        scope = self._scope(query, top_k)
        cosines = self._vectors[: len(self._owner)] @ vector
        close = np.flatnonzero(cosines >= self._threshold)
        reading = read(query.question)
        tried = 0
        for row in close[np.argsort(-cosines[close])].tolist():
            owner = self._owner[row]
            if owner is None or owner[0] != scope:
                continue
            known = self._known[owner]
            if difference(reading, known.reading) is None:
                self._known.move_to_end(owner)
                return Near(key=owner[1], question=known.question, cosine=float(cosines[row]))
            tried += 1
            if tried == _TRIED:
                break
        return None

    def add(self, query: Query, vector: Vectors, *, top_k: int, key: str) -> None:
        """Remember that the answer to this question is kept under ``key``."""
        owner = self._scope(query, top_k), key
        self._remove(owner)
        if len(self._known) >= self._max:
            self._remove(next(iter(self._known)))
        row = self._free.pop() if self._free else self._grown()
        self._vectors[row] = vector
        self._owner[row] = owner
        self._known[owner] = _Known(row, query.question, read(query.question))

    def discard(self, query: Query, *, top_k: int, key: str) -> None:
        """Forget the question whose answer was kept under ``key``: it is not there any more."""
        self._remove((self._scope(query, top_k), key))

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._owner.clear()
        self._free.clear()
        self._vectors = self._vectors[:0].copy()

    def _scope(self, query: Query, top_k: int) -> str:
        return key_of(query.collection, sorted(query.filters.items()), top_k, self._space)

    def _remove(self, owner: tuple[str, str]) -> None:
        known = self._known.pop(owner, None)
        if known is not None:
            self._vectors[known.row] = 0
            self._owner[known.row] = None
            self._free.append(known.row)

    def _grown(self) -> int:
        """A row more; the array doubles, so that most additions copy nothing."""
        row = len(self._owner)
        if row == len(self._vectors):
            room = np.zeros((min(max(64, 2 * row), self._max) - row, self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate([self._vectors, room])
        self._owner.append(None)
        return row
