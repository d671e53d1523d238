"""After any sequence of changes the tables say what a plain model says."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.rag.store.lexical import WordCounts, search_words
from holdfast.rag.store.reader import fetch_chunks, list_documents
from holdfast.rag.store.schema import create_file
from holdfast.rag.store.writer import delete_document, put_document
from holdfast.rag.types import Scope
from holdfast.testing.store_samples import EMBEDDER, sample_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.rag.types import Document, EmbeddedChunk

_WORDS = ("apple", "pear", "plum", "fig")
_passages = st.lists(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4).map(" ".join), max_size=4)
_put = st.tuples(
    st.just("put"), st.sampled_from("abc"), _passages, st.sampled_from(["One", "Two"]),
    st.sampled_from(["", "Head"]), st.sampled_from(["default", "other"]), st.booleans(),
)  # fmt: skip
_delete = st.tuples(st.just("delete"), st.sampled_from("abc"), st.sampled_from(["default", "other"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(changes=st.lists(_put | _delete, max_size=8))
def test_any_changes_leave_the_tables_in_order(
    changes: list[tuple[object, ...]], audit: Callable[[Path], dict[str, int]]
) -> None:
    """Documents, chunks, counters, words and vectors agree with each other and with what was put last."""
    model: dict[tuple[str, str], tuple[Document, list[EmbeddedChunk]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holdfast.sqlite3"
        create_file(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            generation = 0
            for change in changes:
                if change[0] == "put":
                    _, name, passages, title, heading, collection, vectors = change
                    sample = sample_document(
                        str(name),
                        *cast("list[str]", passages),
                        title=str(title),
                        heading=str(heading),
                        collection=str(collection),
                        vectors=bool(vectors),
                    )
                    put_document(connection, *sample, embedder_id=EMBEDDER if vectors else None, now_ns=0)
                    model[str(collection), str(name)] = sample
                else:
                    _, name, collection = change
                    there = model.pop((str(collection), str(name)), None) is not None
                    assert delete_document(connection, str(name), collection=str(collection), now_ns=0) is there
                    if not there:
                        continue
                found = connection.execute("SELECT generation FROM meta").fetchone()[0]
                assert found > generation
                generation = found
            for collection in ("default", "other"):
                mine = {name: sample for (place, name), sample in model.items() if place == collection}
                page = list_documents(connection, collection, 100, None)
                assert [record.id for record in page.documents] == sorted(mine)
                for document, chunks in mine.values():
                    stored = fetch_chunks(
                        connection, [item.chunk.id for item in chunks], collection, sentence_vectors=True
                    )
                    assert [item.chunk for item in stored] == [item.chunk for item in chunks]
                    assert {item.title for item in stored} <= {document.title}
                    assert all(
                        (got.sentence_vectors is None) == (put.sentence_vectors is None)
                        for got, put in zip(stored, chunks, strict=True)
                    )
                for word in (*_WORDS, "one", "head"):
                    expected = {
                        item.chunk.id
                        for document, chunks in mine.values()
                        for item in chunks
                        if word in f"{document.title} {item.chunk.heading} {item.chunk.text}".lower().split()
                    }
                    hits = search_words(connection, WordCounts(), word, 100, Scope(collection=collection))
                    assert {hit.chunk_id for hit in hits} == expected
        audit(Path(folder))


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    """An empty store's tables."""
    create_file(tmp_path / "holdfast.sqlite3")
    return sqlite3.connect(tmp_path / "holdfast.sqlite3", isolation_level=None)


def _keys(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT text, key FROM chunks").fetchall())


def test_unchanged_chunks_keep_their_rows(connection: sqlite3.Connection) -> None:
    """A passage that stayed, or only moved, keeps its key; one that changed gets a new one."""
    with closing(connection):
        put_document(connection, *sample_document("a", "one", "two", "three"), embedder_id=EMBEDDER, now_ns=0)
        before = _keys(connection)
        put_document(connection, *sample_document("a", "zero", "one", "three"), embedder_id=EMBEDDER, now_ns=0)
        after = _keys(connection)
        assert after["one"] == before["one"]
        assert after["three"] == before["three"]
        assert after["zero"] > max(before.values())
        put_document(connection, *sample_document("a", "one", title="New"), embedder_id=EMBEDDER, now_ns=0)
        assert _keys(connection)["one"] > after["zero"]


def test_keys_and_generations_follow_the_wall_clock_and_never_go_back(connection: sqlite3.Connection) -> None:
    """They are microseconds of Unix time, or one more than the last when the clock stands or goes back."""
    with closing(connection):
        seen: list[tuple[int, int]] = []
        for n, now_ns in enumerate((5_000_000, 5_000_000, 1_000, 9_000_000)):
            put_document(connection, *sample_document(f"a{n}", "x"), embedder_id=EMBEDDER, now_ns=now_ns)
            seen.append(connection.execute("SELECT generation, last_key FROM meta").fetchone())
        assert seen == [(5_000, 5_000), (5_001, 5_001), (5_002, 5_002), (9_000, 9_000)]


def test_a_refused_document_names_what_is_wrong(connection: sqlite3.Connection) -> None:
    """A chunk id of another document is refused with a sentence, not with a database error."""
    from holdfast.errors import InvalidInputError

    with closing(connection):
        document, chunks = sample_document("a", "x")
        put_document(connection, document, chunks, embedder_id=EMBEDDER, now_ns=0)
        other, _ = sample_document("b", "x")
        with pytest.raises(InvalidInputError, match="ids are unique in a collection"):
            put_document(connection, other, chunks, embedder_id=EMBEDDER, now_ns=0)
