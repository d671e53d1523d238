"""The LanceDB store where things go wrong: deleted folders, other tables, locks, damage."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from holdfast.errors import (
    ConfigError,
    InvalidInputError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)
from holdfast.rag.store.lance import searching
from holdfast.rag.store.lance.layout import LAYOUT, TABLE, base_schema
from holdfast.rag.store.lance.upkeep import UpkeepOptions
from holdfast.rag.store.locks import FileLock
from holdfast.rag.types import EmbeddedChunk, Scope
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.store_samples import EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from holdfast.rag.store.lance import LanceStore
    from holdfast.rag.store.lance.home import Snapshot

    Make = Callable[..., LanceStore]
    Audit = Callable[[Path], dict[str, int]]


async def _put(store: LanceStore, *names: str) -> None:
    for name in names:
        document, chunks = sample_document(name, f"Apple of {name}.")
        await store.put(document, chunks, embedder_id=EMBEDDER)


async def _found(store: LanceStore) -> tuple[list[str], list[str]]:
    """What the words find and what the vectors find."""
    words = await store.lexical("apple", k=100, scope=Scope())
    vectors = await store.dense(sample_vector("apple"), embedder_id=EMBEDDER, k=100, scope=Scope())
    return tuple(sorted(hit.chunk_id.partition("/")[0] for hit in hits) for hits in (words, vectors))  # type: ignore[return-value]


async def _reads(store: LanceStore) -> list[BaseException | object]:
    """The outcome of every way of reading."""
    vector = sample_vector("apple")
    return await asyncio.gather(
        store.ping(), store.generation(), store.status(), store.get("a"), store.records(["a"]), store.list(),
        store.ids_from("x"), store.lexical("apple", k=1, scope=Scope()), store.fetch(["a"]),
        store.dense(vector, embedder_id=EMBEDDER, k=1, scope=Scope()), store.document_frequency(["apple"]),
        return_exceptions=True,
    )  # fmt: skip


async def test_reads_never_create(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """Without a table every read says that there is none, and makes nothing; a put makes everything."""
    folder = tmp_path / "not" / "there"
    store = make_store(folder)
    for outcome in await _reads(store):
        assert isinstance(outcome, StoreUnavailableError)
        assert "There is no store" in str(outcome)
    assert not (tmp_path / "not").exists()
    with pytest.raises(StoreUnavailableError, match="There is no store"):
        await store.delete("a")
    await _put(store, "a")
    assert await _found(store) == (["a"], ["a"])
    assert audit(folder) == {"a": 1}


async def test_a_deleted_folder_is_noticed_by_every_read(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """The open files of a deleted folder would go on answering: no read may let them; a put starts anew."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a", "b")
    assert await _found(store) == (["a", "b"], ["a", "b"])
    generation = await store.generation()
    shutil.rmtree(tmp_path / "lance")
    for outcome in await _reads(store):
        assert isinstance(outcome, StoreUnavailableError)
        assert "is gone" in str(outcome)
    with pytest.raises(StoreUnavailableError):
        await store.delete("a")
    assert not (tmp_path / "lance" / f"{TABLE}.lance").exists()
    assert await store.maintain() is False
    await _put(store, "c")
    assert await _found(store) == (["c"], ["c"])
    assert await store.generation() > generation
    assert await store.document_frequency(["apple"]) == ({"apple": 1}, 1)
    assert audit(tmp_path) == {"c": 1}


async def test_another_store_made_anew_is_taken_up(tmp_path: Path, make_store: Make) -> None:
    """What was in memory of the old table is not taken for the new one's, whose versions have the same numbers."""
    late, other = make_store(tmp_path), make_store(tmp_path)
    await late.open()
    await _put(late, "old", "older")
    assert await _found(late) == (["old", "older"], ["old", "older"])
    shutil.rmtree(tmp_path / "lance")
    await _put(other, "a", "b")
    assert await _found(late) == (["a", "b"], ["a", "b"])


async def test_many_that_create_at_once_share_one_table(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """Whoever comes first makes the table, and the others use it; one document that all of them put is there once."""
    stores = [make_store(tmp_path) for _ in range(3)]
    await asyncio.gather(*(_put(store, f"a{n}", "same") for n, store in enumerate(stores)))
    assert audit(tmp_path) == {"a0": 1, "a1": 1, "a2": 1, "same": 1}


async def test_a_locked_store_says_who_holds_it_up(tmp_path: Path, make_store: Make) -> None:
    """Another writer's lock fails the write after the timeout, and not before; reads go on, and so do openings."""
    clock = FakeClock()
    store = make_store(tmp_path, clock=clock, blocking=InlineBlocking(), lock_timeout=2.0)
    await store.open()
    await _put(store, "a")
    lock = FileLock.try_acquire(tmp_path / "lance" / "write.lock")
    assert lock is not None
    began = clock.now_ns()
    with pytest.raises(StoreLockedError, match="Another process is writing"):
        await _put(store, "b")
    assert 2.0 <= (clock.now_ns() - began) / 1e9 < 2.1
    assert await _found(store) == (["a"], ["a"])
    await make_store(tmp_path, blocking=InlineBlocking(), lock_timeout=0.001).open()
    lock.release()
    await _put(store, "b")
    assert await _found(store) == (["a", "b"], ["a", "b"])


async def test_a_cancelled_put_gives_the_lock_back(tmp_path: Path, make_store: Make) -> None:
    """Who is cancelled while his thread works leaves no lock behind."""
    store = make_store(tmp_path, lock_timeout=20.0)
    await store.open()
    for turns in range(1, 6):
        task = asyncio.ensure_future(_put(store, f"a{turns}"))
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await _put(store, "b")
    assert "b" in (await _found(store))[0]


async def test_a_table_of_another_program_is_left_alone(tmp_path: Path, make_store: Make) -> None:
    """Neither open nor put writes to a table that is not ours."""
    connection = lancedb.connect(tmp_path / "lance")
    connection.create_table(TABLE, schema=pa.schema([pa.field("vector", pa.list_(pa.float32(), 2))]))
    store = make_store(tmp_path)
    for call in (store.open(), _put(store, "a"), store.ping()):
        with pytest.raises(StoreCorruptError, match="not a Holdfast store"):
            await call
    assert connection.open_table(TABLE).schema.names == ["vector"]


async def test_a_table_of_another_version_is_named(tmp_path: Path, make_store: Make) -> None:
    """The message has both layouts."""
    schema = base_schema(1)
    lancedb.connect(tmp_path / "lance").create_table(
        TABLE, schema=schema.with_metadata({**schema.metadata, LAYOUT: b"77"})
    )
    with pytest.raises(StoreUnavailableError, match=r"layout 77; this version knows 1"):
        await make_store(tmp_path).open()


@pytest.mark.parametrize(
    ("files", "kind"), [("_versions/*.manifest", StoreCorruptError), ("data/*", StoreCorruptError)]
)
async def test_damage_is_told_as_damage(tmp_path: Path, make_store: Make, files: str, kind: type[StoreError]) -> None:
    """A file that is cut short or overwritten is named as damage, with what to do."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    await store.close()
    for file in (tmp_path / "lance" / f"{TABLE}.lance").glob(files):
        file.write_bytes(b"garbage" * 20)
    with pytest.raises(kind, match="restore its folder from a backup"):
        await make_store(tmp_path).get("a")


async def test_a_missing_file_is_told_as_such(tmp_path: Path, make_store: Make) -> None:
    """A part that is gone is no mystery."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    for file in (tmp_path / "lance" / f"{TABLE}.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(StoreUnavailableError, match="a part of it is"):
        await make_store(tmp_path).get("a")


async def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, make_store: Make) -> None:
    """The place that cannot be made is an error of the store."""
    (tmp_path / "file").write_text("")
    store = make_store(tmp_path / "file")
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        await store.open()


async def test_a_closed_store_says_so_and_opens_again(tmp_path: Path, make_store: Make) -> None:
    """After close every call is refused, until the store is opened again."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    await store.close()
    with pytest.raises(StoreUnavailableError, match="is closed in this process"):
        await store.ping()
    with pytest.raises(StoreUnavailableError, match="is closed in this process"):
        await _put(store, "b")
    await store.open()
    assert await _found(store) == (["a"], ["a"])


@pytest.mark.parametrize(
    "options",
    [
        {"lock_timeout": 0.0},
        {"lock_timeout": float("nan")},
        {"approximate_above": 999},
    ],
)
async def test_an_option_out_of_its_range_is_named(
    tmp_path: Path, make_store: Make, options: dict[str, object]
) -> None:
    """Each option says what it takes."""
    with pytest.raises(ConfigError) as caught:
        make_store(tmp_path, **options)
    assert caught.value.field in options


@pytest.mark.parametrize("options", [{"after_commits": 0}, {"every": 0.0}, {"keep_versions": 0.0}])
def test_an_option_of_the_upkeep_out_of_its_range_is_named(options: dict[str, float]) -> None:
    """Each option says what it takes."""
    with pytest.raises(ConfigError) as caught:
        UpkeepOptions(**options)  # type: ignore[arg-type]
    assert caught.value.field in options


async def test_text_that_is_not_unicode_is_the_callers_error(tmp_path: Path, make_store: Make) -> None:
    """A lone surrogate is refused, and nothing of the document is stored."""
    store = make_store(tmp_path)
    await store.open()
    sample, chunks = sample_document("a", "text", vectors=False)
    for change in ({"text": "bad \ud800 text"}, {"title": "\ud800"}, {"id": "\ud800"}):
        with pytest.raises(InvalidInputError, match="Unicode"):
            await store.put(replace(sample, **change), chunks, embedder_id=None)  # type: ignore[arg-type]
    assert (await store.status()).documents == 0
    assert await store.get("\ud800") is None


async def test_an_embedder_keeps_its_dimension(tmp_path: Path, make_store: Make) -> None:
    """Vectors of another size under the same name are refused with both sizes, and what was stored stays."""
    store = make_store(tmp_path)
    await _put(store, "a")
    document, (chunk,) = sample_document("a", "Apple.")
    other = EmbeddedChunk(chunk=chunk.chunk, vector=np.ones(3, np.float32))
    with pytest.raises(InvalidInputError, match=r"have 3 numbers, but those of .* have 24"):
        await store.put(document, [other], embedder_id=EMBEDDER)
    assert await _found(store) == (["a"], ["a"])


async def test_counts_of_common_words_are_kept_for_a_while(
    tmp_path: Path, make_store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A common word is counted again when the chunks have become more by a hundredth, a rare one at every change."""
    monkeypatch.setattr(searching, "COMMON", 100)
    counted: list[str] = []
    count = searching._counted

    def counting(snapshot: Snapshot, collection: str, words: Sequence[str]) -> list[int]:
        counted.extend(sorted(words))
        return count(snapshot, collection, words)

    monkeypatch.setattr(searching, "_counted", counting)
    store = make_store(tmp_path)

    async def put(name: str, chunks: int) -> None:
        sample = sample_document(name, *(f"Apple {name} {n}." for n in range(chunks)), vectors=False)
        await store.put(*sample, embedder_id=None)

    await put("a", 200)
    assert await store.document_frequency(["apple", "pear"]) == ({"apple": 200, "pear": 0}, 200)
    assert await store.document_frequency(["apples", "pear"]) == ({"apples": 200, "pear": 0}, 200)
    assert counted == ["appl", "pear"]
    await put("b", 1)
    assert await store.document_frequency(["apple", "pear"]) == ({"apple": 200, "pear": 0}, 201)
    assert counted == ["appl", "pear", "pear"]
    await put("c", 5)
    assert await store.document_frequency(["apple"]) == ({"apple": 206}, 206)


async def test_a_question_is_never_parsed(tmp_path: Path, make_store: Make) -> None:
    """Quotes, operators and columns are words like others, and only the first 64 words of a page are looked for."""
    store = make_store(tmp_path)
    await _put(store, "a")
    for question in ('"apple pie"', "apple AND (", "title:apple", "apple~2", "appl*", "+apple -apple"):
        assert [hit.chunk_id[0] for hit in await store.lexical(question, k=5, scope=Scope())] == ["a"], question
    page = " ".join(f"word{n}" for n in range(64))
    assert await store.lexical(f"{page} apple", k=5, scope=Scope()) == []
