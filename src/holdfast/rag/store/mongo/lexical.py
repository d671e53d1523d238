"""Search by words: the engine's where there is one, else BM25 over the chunks' own arrays of stems.

MongoDB's ``$text`` index was not taken: its score is not BM25 and cannot be told the collection's statistics, it has
no way to ask in how many chunks a word stands, and a database has one such index for all. An array of stems under an
ordinary index is exact on every server.

BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), with k1 = 1.2 and b = 0.75, a word
in the title counted three times and one in a heading twice, as the embedded store does it.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.rag.store.base import Scored
from holdfast.rag.store.mongo.engine import ask_engine
from holdfast.rag.store.mongo.layout import CHUNKS, DOCUMENTS
from holdfast.rag.store.mongo.search_indexes import WORDS_INDEX, words_pipeline
from holdfast.rag.store.mongo.visibility import LOOKS, batches, only_visible
from holdfast.rag.store.stems import question_stems, stems_of
from holdfast.rag.store.tags import tags_of
from holdfast.rag.store.words import terms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.store.mongo.search_indexes import SearchIndexes
    from holdfast.rag.types import Scope

__all__ = ["WordCounts", "document_frequencies", "search_words"]

MAX_TERMS = 64
"""A question may be a pasted page: only its first so many words are looked at."""
MAX_CANDIDATES = 5_000
"""Chunks that are read to be scored: common words are left out when rarer ones bring enough."""
_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6  # of a word that stands in half of the chunks or more: it decides nothing, but it is a match
_COUNTS_AT_ONCE = 8
_CACHED_COUNTS = 20_000
_FIELDS = dict.fromkeys(("id", "document", "version", "words", "weights", "tokens"), 1) | {"_id": 0}


@dataclass(frozen=True, slots=True)
class _Totals:
    chunks: int
    tokens: int


class WordCounts:
    """In how many chunks a word stands, and how many chunks there are; counted once a generation."""

    def __init__(self) -> None:
        self._generation = -1
        self._totals: dict[str, _Totals] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def at(self, generation: int) -> WordCounts:
        """These counts, emptied when the content is another than the one they were taken of."""
        if generation != self._generation or len(self._counts) > _CACHED_COUNTS:
            self._generation, self._totals, self._counts = generation, {}, {}
        return self

    async def totals(self, database: Database, collection: str) -> _Totals:
        """The collection's chunks, and the words in them."""
        known = self._totals.get(collection)
        if known is None:
            kept = self._totals
            groups = await database[DOCUMENTS].aggregate(
                [
                    {"$match": {"collection": collection, "live": True}},
                    {"$group": {"_id": None, "chunks": {"$sum": "$chunks"}, "tokens": {"$sum": "$tokens"}}},
                ]
            )
            sums = await groups.to_list()
            known = kept[collection] = _Totals(sums[0]["chunks"], sums[0]["tokens"]) if sums else _Totals(0, 0)
        return known

    async def of(self, database: Database, collection: str, words: Sequence[str]) -> dict[str, int]:
        """The number of chunks of each stem. What a killed process left behind counts until it is swept."""
        kept = self._counts
        unknown = [word for word in words if (collection, word) not in kept]
        for some in batches(unknown, _COUNTS_AT_ONCE):
            found = await asyncio.gather(
                *(database[CHUNKS].count_documents({"collection": collection, "words": word}) for word in some)
            )
            kept.update({(collection, word): count for word, count in zip(some, found, strict=True)})
        return {word: kept[collection, word] for word in words}


async def search_words(
    database: Database,
    indexes: SearchIndexes,
    counts: WordCounts,
    blocking: Blocking,
    question: str,
    *,
    k: int,
    scope: Scope,
) -> list[Scored]:
    """The ``k`` best chunks for the words of the question, best first; the higher the score the better."""
    tags = tags_of("filters", scope.filters)
    stems = question_stems(question)[:MAX_TERMS]
    if not stems or k < 1:
        return []
    rows = await ask_engine(
        database,
        indexes,
        WORDS_INDEX,
        lambda limit: words_pipeline(terms(question)[:MAX_TERMS], collection=scope.collection, tags=tags, limit=limit),
        collection=scope.collection,
        k=k,
    )
    if rows is not None:
        return [Scored(row["id"], row["score"]) for row in rows]
    totals = await counts.totals(database, scope.collection)
    frequency = _searched(await counts.of(database, scope.collection, stems))
    if not frequency or not totals.chunks:
        return []
    wanted: Row = {"collection": scope.collection, "words": {"$in": list(frequency)}}
    if tags:
        wanted["tags"] = {"$all": tags}
    best: list[tuple[float, Row]] = []
    for _ in range(LOOKS):
        candidates = await database[CHUNKS].find(wanted, _FIELDS, limit=MAX_CANDIDATES).to_list()
        ranked = await blocking.run("store.read", _ranked, candidates, frequency, totals)
        best, changed = await _best_visible(database, scope.collection, ranked, k)
        if not changed:
            break
    return [Scored(row["id"], score) for score, row in best]


async def document_frequencies(
    database: Database, counts: WordCounts, words: Collection[str], collection: str
) -> tuple[dict[str, int], int]:
    """For each word the number of chunks that hold it, and the number of chunks."""
    totals = await counts.totals(database, collection)
    if not totals.chunks:
        return dict.fromkeys(words, 0), 0
    stems = {word: stems_of(word) for word in words}
    single = await counts.of(
        database, collection, list(dict.fromkeys(parts[0] for parts in stems.values() if len(parts) == 1))
    )
    found: dict[str, int] = {}
    for word, parts in stems.items():
        if len(parts) > 1:  # such as "re-try": chunks that hold all of its parts
            found[word] = await database[CHUNKS].count_documents({"collection": collection, "words": {"$all": parts}})
        else:
            found[word] = single[parts[0]] if parts else 0
    return found, totals.chunks


def _searched(frequency: Mapping[str, int]) -> dict[str, int]:
    """The words to search for: from the rarest on, as long as they bring no more chunks than are to be read."""
    chosen: dict[str, int] = {}
    for word, count in sorted(frequency.items(), key=lambda each: each[1]):
        if count and (not chosen or sum(chosen.values()) + count <= MAX_CANDIDATES):
            chosen[word] = count
    return chosen


def _ranked(candidates: Sequence[Row], frequency: Mapping[str, int], totals: _Totals) -> list[tuple[float, Row]]:
    average = max(totals.tokens, 1) / totals.chunks
    idf = {
        word: max(math.log(max(totals.chunks - count + 0.5, 0.5) / (count + 0.5)), _LEAST_IDF)
        for word, count in frequency.items()
    }
    ranked = [(_score(row, idf, average), row) for row in candidates]
    ranked.sort(key=lambda each: (-each[0], each[1]["document"], each[1]["id"]))
    return ranked


def _score(row: Row, idf: Mapping[str, float], average: float) -> float:
    words: list[str] = row["words"]
    weights = np.frombuffer(row["weights"], dtype="<u2")
    norm = _K1 * (1 - _B + _B * row["tokens"] / average)
    score = 0.0
    for word, weight in idf.items():
        place = bisect_left(words, word)
        if place < len(words) and words[place] == word:
            count = float(weights[place])
            score += weight * count * (_K1 + 1) / (count + norm)
    return score


async def _best_visible(
    database: Database, collection: str, ranked: Sequence[tuple[float, Row]], k: int
) -> tuple[list[tuple[float, Row]], bool]:
    best: list[tuple[float, Row]] = []
    changed_meanwhile = False
    for some in batches(ranked, max(2 * k, 50)):
        seen, changed = await only_visible(database, collection, [row for _, row in some])
        visible = {id(row) for row in seen}
        best += [each for each in some if id(each[1]) in visible]
        changed_meanwhile = changed_meanwhile or changed
        if len(best) >= k:
            break
    return best[:k], changed_meanwhile
