"""Running a search of MongoDB's search engine: what it finds, checked, and enough of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo.errors import OperationFailure

from holdfast.rag.store.mongo.layout import CHUNKS
from holdfast.rag.store.mongo.visibility import only_visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.store.mongo.search_indexes import SearchIndexes

__all__ = ["ask_engine"]

_MORE = 4  # times as many are asked for when too many of those found are of versions that are gone


async def ask_engine(
    database: Database,
    indexes: SearchIndexes,
    index: str,
    pipeline: Callable[[int], list[Row]],
    *,
    collection: str,
    k: int,
) -> list[Row] | None:
    """The ``k`` best visible chunks; None when the index is not ready or the engine refuses: ask the store's own.

    Args:
        pipeline: the search, given how many to find.
    """
    if not await indexes.ready(database, index):
        return None
    seen: list[Row] = []
    try:
        for limit in (k + k // 4 + 1, k * _MORE):
            rows = await (await database[CHUNKS].aggregate(pipeline(limit))).to_list()
            seen, _ = await only_visible(database, collection, rows)
            if len(seen) >= k or len(rows) < limit:
                break
    except OperationFailure as error:
        indexes.failed(index, error.code)
        return None
    return seen[:k]
