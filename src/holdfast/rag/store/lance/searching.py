"""The searches: by words with the engine's BM25, by vectors exactly or with an index.

A question never reaches a parser: its words are stemmed as the chunks' are and handed over as a ``MatchQuery``.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import numpy as np
from lancedb.background_loop import LOOP
from lancedb.query import FullTextOperator, MatchQuery

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import Scored
from holdfast.rag.store.lance.layout import EVERY_ROW, chunks_tag, scope_tags, vector_column, with_tags
from holdfast.rag.store.stems import question_stems, stems_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.lance.home import Snapshot
    from holdfast.rag.types import Scope

__all__ = ["WordCounts", "document_frequencies", "search_vectors", "search_words"]

MAX_TERMS = 64
"""A question may be a pasted page: only its first so many words are looked for."""
COMMON = 2_000
"""From so many chunks on a word is common: counting it takes milliseconds, and its count is kept for longer."""
DRIFT = 0.01
"""The share of the chunks by which their number may change before common words are counted again."""

_REFINE = 4  # with an index: so many times ``k`` candidates are scored exactly
_CACHED_COUNTS = 20_000


class WordCounts:
    """In how many chunks a word stands. Thread-safe.

    A rare word is counted anew for every version of the table. A common one, whose weight a few chunks more or less
    do not change, is counted again when the number of chunks has changed by a hundredth.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = -1
        self._rare: dict[tuple[int, str, str], int] = {}
        self._common: dict[tuple[int, str, str], tuple[int, int]] = {}  # the count, and the chunks that there were

    def of(self, snapshot: Snapshot, collection: str, words: Collection[str], chunks: int) -> dict[str, int]:
        """The number of chunks that hold each of the words; a word of several stems (``re-try``) is all of them."""
        known = {word: self._known((snapshot.created_us, collection, word), snapshot, chunks) for word in words}
        unknown = [word for word, count in known.items() if count is None]
        found = dict(zip(unknown, _counted(snapshot, collection, unknown), strict=True))
        with self._lock:
            for word, count in found.items():
                key = (snapshot.created_us, collection, word)
                if count >= COMMON and len(self._common) < _CACHED_COUNTS:
                    self._common[key] = (count, chunks)
                elif self._generation == snapshot.generation:
                    self._rare[key] = count
        return {word: found.get(word, count or 0) for word, count in known.items()}

    def _known(self, key: tuple[int, str, str], snapshot: Snapshot, chunks: int) -> int | None:
        with self._lock:
            if self._generation != snapshot.generation or len(self._rare) > _CACHED_COUNTS:
                self._generation, self._rare = snapshot.generation, {}
            common = self._common.get(key)
            if common is not None and abs(chunks - common[1]) <= DRIFT * common[1]:
                return common[0]
            return self._rare.get(key)


def search_words(snapshot: Snapshot, question: str, k: int, scope: Scope) -> list[Scored]:
    """The ``k`` best chunks for the words of the question, best first; the higher the score the better."""
    condition = with_tags(scope_tags(scope.collection, scope.filters))
    stems = question_stems(question)[:MAX_TERMS]
    if not stems or k < 1:
        return []
    query = snapshot.table.search(_words(" ".join(stems), FullTextOperator.OR)).where(condition, prefilter=True)
    found = query.select(["id", "_score"]).limit(k).to_arrow()
    return [Scored(*row) for row in zip(found["id"].to_pylist(), found["_score"].to_pylist(), strict=True)]


def search_vectors(
    snapshot: Snapshot, vector: Vectors, *, embedder_id: str, k: int, scope: Scope, approximate: bool
) -> list[Scored]:
    """The ``k`` nearest chunks, best first.

    Raises:
        InvalidInputError: the vector is not one of this space.
    """
    condition = with_tags(scope_tags(scope.collection, scope.filters))
    column = vector_column(embedder_id)
    if column not in snapshot.schema.names or k < 1:
        return []
    dimension = snapshot.schema.field(column).type.list_size
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise InvalidInputError("vector", f"must be {dimension} finite numbers, as {embedder_id!r} makes them")
    query = snapshot.table.search(np.asarray(vector, np.float32), vector_column_name=column)
    query = query.distance_type("dot").where(condition, prefilter=True)
    query = query.refine_factor(_REFINE) if approximate else query.bypass_vector_index()
    found = query.select(["id", "_distance"]).limit(k).to_arrow()
    # The engine's distance is 1 minus the product; vectors are of length 1.
    return [
        Scored(chunk_id, 1.0 - distance)
        for chunk_id, distance in zip(found["id"].to_pylist(), found["_distance"].to_pylist(), strict=True)
    ]


def document_frequencies(
    snapshot: Snapshot, counts: WordCounts, words: Collection[str], collection: str
) -> tuple[dict[str, int], int]:
    """For each word the number of chunks that hold it, and the number of chunks."""
    chunks = snapshot.count(with_tags([chunks_tag(collection)]))
    if not chunks:
        return dict.fromkeys(words, 0), 0
    stems = {word: " ".join(dict.fromkeys(stems_of(word))) for word in words}
    found = counts.of(snapshot, collection, {each for each in stems.values() if each}, chunks)
    return {word: found.get(each, 0) for word, each in stems.items()}, chunks


def _counted(snapshot: Snapshot, collection: str, words: Sequence[str]) -> list[int]:
    """The number of chunks of each, asked for at the same time: one by one they take three times as long."""
    condition = with_tags([chunks_tag(collection)])
    table = snapshot.table._table  # noqa: SLF001 - LanceDB's synchronous table is this one, run in its own event loop

    async def count(word: str) -> int:
        query = table.query().nearest_to_text(_words(word, FullTextOperator.AND)).where(condition)
        return int((await query.select(["_score"]).limit(EVERY_ROW).to_arrow()).num_rows)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*map(count, words))

    found: list[int] = LOOP.run(all_of_them())  # type: ignore[no-untyped-call]
    return found


def _words(stems: str, operator: FullTextOperator) -> MatchQuery:
    return MatchQuery(stems, "words", operator=operator)  # type: ignore[call-arg] # its defaults are hidden from mypy
