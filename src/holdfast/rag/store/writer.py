"""What a document's change does to the tables. Every function runs inside the caller's write transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError
from holdfast.rag.store.chunk_rows import (
    ChunkRow,
    checked_dimension,
    insert_chunks,
    packed,
    remove_chunks,
    stored_rows,
)
from holdfast.rag.store.codec import typed_value, write_metadata
from holdfast.rag.store.schema import create_words, drop_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from holdfast.rag.types import Document, EmbeddedChunk

__all__ = ["delete_document", "put_document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    chunks: int
    sentences: int


@dataclass(frozen=True, slots=True)
class _Before:
    """A document's key, and what its chunks were stored with."""

    key: int
    title: str
    space: int | None
    counts: _Counts


def put_document(
    connection: sqlite3.Connection,
    document: Document,
    chunks: Sequence[EmbeddedChunk],
    *,
    embedder_id: str | None,
    source: str = "",
    now_ns: int,
) -> None:
    """Store a document with its chunks, replacing what was there; chunks whose content stayed keep their rows.

    Raises:
        InvalidInputError: the vectors do not fit the embedder or each other, or two chunks share an id.
    """
    dimension = checked_dimension(chunks, embedder_id)
    collection = _collection(connection, document.collection)
    space = None if embedder_id is None else _space(connection, collection, embedder_id, dimension)
    sentences = sum(len(item.chunk.sentences) for item in chunks)
    counts = _Counts(chunks=len(chunks), sentences=sentences)
    before = _write_document(connection, collection, document, counts, space=space, source=source, now_ns=now_ns)

    old = {row.id: (chunk_key, row) for chunk_key, row in stored_rows(connection, before.key)}
    same_words = before.title == document.title and before.space == space
    new: list[ChunkRow] = []
    moved: list[tuple[object, ...]] = []
    for row in map(packed, chunks):
        key, stored = old.get(row.id, (0, None))
        if stored is None or not same_words or stored.content != row.content:
            new.append(row)
            continue
        del old[row.id]
        if stored.place != row.place:
            moved.append((*row.place, key))
    remove_chunks(connection, collection, old.values(), title=before.title, space=before.space)
    connection.executemany("UPDATE chunks SET ordinal = ?, start = ?, stop = ?, spans = ? WHERE key = ?", moved)
    first = _advance(connection, now_ns, keys=len(new))
    insert_chunks(connection, collection, before.key, new, title=document.title, space=space, first=first)


def delete_document(connection: sqlite3.Connection, document_id: str, *, collection: str, now_ns: int) -> bool:
    """Remove a document with everything made of it, and its collection when it was the last; False if not there."""
    found = connection.execute(
        "SELECT d.key, d.collection, d.title, d.space, d.chunks, d.sentences FROM documents AS d "
        "JOIN collections AS o ON o.key = d.collection WHERE o.name = ? AND d.id = ?",
        (collection, document_id),
    ).fetchone()
    if found is None:
        return False
    key, collection_key, title, space, chunk_count, sentence_count = found
    remove_chunks(connection, collection_key, stored_rows(connection, key), title=title, space=space)
    connection.execute("DELETE FROM attributes WHERE document = ?", (key,))
    connection.execute("DELETE FROM documents WHERE key = ?", (key,))
    (left,) = connection.execute(
        "UPDATE collections SET documents = documents - 1, chunks = chunks - ?, sentences = sentences - ? "
        "WHERE key = ? RETURNING documents",
        (chunk_count, sentence_count, collection_key),
    ).fetchone()
    if left == 0:
        drop_words(connection, collection_key)
        connection.execute("DELETE FROM spaces WHERE collection = ?", (collection_key,))
        connection.execute("DELETE FROM collections WHERE key = ?", (collection_key,))
    _advance(connection, now_ns, keys=0)
    return True


def _collection(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT key FROM collections WHERE name = ?", (name,)).fetchone()
    if found is None:
        found = connection.execute("INSERT INTO collections (name) VALUES (?) RETURNING key", (name,)).fetchone()
        create_words(connection, found[0])
    key: int = found[0]
    return key


def _space(connection: sqlite3.Connection, collection: int, embedder_id: str, dimension: int) -> int:
    found = connection.execute(
        "SELECT key, dimension FROM spaces WHERE collection = ? AND embedder = ?", (collection, embedder_id)
    ).fetchone()
    if found is None:
        found = connection.execute(
            "INSERT INTO spaces (collection, embedder, dimension) VALUES (?, ?, ?) RETURNING key, dimension",
            (collection, embedder_id, dimension),
        ).fetchone()
    key: int = found[0]
    if found[1] == 0:  # so far only documents without a chunk were stored
        connection.execute("UPDATE spaces SET dimension = ? WHERE key = ?", (dimension, key))
    elif dimension not in (0, found[1]):
        raise InvalidInputError(
            "chunks",
            f"the vectors have {dimension} numbers, but those of {embedder_id!r} in this collection have {found[1]}: "
            "give another model another id",
        )
    return key


def _write_document(
    connection: sqlite3.Connection,
    collection: int,
    document: Document,
    counts: _Counts,
    *,
    space: int | None,
    source: str,
    now_ns: int,
) -> _Before:
    values = (
        document.title,
        document.uri,
        document.mime,
        document.content_hash,
        write_metadata(document.metadata),
        space,
        counts.chunks,
        counts.sentences,
        len(document.text),
        now_ns,
        source,
        document.text,
    )
    found = connection.execute(
        "SELECT key, title, space, chunks, sentences FROM documents WHERE collection = ? AND id = ?",
        (collection, document.id),
    ).fetchone()
    if found is None:
        (key,) = connection.execute(
            "INSERT INTO documents (collection, id, title, uri, mime, content_hash, metadata, space, chunks, sentences,"
            " characters, stored_at, source, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
            (collection, document.id, *values),
        ).fetchone()
        before, change = _Before(key, document.title, space, _Counts(chunks=0, sentences=0)), 1
    else:
        key, title, old_space, chunks, sentences = found
        before, change = _Before(key, title, old_space, _Counts(chunks=chunks, sentences=sentences)), 0
        connection.execute(
            "UPDATE documents SET title = ?, uri = ?, mime = ?, content_hash = ?, metadata = ?, space = ?, chunks = ?,"
            " sentences = ?, characters = ?, stored_at = ?, source = ?, text = ? WHERE key = ?",
            (*values, before.key),
        )
        connection.execute("DELETE FROM attributes WHERE document = ?", (before.key,))
    connection.executemany(
        "INSERT INTO attributes (document, name, kind, value) VALUES (?, ?, ?, ?)",
        [(before.key, name, *typed_value("metadata", name, value)) for name, value in document.metadata.items()],
    )
    connection.execute(
        "UPDATE collections SET documents = documents + ?, chunks = chunks + ?, sentences = sentences + ? "
        "WHERE key = ?",
        (change, counts.chunks - before.counts.chunks, counts.sentences - before.counts.sentences, collection),
    )
    return before


def _advance(connection: sqlite3.Connection, now_ns: int, *, keys: int) -> int:
    """Give the content a new generation; the first of ``keys`` new keys."""
    now = now_ns // 1000
    generation, last_key = connection.execute("SELECT generation, last_key FROM meta").fetchone()
    first: int = max(last_key + 1, now)
    connection.execute(
        "UPDATE meta SET generation = ?, last_key = ?",
        (max(generation + 1, now), first + keys - 1 if keys else last_key),
    )
    return first
