"""Documents and chunks as rows of the table, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from holdfast.errors import InvalidInputError
from holdfast.rag.store.chunk_rows import checked_dimension, packed
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.lance.layout import (
    CHUNK,
    DOCUMENT,
    EMPTY,
    base_schema,
    chunk_reference,
    chunks_tag,
    document_key,
    documents_tag,
    key_of,
    source_tag,
    vector_field,
)
from holdfast.rag.store.stems import weighted_words
from holdfast.rag.store.tags import tags_of
from holdfast.rag.types import Document, Mime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.types import EmbeddedChunk

__all__ = [
    "CHUNK_COLUMNS",
    "RECORD_COLUMNS",
    "Row",
    "document_from",
    "document_rows",
    "name_of",
    "with_empty_rows",
]

Row: TypeAlias = "dict[str, Any]"


RECORD_COLUMNS = [
    *("document", "title", "uri", "mime", "content_hash", "metadata", "embedder"),
    *("chunks", "characters", "stored_at", "source"),
]
"""What of a document's row a :class:`DocumentRecord` needs; not its text."""
CHUNK_COLUMNS = [
    *("id", "document", "ordinal", "start", "stop", "spans", "heading", "text", "title", "uri", "mime", "dimension"),
    "reference",
]
"""What of a chunk's row a :class:`StoredChunk` needs, but for its sentences' vectors."""


def name_of(document_id: str) -> str:
    """What documents are listed in the order of."""
    return document_id.encode().hex()


def document_rows(
    document: Document, chunks: Sequence[EmbeddedChunk], *, embedder_id: str | None, source: str, now_ns: int
) -> pa.Table:
    """A document and its chunks as rows, checked; takes time in proportion to the text.

    The column of vectors comes last, where there are vectors.

    Raises:
        InvalidInputError: vectors do not fit the embedder or each other, or two chunks share an id.
    """
    dimension = checked_dimension(chunks, embedder_id)
    if len({item.chunk.id for item in chunks}) != len(chunks):
        raise InvalidInputError("chunks", "two chunks share an id: ids are unique in a collection")
    key = document_key(document.collection, document.id)
    shared: Row = {
        "document": document.id,
        "title": document.title,
        "uri": document.uri,
        "mime": str(document.mime),
        "embedder": embedder_id,
        "dimension": dimension,
    }
    tags = [chunks_tag(document.collection), *tags_of("metadata", document.metadata)]
    rows = [_document_row(document, chunks, source, now_ns) | shared | {"key": key_of(key, 0)}]
    rows += [
        _chunk_row(document, item) | shared | {"key": key_of(key, slot), "tags": tags}
        for slot, item in enumerate(chunks, start=1)
    ]
    table = pa.Table.from_pylist(rows, schema=base_schema(0).remove_metadata())
    if embedder_id is None or not dimension:
        return table
    field = vector_field(embedder_id, dimension)
    vectors = np.stack([item.vector for item in chunks if item.vector is not None]).astype("<f4", copy=False)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    return table.append_column(field, pa.chunked_array([pa.nulls(1, field.type), column.cast(field.type)]))


def with_empty_rows(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows, and an empty one for each of the keys: nobody finds it."""
    if not keys:
        return rows
    empty = {field.name: pa.nulls(len(keys), field.type) for field in rows.schema if field.name not in {"key", "kind"}}
    columns = {"key": pa.array(keys, pa.string()), "kind": pa.array([EMPTY] * len(keys), pa.int8()), **empty}
    return pa.concat_tables([rows, pa.table([columns[name] for name in rows.schema.names], schema=rows.schema)])


def document_from(row: Row, collection: str) -> Document:
    """A document with its text."""
    return Document(
        id=row["document"],
        text=row["body"],
        title=row["title"],
        uri=row["uri"],
        mime=Mime(row["mime"]),
        content_hash=row["content_hash"],
        collection=collection,
        metadata=read_metadata(row["metadata"]),
    )


def _document_row(document: Document, chunks: Sequence[EmbeddedChunk], source: str, now_ns: int) -> Row:
    tags = [documents_tag(document.collection)]
    return {
        "kind": DOCUMENT,
        "tags": [*tags, source_tag(document.collection, source)] if source else tags,
        "name": name_of(document.id),
        "content_hash": document.content_hash,
        "metadata": write_metadata(document.metadata),
        "source": source,
        "chunks": len(chunks),
        "sentences": sum(len(item.chunk.sentences) for item in chunks),
        "characters": len(document.text),
        "stored_at": now_ns,
        "body": document.text,
    }


def _chunk_row(document: Document, item: EmbeddedChunk) -> Row:
    row = packed(item)
    return {
        "kind": CHUNK,
        "reference": chunk_reference(document.collection, row.id),
        "id": row.id,
        "ordinal": row.ordinal,
        "start": row.start,
        "stop": row.stop,
        "spans": row.spans,
        "heading": row.heading,
        "text": row.text,
        "words": " ".join(weighted_words(document.title, row.heading, row.text)),
        "codes": row.codes,
    }
