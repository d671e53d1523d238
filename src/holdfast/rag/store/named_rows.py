"""Rows with named fields, as LanceDB and MongoDB keep them, read back as what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.rag.store.base import DocumentRecord
from holdfast.rag.store.codec import read_metadata, unpack_rows, unpack_spans
from holdfast.rag.types import Chunk, Mime, StoredChunk

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["record_from", "stored_chunk_from"]

_NS = 1_000_000_000


def record_from(row: Mapping[str, Any], *, document_id: str, collection: str) -> DocumentRecord:
    """What is known of a document."""
    return DocumentRecord(
        id=document_id,
        collection=collection,
        title=row["title"],
        uri=row["uri"],
        mime=row["mime"],
        content_hash=row["content_hash"],
        chunks=row["chunks"],
        characters=row["characters"],
        embedder_id=row["embedder"],
        stored_at=row["stored_at"] / _NS,
        metadata=read_metadata(row["metadata"]),
        source=row["source"],
    )


def stored_chunk_from(row: Mapping[str, Any]) -> StoredChunk:
    """A chunk with what is needed of its document."""
    chunk = Chunk(
        id=row["id"],
        document_id=row["document"],
        ordinal=row["ordinal"],
        start=row["start"],
        end=row["stop"],
        heading=row["heading"],
        text=row["text"],
        sentences=unpack_spans(row["spans"], row["start"]),
    )
    codes = row.get("codes")
    vectors = None if codes is None else unpack_rows(codes, row["dimension"])
    return StoredChunk(
        chunk=chunk, title=row["title"], uri=row["uri"], mime=Mime(row["mime"]), sentence_vectors=vectors
    )
