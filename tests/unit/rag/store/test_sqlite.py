"""The embedded store where things go wrong: deleted folders, other files, locks, damage, cancellations."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import (
    ConfigError,
    InvalidInputError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)
from holdfast.rag.store import dense, schema
from holdfast.rag.store.connection import Database
from holdfast.rag.store.jobs import KEEP_JOBS_SECONDS, JobFailure, JobItem, JobState
from holdfast.rag.store.open_file import Call
from holdfast.rag.store.schema import SCHEMA_VERSION
from holdfast.rag.store.sqlite import FILE_NAME, SqliteStore
from holdfast.rag.types import Scope
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.job_conformance import sample_items
from holdfast.testing.store_samples import EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.core.blocking import ThreadBlocking

    Make = Callable[..., SqliteStore]
    Audit = Callable[[Path], dict[str, int]]


async def _put(store: SqliteStore, *names: str) -> None:
    for name in names:
        document, chunks = sample_document(name, f"Apple of {name}.")
        await store.put(document, chunks, embedder_id=EMBEDDER)


async def _found(store: SqliteStore) -> tuple[list[str], list[str]]:
    """What the words find and what the vectors find."""
    words = await store.lexical("apple", k=100, scope=Scope())
    vectors = await store.dense(sample_vector("apple"), embedder_id=EMBEDDER, k=100, scope=Scope())
    return tuple(sorted(hit.chunk_id.partition("/")[0] for hit in hits) for hits in (words, vectors))  # type: ignore[return-value]


async def _reads(store: SqliteStore) -> list[BaseException | object]:
    """The outcome of every way of reading."""
    vector = sample_vector("apple")
    return await asyncio.gather(
        store.ping(), store.generation(), store.status(), store.get("a"), store.records(["a"]), store.list(),
        store.lexical("apple", k=1, scope=Scope()), store.dense(vector, embedder_id=EMBEDDER, k=1, scope=Scope()),
        store.fetch(["a"]), store.document_frequency(["apple"]), store.job("x"), store.next_items("x", 1),
        return_exceptions=True,
    )  # fmt: skip


async def test_reads_never_create(tmp_path: Path, make_store: Make) -> None:
    """Without a file every read says that there is none, and makes nothing; a put makes everything."""
    folder = tmp_path / "not" / "there"
    store = make_store(folder)
    for outcome in await _reads(store):
        assert isinstance(outcome, StoreUnavailableError)
        assert "There is no store" in str(outcome)
    with pytest.raises(StoreUnavailableError):
        await store.delete("a")
    assert not (tmp_path / "not").exists()
    await _put(store, "a")
    assert await _found(store) == (["a"], ["a"])


async def test_a_deleted_folder_is_noticed_by_every_read(tmp_path: Path, make_store: Make) -> None:
    """The open file of a deleted folder would go on answering: no read may let it."""
    folder = tmp_path / "data"
    store = make_store(folder)
    await store.open()
    await _put(store, "a")
    assert await _found(store) == (["a"], ["a"])
    shutil.rmtree(folder)
    for _ in range(2):
        for outcome in await _reads(store):
            assert isinstance(outcome, StoreUnavailableError)
    assert not folder.exists()
    for change in (store.delete("a"), store.finish_item("x", 0), store.cancel_job("x"), store.next_job()):
        with pytest.raises(StoreUnavailableError):
            await change
    assert not folder.exists()


async def test_the_message_of_a_deleted_folder_says_what_to_do(tmp_path: Path, make_store: Make) -> None:
    """It names the folder, and says to restore it or to ingest again."""
    store = make_store(tmp_path / "data")
    await store.open()
    shutil.rmtree(tmp_path / "data")
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match=r"data is gone.*restore it or ingest again"):
            await store.ping()


async def test_an_ingest_after_a_deletion_starts_a_new_store(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """A put makes folder and file again; nothing of the old content shows, and the generation is not the old one."""
    folder = tmp_path / "data"
    store = make_store(folder)
    await store.open()
    await _put(store, "a", "b")
    await _found(store)
    generation = await store.generation()
    shutil.rmtree(folder)
    await _put(store, "c")
    assert await _found(store) == (["c"], ["c"])
    assert await store.generation() > generation
    assert audit(folder) == {"c": 1}
    shutil.rmtree(folder)
    job = await store.create_job(sample_items(1), collection="default")
    assert await store.job(job.id) == job


async def test_another_file_at_the_path_is_taken_up(tmp_path: Path, make_store: Make) -> None:
    """A backup that is restored under a running store is answered from at once, vectors and counts included."""
    folder, backup = tmp_path / "data", tmp_path / "backup"
    store = make_store(folder)
    await store.open()
    await _put(store, "a", "b")
    await store.delete("b")
    await store.close()
    shutil.copytree(folder, backup)
    await store.open()
    generation = await store.generation()
    await _put(store, "c")
    await store.delete("a")
    assert await _found(store) == (["c"], ["c"])
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    assert await store.generation() == generation
    assert await _found(store) == (["a"], ["a"])
    assert await store.document_frequency(["apple"]) == ({"apple": 1}, 1)
    await _put(store, "d")
    assert await _found(store) == (["a", "d"], ["a", "d"])


async def test_a_store_that_another_process_made_anew_is_left_whole(
    tmp_path: Path, make_store: Make, audit: Audit
) -> None:
    """Letting go of the old file must not take the new one's log along: nothing of it was written back yet."""
    folder = tmp_path / "data"
    late, other, later = make_store(folder), make_store(folder), make_store(folder)
    for store in (late, later):
        await store.open()
        await _put(store, "old")
        await _found(store)
    shutil.rmtree(folder)
    await _put(other, "a", "b")
    assert await _found(late) == (["a", "b"], ["a", "b"])
    await later.close()  # never noticed
    await _put(other, "c")
    assert await _found(make_store(folder)) == (["a", "b", "c"], ["a", "b", "c"])
    assert audit(folder) == {"a": 1, "b": 1, "c": 1}


async def test_a_backup_moved_over_the_file_is_not_mixed_with_the_old_log(
    tmp_path: Path, make_store: Make, audit: Audit
) -> None:
    """SQLite would play the log of the replaced file into the backup: the log goes first."""
    folder = tmp_path / "data"
    store = make_store(folder)
    await store.open()
    await _put(store, "a")
    await store.close()
    shutil.copy(folder / FILE_NAME, tmp_path / "backup")
    await store.open()
    await _put(store, "b")
    (tmp_path / "backup").replace(folder / FILE_NAME)
    assert await _found(store) == (["a"], ["a"])
    await _put(store, "c")
    await store.close()
    assert audit(folder) == {"a": 1, "c": 1}


async def test_only_the_file_was_deleted(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """The log that stayed behind is not taken for the new file's."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(StoreUnavailableError):
        await store.ping()
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size > 0
    await _put(store, "b")
    assert await _found(store) == (["b"], ["b"])
    assert audit(tmp_path) == {"b": 1}


async def test_many_that_create_at_once_share_one_store(tmp_path: Path, make_store: Make, audit: Audit) -> None:
    """Whoever comes first makes the file, and the others use it."""
    stores = [make_store(tmp_path / "data") for _ in range(4)]
    await asyncio.gather(*(_put(store, f"a{n}") for n, store in enumerate(stores)))
    assert audit(tmp_path / "data") == {f"a{n}": 1 for n in range(4)}


async def test_a_moved_folder_that_comes_back_is_the_same_store(tmp_path: Path, make_store: Make) -> None:
    """While it is away reads fail; when it is back they work, without a restart."""
    folder = tmp_path / "data"
    store = make_store(folder)
    await store.open()
    await _put(store, "a")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError):
        await store.lexical("apple", k=1, scope=Scope())
    (tmp_path / "elsewhere").rename(folder)
    assert await _found(store) == (["a"], ["a"])


async def test_a_folder_deleted_during_a_put_does_not_swallow_it(tmp_path: Path, audit: Audit) -> None:
    """What was committed to a file that is gone was not stored: it is stored again before it is acknowledged."""
    folder = tmp_path / "data"
    database: Database[None] = Database(folder / FILE_NAME, timeout=1.0, derive=lambda _: None)
    database.open()
    runs: list[str] = []

    def change(connection: sqlite3.Connection) -> None:
        runs.append(connection.execute("SELECT instance FROM meta").fetchone()[0])
        connection.execute("INSERT INTO collections (name) VALUES ('new')")
        if len(runs) == 1:
            shutil.rmtree(folder)

    database.write(Call(), change, create=True)
    assert len(set(runs)) == 2
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        assert connection.execute("SELECT name FROM collections").fetchall() == [("new",)]
    runs.clear()
    with pytest.raises(StoreUnavailableError):
        database.write(Call(), change, create=False)
    database.close()


async def test_a_locked_store_says_who_holds_it_up(tmp_path: Path, make_store: Make) -> None:
    """A write lock of another process fails the write after the timeout; reads go on."""
    store = make_store(tmp_path, busy_timeout=0.05)
    await store.open()
    await _put(store, "a")
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match=r"holdfast\.sqlite3.*try again"):
            await _put(store, "b")
        assert await _found(store) == (["a"], ["a"])
        other.execute("ROLLBACK")
    await _put(store, "b")
    assert await _found(store) == (["a", "b"], ["a", "b"])


@pytest.mark.parametrize("content", [b"", b"no database " * 1000], ids=["empty", "garbage"])
async def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, make_store: Make, content: bytes) -> None:
    """Neither open nor put writes to a file that is no store."""
    (tmp_path / FILE_NAME).write_bytes(content)
    store = make_store(tmp_path)
    with pytest.raises(StoreCorruptError):
        await store.open()
    with pytest.raises(StoreCorruptError):
        await _put(store, "a")
    assert (tmp_path / FILE_NAME).read_bytes() == content


async def test_another_programs_database_is_left_alone(tmp_path: Path, make_store: Make) -> None:
    """A SQLite file without our mark is not ours."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreCorruptError, match="another program"):
        await make_store(tmp_path).open()


async def test_a_newer_layout_is_refused(tmp_path: Path, make_store: Make) -> None:
    """A file of a later version says to upgrade."""
    store = make_store(tmp_path)
    await store.open()
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreUnavailableError, match="newer version of Holdfast"):
        await store.open()


async def test_an_older_layout_is_refused(tmp_path: Path, make_store: Make) -> None:
    """A file of the first version says to ingest again."""
    store = make_store(tmp_path)
    await store.open()
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreUnavailableError, match=r"older version of Holdfast .* ingest again"):
        await store.open()


async def test_a_job_is_released_without_a_store(tmp_path: Path, make_store: Make) -> None:
    """A job is given back also when the store's file is gone: another process gets it when the file is back."""
    one, two = make_store(tmp_path), make_store(tmp_path)
    await one.open()
    job = await one.create_job([JobItem(name="a.txt", payload=b"a")], collection="default")
    assert await one.next_job() is not None
    assert await two.next_job() is None
    (tmp_path / FILE_NAME).rename(tmp_path / "away")
    one.release_job(job.id)
    (tmp_path / "away").rename(tmp_path / FILE_NAME)
    taken = await two.next_job()
    assert taken is not None
    assert taken.id == job.id


async def test_damage_is_reported_and_a_restored_file_heals(tmp_path: Path, make_store: Make) -> None:
    """Overwritten pages are "corrupt" to whoever meets them; with a good file in place the store works again."""
    store = make_store(tmp_path / "data")
    await store.open()
    await _put(store, *(f"a{n}" for n in range(30)))
    await store.close()
    path = tmp_path / "data" / FILE_NAME
    good = path.read_bytes()
    path.write_bytes(good[:100] + b"\xff" * (len(good) - 100))
    await_open = make_store(tmp_path / "data")
    outcomes = await _reads(await_open)
    assert any(isinstance(outcome, StoreCorruptError) for outcome in outcomes)
    assert not any(isinstance(outcome, BaseException) and not isinstance(outcome, StoreError) for outcome in outcomes)
    path.unlink()
    path.write_bytes(good)
    assert len((await _found(await_open))[0]) == 30


async def test_a_path_that_cannot_be_a_folder(tmp_path: Path, make_store: Make) -> None:
    """A file where the folder should be is "unavailable", for reads and for open."""
    (tmp_path / "file").write_text("x")
    store = make_store(tmp_path / "file" / "data")
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        await store.open()
    with pytest.raises(StoreUnavailableError):
        await store.ping()


async def test_use_after_close_says_so(tmp_path: Path, make_store: Make) -> None:
    """A closed store is closed until it is opened again."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    await store.close()
    await store.close()
    for outcome in await _reads(store):
        assert isinstance(outcome, StoreUnavailableError)
        assert "closed" in str(outcome)
    await store.open()
    assert await _found(store) == (["a"], ["a"])


async def test_closing_leaves_one_file(tmp_path: Path, make_store: Make) -> None:
    """The log is written back when the last connection closes: copying the folder then is a backup."""
    store = make_store(tmp_path)
    await store.open()
    await _put(store, "a")
    await asyncio.gather(*(_found(store) for _ in range(8)))
    await store.close()
    assert sorted(tmp_path.glob("*")) == [tmp_path / FILE_NAME]  # noqa: ASYNC240 - nothing else runs here


async def test_a_cancelled_read_stops_its_statement(tmp_path: Path, blocking: ThreadBlocking) -> None:
    """The thread of a caller who gave up comes back, though the statement alone would run for ever."""
    database: Database[None] = Database(tmp_path / FILE_NAME, timeout=1.0, derive=lambda _: None)
    database.open()
    began = threading.Event()

    def endless(connection: sqlite3.Connection, _: None) -> None:
        began.set()
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        ).fetchone()

    call = Call()
    running = asyncio.ensure_future(blocking.run("store.read", database.read, call, endless))
    assert await asyncio.to_thread(began.wait, 10)
    while not running.done():  # an interrupt between two statements stops nothing: it must hit the endless one
        call.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(StoreUnavailableError, match="cancelled"):
        await running
    with pytest.raises(StoreUnavailableError, match="cancelled"):
        database.read(call, endless)
    assert database.read(Call(), lambda connection, _: connection.execute("SELECT 1").fetchone()) == (1,)
    database.close()


async def test_a_cancelled_write_is_rolled_back(tmp_path: Path) -> None:
    """Cancelled before its commit, a write leaves nothing."""
    database: Database[None] = Database(tmp_path / FILE_NAME, timeout=1.0, derive=lambda _: None)
    database.open()
    call = Call()

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO collections (name) VALUES ('new')")
        call.cancel()

    with pytest.raises(StoreUnavailableError, match="nothing was changed"):
        database.write(call, change, create=True)
    count = database.read(
        Call(), lambda connection, _: connection.execute("SELECT count(*) FROM collections").fetchone()
    )
    assert count == (0,)
    database.close()


async def test_the_vector_file_is_written_in_the_background(
    tmp_path: Path, make_store: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that finds the file lagging starts its writing; close waits for it; the next start uses it."""
    monkeypatch.setattr(dense, "FOLD_MIN_ROWS", 8)
    port = InlineBlocking()
    store = make_store(tmp_path, port=port)
    await store.open()
    await _put(store, *(f"a{n}" for n in range(20)))
    found = await _found(store)
    await store.close()
    assert port.kinds.count("store.index") == 1
    assert len(list((tmp_path / "vectors").iterdir())) == 1
    again = make_store(tmp_path)
    assert await _found(again) == found
    assert (await again.status()).bytes_on_disk > (tmp_path / FILE_NAME).stat().st_size


async def test_a_vector_file_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, make_store: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The search answers from memory; the log says why there is no file."""
    monkeypatch.setattr(dense, "FOLD_MIN_ROWS", 8)
    store = make_store(tmp_path)
    await store.open()
    (tmp_path / "vectors").write_text("in the way")
    await _put(store, *(f"a{n}" for n in range(20)))
    assert len((await _found(store))[1]) == 20
    await store.close()
    assert "searches go on without it" in caplog.text


async def test_generation_does_not_leave_the_loop(tmp_path: Path, make_store: Make) -> None:
    """Asked again and again, it does no blocking work; and it still sees what others commit."""
    port = InlineBlocking()
    store, other = make_store(tmp_path, port=port), make_store(tmp_path)
    await store.open()
    await other.open()
    before = await store.generation()
    port.kinds.clear()
    await _put(other, "a")
    assert await store.generation() > before
    assert port.kinds == []


async def test_text_that_is_no_unicode_is_refused(tmp_path: Path, make_store: Make) -> None:
    """A lone surrogate in a document is an input error, and nothing of it is stored."""
    store = make_store(tmp_path)
    document, chunks = sample_document("a", "fine")
    broken, _ = sample_document("a", "bad", title="\ud800")
    with pytest.raises(InvalidInputError, match="surrogates"):
        await store.put(broken, chunks, embedder_id=EMBEDDER)
    assert (await store.status()).documents == 0
    await store.put(document, chunks, embedder_id=EMBEDDER)


async def test_times_come_from_the_clock(tmp_path: Path, make_store: Make) -> None:
    """When a document was stored and a job was made is what the injected clock says."""
    clock = FakeClock(wall_ns=7_000_000_000)
    store = make_store(tmp_path, clock=clock)
    await _put(store, "a")
    assert (await store.records(["a"]))["a"].stored_at == 7.0
    job = await store.create_job(sample_items(1), collection="default")
    clock.advance(3)
    finished = await store.finish_item(job.id, 0)
    assert (finished.created_at, finished.updated_at, finished.status) == (7.0, 10.0, JobState.DONE)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
async def test_a_timeout_must_be_above_zero(tmp_path: Path, blocking: ThreadBlocking, seconds: float) -> None:
    """Options are checked when the store is made."""
    with pytest.raises(ConfigError, match="busy_timeout"):
        SqliteStore(tmp_path, blocking=blocking, clock=FakeClock(), busy_timeout=seconds)


async def test_the_layout_before_is_brought_up_to_date(tmp_path: Path, make_store: Make) -> None:
    """A file without progress and dead letters gets them when it is opened; its documents and jobs stay."""
    folder = tmp_path / "old"
    schema.create_file(folder / FILE_NAME)
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        for table, columns in {
            "jobs": ("stage", "detail", "documents", "chunks", "interrupted"),
            "job_items": ("letter",),
            "job_failures": ("kind",),
        }.items():
            for column in columns:
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for name in ("INDEX jobs_over", "TABLE dead_letters", "TABLE forgotten"):
            connection.execute(f"DROP {name}")
        connection.execute(
            "INSERT INTO jobs (id, collection, status, done, total, failed, created_at, updated_at) "
            "VALUES ('job-1', 'default', 'queued', 0, 1, 0, 5, 5)"
        )
        connection.execute("INSERT INTO job_items VALUES (1, 0, 'a.md', '', '', '', '', '{}', x'41')")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    store, other = make_store(folder), make_store(folder)
    await asyncio.gather(store.open(), other.open())
    job = await store.next_job()
    assert job is not None
    assert (job.id, job.stage, job.chunks) == ("job-1", "", 0)
    assert [item.payload for _, item in await store.next_items("job-1", 5)] == [b"A"]
    assert (await other.dead_letters()).letters == []
    assert (await store.finish_item("job-1", 0, stored=1)).status is JobState.DONE


async def test_jobs_that_are_over_are_forgotten_in_time(tmp_path: Path, make_store: Make) -> None:
    """A job that was over a week ago goes when the next one is made; one that is not over stays, however old."""
    clock = FakeClock()
    store = make_store(tmp_path, clock=clock)
    item = JobItem(name="a", payload=b"x")
    over = await store.create_job([item], collection="default")
    await store.next_job()
    await store.finish_item(over.id, 0, failures=[JobFailure("a", "no")])
    waiting = await store.create_job([item], collection="default")
    clock.advance(KEEP_JOBS_SECONDS - 1)
    await store.create_job([], collection="default")
    assert await store.job(over.id) is not None
    clock.advance(2)
    await store.create_job([], collection="default")
    assert await store.job(over.id) is None
    assert await store.job(waiting.id) is not None
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM job_failures").fetchone() == (0,)
