"""Documents, chunks and counts as the store gives them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import DocumentPage, StoreStatus
from holdfast.rag.store.mongo.layout import CHUNKS, DOCUMENTS, key_of
from holdfast.rag.store.mongo.rows import (
    CHUNK_FIELDS,
    RECORD_FIELDS,
    document_from,
)
from holdfast.rag.store.mongo.visibility import LOOKS, batches, only_visible
from holdfast.rag.store.named_rows import record_from, stored_chunk_from

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.rag.store.base import DocumentRecord
    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.types import Document, StoredChunk

__all__ = ["fetch_chunks", "get_document", "ids_from", "list_documents", "records_of", "status_of"]

_IDS_AT_ONCE = 500
_COUNTS: Row = {
    "documents": {"$sum": 1},
    "chunks": {"$sum": "$chunks"},
    "sentences": {"$sum": "$sentences"},
}


async def get_document(database: Database, document_id: str, collection: str) -> Document | None:
    """A document with its text."""
    row = await database[DOCUMENTS].find_one({"_id": key_of(collection, document_id), "live": True})
    return None if row is None else document_from(row)


async def records_of(database: Database, document_ids: Collection[str], collection: str) -> dict[str, DocumentRecord]:
    """What is known of these documents, in the order of the ids given."""
    found: dict[str, DocumentRecord] = {}
    for some in batches(list(dict.fromkeys(document_ids)), _IDS_AT_ONCE):
        keys = [key_of(collection, each) for each in some]
        async for row in database[DOCUMENTS].find({"_id": {"$in": keys}, "live": True}, RECORD_FIELDS):
            found[row["id"]] = record_from(row, document_id=row["id"], collection=collection)
    return {each: found[each] for each in document_ids if each in found}


async def ids_from(database: Database, source: str, collection: str) -> list[str]:
    """The ids of the documents that came from a source, in their order."""
    if not source:
        return []
    rows = database[DOCUMENTS].find({"collection": collection, "source": source, "live": True}, {"id": 1})
    return [row["id"] async for row in rows.sort("id")]


async def list_documents(database: Database, collection: str, limit: int, cursor: str | None) -> DocumentPage:
    """A page of documents in the order of their ids; the cursor is the last id of the page before."""
    if limit < 1:
        raise InvalidInputError("limit", f"{limit} is too small: ask for at least 1 document")
    wanted: Row = {"collection": collection, "live": True}
    if cursor is not None:
        wanted["id"] = {"$gt": cursor}
    rows = await database[DOCUMENTS].find(wanted, RECORD_FIELDS).sort("id").limit(limit + 1).to_list()
    documents = [record_from(row, document_id=row["id"], collection=collection) for row in rows[:limit]]
    return DocumentPage(documents=documents, next_cursor=documents[-1].id if len(rows) > limit else None)


async def fetch_chunks(
    database: Database, chunk_ids: Sequence[str], collection: str, *, sentence_vectors: bool
) -> list[StoredChunk]:
    """Chunks in the order asked for; ids that are not stored are left out."""
    fields = {**CHUNK_FIELDS, "codes": 1, "dimension": 1} if sentence_vectors else CHUNK_FIELDS
    wanted = list(dict.fromkeys(chunk_ids))
    found: dict[str, Row] = {}
    for _ in range(LOOKS):
        rows: list[Row] = []
        for some in batches(wanted, _IDS_AT_ONCE):
            rows += await database[CHUNKS].find({"collection": collection, "id": {"$in": some}}, fields).to_list()
        seen, changed = await only_visible(database, collection, rows)
        found = {row["id"]: row for row in seen}
        if not changed:
            break
    return [stored_chunk_from(found[each]) for each in chunk_ids if each in found]


async def status_of(database: Database, generation: int) -> StoreStatus:
    """Counts and sizes."""
    vectors: dict[str, int] = {}
    documents = chunks = sentences = 0
    groups = await database[DOCUMENTS].aggregate(
        [{"$match": {"live": True}}, {"$group": {"_id": "$embedder", **_COUNTS}}]
    )
    async for group in groups:
        documents += group["documents"]
        chunks += group["chunks"]
        sentences += group["sentences"]
        if group["_id"] is not None and group["chunks"]:
            vectors[group["_id"]] = group["chunks"]
    sizes = await database.command("dbStats")
    return StoreStatus(
        documents=documents,
        chunks=chunks,
        sentences=sentences,
        generation=generation,
        vectors=vectors,
        bytes_on_disk=int(sizes.get("storageSize", 0) + sizes.get("indexSize", 0)),
    )
