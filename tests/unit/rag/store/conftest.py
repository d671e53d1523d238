"""What the store's tests share."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.sqlite import FILE_NAME, SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking


_BROKEN = {
    "documents whose number of chunks is wrong": """
        SELECT id FROM documents AS d WHERE d.chunks <> (SELECT count(*) FROM chunks WHERE document = d.key)""",
    "chunks without their document's vector": """
        SELECT c.id FROM chunks AS c JOIN documents AS d ON d.key = c.document LEFT JOIN vectors AS v ON v.key = c.key
        WHERE v.space IS NOT d.space""",
    "chunks whose text is not their document's": """
        SELECT c.id FROM chunks AS c JOIN documents AS d ON d.key = c.document
        WHERE substr(d.text, c.start + 1, c.stop - c.start) <> c.text""",
    "chunks of no document": "SELECT id FROM chunks WHERE document NOT IN (SELECT key FROM documents)",
    "vectors of no chunk": "SELECT key FROM vectors WHERE key NOT IN (SELECT key FROM chunks)",
    "sentence vectors of no chunk": "SELECT key FROM sentence_vectors WHERE key NOT IN (SELECT key FROM chunks)",
    "attributes of no document": "SELECT name FROM attributes WHERE document NOT IN (SELECT key FROM documents)",
    "spaces of no collection": "SELECT key FROM spaces WHERE collection NOT IN (SELECT key FROM collections)",
    "collections whose counters are wrong": """
        SELECT name FROM collections AS o WHERE (o.documents, o.chunks, o.sentences) <>
        (SELECT count(*), sum(chunks), sum(sentences) FROM documents WHERE collection = o.key)""",
    "keys that may be given again": "SELECT key FROM chunks WHERE key > (SELECT last_key FROM meta)",
}


def _audit(path: Path) -> dict[str, int]:
    """Check everything that must be true of a store's file; the number of chunks by document."""
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for (key,) in connection.execute("SELECT key FROM collections").fetchall():
            # Compares the full-text index with the documents' text, word by word.
            connection.execute(f"INSERT INTO words_{key} (words_{key}, rank) VALUES ('integrity-check', 1)")
        for what, query in _BROKEN.items():
            assert connection.execute(query).fetchall() == [], what
        return dict(connection.execute("SELECT id, chunks FROM documents").fetchall())


@pytest.fixture
def audit() -> Callable[[Path], dict[str, int]]:
    """Checks a store's folder for everything that must be true of it."""
    return lambda folder: _audit(folder / FILE_NAME)


@pytest.fixture
async def blocking() -> AsyncIterator[ThreadBlocking]:
    """Real threads."""
    threads = ThreadBlocking(max_workers=4)
    yield threads
    await threads.close()


@pytest.fixture
async def make_store(blocking: ThreadBlocking) -> AsyncIterator[Callable[..., SqliteStore]]:
    """Makes stores that are closed at the end of the test; not opened."""
    made: list[SqliteStore] = []

    def make(
        folder: Path, *, clock: Clock | None = None, port: Blocking | None = None, busy_timeout: float = 5.0
    ) -> SqliteStore:
        store = SqliteStore(folder, blocking=port or blocking, clock=clock or SystemClock(), busy_timeout=busy_timeout)
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()
