"""What a reader sees: the chunks of the version that the document's row names, and no others.

There is no snapshot over several reads. So chunks are read first and checked against the rows of their documents; when
a document changed between the two, the chunks are read again. A search that runs while a document is being replaced
may find some of its new chunks only, but never two versions of it, and never a part of a chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from holdfast.rag.store.mongo.layout import DOCUMENTS, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["LOOKS", "batches", "only_visible", "visible_versions"]

T = TypeVar("T")

LOOKS = 3
"""How often chunks are read when their documents keep changing meanwhile."""
_KEYS_AT_ONCE = 1_000


async def visible_versions(database: Database, collection: str, document_ids: Iterable[str]) -> dict[str, str]:
    """The visible version of each of these documents; without those that are not stored."""
    keys = [key_of(collection, each) for each in dict.fromkeys(document_ids)]
    versions: dict[str, str] = {}
    for some in batches(keys, _KEYS_AT_ONCE):
        async for row in database[DOCUMENTS].find({"_id": {"$in": some}, "live": True}, {"id": 1, "version": 1}):
            versions[row["id"]] = row["version"]
    return versions


async def only_visible(database: Database, collection: str, rows: Sequence[Row]) -> tuple[list[Row], bool]:
    """The chunks of visible versions, in their order; and whether a document changed under the reader's hands.

    That is so when it is stored, and all that was read of it belongs to other versions.
    """
    versions = await visible_versions(database, collection, (row["document"] for row in rows))
    seen = [row for row in rows if versions.get(row["document"]) == row["version"]]
    missed = {row["document"] for row in rows} & versions.keys() - {row["document"] for row in seen}
    return seen, bool(missed)


def batches(values: Sequence[T], size: int) -> Iterator[list[T]]:
    """``values`` in lists of at most ``size``."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
