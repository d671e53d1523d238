"""SQLite's errors become the store's, with a sentence that says what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import (
    InvalidInputError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)
from holdfast.rag.store.faults import store_faults

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small database."""
    file = tmp_path / "holdfast.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE t (x)")
    return file


def test_a_full_disk(path: Path) -> None:
    """No room is "unavailable", and says to make room."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA max_page_count = 3")
        with pytest.raises(StoreUnavailableError, match="make room"), store_faults(path):
            connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")


def test_a_read_only_file(path: Path) -> None:
    """Writing to what is read-only says whose right is missing."""
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(StoreUnavailableError, match="read-only"),
        store_faults(path),
    ):
        connection.execute("INSERT INTO t VALUES (1)")


def test_a_locked_file(path: Path) -> None:
    """A lock that another holds is "locked", and names the file."""
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as two,
    ):
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match=str(path)), store_faults(path):
            two.execute("BEGIN IMMEDIATE")


def test_a_file_that_is_no_database(path: Path) -> None:
    """Bytes that are no database are "corrupt"."""
    path.write_bytes(b"this is no database at all " * 100)
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(StoreCorruptError, match="from a backup"),
        store_faults(path),
    ):
        connection.execute("SELECT * FROM t")


def test_a_missing_file(path: Path) -> None:
    """A file that cannot be opened is "unavailable"."""
    with pytest.raises(StoreUnavailableError, match="cannot be opened"), store_faults(path):
        sqlite3.connect(f"file:{path}.not?mode=rw", uri=True)


def test_a_folder_that_cannot_be_made(path: Path) -> None:
    """The file system's own errors name the folder and the reason."""
    with pytest.raises(StoreUnavailableError, match="File exists"), store_faults(path):
        path.mkdir()


def test_a_closed_connection(path: Path) -> None:
    """Use after close says so."""
    connection = sqlite3.connect(path)
    connection.close()
    with pytest.raises(StoreUnavailableError, match="open it again"), store_faults(path):
        connection.execute("SELECT 1")


def test_text_that_is_no_unicode(path: Path) -> None:
    """A lone surrogate is the caller's input that is wrong, not the store."""
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(InvalidInputError, match="surrogates"),
        store_faults(path),
    ):
        connection.execute("SELECT ?", ("\ud800",))


def test_every_store_error_keeps_its_cause(path: Path) -> None:
    """What SQLite said stays attached for whoever has to find out."""
    with pytest.raises(StoreError) as caught, store_faults(path):
        sqlite3.connect(f"file:{path}.not?mode=rw", uri=True)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
