"""Chunks as rows: checked, packed, compared with what is stored, inserted and removed with their words and vectors."""

# ruff: noqa: S608 - the SQL that is put together here is ours: names of tables and question marks

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.rag.store.codec import pack_rows, pack_spans, pack_vector
from holdfast.rag.store.schema import words_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from holdfast.rag.types import EmbeddedChunk

__all__ = ["ChunkRow", "checked_dimension", "insert_chunks", "packed", "remove_chunks", "stored_rows"]

_REMOVALS_KEPT = 20_000  # a reader that is further behind loads its index anew


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """A chunk with its spans and vectors packed."""

    id: str
    ordinal: int
    start: int
    stop: int
    spans: bytes
    heading: str
    text: str
    vector: bytes | None
    codes: bytes | None

    @property
    def content(self) -> tuple[object, ...]:
        """What the indexes hold of it: a change of this makes it another row."""
        return (self.heading, self.text, self.vector, self.codes)

    @property
    def place(self) -> tuple[object, ...]:
        """Where it stands in its document: may change in place."""
        return (self.ordinal, self.start, self.stop, self.spans)


def checked_dimension(chunks: Sequence[EmbeddedChunk], embedder_id: str | None) -> int:
    """How many numbers the vectors have; 0 when there are none.

    Raises:
        InvalidInputError: vectors are missing, of different sizes, not finite, or there without an embedder.
    """
    dimension = 0
    for item in chunks:
        chunk_id, vector, sentences = item.chunk.id, item.vector, item.sentence_vectors
        if (vector is None) != (embedder_id is None):
            raise InvalidInputError(
                "chunks", f"chunk {chunk_id!r}: name the embedder and give every chunk a vector, or neither"
            )
        if vector is None:
            if sentences is not None:
                raise InvalidInputError("chunks", f"chunk {chunk_id!r} has sentence vectors but no vector of its own")
            continue
        dimension = dimension or vector.size
        if vector.shape != (dimension,) or dimension == 0 or not np.isfinite(vector).all():
            raise InvalidInputError(
                "chunks", f"the vector of chunk {chunk_id!r} must be {dimension} finite numbers, as the others are"
            )
        if sentences is not None and (
            sentences.shape != (len(item.chunk.sentences), dimension) or not np.isfinite(sentences).all()
        ):
            raise InvalidInputError(
                "chunks",
                f"the sentence vectors of chunk {chunk_id!r} must be one row of {dimension} finite numbers a sentence",
            )
    return dimension


def packed(item: EmbeddedChunk) -> ChunkRow:
    """A chunk as it is to be written."""
    chunk = item.chunk
    return ChunkRow(
        id=chunk.id,
        ordinal=chunk.ordinal,
        start=chunk.start,
        stop=chunk.end,
        spans=pack_spans(chunk.sentences, chunk.start),
        heading=chunk.heading,
        text=chunk.text,
        vector=None if item.vector is None else pack_vector(item.vector),
        codes=None if item.sentence_vectors is None else pack_rows(item.sentence_vectors),
    )


def stored_rows(connection: sqlite3.Connection, document: int) -> Iterator[tuple[int, ChunkRow]]:
    """The chunks of a stored document, each with its key."""
    for key, *columns in connection.execute(
        "SELECT c.key, c.id, c.ordinal, c.start, c.stop, c.spans, c.heading, c.text, v.vector, s.codes "
        "FROM chunks AS c LEFT JOIN vectors AS v ON v.key = c.key "
        "LEFT JOIN sentence_vectors AS s ON s.key = c.key WHERE c.document = ?",
        (document,),
    ).fetchall():
        names = ("id", "ordinal", "start", "stop", "spans", "heading", "text", "vector", "codes")
        yield key, ChunkRow(**dict(zip(names, columns, strict=True)))


def insert_chunks(
    connection: sqlite3.Connection,
    collection: int,
    document: int,
    rows: Sequence[ChunkRow],
    *,
    title: str,
    space: int | None,
    first: int,
) -> None:
    """Write chunks under the keys ``first``, ``first + 1``, ... with their words and vectors."""
    keyed = list(enumerate(rows, start=first))
    try:
        connection.executemany(
            "INSERT INTO chunks (key, collection, document, id, ordinal, start, stop, spans, heading, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (key, collection, document, row.id, row.ordinal, row.start, row.stop, row.spans, row.heading, row.text)
                for key, row in keyed
            ],
        )
    except sqlite3.IntegrityError as error:
        raise InvalidInputError(
            "chunks",
            "two chunks share an id, or one has the id of another document's chunk: ids are unique in a collection",
        ) from error
    connection.executemany(
        f"INSERT INTO {words_table(collection)} (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
        [(key, title, row.heading, row.text) for key, row in keyed],
    )
    connection.executemany(
        "INSERT INTO vectors (key, space, vector) VALUES (?, ?, ?)",
        [(key, space, row.vector) for key, row in keyed if row.vector is not None],
    )
    connection.executemany(
        "INSERT INTO sentence_vectors (key, codes) VALUES (?, ?)",
        [(key, row.codes) for key, row in keyed if row.codes is not None],
    )


def remove_chunks(
    connection: sqlite3.Connection,
    collection: int,
    rows: Iterable[tuple[int, ChunkRow]],
    *,
    title: str,
    space: int | None,
) -> None:
    """Remove chunks with their words and vectors; ``title`` and ``space`` are those they were stored with."""
    removed = list(rows)
    table = words_table(collection)
    connection.executemany(  # the full-text table keeps no text: to forget a row it must be told what was in it
        f"INSERT INTO {table} ({table}, rowid, title, heading, text) VALUES ('delete', ?, ?, ?, ?)",
        [(key, title, row.heading, row.text) for key, row in removed],
    )
    keys = [(key,) for key, _ in removed]
    connection.executemany("DELETE FROM chunks WHERE key = ?", keys)
    connection.executemany("DELETE FROM vectors WHERE key = ?", keys)
    connection.executemany("DELETE FROM sentence_vectors WHERE key = ?", keys)
    connection.executemany(
        "INSERT INTO removed_vectors (space, key) VALUES (?, ?)",
        [(space, key) for key, row in removed if row.vector is not None],
    )
    connection.execute(
        "DELETE FROM removed_vectors WHERE number <= (SELECT max(number) FROM removed_vectors) - ?", (_REMOVALS_KEPT,)
    )
