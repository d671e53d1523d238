"""Ingest by real processes on a real SQLite file: killed at any moment, and several at once."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.integration.ingest_processes import LoggingEmbedder, Nursery
from tests.unit.rag.store.conftest import _audit

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.jobs import OPEN, JobItem, JobState
from holdfast.rag.store.sqlite import FILE_NAME, SqliteStore
from holdfast.rag.types import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.process

_KILLS = 100
_OF_REEMBEDDING = 25
_SHORT_LIFE, _LONG_LIFE = 0.35, 1.0
_LONG_LIVES = 0.2
_TEXTS_A_CALL = 128


def text_of(name: str, parts: int) -> str:
    """A document of sentences that no other has."""
    return "\n\n".join(
        f"## Part {n} of {name}\n\nThis is the first sentence of part {n} of {name}. And the second of {n} of {name}."
        for n in range(parts)
    )


def items_of(rng: random.Random) -> tuple[list[JobItem], dict[str, str]]:
    """Uploads of all sorts, and the documents that must come of them."""
    items: list[JobItem] = []
    expected: dict[str, str] = {}
    for n in range(420):
        name = f"doc{n}"
        expected[name] = text_of(name, rng.choice([1, 2, 5]) if n % 40 else 60)
        items.append(JobItem(name=f"{name}.md", payload=expected[name].encode(), document_id=name))
    for n in range(5):
        lines = {f"line{n}-{each}": text_of(f"line {each} of {n}", 1) for each in range(30)}
        expected |= lines
        payload = "\n".join(json.dumps({"id": key, "text": text}) for key, text in lines.items())
        items.insert(rng.randrange(len(items)), JobItem(name=f"lines{n}.jsonl", payload=payload.encode()))
    return items, expected


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteStore]:
    """The store, as another process sees it."""
    blocking = ThreadBlocking(max_workers=2)
    store = SqliteStore(folder, blocking=blocking, clock=SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await blocking.close()


def live_and_die(nursery: Nursery, rng: random.Random, *role: object) -> bool:
    """Start a process and kill it after a random time; whether it was still alive then."""
    child = nursery.start(*role)  # type: ignore[arg-type]
    time.sleep(rng.uniform(0.0, _LONG_LIFE if rng.random() < _LONG_LIVES else _SHORT_LIFE))
    return nursery.kill(child)


async def test_a_hundred_kills_lose_nothing_and_double_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After 100 kill -9 at random moments every document is there once, whole, with vectors of one space."""
    rng = random.Random(20)
    folder, docs = tmp_path / "data", tmp_path / "docs"
    docs.mkdir()
    files = {f"file{n}": text_of(f"file{n}", 3) for n in range(160)}
    for name, text in files.items():
        (docs / f"{name}.md").write_text(text)
    items, expected = items_of(rng)
    started = time.monotonic()
    alive = 0
    async with opened(folder) as store:
        job = await store.create_job(items, collection="default")
        with Nursery() as nursery:
            for n in range(_KILLS - _OF_REEMBEDDING):
                role = ("files", folder, "old", str(docs)) if n % 4 == 3 else ("jobs", folder, "old")
                alive += live_and_die(nursery, rng, *role)
                if n % 10 == 9:
                    _audit(folder / FILE_NAME)
            under_way = await store.job(job.id)
            assert under_way is not None
            worker = nursery.start("jobs", folder, "old")
            assert nursery.wait(nursery.start("files", folder, "old", str(docs))) == 0
            while (now := await store.job(job.id) or job).status in OPEN:  # noqa: ASYNC110 - another process works
                await asyncio.sleep(0.02)
            nursery.kill(worker)
            assert (now.status, now.done, list(now.failures)) == (JobState.DONE, len(items), [])
            assert (await store.dead_letters()).letters == []
            _check(await _documents(store), expected, files)

            for n in range(_OF_REEMBEDDING):
                alive += live_and_die(nursery, rng, "reembed", folder, "new")
                if n % 10 == 9:
                    _audit(folder / FILE_NAME)
            spaces = (await store.status()).vectors
            assert nursery.wait(nursery.start("reembed", folder, "new")) == 0
        chunks = _audit(folder / FILE_NAME)
        _check(await _documents(store), expected, files)
        status = await store.status()
        assert status.vectors == {"test:new": status.chunks}
        assert status.chunks == sum(chunks.values())
        vector = (await LoggingEmbedder("new", tmp_path / "bill.txt").embed(["a sentence"], kind="query"))[0]
        found = await store.dense(vector, embedder_id="test:new", k=100_000, scope=Scope())
        assert len({each.chunk_id for each in found}) == len(found) == status.chunks
    bill = Counter((tmp_path / "bill.txt").read_text().splitlines())
    twice = sum(times - 1 for times in bill.values())
    # A kill costs the call that was under way and not written down yet, of at most 128 texts.
    assert twice <= alive * _TEXTS_A_CALL
    assert alive >= _KILLS * 0.6
    with capsys.disabled():
        sys.stdout.write(
            f"\n{_KILLS} kills, {alive} of a process at work; {len(chunks)} documents, {status.chunks} chunks: none "
            f"lost, none double; {len(bill)} texts embedded, {twice} of them again "
            f"({100 * twice / len(bill):.1f}%); after the kills of the first part {under_way.done} of "
            f"{under_way.total} items were done; spaces after those of the second: {dict(spaces)}; "
            f"{time.monotonic() - started:.0f} s\n"
        )


async def _documents(store: SqliteStore) -> dict[str, str]:
    """The texts of all documents by their ids; no id comes twice."""
    found: dict[str, str] = {}
    cursor: str | None = None
    while True:
        page = await store.list(limit=1_000, cursor=cursor)
        for record in page.documents:
            assert record.id not in found
            document = await store.get(record.id)
            assert document is not None
            found[record.id] = document.text
        cursor = page.next_cursor
        if cursor is None:
            return found


def _check(found: dict[str, str], uploads: dict[str, str], files: dict[str, str]) -> None:
    assert {key: found[key].strip() for key in uploads} == uploads
    assert len(found) == len(uploads) + len(files)
    assert sorted(text.strip() for key, text in found.items() if key not in uploads) == sorted(files.values())


async def test_four_processes_write_while_two_read(tmp_path: Path) -> None:
    """Writers of their own and of the same files leave each document once; readers never see a broken one."""
    folder = tmp_path / "data"
    shared = tmp_path / "shared"
    for number, place in enumerate([shared, *(tmp_path / f"own{n}" for n in range(4))]):
        place.mkdir()
        for n in range(30):
            (place / f"f{n}.md").write_text(text_of(f"file {n} of {number}", 1 + n % 4))
    over = tmp_path / "over"
    async with opened(folder) as store:
        with Nursery() as nursery:
            told = [tmp_path / f"told{n}" for n in range(2)]
            readers = [nursery.start("read", folder, "one", str(over), str(each)) for each in told]
            writers = [nursery.start("files", folder, "one", str(tmp_path / f"own{n}"), str(shared)) for n in range(4)]
            assert [nursery.wait(each) for each in writers] == [0] * 4
            over.touch()
            assert [nursery.wait(each) for each in readers] == [0] * 2
        for each in told:
            searches, found = map(int, each.read_text().split())
            assert searches > 3
            assert found > 0
        assert len(await _documents(store)) == 5 * 30
        status = await store.status()
        assert status.vectors == {"test:one": status.chunks}
    assert sum(_audit(folder / FILE_NAME).values()) == status.chunks
