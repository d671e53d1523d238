"""Dead letters as rows: one by its id, changed by one upsert, so that nothing has to be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError
from holdfast.rag.store.dead_letters import DeadLetter, DeadLetterPage
from holdfast.rag.store.mongo.jobs import item_from, item_row
from holdfast.rag.store.mongo.layout import DEAD_LETTERS
from holdfast.rag.store.mongo.rows import NS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["bury", "find_letter", "list_letters", "remove_letters", "sources_of_letters"]

_WITHOUT_PAYLOAD = {"item.payload": 0}
_FIELDS = ("collection", "document_id", "uri", "reason", "kind", "stage", "source", "path", "file_uri")


async def bury(database: Database, letters: Sequence[DeadLetter], *, now_ns: int) -> None:
    """Keep these; one that is there counts a try more."""
    for each in letters:
        row = {name: getattr(each, name) for name in _FIELDS}
        await database[DEAD_LETTERS].update_one(
            {"_id": each.id},
            {
                "$set": {**row, "item": None if each.item is None else item_row(each.item), "last_at": now_ns},
                "$setOnInsert": {"first_at": now_ns},
                "$inc": {"tries": 1},
            },
            upsert=True,
        )


async def find_letter(database: Database, letter_id: str) -> DeadLetter | None:
    """A dead letter with its payload."""
    row = await database[DEAD_LETTERS].find_one({"_id": letter_id})
    return None if row is None else _letter(row)


async def list_letters(database: Database, collection: str | None, limit: int, cursor: str | None) -> DeadLetterPage:
    """A page of dead letters in the order of their ids; the cursor is the last id of the page before."""
    if limit < 1:
        raise InvalidInputError("limit", f"{limit} is too small: ask for at least 1 dead letter")
    wanted: Row = {"_id": {"$gt": cursor or ""}}
    if collection is not None:
        wanted["collection"] = collection
    rows = await database[DEAD_LETTERS].find(wanted, _WITHOUT_PAYLOAD).sort("_id").limit(limit + 1).to_list()
    letters = [_letter(row) for row in rows[:limit]]
    return DeadLetterPage(letters=letters, next_cursor=letters[-1].id if len(rows) > limit else None)


async def sources_of_letters(database: Database, collection: str) -> dict[str, str]:
    """The ids of a collection's dead letters, each with its source."""
    rows = database[DEAD_LETTERS].find({"collection": collection}, {"source": 1})
    return {row["_id"]: row["source"] async for row in rows}


async def remove_letters(database: Database, letter_ids: Collection[str]) -> int:
    """Forget these; how many there were. Without ids it is still a write that the server has to take."""
    return (await database[DEAD_LETTERS].delete_many({"_id": {"$in": list(letter_ids)}})).deleted_count


def _letter(row: Row) -> DeadLetter:
    item = row.get("item")
    return DeadLetter(
        **{name: row[name] for name in _FIELDS},
        item=None if item is None else item_from({"payload": b"", **item}),
        tries=row["tries"],
        first_at=row["first_at"] / NS,
        last_at=row["last_at"] / NS,
    )
