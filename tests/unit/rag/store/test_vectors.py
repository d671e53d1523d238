"""Vector files are shared, replaced in one step, and never trusted to be whole."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.rag.store.locks import FileLock
from holdfast.rag.store.vectors import VectorFiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _part(first: int, count: int, dimension: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    keys = np.arange(first, first + count, dtype=np.int64)
    return keys, (keys[:, np.newaxis] + np.arange(dimension) / 10).astype(np.float32)


def test_what_is_saved_is_loaded_and_mapped(tmp_path: Path) -> None:
    """Several parts become one matrix with its keys; it is read-only memory."""
    files = VectorFiles(tmp_path / "vectors", "abc")
    assert files.load(1, 4) is None
    files.save(1, 10, [_part(5, 3), _part(100, 2)])
    loaded = files.load(1, 4)
    assert loaded is not None
    assert loaded[0].tolist() == [5, 6, 7, 100, 101]
    assert np.array_equal(loaded[1], np.concatenate([_part(5, 3)[1], _part(100, 2)[1]]))
    assert not loaded[1].flags.writeable
    assert files.bytes_on_disk() > 0


def test_the_newest_file_wins_and_the_older_goes(tmp_path: Path) -> None:
    """A new generation replaces the old one; a reader of the old one goes on reading it."""
    files = VectorFiles(tmp_path, "abc")
    files.save(1, 9, [_part(1, 3)])
    old = files.load(1, 4)
    files.save(1, 10, [_part(1, 5)])
    files.save(2, 1, [_part(50, 1)])
    new = files.load(1, 4)
    assert old is not None
    assert new is not None
    assert (len(old[0]), len(new[0])) == (3, 5)
    assert old[1][2, 0] == 3.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["abc-1-10.npy", "abc-2-1.npy"]
    files.keep_only({1})
    assert files.load(2, 4) is None


@pytest.mark.parametrize("harm", ["empty", "cut", "header", "longer", "text", "dimension"])
def test_a_harmed_file_is_no_file(tmp_path: Path, harm: str) -> None:
    """Whatever happened to the newest file, it is left aside and an older good one is used."""
    files = VectorFiles(tmp_path, "abc")
    files.save(1, 5, [_part(1, 3)])
    good = (tmp_path / "abc-1-5.npy").read_bytes()
    harmed = {
        "empty": b"",
        "cut": good[:-1],
        "header": good[:100],
        "longer": good + b"\0",
        "text": b"hello",
        "dimension": good,
    }[harm]
    (tmp_path / "abc-1-6.npy").write_bytes(harmed)
    if harm == "dimension":
        assert files.load(1, 5) is None
    else:
        loaded = files.load(1, 4)
        assert loaded is not None
        assert loaded[0].tolist() == [1, 2, 3]


def test_another_stores_files_are_not_ours(tmp_path: Path) -> None:
    """The instance is part of the name."""
    VectorFiles(tmp_path, "abc").save(1, 5, [_part(1, 3)])
    assert VectorFiles(tmp_path, "xyz").load(1, 4) is None
    VectorFiles(tmp_path, "xyz").keep_only(set())
    assert VectorFiles(tmp_path, "abc").load(1, 4) is not None


def test_drafts_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    """A draft that nobody holds is an orphan; one whose writer lives is left alone."""
    orphan = tmp_path / ".draft-dead"
    orphan.write_bytes(b"half")
    with tempfile.NamedTemporaryFile(dir=tmp_path, prefix=".draft-") as living:
        from pathlib import Path

        lock = FileLock.try_acquire(Path(living.name))
        assert lock is not None
        VectorFiles(tmp_path, "abc").save(1, 5, [_part(1, 3)])
        assert not orphan.exists()
        assert Path(living.name).exists()
        lock.release()
