"""Search by meaning: the engine's where there is one, else exact over a copy of the vectors in this process.

The copy of a space (a collection and an embedder) is brought up to date at the first search after the generation grew:
the visible versions are listed, and only the vectors of versions that are new are read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import Scored
from holdfast.rag.store.mongo.engine import ask_engine
from holdfast.rag.store.mongo.faults import too_many_vectors
from holdfast.rag.store.mongo.layout import CHUNKS, DOCUMENTS
from holdfast.rag.store.mongo.rows import vector_field, vector_from
from holdfast.rag.store.mongo.search_indexes import vector_index, vector_pipeline
from holdfast.rag.store.mongo.visibility import LOOKS, batches
from holdfast.rag.store.tags import tags_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.store.mongo.search_indexes import SearchIndexes
    from holdfast.rag.types import Scope

__all__ = ["ExactIndex", "search_vectors"]

_VERSIONS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Part:
    """A document's vectors."""

    version: str
    tags: frozenset[str]
    ids: Sequence[str]
    rows: Vectors


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A space at one generation; never changed."""

    generation: int
    parts: Mapping[str, _Part]
    ids: Sequence[str]
    rows: Vectors

    def best(self, vector: Vectors, k: int, tags: Sequence[str]) -> list[Scored]:
        # Not "@": BLAS spreads the product over all cores and waits for the slowest.
        scores = np.einsum("ij,j->i", self.rows, vector)
        places: NDArray[np.intp] = np.arange(len(scores))
        if tags:
            wanted = set(tags)
            sizes = [len(part.ids) for part in self.parts.values()]
            places = places[np.repeat([wanted <= part.tags for part in self.parts.values()], sizes)]
        if len(places) > k:
            places = places[np.argpartition(scores[places], -k)[-k:]]
        places = places[np.lexsort((places, -scores[places]))]
        return [Scored(self.ids[each], float(scores[each])) for each in places.tolist()]


class ExactIndex:
    """The copies of the spaces that were asked for.

    Args:
        max_vectors: of one space; more raise ``StoreUnavailableError``.
        place: for messages.
    """

    def __init__(self, *, max_vectors: int, place: str) -> None:
        self._max_vectors = max_vectors
        self._place = place
        self._turn = asyncio.Lock()
        self._matrices: dict[tuple[str, str], _Matrix] = {}

    async def search(
        self,
        database: Database,
        blocking: Blocking,
        vector: Vectors,
        *,
        embedder_id: str,
        k: int,
        collection: str,
        tags: Sequence[str],
        generation: int,
    ) -> list[Scored]:
        """The ``k`` nearest chunks."""
        space = (collection, embedder_id)
        async with self._turn:  # one task reads what changed, the others wait for it
            matrix = self._matrices.get(space)
            if matrix is None or matrix.generation < generation:
                parts = await self._parts(database, *space, vector.size, matrix.parts if matrix else {})
                matrix = await blocking.run("store.read", _stacked, generation, parts, vector.size)
                self._matrices[space] = matrix
        return await blocking.run("store.read", matrix.best, vector, k, tags)

    async def _parts(
        self, database: Database, collection: str, embedder_id: str, dimension: int, known: Mapping[str, _Part]
    ) -> dict[str, _Part]:
        parts: dict[str, _Part] = {}
        for _ in range(LOOKS):
            rows = await (
                database[DOCUMENTS]
                .find(
                    {"collection": collection, "embedder": embedder_id, "live": True, "chunks": {"$gt": 0}},
                    {"id": 1, "version": 1, "tags": 1, "chunks": 1},
                )
                .to_list()
            )
            total = sum(row["chunks"] for row in rows)
            if total > self._max_vectors:
                raise too_many_vectors(self._place, total, self._max_vectors)
            known = {**known, **parts}
            parts = {
                row["id"]: known[row["id"]]
                for row in rows
                if row["id"] in known and known[row["id"]].version == row["version"]
            }
            lacking = [row for row in rows if row["id"] not in parts]
            for some in batches(lacking, _VERSIONS_AT_ONCE):
                parts.update(await _read(database, some, dimension))
            if all(row["id"] in parts for row in rows):
                break
        return {each: parts[each] for each in sorted(parts)}


async def search_vectors(
    database: Database,
    indexes: SearchIndexes,
    exact: ExactIndex,
    blocking: Blocking,
    vector: Vectors,
    *,
    embedder_id: str,
    dimension: int | None,
    k: int,
    scope: Scope,
    generation: int,
    approximate: bool,
) -> list[Scored]:
    """The ``k`` nearest chunks, best first.

    Raises:
        InvalidInputError: the vector is not one of this space.
    """
    tags = tags_of("filters", scope.filters)
    if dimension is None or k < 1:
        return []
    if vector.shape != (dimension,) or not np.isfinite(vector).all():
        raise InvalidInputError("vector", f"must be {dimension} finite numbers, as {embedder_id!r} makes them")
    collection = scope.collection
    rows = await ask_engine(
        database,
        indexes,
        vector_index(dimension),
        lambda limit: vector_pipeline(
            vector, collection=collection, embedder_id=embedder_id, tags=tags, limit=limit, approximate=approximate
        ),
        collection=collection,
        k=k,
    )
    if rows is not None:
        return [Scored(row["id"], 2 * row["score"] - 1) for row in rows]  # the engine's score is (1 + cosine) / 2
    return await exact.search(
        database,
        blocking,
        np.ascontiguousarray(vector, dtype=np.float32),
        embedder_id=embedder_id,
        k=k,
        collection=collection,
        tags=tags,
        generation=generation,
    )


async def _read(database: Database, documents: Sequence[Row], dimension: int) -> dict[str, _Part]:
    """The vectors of these documents; without those whose version went while they were read."""
    field = vector_field(dimension)
    found: dict[str, list[Row]] = {}
    wanted = {"version": {"$in": [row["version"] for row in documents]}}
    async for row in database[CHUNKS].find(wanted, {"version": 1, "id": 1, field: 1}):
        found.setdefault(row["version"], []).append(row)
    parts: dict[str, _Part] = {}
    for document in documents:
        rows = found.get(document["version"], [])
        if len(rows) == document["chunks"]:
            parts[document["id"]] = _Part(
                document["version"],
                frozenset(document["tags"]),
                [row["id"] for row in rows],
                np.stack([vector_from(row, dimension) for row in rows]),
            )
    return parts


def _stacked(generation: int, parts: Mapping[str, _Part], dimension: int) -> _Matrix:
    ids = [each for part in parts.values() for each in part.ids]
    rows = np.concatenate([part.rows for part in parts.values()]) if parts else np.empty((0, dimension), np.float32)
    return _Matrix(generation, parts, ids, rows)
