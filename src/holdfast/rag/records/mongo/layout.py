"""What is in the database: three collections and their indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo import IndexModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.store.mongo.client import Database

__all__ = ["CONVERSATIONS", "FEEDBACK", "KEYS", "create_indexes"]

CONVERSATIONS, KEYS, FEEDBACK = "conversations", "api_keys", "feedback"

INDEXES: Mapping[str, list[IndexModel]] = {
    CONVERSATIONS: [
        IndexModel([("live", 1), ("updated_at", -1), ("id", -1)], name="by_time"),
        IndexModel([("live", 1), ("refused_before", 1)], name="by_tombstone"),
    ],
    KEYS: [IndexModel([("active", 1)], name="by_name", unique=True, sparse=True)],
    FEEDBACK: [IndexModel([("given_at", 1)], name="by_time")],
}


async def create_indexes(database: Database) -> None:
    """Make the indexes that are not there; also the collections."""
    for name, indexes in INDEXES.items():
        await database[name].create_indexes(indexes)
