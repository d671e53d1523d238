"""What the LanceDB store's tests share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import lancedb
import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.lance import LanceStore
from holdfast.rag.store.lance.layout import CHUNK, DOCUMENT, EMPTY, TABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def _audit(folder: Path) -> dict[str, int]:
    """Check everything that must be true of a table; the number of chunks by document."""
    table = lancedb.connect(folder / "lance").open_table(TABLE)
    columns = [
        "key",
        "kind",
        "document",
        "chunks",
        "title",
        "text",
        "start",
        "stop",
        "ordinal",
        "body",
        "words",
        "tags",
    ]
    rows = table.search().select(columns).limit(1_000_000).to_arrow().to_pylist()
    assert max(Counter(row["key"] for row in rows).values(), default=1) == 1, "keys that stand twice"
    documents = {row["document"]: row for row in rows if row["kind"] == DOCUMENT}
    chunks: dict[str, list[dict[str, Any]]] = {name: [] for name in documents}
    for row in rows:
        if row["kind"] == CHUNK:
            chunks[row["document"]].append(row)  # a chunk of no document is a KeyError
        if row["kind"] == EMPTY:
            assert row["tags"] is None, "an empty row that can be found"
    for name, document in documents.items():
        assert sorted(row["ordinal"] for row in chunks[name]) == list(range(document["chunks"])), name
        for row in chunks[name]:
            assert row["title"] == document["title"], "a chunk of another version"
            assert document["body"][row["start"] : row["stop"]] == row["text"]
            assert row["words"]
    return {name: document["chunks"] for name, document in documents.items()}


@pytest.fixture
def audit() -> Callable[[Path], dict[str, int]]:
    """Checks a store's folder for everything that must be true of it."""
    return _audit


@pytest.fixture
async def blocking() -> AsyncIterator[ThreadBlocking]:
    """Real threads."""
    threads = ThreadBlocking(max_workers=4)
    yield threads
    await threads.close()


@pytest.fixture
async def make_store(blocking: ThreadBlocking) -> AsyncIterator[Callable[..., LanceStore]]:
    """Makes stores that are closed at the end of the test; not opened."""
    made: list[LanceStore] = []

    def make(folder: Path, **options: Any) -> LanceStore:
        store = LanceStore(folder, **{"blocking": blocking, "clock": SystemClock(), **options})
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()
