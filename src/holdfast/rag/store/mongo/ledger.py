"""The generation of the content: a number that grows with every committed change, and is never late.

A change commits by one update of its document's row, and the number is in another row: a process may be killed between
the two. So the commit itself leaves a mark in the row (``unannounced``), and whoever asks for the generation and finds
such a mark raises the number first. No answer that was kept under a number outlives the change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.rag.store.mongo.layout import DOCUMENTS, META

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.core.clock import Clock
    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["announce", "generation_of"]

_CONTENT = {"_id": "content"}
_MARKS_AT_ONCE = 100


async def generation_of(database: Database, clock: Clock) -> int:
    """The generation; two small reads at the same time, and more only after a process died or while one commits."""
    number, marked = await asyncio.gather(_number(database), _marked(database))
    while marked:
        await announce(database, clock, marked)
        number, marked = await asyncio.gather(_number(database), _marked(database))
    return number


async def announce(database: Database, clock: Clock, rows: Iterable[Row]) -> None:
    """Raise the generation, then take the marks off: a kill between the two raises it once more, which harms nobody."""
    await _raise(database, clock.wall_ns() // 1000)
    for row in rows:
        await database[DOCUMENTS].update_one(
            {"_id": row["_id"], "unannounced": row["unannounced"]}, {"$unset": {"unannounced": ""}}
        )


async def _number(database: Database) -> int:
    row = await database[META].find_one(_CONTENT)
    return 0 if row is None else int(row["generation"])


async def _marked(database: Database) -> list[Row]:
    marks = database[DOCUMENTS].find({"unannounced": {"$exists": True}}, {"unannounced": 1}, limit=_MARKS_AT_ONCE)
    return await marks.to_list()


async def _raise(database: Database, now_us: int) -> None:
    """To the wall clock in microseconds, or by one if that is more: it grows also after a backup was restored."""
    meta = database[META]
    lower = await meta.update_one({**_CONTENT, "generation": {"$lt": now_us}}, {"$set": {"generation": now_us}})
    if lower.matched_count:
        return
    later = await meta.update_one(_CONTENT, {"$inc": {"generation": 1}})
    if not later.matched_count:
        await meta.update_one(_CONTENT, {"$max": {"generation": now_us}}, upsert=True)
