"""How many numbers the vectors of an embedder have in a collection: the first put decides, and it stays so.

A space outlives its last document: two puts at the same time could else give one embedder two dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo import ReturnDocument
from pymongo.errors import OperationFailure

from holdfast.errors import InvalidInputError
from holdfast.rag.store.mongo.faults import DUPLICATE_KEY
from holdfast.rag.store.mongo.layout import SPACES, key_of

if TYPE_CHECKING:
    from holdfast.rag.store.mongo.client import Database

__all__ = ["Spaces"]


class Spaces:
    """The spaces that this process knows of."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    async def register(self, database: Database, collection: str, embedder_id: str, dimension: int) -> None:
        """Keep the dimension, or compare it with the one that is kept.

        Raises:
            InvalidInputError: it is another.
        """
        kept = await self._kept(database, collection, embedder_id, dimension)
        if kept != dimension:
            raise InvalidInputError(
                "chunks",
                f"the vectors have {dimension} numbers, but those of {embedder_id!r} in this collection have {kept}: "
                "give another model another id",
            )

    async def dimension(self, database: Database, collection: str, embedder_id: str) -> int | None:
        """The dimension, or None when no vector of this embedder was ever stored."""
        known = self._known.get((collection, embedder_id))
        if known is None:
            row = await database[SPACES].find_one({"_id": key_of(collection, embedder_id)})
            if row is None:
                return None
            known = self._known[collection, embedder_id] = int(row["dimension"])
        return known

    async def dimensions(self, database: Database) -> set[int]:
        """All dimensions that occur."""
        return {int(row["dimension"]) async for row in database[SPACES].find({}, {"dimension": 1})}

    async def _kept(self, database: Database, collection: str, embedder_id: str, dimension: int) -> int:
        row = None
        try:
            row = await database[SPACES].find_one_and_update(
                {"_id": key_of(collection, embedder_id)},
                {"$setOnInsert": {"collection": collection, "embedder": embedder_id, "dimension": dimension}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except OperationFailure as error:
            if error.code != DUPLICATE_KEY:
                raise
        if row is None:  # another created it at the same moment
            row = await database[SPACES].find_one({"_id": key_of(collection, embedder_id)})
        kept = dimension if row is None else int(row["dimension"])
        self._known[collection, embedder_id] = kept
        return kept
