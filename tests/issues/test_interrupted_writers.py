"""A write that was cancelled made the next one fail, while a cursor of the first was not collected yet."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from holdfast.rag.store.open_file import Call, OpenFile, connect, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OpenFile[None]]:
    path = tmp_path / "store.sqlite3"
    sqlite3.connect(path).execute("CREATE TABLE meta (generation INTEGER)").connection.close()
    identity = identity_of(path)
    assert identity is not None
    opened = OpenFile(path, identity, connect(path, 1.0, read_only=True), None, 1.0)
    yield opened
    opened.retire()


@pytest.mark.parametrize("way", ["writing", "reading"])
def test_who_comes_after_a_cancelled_call_is_not_interrupted(file: OpenFile[None], way: str) -> None:
    """What the error of the first call still holds does no harm: it is rolled back, and the next one works."""
    call = Call()

    def work(connection: sqlite3.Connection) -> None:
        rows = connection.execute(MANY)
        rows.fetchone()
        call.cancel()
        connection.execute("SELECT 1").fetchone()

    def cancelled() -> None:
        with getattr(file, way)(call) as connection:
            work(connection)

    with pytest.raises(sqlite3.OperationalError, match="interrupted") as error:
        cancelled()
    with getattr(file, way)(Call()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert error.tb is not None  # it holds the frames all the while
