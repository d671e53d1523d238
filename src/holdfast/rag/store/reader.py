"""Documents, chunks and counts as the store gives them back.

Every function runs inside the caller's read transaction.
"""

# ruff: noqa: S608 - the SQL that is put together here is ours: names of tables and question marks

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import DocumentPage, DocumentRecord, StoreStatus
from holdfast.rag.store.codec import read_metadata, typed_value, unpack_rows, unpack_spans
from holdfast.rag.types import Chunk, Document, Mime, StoredChunk

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from holdfast.rag.types import Scalar

__all__ = [
    "chunk_ids_of",
    "collection_of",
    "fetch_chunks",
    "filter_clause",
    "generation_of",
    "get_document",
    "ids_from",
    "instance_of",
    "list_documents",
    "records_of",
    "status_of",
]

V = TypeVar("V")

_IDS_PER_QUERY = 500  # SQLite takes some thousand parameters; each number of them is a statement of its own
_NANOSECONDS = 1_000_000_000
_DECODED = 1_024
"""Passages that are kept as they were read: the same ones are found again and again. Some 10 MB at most."""

_RECORD = (
    "SELECT d.id, d.title, d.uri, d.mime, d.content_hash, d.chunks, d.characters, s.embedder, d.stored_at, d.metadata, "
    "d.source "
    "FROM documents AS d LEFT JOIN spaces AS s ON s.key = d.space"
)


def collection_of(connection: sqlite3.Connection, name: str) -> tuple[int, int] | None:
    """A collection's key and its number of chunks."""
    found: tuple[int, int] | None = connection.execute(
        "SELECT key, chunks FROM collections WHERE name = ?", (name,)
    ).fetchone()
    return found


def instance_of(connection: sqlite3.Connection) -> str:
    """The store's own mark, given at its creation."""
    instance: str = connection.execute("SELECT instance FROM meta").fetchone()[0]
    return instance


def generation_of(connection: sqlite3.Connection) -> int:
    """The generation of the content that this transaction sees."""
    generation: int = connection.execute("SELECT generation FROM meta").fetchone()[0]
    return generation


def status_of(connection: sqlite3.Connection, bytes_on_disk: int) -> StoreStatus:
    """Counts and sizes."""
    documents, chunks, sentences = connection.execute(
        "SELECT coalesce(sum(documents), 0), coalesce(sum(chunks), 0), coalesce(sum(sentences), 0) FROM collections"
    ).fetchone()
    vectors = connection.execute(
        "SELECT s.embedder, count(*) FROM vectors AS v JOIN spaces AS s ON s.key = v.space GROUP BY s.embedder"
    ).fetchall()
    return StoreStatus(
        documents=documents,
        chunks=chunks,
        sentences=sentences,
        generation=generation_of(connection),
        vectors=dict(vectors),
        bytes_on_disk=bytes_on_disk,
    )


def chunk_ids_of(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int, str]:
    """The ids of chunks by their keys; keys that are gone are left out."""
    ids: dict[int, str] = {}
    for some in _batches(keys):
        ids.update(connection.execute(f"SELECT key, id FROM chunks WHERE key IN ({_marks(some)})", some).fetchall())
    return ids


def filter_clause(filters: Mapping[str, Scalar]) -> tuple[str, list[object]]:
    """SQL for the keys of the documents whose metadata have all of these values, and its parameters.

    Raises:
        InvalidInputError: a value is not text, a number, true or false.
    """
    one = "SELECT document FROM attributes WHERE name = ? AND kind = ? AND value = ?"
    parameters: list[object] = []
    for name, value in filters.items():
        parameters += [name, *typed_value("filters", name, value)]
    return " INTERSECT ".join([one] * len(filters)), parameters


def get_document(connection: sqlite3.Connection, document_id: str, collection: str) -> Document | None:
    """A document with its text."""
    found = connection.execute(
        "SELECT d.text, d.title, d.uri, d.mime, d.content_hash, d.metadata FROM documents AS d "
        "JOIN collections AS o ON o.key = d.collection WHERE o.name = ? AND d.id = ?",
        (collection, document_id),
    ).fetchone()
    if found is None:
        return None
    text, title, uri, mime, content_hash, metadata = found
    return Document(
        id=document_id,
        text=text,
        title=title,
        uri=uri,
        mime=Mime(mime),
        content_hash=content_hash,
        collection=collection,
        metadata=read_metadata(metadata),
    )


def records_of(
    connection: sqlite3.Connection, document_ids: Collection[str], collection: str
) -> dict[str, DocumentRecord]:
    """What is known of these documents, in the order of the ids given."""
    found = collection_of(connection, collection)
    if found is None:
        return {}
    records: dict[str, DocumentRecord] = {}
    for some in _batches(dict.fromkeys(document_ids)):
        rows = connection.execute(f"{_RECORD} WHERE d.collection = ? AND d.id IN ({_marks(some)})", (found[0], *some))
        by_id = {record.id: record for record in _records(rows, collection)}
        records.update((each, by_id[each]) for each in some if each in by_id)
    return records


def ids_from(connection: sqlite3.Connection, source: str, collection: str) -> list[str]:
    """The ids of the documents that came from a source, in their order."""
    rows = connection.execute(
        "SELECT d.id FROM documents AS d JOIN collections AS o ON o.key = d.collection "
        "WHERE o.name = ? AND d.source = ? AND d.source != '' ORDER BY d.id",
        (collection, source),
    )
    return [each for (each,) in rows]


def list_documents(connection: sqlite3.Connection, collection: str, limit: int, cursor: str | None) -> DocumentPage:
    """A page of documents in the order of their ids; the cursor is the last id of the page before."""
    if limit < 1:
        raise InvalidInputError("limit", f"{limit} is too small: ask for at least 1 document")
    found = collection_of(connection, collection)
    if found is None:
        return DocumentPage(documents=[])
    after, parameters = ("", [found[0]]) if cursor is None else (" AND d.id > ?", [found[0], cursor])
    rows = connection.execute(
        f"{_RECORD} WHERE d.collection = ?{after} ORDER BY d.id LIMIT ?", (*parameters, limit + 1)
    )
    documents = list(_records(rows, collection))
    more = len(documents) > limit
    return DocumentPage(documents=documents[:limit], next_cursor=documents[limit - 1].id if more else None)


def fetch_chunks(
    connection: sqlite3.Connection, chunk_ids: Sequence[str], collection: str, *, sentence_vectors: bool
) -> list[StoredChunk]:
    """Chunks in the order asked for; ids that are not stored are left out."""
    found = collection_of(connection, collection)
    if found is None:
        return []
    columns, joins = ("s.codes, p.dimension", _SENTENCES) if sentence_vectors else ("NULL, NULL", "")
    chunks: dict[str, StoredChunk] = {}
    for some in _batches(dict.fromkeys(chunk_ids)):
        for row in connection.execute(
            "SELECT c.id, d.id, c.ordinal, c.start, c.stop, c.spans, c.heading, c.text, d.title, d.uri, d.mime, "
            f"{columns} FROM chunks AS c JOIN documents AS d ON d.key = c.document{joins} "
            f"WHERE c.collection = ? AND c.id IN ({_marks(some)})",
            (found[0], *some),
        ):
            chunks[row[0]] = _stored_chunk(row)
    return [chunks[each] for each in chunk_ids if each in chunks]


_SENTENCES = " LEFT JOIN sentence_vectors AS s ON s.key = c.key LEFT JOIN spaces AS p ON p.key = d.space"


@lru_cache(_DECODED)
def _stored_chunk(row: tuple[Any, ...]) -> StoredChunk:
    """A row as a chunk; equal rows give the same one, whichever store and generation they are from."""
    chunk_id, document_id, ordinal, start, stop, spans, heading, text, title, uri, mime, codes, dimension = row
    chunk = Chunk(
        id=chunk_id,
        document_id=document_id,
        ordinal=ordinal,
        start=start,
        end=stop,
        heading=heading,
        text=text,
        sentences=unpack_spans(spans, start),
    )
    vectors = None if codes is None else unpack_rows(codes, dimension)
    if vectors is not None:
        vectors.setflags(write=False)
    return StoredChunk(chunk=chunk, title=title, uri=uri, mime=Mime(mime), sentence_vectors=vectors)


def _records(rows: Iterable[tuple[Any, ...]], collection: str) -> Iterator[DocumentRecord]:
    for row in rows:
        document_id, title, uri, mime, content_hash, chunks, characters, embedder, stored_at, metadata, source = row
        yield DocumentRecord(
            id=document_id,
            collection=collection,
            title=title,
            uri=uri,
            mime=mime,
            content_hash=content_hash,
            chunks=chunks,
            characters=characters,
            embedder_id=embedder,
            stored_at=stored_at / _NANOSECONDS,
            metadata=read_metadata(metadata),
            source=source,
        )


def _batches(values: Iterable[V]) -> Iterator[list[V]]:
    rest = list(values)
    for start in range(0, len(rest), _IDS_PER_QUERY):
        yield rest[start : start + _IDS_PER_QUERY]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
