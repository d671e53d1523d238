"""Who tidies the LanceDB table up, when, and what is there afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import lancedb
import numpy as np
import pytest

from holdfast.rag.store.lance import upkeep
from holdfast.rag.store.lance.layout import TABLE, vector_column
from holdfast.rag.store.lance.upkeep import Pace, UpkeepOptions
from holdfast.rag.store.locks import FileLock
from holdfast.rag.types import Scope
from holdfast.testing.store_samples import EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.rag.store.lance import LanceStore

    Make = Callable[..., LanceStore]
    Audit = Callable[[Path], dict[str, int]]

QUIET = UpkeepOptions(after_commits=10_000, every=3_600.0, keep_versions=3_600.0)
"""Nothing is done by itself."""


async def _put(store: LanceStore, name: str, chunks: int = 2) -> None:
    sample = sample_document(name, *(f"Apple of {name} {n}." for n in range(chunks)))
    await store.put(*sample, embedder_id=EMBEDDER)


def _files(folder: Path) -> int:
    return lancedb.connect(folder / "lance").open_table(TABLE).stats()["fragment_stats"]["num_fragments"]  # type: ignore[index, no-any-return]


async def _scores(store: LanceStore) -> list[tuple[str, float]]:
    words = await store.lexical("apple d3 d11", k=500, scope=Scope())
    vectors = await store.dense(sample_vector("Apple of d3 1."), embedder_id=EMBEDDER, k=500, scope=Scope())
    return sorted((hit.chunk_id, round(hit.score, 3)) for hit in [*words, *vectors])


async def test_many_small_files_become_few(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """Questions are answered as before, replaced and deleted documents stay gone, and empty rows go."""
    store = make_store(tmp_path, upkeep=QUIET)
    await store.open()
    assert await store.maintain() is False
    for n in range(16):
        await _put(store, f"d{n}", chunks=5)
    await _put(store, "d3", chunks=2)
    await store.delete("d4")
    before, chunks = await _scores(store), audit(tmp_path)
    assert _files(tmp_path) > 8
    assert await store.maintain() is True
    assert _files(tmp_path) < 3
    assert await store.maintain() is False
    assert audit(tmp_path) == chunks
    assert [name for name, _ in await _scores(store)] == [name for name, _ in before]
    table = lancedb.connect(tmp_path / "lance").open_table(TABLE)
    assert table.count_rows("kind = 0") == 0
    assert table.count_rows() == len(chunks) + sum(chunks.values())


async def test_it_is_done_by_itself_after_so_many_changes(tmp_path: Path, make_store: Make) -> None:
    """Nobody has to call anything, and a question never waits for it."""
    store = make_store(tmp_path, upkeep=UpkeepOptions(after_commits=10, every=3_600.0))
    await store.open()
    for n in range(10):
        await _put(store, f"d{n}")
    for _ in range(500):
        if _files(tmp_path) < 8:
            break
        await asyncio.sleep(0.01)
    assert _files(tmp_path) < 8


async def test_an_ingest_leaves_a_tidy_table(tmp_path: Path, make_store: Make) -> None:
    """A store that wrote tidies up when it is closed, and one that only read does not."""
    store = make_store(tmp_path, upkeep=QUIET)
    for n in range(10):
        await _put(store, f"d{n}")
    reader = make_store(tmp_path, upkeep=QUIET)
    await reader.get("d1")
    await reader.close()
    assert _files(tmp_path) >= 10
    await store.close()
    assert _files(tmp_path) < 3


async def test_one_does_it_at_a_time(tmp_path: Path, make_store: Make) -> None:
    """While another process tidies up, this one does not wait but leaves it to it."""
    store = make_store(tmp_path, upkeep=QUIET)
    for n in range(9):
        await _put(store, f"d{n}")
    lock = FileLock.try_acquire(tmp_path / "lance" / "upkeep.lock")
    assert lock is not None
    assert await store.maintain() is False
    lock.release()
    assert await store.maintain() is True


async def test_writers_wait_for_it_and_it_for_them(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """Puts, replacements and deletes that come meanwhile are all there afterwards."""
    stores = [make_store(tmp_path, upkeep=QUIET) for _ in range(2)]
    for store in stores:
        await store.open()

    async def write(store: LanceStore, name: str) -> None:
        for n in range(12):
            await _put(store, f"{name}{n % 4}", chunks=1 + n % 3)
        await store.delete(f"{name}0")

    async def tidy(store: LanceStore, writers: asyncio.Future[tuple[None, None]]) -> None:
        while not writers.done():
            await store.maintain()

    writers = asyncio.gather(write(stores[0], "a"), write(stores[1], "b"))
    await asyncio.gather(writers, *(tidy(store, writers) for store in stores))
    await stores[0].maintain()
    assert audit(tmp_path) == {f"{name}{n}": 1 + (8 + n) % 3 for name in "ab" for n in range(1, 4)}


async def test_what_a_killed_process_left_is_removed(tmp_path: Path, make_store: Make) -> None:
    """Files that no version names are taken away, however young: nobody else writes while the lock is held."""
    store = make_store(tmp_path, upkeep=QUIET)
    for n in range(9):
        await _put(store, f"d{n}")
    data = tmp_path / "lance" / f"{TABLE}.lance" / "data"
    left = data / next(data.iterdir()).name.replace("0", "1")
    left.write_bytes(b"half a file")
    assert await store.maintain() is True
    assert not left.exists()


def test_it_takes_a_tenth_of_the_time_at_most() -> None:
    """Due after so many changes; put off while the last time was long and a moment ago, but not for ever."""
    pace = Pace(4)
    assert [pace.committed(0) for _ in range(4)] == [False, False, False, True]
    pace.done(0, 100, changed=True)
    assert [pace.committed(150) for _ in range(5)] == [False] * 5
    assert pace.committed(999) is False
    assert pace.committed(1_000) is True
    pace.done(1_000, 5_000, changed=True)
    assert [pace.committed(5_001) for _ in range(32)] == [False] * 31 + [True]


def test_replaced_files_are_cleaned_away_when_it_is_quiet() -> None:
    """Not before nobody reads them any more, not while somebody writes, and not again when there was nothing left."""
    pace = Pace(4)
    assert pace.may_clean(0, 60)
    pace.done(0, 100, changed=True)
    assert not pace.may_clean(159, 60)
    assert pace.may_clean(160, 60)
    pace.committed(160)
    assert not pace.may_clean(200, 60)
    pace.done(200, 210, changed=False)
    assert not pace.may_clean(1_000, 60)


async def test_the_files_that_were_replaced_leave_the_disk(tmp_path: Path, make_store: Make) -> None:
    """After the upkeep has run until there was nothing to do, one version is left, of one file."""
    store = make_store(tmp_path, upkeep=UpkeepOptions(after_commits=10_000, every=3_600.0, keep_versions=0.001))
    for n in range(12):
        await _put(store, f"d{n}")
    full = (await store.status()).bytes_on_disk
    assert await store.maintain() is True
    while await store.maintain():
        pass
    await store.maintain()
    assert _files(tmp_path) == 1
    assert len(list((tmp_path / "lance" / f"{TABLE}.lance" / "_versions").glob("*.manifest"))) == 1
    assert (await store.status()).bytes_on_disk < full


async def test_an_index_for_vectors_is_made_above_a_number_of_them(
    tmp_path: Path, make_store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``approximate`` the index is there after the upkeep, finds what is asked for, and what came later too."""
    store = make_store(tmp_path, upkeep=QUIET, approximate=True, approximate_above=1_000)
    exact = make_store(tmp_path, upkeep=QUIET)
    for n in range(10):
        await _put(store, f"d{n}", chunks=100)
    await store.maintain()
    column = vector_column(EMBEDDER)
    table = lancedb.connect(tmp_path / "lance").open_table(TABLE)
    stats = table.index_stats(column)
    assert stats is not None
    assert stats.index_type == "IVF_RQ"
    assert stats.distance_type == "dot"
    await _put(store, "later", chunks=3)
    found = 0
    for n in range(10):
        vector = sample_vector(f"question {n}")
        near = await store.dense(vector, embedder_id=EMBEDDER, k=10, scope=Scope())
        cosines = {
            hit.chunk_id: hit.score for hit in await exact.dense(vector, embedder_id=EMBEDDER, k=2_000, scope=Scope())
        }
        assert all(np.isclose(hit.score, cosines[hit.chunk_id], atol=1e-5) for hit in near)
        found += len({hit.chunk_id for hit in near} & set(list(cosines)[:10]))
    assert found >= 20, "of 100, where chance finds one: a bit a number says little of 24 random numbers"
    for n in range(10):
        vector = sample_vector(f"Apple of d{n} {n}.")
        itself = (await store.dense(vector, embedder_id=EMBEDDER, k=10, scope=Scope()))[0]
        assert itself.score == pytest.approx(1.0, abs=1e-5)
    hit = (await store.dense(sample_vector("Apple of later 1."), embedder_id=EMBEDDER, k=1, scope=Scope()))[0]
    assert hit.chunk_id.startswith("later/")
    assert hit.score == pytest.approx(1.0, abs=1e-5)
    assert upkeep.vectors_to_index(store._home.snapshot(), 1_000) == []
    monkeypatch.setattr(upkeep, "_PARTS", 2)
    for n in range(8):
        await _put(store, f"more{n}")
    await store.maintain()
    assert upkeep.vectors_to_index(store._home.snapshot(), 1_000) == [column]
    await store.maintain()
    assert upkeep.vectors_to_index(store._home.snapshot(), 1_000) == []
