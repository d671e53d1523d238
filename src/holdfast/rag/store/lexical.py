"""Search by words: BM25 over title, heading and text, as SQLite's FTS5 computes it."""

# ruff: noqa: S608 - the SQL that is put together here is ours: names of tables and question marks

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.rag.store.base import Scored
from holdfast.rag.store.reader import collection_of, filter_clause, generation_of
from holdfast.rag.store.schema import words_table
from holdfast.rag.store.words import match_any, quoted, terms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence

    from holdfast.rag.types import Scope

__all__ = ["WordCounts", "document_frequencies", "search_words"]

TITLE_WEIGHT = 3.0
HEADING_WEIGHT = 2.0
TEXT_WEIGHT = 1.0

MAX_TERMS = 48
"""A question may be a pasted page: only its rarest words are searched for."""
MAX_CANDIDATES = 256
"""Words of a question that are looked at at all."""
COMMON_SHARES = ((50_000, 0.10), (1_000, 0.50))
"""From so many chunks on, a word that stands in more than this share of them is left out when rarer ones remain.

Half: BM25's weight of such a word, log((N - n + 0.5) / (n + 0.5)), is not above 0, and FTS5 counts it as nothing, so
that leaving it out changes nothing but the time. A tenth: among many chunks common words cost more than they decide.
"""

_CACHED_COUNTS = 20_000


class WordCounts:
    """In how many chunks a word stands, counted once for each generation of the content. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = -1
        self._counts: dict[tuple[int, str], int] = {}

    def of(self, connection: sqlite3.Connection, collection: int, words: Collection[str]) -> dict[str, int]:
        """The counts of ``words``, each stemmed as the index does it."""
        generation = generation_of(connection)
        with self._lock:
            if self._generation != generation or len(self._counts) > _CACHED_COUNTS:
                self._generation, self._counts = generation, {}
            known = self._counts
        table = words_table(collection)
        counts: dict[str, int] = {}
        for word in words:
            count = known.get((collection, word))
            if count is None:
                (count,) = connection.execute(
                    f"SELECT count(*) FROM {table} WHERE {table} MATCH ?", (quoted(word),)
                ).fetchone()
                known[collection, word] = count
            counts[word] = count
        return counts


def search_words(
    connection: sqlite3.Connection, counts: WordCounts, question: str, k: int, scope: Scope
) -> list[Scored]:
    """The ``k`` best chunks for the words of the question, best first; the higher the score the better."""
    found = collection_of(connection, scope.collection)
    words = terms(question)
    if found is None or not words or k < 1:
        return []
    collection, chunks = found
    table = words_table(collection)
    condition = ""
    parameters: list[object] = [match_any(_searched(connection, counts, collection, chunks, words))]
    if scope.filters:
        documents, values = filter_clause(scope.filters)
        # The plus sign keeps SQLite from walking the filter and asking the index about each row.
        condition = f" AND +rowid IN (SELECT key FROM chunks WHERE document IN ({documents}))"
        parameters += values
    # Sorting by the function is a third faster than by FTS5's own "rank" column, which computes it a second time.
    rows = connection.execute(
        "SELECT c.id, -r.score FROM (SELECT rowid AS key, "
        f"bm25({table}, {TITLE_WEIGHT}, {HEADING_WEIGHT}, {TEXT_WEIGHT}) AS score "
        f"FROM {table} WHERE {table} MATCH ?{condition} ORDER BY score, key LIMIT ?) AS r "
        "JOIN chunks AS c ON c.key = r.key ORDER BY r.score, r.key",
        (*parameters, k),
    )
    return [Scored(chunk_id, score) for chunk_id, score in rows]


def document_frequencies(
    connection: sqlite3.Connection, counts: WordCounts, words: Collection[str], collection: str
) -> tuple[dict[str, int], int]:
    """For each word the number of chunks that hold it, and the number of chunks."""
    found = collection_of(connection, collection)
    if found is None:
        return dict.fromkeys(words, 0), 0
    key, chunks = found
    return counts.of(connection, key, words), chunks


def _searched(
    connection: sqlite3.Connection, counts: WordCounts, collection: int, chunks: int, words: Sequence[str]
) -> Sequence[str]:
    share = next((share for least, share in COMMON_SHARES if chunks >= least), None)
    if share is None and len(words) <= MAX_TERMS:
        return words
    frequency = counts.of(connection, collection, words[:MAX_CANDIDATES])
    present = sorted((word for word in frequency if frequency[word]), key=frequency.__getitem__)[:MAX_TERMS]
    rare = present if share is None else [word for word in present if frequency[word] <= chunks * share]
    return rare or present or words[:1]
