"""How a document changes: many writes, one of which is the change.

MongoDB changes one row atomically. Everything that a put writes is registered in the document's row, so that a kill
between any two writes leaves nothing that is lost, found twice, or forgotten:

1. ``writing.VERSION`` is set in the row, with the time: chunks of this version are being written.
2. The chunks are inserted under the version. No reader takes them: the row names another version, or none.
3. **The change**: one update of the row sets its content and ``version``, takes the mark of step 1 away, adds the
   version before to ``garbage``, and sets ``unannounced`` (see ``ledger``). It applies only while the mark is there and
   the version before is what it was thought to be.
4. The generation grows, the chunks in ``garbage`` are deleted, the marks are taken away. Whoever comes later can do it.

A delete is the same change with no version; the row goes last. A mark of step 1 that is old was left by a process that
is gone: :func:`sweep` turns it into garbage, and a put that was only slow then fails at step 3. (Only a process that
stood still for that long inside step 2, and is killed as it goes on, leaves chunks that nobody sees nor removes.)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pymongo import ReturnDocument
from pymongo.errors import OperationFailure

from holdfast.errors import StoreError
from holdfast.rag.store.mongo.faults import DUPLICATE_KEY, revoked, store_faults, unsettled
from holdfast.rag.store.mongo.layout import CHUNKS, DOCUMENTS, key_of
from holdfast.rag.store.mongo.ledger import announce
from holdfast.rag.store.mongo.rows import CONTENT_FIELDS

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.store.mongo.rows import Prepared
    from holdfast.rag.types import Document

__all__ = ["delete_document", "put_document", "sweep"]

_ROWS_AT_ONCE = 500
_TRIES = 8  # of a change that others come before
_NS = 1_000_000_000

_log = logging.getLogger(__name__)


async def put_document(
    database: Database, document: Document, prepared: Prepared, *, version: str, clock: Clock, place: str
) -> None:
    """Store the document, replacing what was there."""
    key = key_of(document.collection, document.id)
    before = await _begin(database, document, key, version, clock.wall_ns())
    rows = prepared.chunks
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        await database[CHUNKS].insert_many(rows[start : start + _ROWS_AT_ONCE], ordered=False)
    await _commit(database, key, version, before, content=prepared.content, place=place)
    await _after_the_change(database, key, version, clock, place)


async def delete_document(database: Database, collection: str, document_id: str, *, clock: Clock, place: str) -> bool:
    """Remove a document; False when it was not there."""
    key = key_of(collection, document_id)
    documents = database[DOCUMENTS]
    for _ in range(_TRIES):
        row = await documents.find_one({"_id": key, "live": True}, {"version": 1})
        if row is None:
            return False
        version = row["version"]
        mark = f"-{version}"
        change = await documents.update_one(
            {"_id": key, "live": True, "version": version},
            {
                "$set": {"live": False, "version": None, "unannounced": mark, "untidy": True},
                "$push": {"garbage": version},
                "$unset": dict.fromkeys((name for name in CONTENT_FIELDS if name != "id"), ""),
            },
        )
        if change.matched_count:
            await _after_the_change(database, key, mark, clock, place)
            return True
    raise unsettled(place)


async def sweep(database: Database, *, clock: Clock, abandoned_after: float, limit: int) -> int:
    """Finish what processes left that are gone, of at most ``limit`` documents; how many were looked at."""
    documents = database[DOCUMENTS]
    oldest = clock.wall_ns() - round(abandoned_after * _NS)
    rows = await documents.find({"untidy": True}, {"writing": 1, "unannounced": 1}, limit=limit).to_list()
    for row in rows:
        for version, since in row.get("writing", {}).items():
            if since < oldest:
                mark = f"writing.{version}"
                await documents.update_one(
                    {"_id": row["_id"], mark: {"$exists": True}},
                    {"$unset": {mark: ""}, "$push": {"garbage": version}},
                )
        if "unannounced" in row:
            await announce(database, clock, [row])
        await _tidy(database, row["_id"])
    return len(rows)


async def _begin(database: Database, document: Document, key: str, version: str, now_ns: int) -> str | None:
    """Register the version; the one that is visible now."""
    for left in reversed(range(_TRIES)):
        try:
            row = await database[DOCUMENTS].find_one_and_update(
                {"_id": key},
                {
                    "$set": {f"writing.{version}": now_ns, "untidy": True},
                    "$setOnInsert": {
                        "collection": document.collection,
                        "id": document.id,
                        "live": False,
                        "version": None,
                        "garbage": [],
                    },
                },
                projection={"version": 1},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except OperationFailure as error:
            if error.code != DUPLICATE_KEY or not left:  # two that create the same row at once: one updates it then
                raise
        else:
            visible: str | None = None if row is None else row["version"]
            return visible
    raise AssertionError("the last try raises or returns")


async def _commit(database: Database, key: str, version: str, before: str | None, *, content: Row, place: str) -> None:
    documents = database[DOCUMENTS]
    mark = f"writing.{version}"
    for _ in range(_TRIES):
        update: Row = {
            "$set": {**content, "live": True, "version": version, "unannounced": version, "untidy": True},
            "$unset": {mark: ""},
        }
        if before is not None:
            update["$push"] = {"garbage": before}
        change = await documents.update_one({"_id": key, mark: {"$exists": True}, "version": before}, update)
        if change.matched_count:
            return
        row = await documents.find_one({"_id": key}, {"version": 1, "writing": 1})
        if row is None or version not in row.get("writing", {}):
            await database[CHUNKS].delete_many({"version": version})  # those that came after the sweep
            raise revoked(place)
        before = row["version"]
    raise unsettled(place)


async def _after_the_change(database: Database, key: str, mark: str, clock: Clock, place: str) -> None:
    """Step 4. The change is made and acknowledged: what fails here is done by whoever comes next."""
    try:
        with store_faults(place):
            await announce(database, clock, [{"_id": key, "unannounced": mark}])
            await _tidy(database, key)
    except StoreError as error:
        _log.warning("A document was changed, and what is left of the old one is removed later: %s", error)


async def _tidy(database: Database, key: str) -> None:
    documents = database[DOCUMENTS]
    row = await documents.find_one({"_id": key}, {"garbage": 1, "live": 1})
    if row is None:
        return
    garbage = row["garbage"]
    if garbage:
        await database[CHUNKS].delete_many({"version": {"$in": garbage}})
    settled: Row = {"_id": key, "live": row["live"], "garbage": garbage, "writing": {}}
    if row["live"]:
        done = await documents.update_one(settled, {"$set": {"garbage": []}, "$unset": {"untidy": ""}})
        finished = done.matched_count
    else:  # the row of a deleted document stays untidy until it goes itself, which it does not before it is announced
        gone = await documents.delete_one({**settled, "unannounced": {"$exists": False}})
        finished = gone.deleted_count
    if not finished and garbage:  # somebody else changes the document too, and tidies up after that
        await documents.update_one({"_id": key}, {"$pullAll": {"garbage": garbage}})
