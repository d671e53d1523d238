"""The indexes of MongoDB's search engine (Atlas, or ``mongot`` beside a server), and what they are asked.

A plain server has no such engine and says so in one of several ways; then the store's own indexes are used. The engine
is looked for again from time to time, because an index takes a while to be built and may be dropped. An index of the
engine follows the data with a delay: what it finds is checked against the documents' rows, so nothing that is deleted
is ever found, but what was stored a moment ago may not be found yet.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from pymongo.errors import OperationFailure
from pymongo.operations import SearchIndexModel

from holdfast.core.clock import to_ns
from holdfast.rag.store.mongo.layout import CHUNKS
from holdfast.rag.store.mongo.rows import vector_field
from holdfast.rag.store.stems import HEADING_WEIGHT, TEXT_WEIGHT, TITLE_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.mongo.client import Database, Row

__all__ = [
    "WORDS_INDEX",
    "SearchIndexes",
    "SearchMode",
    "vector_index",
    "vector_pipeline",
    "vectors_definition",
    "words_definition",
    "words_pipeline",
]

WORDS_INDEX = "holdfast_words"
CANDIDATES_PER_RESULT = 20
MAX_CANDIDATES = 10_000  # the engine's own limit
LOOK_AGAIN_SECONDS = 30.0

_WITHOUT_ENGINE = frozenset(
    {
        59,  # CommandNotFound: createSearchIndexes
        115,  # CommandNotSupported
        40324,  # unrecognised pipeline stage
        31082,  # SearchNotEnabled
        6047401,  # "only allowed on MongoDB Atlas"
        7501001,  # "Atlas ... requires additional configuration"
    }
)
_FOUND = {"_id": 0, "id": 1, "document": 1, "version": 1}

_log = logging.getLogger(__name__)


class SearchMode(StrEnum):
    """Which search is used: the engine's where its index is ready, or the store's own always."""

    AUTO = "auto"
    EXACT = "exact"


class SearchIndexes:
    """Which of the engine's indexes can be asked now.

    Args:
        mode: ``exact``: none, and none are made.
        clock: when to look again.
    """

    def __init__(self, mode: SearchMode, clock: Clock) -> None:
        self._mode = mode
        self._clock = clock
        self._ready: frozenset[str] = frozenset()
        self._look_at_ns: int | None = None

    async def create(self, database: Database, dimensions: set[int]) -> None:
        """Make what is missing: the index of words, and one of vectors for each dimension. Without engine, nothing."""
        if self._mode is SearchMode.EXACT:
            return
        self._look_at_ns = None
        listed = await _listed(database)
        if listed is None:
            return
        wanted = {WORDS_INDEX: ("search", words_definition())}
        wanted |= {vector_index(each): ("vectorSearch", vectors_definition(each)) for each in sorted(dimensions)}
        missing = [
            SearchIndexModel(definition, name=name, type=kind)
            for name, (kind, definition) in wanted.items()
            if name not in listed
        ]
        if not missing:
            return
        try:
            await database[CHUNKS].create_search_indexes(missing)
        except OperationFailure as error:
            if error.code is None:
                raise
            _log.warning(
                "Search indexes could not be made (code %s), the store's own searches are used: make %s by hand",
                error.code,
                ", ".join(each.document["name"] for each in missing),
            )

    async def ready(self, database: Database, name: str) -> bool:
        """Whether the index is there and can be asked; looked up at most twice a minute."""
        if self._mode is SearchMode.EXACT:
            return False
        now = self._clock.now_ns()
        if self._look_at_ns is None or now >= self._look_at_ns:
            self._look_at_ns = now + to_ns(LOOK_AGAIN_SECONDS)
            listed = await _listed(database)
            self._ready = frozenset(each for each, can_be_asked in (listed or {}).items() if can_be_asked)
        return name in self._ready

    def failed(self, name: str, code: int | None) -> None:
        """The engine refused a search: use the store's own until the next look."""
        _log.warning("MongoDB's search engine refused %s (code %s): the store's own search is used", name, code)
        self._ready -= {name}


def vector_index(dimension: int) -> str:
    """The name of the index of vectors of this dimension."""
    return f"holdfast_vectors_{dimension:d}"


def vectors_definition(dimension: int) -> Row:
    """The index of vectors: with it come the fields that a search may be narrowed by."""
    vectors = {"type": "vector", "path": vector_field(dimension), "numDimensions": dimension, "similarity": "cosine"}
    return {"fields": [vectors, *({"type": "filter", "path": path} for path in ("collection", "embedder", "tags"))]}


def words_definition() -> Row:
    """The index of words: without case and accents, English stop words left out, stemmed (Porter)."""
    words = {"type": "string", "analyzer": "holdfast"}
    exact = {"type": "token"}
    return {
        "analyzers": [
            {
                "name": "holdfast",
                "tokenizer": {"type": "standard"},
                "tokenFilters": [{"type": "icuFolding"}, {"type": "porterStemming"}],
            }
        ],
        "mappings": {
            "dynamic": False,
            "fields": {"title": words, "heading": words, "text": words, "collection": exact, "tags": exact},
        },
    }


def vector_pipeline(
    vector: Vectors, *, collection: str, embedder_id: str, tags: Sequence[str], limit: int, approximate: bool
) -> list[Row]:
    """Ask the index of vectors: of one collection and one embedder, always."""
    limit = min(limit, MAX_CANDIDATES)
    narrowed = [{"collection": {"$eq": collection}}, {"embedder": {"$eq": embedder_id}}]
    narrowed += [{"tags": {"$eq": tag}} for tag in tags]
    how: Row = {"numCandidates": min(limit * CANDIDATES_PER_RESULT, MAX_CANDIDATES)} if approximate else {"exact": True}
    return [
        {
            "$vectorSearch": {
                "index": vector_index(vector.size),
                "path": vector_field(vector.size),
                "queryVector": vector.astype(float).tolist(),
                "limit": limit,
                "filter": {"$and": narrowed},
                **how,
            }
        },
        {"$project": {**_FOUND, "score": {"$meta": "vectorSearchScore"}}},
    ]


def words_pipeline(words: Sequence[str], *, collection: str, tags: Sequence[str], limit: int) -> list[Row]:
    """Ask the index of words; the words are taken as they are, whatever is in them."""
    query = " ".join(words)
    weights = (("title", TITLE_WEIGHT), ("heading", HEADING_WEIGHT), ("text", TEXT_WEIGHT))
    return [
        {
            "$search": {
                "index": WORDS_INDEX,
                "compound": {
                    "should": [
                        {"text": {"query": query, "path": path, "score": {"boost": {"value": weight}}}}
                        for path, weight in weights
                    ],
                    "minimumShouldMatch": 1,
                    "filter": [
                        {"equals": {"path": path, "value": value}}
                        for path, value in (("collection", collection), *(("tags", tag) for tag in tags))
                    ],
                },
            }
        },
        {"$limit": limit},
        {"$project": {**_FOUND, "score": {"$meta": "searchScore"}}},
    ]


async def _listed(database: Database) -> dict[str, bool] | None:
    """The engine's indexes, each with whether it can be asked; None without an engine."""
    try:
        cursor = await database[CHUNKS].list_search_indexes()
        return {row["name"]: bool(row.get("queryable")) async for row in cursor}
    except OperationFailure as error:
        if error.code not in _WITHOUT_ENGINE:
            _log.warning("MongoDB's search indexes cannot be listed (code %s): the store's own are used", error.code)
        return None
