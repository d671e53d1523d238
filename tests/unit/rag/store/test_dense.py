"""The matrix stays in step with SQLite, whatever happens to its file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.rag.store import dense
from holdfast.rag.store.dense import DenseIndex
from holdfast.rag.store.schema import create_file
from holdfast.rag.store.vectors import VectorFiles
from holdfast.rag.store.writer import delete_document, put_document
from holdfast.rag.types import Scope
from holdfast.testing.store_samples import EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Bench:
    """A store's tables, and an index over them."""

    def __init__(self, folder: Path) -> None:
        create_file(folder / "s.sqlite3")
        self.connection = sqlite3.connect(folder / "s.sqlite3", isolation_level=None)
        self.connection.execute("PRAGMA synchronous = OFF")
        self.folder = folder / "vectors"
        self.texts: dict[str, str] = {}
        self.index = self.new_index()

    def new_index(self) -> DenseIndex:
        """An index that knows nothing yet, as of a process that just started."""
        return DenseIndex(VectorFiles(self.folder, "abc"))

    def put(self, *names: str) -> None:
        for name in names:
            document, chunks = sample_document(name, f"Text of {name} {len(self.texts)}")
            self.texts[name] = document.text
            put_document(self.connection, document, chunks, embedder_id=EMBEDDER, now_ns=0)

    def delete(self, *names: str) -> None:
        for name in names:
            del self.texts[name]
            assert delete_document(self.connection, name, collection="default", now_ns=0)

    def check(self, index: DenseIndex | None = None) -> None:
        """The index finds what brute force over the stored texts finds."""
        question = sample_vector("question")
        hits = (index or self.index).search(self.connection, question, EMBEDDER, 10_000, Scope())
        expected = {name: float(sample_vector(text) @ question) for name, text in self.texts.items()}
        assert {hit.chunk_id.partition("/")[0]: pytest.approx(hit.score, abs=1e-5) for hit in hits} == expected
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def fold(self) -> None:
        for space in self.index.to_fold():
            self.index.fold(self.connection, space)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Tables and an index whose file is worth writing from a few rows on."""
    monkeypatch.setattr(dense, "FOLD_MIN_ROWS", 8)
    bench = Bench(tmp_path)
    yield bench
    bench.connection.close()


def test_changes_are_followed(bench: Bench) -> None:
    """New, replaced and deleted rows are seen at the next search, by an index that was there and by a new one."""
    for step in range(6):
        bench.put(*(f"d{step}-{n}" for n in range(3)))
        bench.check()
        bench.put(f"d{step}-0")
        bench.delete(f"d{step}-1")
        bench.check()
        bench.check(bench.new_index())


def test_the_file_is_written_when_it_lags_behind(bench: Bench) -> None:
    """It appears when there are rows enough, is used by others, and is written anew after enough changes."""
    bench.put(*(f"a{n}" for n in range(7)))
    bench.check()
    assert bench.index.to_fold() == []
    bench.put(*(f"b{n}" for n in range(7)))
    bench.check()
    assert bench.index.to_fold() == [1]
    bench.fold()
    (first,) = bench.folder.iterdir()
    assert bench.index.to_fold() == []
    bench.check()
    other = bench.new_index()
    bench.check(other)
    assert other.to_fold() == []
    bench.delete("a0", "a1", "a2", "b0", "b1")
    bench.put("c", "a3")
    bench.check()
    bench.check(other)
    assert bench.index.to_fold() == [1]
    bench.fold()
    (second,) = bench.folder.iterdir()
    assert second.name > first.name
    bench.check()
    bench.check(other)


def test_a_second_process_uses_the_file_that_the_first_wrote(bench: Bench) -> None:
    """Two that find the same lag write one file."""
    bench.put(*(f"a{n}" for n in range(20)))
    other = bench.new_index()
    bench.check()
    bench.check(other)
    bench.fold()
    (path,) = bench.folder.iterdir()
    written = path.stat().st_mtime_ns
    other.fold(bench.connection, 1)
    assert path.stat().st_mtime_ns == written
    bench.check(other)


def test_the_file_is_never_needed(bench: Bench) -> None:
    """Missing, cut short or outdated, the index is right: SQLite has everything."""
    bench.put(*(f"a{n}" for n in range(20)))
    bench.check()
    bench.fold()
    (path,) = bench.folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    bench.check(bench.new_index())
    path.write_bytes(whole)
    bench.put("new", "a5")
    bench.delete("a6", "a19")
    bench.check(bench.new_index())
    path.unlink()
    bench.check(bench.new_index())


def test_a_file_of_the_future_is_no_harm(bench: Bench, tmp_path: Path) -> None:
    """A restored backup lacks rows of the file and has some that the file lacks: the search finds its own."""
    bench.put(*(f"a{n}" for n in range(20)))
    backup = sqlite3.connect(tmp_path / "backup.sqlite3")
    bench.connection.backup(backup)
    backup.close()
    texts = dict(bench.texts)
    bench.delete("a0", "a1")
    bench.put(*(f"b{n}" for n in range(20)))
    bench.check()
    bench.fold()
    bench.connection.close()
    bench.connection, bench.texts = sqlite3.connect(tmp_path / "backup.sqlite3", isolation_level=None), texts
    index = bench.new_index()
    bench.check(index)


def test_a_reader_far_behind_loads_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the list of removals no longer reaches back to what the index knows, it starts over."""
    from holdfast.rag.store import chunk_rows

    monkeypatch.setattr(chunk_rows, "_REMOVALS_KEPT", 3)
    bench.put(*(f"a{n}" for n in range(12)))
    bench.check()
    bench.delete(*(f"a{n}" for n in range(8)))
    bench.put("b")
    bench.check()


def test_files_of_emptied_spaces_are_swept(bench: Bench) -> None:
    """When a space has no vector left its file goes with the next sweep."""
    bench.put(*(f"a{n}" for n in range(20)))
    bench.check()
    bench.fold()
    bench.delete(*(f"a{n}" for n in range(20)))
    bench.check()
    bench.index.sweep(bench.connection)
    assert list(bench.folder.iterdir()) == []
    bench.index.fold(bench.connection, 1)


def test_equal_scores_come_in_the_order_of_storing(bench: Bench) -> None:
    """Ties are broken the same way every time."""
    for name in ("x", "y", "z"):
        document, chunks = sample_document(name, "The same text")
        put_document(bench.connection, document, chunks, embedder_id=EMBEDDER, now_ns=0)
    hits = bench.index.search(bench.connection, sample_vector("q"), EMBEDDER, 3, Scope())
    assert [hit.chunk_id[0] for hit in hits] == ["x", "y", "z"]


def test_a_score_is_not_above_one(bench: Bench) -> None:
    """The cosine of a vector with itself is 1, give or take the arithmetic."""
    bench.put("a")
    (hit,) = bench.index.search(bench.connection, sample_vector(bench.texts["a"]), EMBEDDER, 1, Scope())
    assert hit.score == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(hit.score)
