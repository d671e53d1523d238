"""How the table is laid out: a document is a row, and so is each of its chunks, all in one table.

A table of LanceDB changes by commits, each a new version of the whole table, and a reader holds on to one version. So
what stands in one table can change in one commit, and what stands in two cannot. Three habits follow:

- A row's ``key`` is its document's and a number: 0 for the document, 1, 2, ... for its chunks. A document that is put
  again takes its old keys over, which the engine does in one commit without reading the table; keys that are left
  over become empty rows, and go later.
- What rows are looked up by is hashed to hexadecimal digits: nobody's text stands in a condition.
- An embedder has a column of vectors of its own, so that a search, and an index, sees one vector space.

``words`` are the chunk's words as ``store.stems`` makes them, those of the title three times and of the heading twice;
the engine's full-text index takes them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from lancedb.index import FTS, BTree, LabelList

from holdfast.rag.store.tags import mark_of, tags_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from holdfast.rag.types import Scalar

__all__ = [
    "CHUNK",
    "CREATED",
    "DOCUMENT",
    "EMPTY",
    "EVERY_ROW",
    "INDEXES",
    "LAYOUT",
    "LAYOUT_VERSION",
    "TABLE",
    "base_schema",
    "chunk_reference",
    "chunks_tag",
    "document_key",
    "documents_tag",
    "key_of",
    "keys_of",
    "quoted",
    "scope_tags",
    "source_tag",
    "vector_column",
    "vector_columns",
    "vector_field",
    "with_tags",
]

TABLE = "chunks"
"""The table's name."""
LAYOUT_VERSION = 1
LAYOUT, CREATED = b"holdfast.layout", b"holdfast.created"
"""Metadata of the schema: the version of this layout, and the microsecond of Unix time at which the table was made."""

EMPTY, DOCUMENT, CHUNK = 0, 1, 2
"""Kinds of rows."""

EVERY_ROW = 2**31 - 1
"""A limit that is none: LanceDB's own default is 10 rows."""

_VECTOR = "vector_"

INDEXES: Mapping[str, FTS | BTree | LabelList] = {
    "words": FTS(
        with_position=False,  # nobody asks for phrases
        base_tokenizer="whitespace",  # the words are made ready by us
        lower_case=False,
        stem=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=None,
    ),
    "key": BTree(),
    "reference": BTree(),
    "tags": LabelList(),
}
"""Columns that are indexed from the beginning; an index has its column's name."""


def base_schema(created_us: int) -> pa.Schema:
    """The columns of a new table."""
    text, number = pa.string(), pa.int64()
    columns = {
        "key": text,
        "kind": pa.int8(),
        "tags": pa.list_(text),
        "name": text,  # of a document: its id in hexadecimal digits of UTF-8, whose order is that of code points
        "reference": text,  # of a chunk: what it is fetched by
        "document": text,
        "title": text,
        "uri": text,
        "mime": text,
        "embedder": text,
        "dimension": number,
        "id": text,
        "ordinal": number,
        "start": number,
        "stop": number,
        "spans": pa.binary(),
        "heading": text,
        "text": text,
        "words": text,
        "codes": pa.binary(),
        "content_hash": text,
        "metadata": text,
        "source": text,
        "chunks": number,
        "sentences": number,
        "characters": number,
        "stored_at": number,
        "body": pa.large_string(),
    }
    return pa.schema(
        [pa.field(name, kind) for name, kind in columns.items()],
        metadata={LAYOUT: str(LAYOUT_VERSION).encode(), CREATED: str(created_us).encode()},
    )


def vector_column(embedder_id: str) -> str:
    """The column of an embedder's vectors."""
    return f"{_VECTOR}{mark_of('embedder', embedder_id)[:16]}"


def vector_field(embedder_id: str, dimension: int) -> pa.Field:
    """The column of an embedder's vectors with its type."""
    return pa.field(vector_column(embedder_id), pa.list_(pa.float32(), dimension))


def vector_columns(schema: pa.Schema) -> list[str]:
    """The columns of vectors that there are."""
    return [name for name in schema.names if name.startswith(_VECTOR)]


def document_key(collection: str, document_id: str) -> str:
    """What the keys of a document's rows begin with."""
    return mark_of("document", collection, document_id)


def key_of(document: str, slot: int) -> str:
    """The key of a document's row (slot 0) or of one of its chunks."""
    return f"{document}:{slot:08d}"


def keys_of(document: str) -> str:
    """A condition for all rows of a document."""
    return f"key >= '{document}:' AND key < '{document};'"  # the semicolon comes after the colon


def chunk_reference(collection: str, chunk_id: str) -> str:
    """What a chunk is fetched by."""
    return mark_of("chunk", collection, chunk_id)


def documents_tag(collection: str) -> str:
    """The mark of a collection's documents."""
    return mark_of("documents", collection)


def source_tag(collection: str, source: str) -> str:
    """The mark of the documents that came from a source."""
    return mark_of("source", collection, source, "")


def chunks_tag(collection: str) -> str:
    """The mark of a collection's chunks."""
    return mark_of("chunks", collection)


def scope_tags(collection: str, filters: Mapping[str, Scalar]) -> list[str]:
    """The marks of the chunks that a search may find.

    Raises:
        InvalidInputError: a filter's value is not text, a number, true or false.
    """
    return [chunks_tag(collection), *tags_of("filters", filters)]


def with_tags(tags: Collection[str]) -> str:
    """A condition for the rows that have all of these marks."""
    return f"array_has_all(tags, [{quoted(tags)}])"


def quoted(marks: Iterable[str]) -> str:
    """Marks and keys, which are ours and hold hexadecimal digits, as a list in a condition."""
    return ", ".join(f"'{mark}'" for mark in marks)
