"""Documents and chunks as rows of MongoDB, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bson
import numpy as np
from bson.binary import VECTOR_SUBTYPE, Binary, BinaryVectorDtype
from bson.raw_bson import RawBSONDocument

from holdfast.errors import InvalidInputError
from holdfast.rag.store.chunk_rows import checked_dimension, packed
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.mongo.faults import too_large
from holdfast.rag.store.stems import index_words
from holdfast.rag.store.tags import tags_of
from holdfast.rag.types import Document, Mime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.mongo.client import Row
    from holdfast.rag.types import EmbeddedChunk

__all__ = [
    "CHUNK_FIELDS",
    "CONTENT_FIELDS",
    "RECORD_FIELDS",
    "Prepared",
    "document_from",
    "prepared",
    "vector_field",
    "vector_from",
]

NS = 1_000_000_000
MAX_ROW_BYTES = 16 * 1024 * 1024 - 16 * 1024  # MongoDB's limit, less what marks and the command around it take
_VECTOR_HEADER = BinaryVectorDtype.FLOAT32.value + b"\0"  # its kind, and no bits of padding

RECORD_FIELDS = dict.fromkeys(
    ("id", "title", "uri", "mime", "content_hash", "metadata", "embedder", "chunks", "characters", "stored_at"), 1
) | {"source": 1}
"""What of a document's row a :class:`DocumentRecord` needs; not its text."""
CONTENT_FIELDS = (*RECORD_FIELDS, "text", "tags", "dimension", "sentences", "tokens")
"""What goes from a document's row when it is deleted."""
CHUNK_FIELDS = dict.fromkeys(
    ("id", "document", "version", "ordinal", "start", "stop", "spans", "heading", "text", "title", "uri", "mime"), 1
)
"""What of a chunk's row a :class:`StoredChunk` needs, but for its sentences' vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document as it is to be written, checked and encoded: nothing of it can be refused for its content any more."""

    content: Row
    chunks: Sequence[RawBSONDocument]
    dimension: int


def prepared(
    document: Document,
    chunks: Sequence[EmbeddedChunk],
    *,
    embedder_id: str | None,
    source: str,
    version: str,
    now_ns: int,
) -> Prepared:
    """Check and encode; takes time in proportion to the text.

    Raises:
        InvalidInputError: vectors do not fit the embedder or each other, two chunks share an id, a text is not valid
            Unicode, or a row is larger than MongoDB takes.
    """
    dimension = checked_dimension(chunks, embedder_id)
    if len({item.chunk.id for item in chunks}) != len(chunks):
        raise InvalidInputError("chunks", "two chunks share an id: ids are unique in a collection")
    tags = tags_of("metadata", document.metadata)
    words = [index_words(document.title, item.chunk.heading, item.chunk.text) for item in chunks]
    content: Row = {
        "title": document.title,
        "uri": document.uri,
        "mime": str(document.mime),
        "content_hash": document.content_hash,
        "metadata": write_metadata(document.metadata),
        "tags": tags,
        "embedder": embedder_id,
        "dimension": dimension,
        "chunks": len(chunks),
        "sentences": sum(len(item.chunk.sentences) for item in chunks),
        "tokens": sum(each.tokens for each in words),
        "characters": len(document.text),
        "stored_at": now_ns,
        "source": source,
        "text": document.text,
    }
    _encoded({"id": document.id, "collection": document.collection, **content})
    rows = [
        _encoded(
            {
                "_id": f"{version}/{n}",
                "collection": document.collection,
                "document": document.id,
                "version": version,
                **_chunk_row(item),
                "title": document.title,
                "uri": document.uri,
                "mime": str(document.mime),
                "tags": tags,
                "words": indexed.words,
                "weights": indexed.weights,
                "tokens": indexed.tokens,
                "embedder": embedder_id,
                "dimension": dimension,
            }
        )
        for n, (item, indexed) in enumerate(zip(chunks, words, strict=True))
    ]
    return Prepared(content=content, chunks=rows, dimension=dimension)


def _chunk_row(item: EmbeddedChunk) -> Row:
    row = packed(item)
    fields: Row = {
        "id": row.id,
        "ordinal": row.ordinal,
        "start": row.start,
        "stop": row.stop,
        "spans": row.spans,
        "heading": row.heading,
        "text": row.text,
        "codes": row.codes,
    }
    if row.vector is not None and item.vector is not None:
        fields[vector_field(item.vector.size)] = Binary(_VECTOR_HEADER + row.vector, VECTOR_SUBTYPE)
    return fields


def _encoded(row: Row) -> RawBSONDocument:
    encoded = bson.encode(row)
    if len(encoded) > MAX_ROW_BYTES:
        raise too_large()
    return RawBSONDocument(encoded)


def vector_field(dimension: int) -> str:
    """The field of a chunk's vector: one for each dimension, since a vector index is of one dimension."""
    return f"vector_{dimension:d}"


def vector_from(row: Row, dimension: int) -> Vectors:
    """A chunk's vector."""
    vector: Vectors = np.frombuffer(row[vector_field(dimension)], dtype="<f4", offset=len(_VECTOR_HEADER))
    return vector


def document_from(row: Row) -> Document:
    """A document with its text."""
    return Document(
        id=row["id"],
        text=row["text"],
        title=row["title"],
        uri=row["uri"],
        mime=Mime(row["mime"]),
        content_hash=row["content_hash"],
        collection=row["collection"],
        metadata=read_metadata(row["metadata"]),
    )
