"""The records' file: what a kill, a deletion, a removed or damaged file and another process do to it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.errors import ConfigError, StoreCorruptError, StoreLockedError, StoreUnavailableError
from holdfast.rag.records.base import Turn
from holdfast.rag.records.feedback import Feedback
from holdfast.rag.records.sqlite import FILE_NAME, SqliteRecords
from holdfast.rag.store.sqlite import FILE_NAME as DOCUMENTS
from holdfast.testing.record_conformance import sample_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MARK = "xyzzy-4711"


@asynccontextmanager
async def opened(folder: Path, **options: Any) -> AsyncIterator[SqliteRecords]:
    blocking = ThreadBlocking(max_workers=2)
    records = SqliteRecords(folder, blocking=blocking, clock=SystemClock(), **options)
    try:
        yield records
    finally:
        await records.close()
        await blocking.close()


def marked(number: int) -> Turn:
    """A turn whose texts can be found in a file, and are longer than a page."""
    long = f"{MARK} {number} " * 600
    return Turn(
        request_id=f"req_{MARK}_{number}",
        question=f"{MARK}?",
        answer=long,
        standalone=f"{MARK}!",
        asked_at=float(number),
    )


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in files_in(folder))


def acknowledged_by_a_killed_process(folder: Path, *, kill_after: int) -> int:
    """The last turn that a process acknowledged, which was killed after the turn ``kill_after``."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as lines:
        for line in lines:
            if int(line) >= kill_after:
                process.kill()
                break
        return max([kill_after, *map(int, lines.read().split())])


async def fill(records: SqliteRecords) -> None:
    for n in range(5):
        await records.conversations.append(f"id-{MARK}", marked(n))
        await records.conversations.append("stays", sample_turn(n, asked_at=float(n)))
    await records.conversations.summarise(f"id-{MARK}", f"Summary {MARK}", upto=2)
    await records.conversations.summarise(f"id-{MARK}", f"Another {MARK}", upto=4)
    await records.feedback.put(Feedback(request_id="r1", useful=False, comment=f"Comment {MARK}", given_at=1.0))


async def test_deleted_is_gone_from_the_disk(tmp_path: Path) -> None:
    """Nothing of a deleted conversation and of deleted feedback is left in any byte of any file; the rest is there."""
    async with opened(tmp_path, retention=0) as records:
        await fill(records)
        assert MARK.encode() in bytes_in(tmp_path)
        assert await records.conversations.delete(f"id-{MARK}")
        assert await records.feedback.delete(["r1"]) == 1
        assert MARK.encode() not in bytes_in(tmp_path)
        found = await records.conversations.get("stays")
        assert found is not None
        assert len(found.turns) == 5
    assert MARK.encode() not in bytes_in(tmp_path)


async def test_deleted_while_somebody_reads_is_gone_after_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader of the old state keeps it in SQLite's log: the deletion succeeds, says so, and the sweep clears it."""
    async with opened(tmp_path, retention=0, busy_timeout=0.1) as records:
        await fill(records)
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM turns").fetchone()
            assert await records.conversations.delete(f"id-{MARK}")
            assert await records.feedback.delete(["r1"]) == 1
            assert "until the next sweep" in caplog.text
            assert MARK.encode() in bytes_in(tmp_path)
            reader.execute("COMMIT")
        assert await records.conversations.get(f"id-{MARK}") is None
        await records.sweep()
        assert MARK.encode() not in bytes_in(tmp_path)


async def test_expired_is_gone_from_the_disk(tmp_path: Path) -> None:
    """What is too old leaves no byte behind either, once it was swept."""
    async with opened(tmp_path, retention=0) as records:
        await fill(records)
    async with opened(tmp_path, retention=1e-6) as records:
        assert await records.sweep() == 3
        assert MARK.encode() not in bytes_in(tmp_path)


KILLED = """
import asyncio, sys
from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.testing.record_conformance import sample_turn

async def main():
    records = SqliteRecords(sys.argv[1], blocking=ThreadBlocking(1), clock=SystemClock())
    n = 0
    while True:
        await records.conversations.append("c1", sample_turn(n, asked_at=1.0))
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A process that is killed at any moment leaves every turn that it acknowledged, and at most one more, whole."""
    for kill_after in (0, 9):
        folder = tmp_path / str(kill_after)
        acknowledged = acknowledged_by_a_killed_process(folder, kill_after=kill_after)
        async with opened(folder, retention=0) as records:
            found = await records.conversations.get("c1")
            assert found is not None
            assert len(found.turns) - 1 in {acknowledged, acknowledged + 1}
            assert list(found.turns) == [sample_turn(n, asked_at=1.0) for n in range(len(found.turns))]


async def test_made_by_several_at_once(tmp_path: Path) -> None:
    """Several that make the file at the same moment make one file, and all of them use it."""
    async with opened(tmp_path / "new") as first, opened(tmp_path / "new") as second, opened(tmp_path / "new") as third:
        everyone = (first, second, third)
        await asyncio.gather(*(records.open() for records in everyone))
        for n, records in enumerate(everyone):
            await records.conversations.append("c1", sample_turn(n, asked_at=1.0))
        for records in everyone:
            found = await records.conversations.get("c1")
            assert found is not None
            assert len(found.turns) == 3


async def test_half_made_file_is_finished(tmp_path: Path) -> None:
    """An empty file, as a process leaves it that is killed while making it, is made whole by the next one."""
    (tmp_path / FILE_NAME).touch()
    async with opened(tmp_path) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        assert await records.conversations.get("c1") is not None


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """The file and those beside it are readable and writable for their owner only."""
    async with opened(tmp_path) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files_in(tmp_path)}
    assert modes == {FILE_NAME + ending: 0o600 for ending in ("", "-wal", "-shm")}


async def test_removed_file_is_told_and_not_made_again(tmp_path: Path) -> None:
    """When the file is removed every call says so and what to do; a new start begins with none."""
    async with opened(tmp_path) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        for file in files_in(tmp_path):
            file.unlink()
        for call in (
            records.conversations.get("c1"),
            records.conversations.append("c1", sample_turn(2, asked_at=1.0)),
            records.keys.keys(),
        ):
            with pytest.raises(StoreUnavailableError, match="are gone: restore the file, or restart"):
                await call
        assert files_in(tmp_path) == []
    async with opened(tmp_path) as records:
        assert await records.conversations.get("c1") is None


async def test_restored_backup_is_read(tmp_path: Path) -> None:
    """A backup that takes the file's place while it is open is what is read and written from then on."""
    backup = tmp_path / "backup"
    async with opened(tmp_path / "data", retention=0) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        await records.sweep()  # everything is in the file now
        backup.write_bytes((tmp_path / "data" / FILE_NAME).read_bytes())
        await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
        backup.rename(tmp_path / "data" / FILE_NAME)
        found = await records.conversations.get("c1")
        assert found is not None
        assert [turn.request_id for turn in found.turns] == ["req_1"]
        await records.conversations.append("c1", sample_turn(3, asked_at=1.0))
        found = await records.conversations.get("c1")
        assert found is not None
        assert [turn.request_id for turn in found.turns] == ["req_1", "req_3"]


async def test_damaged_file_is_told(tmp_path: Path) -> None:
    """A file that is no database is told with what to do, and stays as it is."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database " * 500)
    async with opened(tmp_path) as records:
        for call in (records.open(), records.keys.keys()):
            with pytest.raises(StoreCorruptError, match=r"conversations, API keys, feedback.*restore the file"):
                await call
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"not a database")


async def test_foreign_and_newer_files_are_told(tmp_path: Path) -> None:
    """Another program's database, and the file of another version, are refused with what to do."""
    for name, script, error, match in (
        ("foreign", "CREATE TABLE t (x)", StoreCorruptError, "belongs to another program"),
        ("newer", "PRAGMA user_version = 99", StoreUnavailableError, "another version of Holdfast"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        if name == "newer":
            async with opened(folder) as records:
                await records.open()
        with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
            connection.executescript(script)
        async with opened(folder) as records:
            with pytest.raises(error, match=match):
                await records.open()


async def test_another_writer_is_waited_for_and_then_told(tmp_path: Path) -> None:
    """A writer that holds the lock for too long makes an append fail with a sentence; reads go on."""
    async with opened(tmp_path, busy_timeout=0.1) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLockedError, match="did not finish in time"):
                await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
            assert await records.conversations.get("c1") is not None
        await records.conversations.append("c1", sample_turn(2, asked_at=1.0))


async def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A folder that is a file is told by its name."""
    (tmp_path / "data").write_text("")
    async with opened(tmp_path / "data") as records:
        with pytest.raises(StoreUnavailableError, match=str(tmp_path / "data")):
            await records.open()


async def test_a_broken_document_store_does_not_matter(tmp_path: Path) -> None:
    """Conversations, keys and feedback work beside a document store that is damaged."""
    (tmp_path / DOCUMENTS).write_bytes(b"garbage" * 1_000)
    async with opened(tmp_path) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        assert await records.conversations.get("c1") is not None
        assert list(await records.keys.keys()) == []


async def test_cancelled_append_is_whole_or_not_there(tmp_path: Path) -> None:
    """A caller who goes away leaves the whole turn or nothing, and the store works on."""
    async with opened(tmp_path, retention=0) as records:
        await records.open()
        for n in range(20):
            task = asyncio.create_task(records.conversations.append("c1", marked(n)))
            await asyncio.sleep(0.0002 * n)
            task.cancel()
            await asyncio.wait({task})
        await records.conversations.append("c1", marked(99))
        found = await records.conversations.get("c1")
        assert found is not None
        assert found.turns[-1] == marked(99)
        assert all(turn == marked(int(turn.request_id.rpartition("_")[2])) for turn in found.turns)


async def test_reading_does_not_wait_for_writing(tmp_path: Path) -> None:
    """A conversation is read while another process is in the middle of a write."""
    async with opened(tmp_path, busy_timeout=30.0) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(records.conversations.append("c1", sample_turn(2, asked_at=1.0)))
            assert await records.conversations.get("c1") is not None
            assert not waiting.done()
            threading.Timer(0, other.rollback).start()
            await waiting


@pytest.mark.parametrize("option", [{"retention": -1.0}, {"busy_timeout": 0.0}], ids=str)
def test_options_are_checked(tmp_path: Path, option: dict[str, float]) -> None:
    """An option out of its range is named when the object is made."""
    with pytest.raises(ConfigError) as caught:
        SqliteRecords(tmp_path, blocking=ThreadBlocking(1), clock=SystemClock(), **option)
    assert caught.value.field in option
