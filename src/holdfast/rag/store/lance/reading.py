"""Documents, chunks and counts as they stand in one version of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancedb.query import ColumnOrdering

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import DocumentPage, StoreStatus
from holdfast.rag.store.lance.layout import (
    DOCUMENT,
    EVERY_ROW,
    chunk_reference,
    document_key,
    documents_tag,
    key_of,
    quoted,
    source_tag,
    with_tags,
)
from holdfast.rag.store.lance.rows import (
    CHUNK_COLUMNS,
    RECORD_COLUMNS,
    document_from,
    name_of,
)
from holdfast.rag.store.named_rows import record_from, stored_chunk_from

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.rag.store.base import DocumentRecord
    from holdfast.rag.store.lance.home import Snapshot
    from holdfast.rag.store.lance.rows import Row
    from holdfast.rag.types import Document, StoredChunk

__all__ = ["fetch_chunks", "get_document", "ids_from", "list_documents", "records_of", "status_of"]


def get_document(snapshot: Snapshot, document_id: str, collection: str) -> Document | None:
    """A document with its text."""
    condition = f"key = '{key_of(document_key(collection, document_id), 0)}' AND kind = {DOCUMENT}"
    rows = _rows(snapshot, condition, [*RECORD_COLUMNS, "body"])
    return document_from(rows[0], collection) if rows else None


def records_of(snapshot: Snapshot, document_ids: Collection[str], collection: str) -> dict[str, DocumentRecord]:
    """What is known of these documents, in the order of the ids given."""
    wanted = list(dict.fromkeys(document_ids))
    if not wanted:
        return {}
    keys = [key_of(document_key(collection, each), 0) for each in wanted]
    rows = _rows(snapshot, f"key IN ({quoted(keys)}) AND kind = {DOCUMENT}", RECORD_COLUMNS)
    by_id = {row["document"]: record_from(row, document_id=row["document"], collection=collection) for row in rows}
    return {each: by_id[each] for each in wanted if each in by_id}


def ids_from(snapshot: Snapshot, source: str, collection: str) -> list[str]:
    """The ids of the documents that came from a source, in their order; none for the empty source."""
    if not source:
        return []
    return sorted(row["document"] for row in _rows(snapshot, with_tags([source_tag(collection, source)]), ["document"]))


def list_documents(snapshot: Snapshot, collection: str, limit: int, cursor: str | None) -> DocumentPage:
    """A page of documents in the order of their ids; the cursor is the last id of the page before."""
    if limit < 1:
        raise InvalidInputError("limit", f"{limit} is too small: ask for at least 1 document")
    condition = with_tags([documents_tag(collection)])
    if cursor is not None:
        condition += f" AND name > '{name_of(cursor)}'"
    query = snapshot.table.search().where(condition).select([*RECORD_COLUMNS, "name"])
    ordered = query.order_by([ColumnOrdering(column_name="name")]).limit(limit + 1)
    documents = [
        record_from(row, document_id=row["document"], collection=collection) for row in ordered.to_arrow().to_pylist()
    ]
    more = len(documents) > limit
    return DocumentPage(documents=documents[:limit], next_cursor=documents[limit - 1].id if more else None)


def fetch_chunks(
    snapshot: Snapshot, chunk_ids: Sequence[str], collection: str, *, sentence_vectors: bool
) -> list[StoredChunk]:
    """Chunks in the order asked for; ids that are not stored are left out."""
    references = {each: chunk_reference(collection, each) for each in chunk_ids}
    if not references:
        return []
    columns = [*CHUNK_COLUMNS, "codes"] if sentence_vectors else CHUNK_COLUMNS
    rows = _rows(snapshot, f"reference IN ({quoted(references.values())})", columns)
    chunks = {row["reference"]: stored_chunk_from(row) for row in rows}
    return [chunks[references[each]] for each in chunk_ids if references[each] in chunks]


def status_of(snapshot: Snapshot, bytes_on_disk: int) -> StoreStatus:
    """Counts and sizes."""
    rows = _rows(snapshot, f"kind = {DOCUMENT}", ["chunks", "sentences", "embedder"])
    vectors: dict[str, int] = {}
    for row in rows:
        if row["embedder"] is not None and row["chunks"]:
            vectors[row["embedder"]] = vectors.get(row["embedder"], 0) + row["chunks"]
    return StoreStatus(
        documents=len(rows),
        chunks=sum(row["chunks"] for row in rows),
        sentences=sum(row["sentences"] for row in rows),
        generation=snapshot.generation,
        vectors=vectors,
        bytes_on_disk=bytes_on_disk,
    )


def _rows(snapshot: Snapshot, condition: str, columns: list[str]) -> list[Row]:
    rows: list[Row] = snapshot.table.search().where(condition).select(columns).limit(EVERY_ROW).to_arrow().to_pylist()
    return rows
