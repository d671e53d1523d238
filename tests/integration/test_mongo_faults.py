"""The MongoDB store when the server fails: nothing is lost, nothing is there twice, and nobody waits long."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.mongo.clocks import MovedClock
from tests.mongo.place import SOCKETS, MongoPlace, audit, mongo_place

from holdfast.core.clock import SystemClock
from holdfast.errors import StoreError, StoreInterruptedError, StoreLockedError, StoreUnavailableError
from holdfast.rag.store.jobs import JobFailure, JobState
from holdfast.rag.store.mongo import MongoStore, jobs, writing
from holdfast.rag.store.mongo.client import Timeouts
from holdfast.rag.types import Scope
from holdfast.testing.job_conformance import sample_items
from holdfast.testing.store_samples import EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOT_PRIMARY, WRITE_CONFLICT, DUPLICATE_KEY, SHUTTING_DOWN = 10107, 112, 11000, 91
OLD = sample_document("a", "Apple one.", "Apple two.", title="old")
NEW = sample_document("a", "Pear one.", "Pear two.", "Pear three.", title="new")

pytestmark = SOCKETS


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    async with mongo_place(tmp_path) as made:
        yield made


async def _titles(store: MongoStore) -> set[str]:
    """The titles of all chunks that any search finds."""
    found = await store.lexical("apple pear", k=50, scope=Scope())
    near = await store.dense(sample_vector("Apple one."), embedder_id=EMBEDDER, k=50, scope=Scope())
    assert len(found) == len({each.chunk_id for each in found}) == len(near)
    return {each.title for each in await store.fetch([hit.chunk_id for hit in found])}


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": NOT_PRIMARY}, {"errorCode": SHUTTING_DOWN}])
@pytest.mark.parametrize(
    ("command", "skip", "changed"),
    [
        ("findAndModify", 1, False),
        ("insert", 0, False),
        ("update", 0, False),
        ("update", 1, True),
        ("update", 2, True),
        ("delete", 0, True),
        ("update", 3, True),
    ],
)
async def test_a_put_that_breaks_anywhere_leaves_the_old_or_the_new_and_can_be_repeated(
    place: MongoPlace, command: str, skip: int, changed: bool, how: dict[str, object]
) -> None:
    """Whichever write fails, readers have one whole version; the put again makes it the new one, once, and tidy."""
    async with place.opened() as store, place.opened() as reader:
        await store.put(*OLD, embedder_id=EMBEDDER)
        before = await reader.generation()
        store._spaces = type(store._spaces)()  # its first write is then the space, as in a new process
        async with place.failing(command, mode={"skip": skip} if skip else "alwaysOn", **how):
            if changed:
                await store.put(*NEW, embedder_id=EMBEDDER)
            else:
                with pytest.raises(StoreUnavailableError):
                    await store.put(*NEW, embedder_id=EMBEDDER)
        assert await audit(place) == {"a": 3 if changed else 2}
        assert (await reader.generation() > before) is changed
        assert await _titles(reader) == {"new" if changed else "old"}
        await store.put(*NEW, embedder_id=EMBEDDER)
        assert await _titles(reader) == {"new"}
        assert (await reader.status()).chunks == 3
    async with place.opened(clock=MovedClock(ahead=7_200)):
        assert await audit(place, tidy=True) == {"a": 3}
        assert len(await place.rows("chunks")) == 3


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": NOT_PRIMARY}])
@pytest.mark.parametrize(("command", "skip", "gone"), [("update", 0, False), ("update", 1, True), ("delete", 0, True)])
async def test_a_delete_that_breaks_anywhere_is_done_or_not(
    place: MongoPlace, command: str, skip: int, gone: bool, how: dict[str, object]
) -> None:
    """A delete that was acknowledged is found by nobody from then on, and its rows go as soon as somebody can."""
    async with place.opened() as store, place.opened() as reader:
        await store.put(*OLD, embedder_id=EMBEDDER)
        before = await reader.generation()
        async with place.failing(command, mode={"skip": skip} if skip else "alwaysOn", **how):
            if gone:
                assert await store.delete("a")
            else:
                with pytest.raises(StoreUnavailableError):
                    await store.delete("a")
        assert (await reader.generation() > before) is gone
        assert await _titles(reader) == (set() if gone else {"old"})
        assert (await reader.get("a") is None) is gone
        assert await store.delete("a") is not gone
    async with place.opened():
        assert await place.rows("documents") == await place.rows("chunks") == []


async def test_a_change_whose_acknowledgement_is_lost_is_there_once_after_it_is_repeated(place: MongoPlace) -> None:
    """A write that most members did not confirm in time fails; the repeated put leaves one document."""
    async with place.opened() as store:
        concern = {"code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"}
        async with place.failing("update", mode={"times": 1}, writeConcernError=concern):
            with pytest.raises(StoreUnavailableError, match="most members"):
                await store.put(*NEW, embedder_id=EMBEDDER)
        await store.put(*NEW, embedder_id=EMBEDDER)
        assert await _titles(store) == {"new"}
        assert await audit(place, tidy=True) == {"a": 3}


async def test_a_reply_that_does_not_come_costs_the_reply_timeout(place: MongoPlace) -> None:
    """A server that stands still fails a read, a put and the generation after the timeout, not after its own time."""
    slow = Timeouts(select=2.0, connect=2.0, reply=0.2, queue=2.0)
    async with place.opened() as healthy, place.opened(timeouts=slow) as store:
        await healthy.put(*OLD, embedder_id=EMBEDDER)
        async with place.failing("find", "insert", "findAndModify", blockConnection=True, blockTimeMS=1_500):
            for call in (lambda: store.get("a"), lambda: store.put(*NEW, embedder_id=EMBEDDER), store.generation):
                begin = time.monotonic()
                with pytest.raises(StoreUnavailableError, match="did not answer in time") as caught:
                    await call()
                assert time.monotonic() - begin < 1.2
                assert isinstance(caught.value, StoreInterruptedError)
        assert await _titles(healthy) == {"old"}


async def test_a_cancelled_call_comes_back_at_once_and_the_store_goes_on(place: MongoPlace) -> None:
    """A put that is cancelled while the server stands still ends then, and the next one works."""
    async with place.opened() as store:
        await store.put(*OLD, embedder_id=EMBEDDER)
        async with place.failing("insert", blockConnection=True, blockTimeMS=1_500):
            begin = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.put(*NEW, embedder_id=EMBEDDER), 0.2)
            assert time.monotonic() - begin < 1.2
        assert await _titles(store) == {"old"}
        await store.put(*NEW, embedder_id=EMBEDDER)
        assert await _titles(store) == {"new"}


async def test_an_ingest_through_an_election_loses_nothing(place: MongoPlace) -> None:
    """While every third write meets a server that is not primary, repeated puts store each document once."""
    async with place.opened() as store:
        failed = 0
        for n in range(3):
            sample = sample_document(f"d{n}", f"Apple {n}.", f"Apple again {n}.")
            for skip in (n % 3, 0):
                async with place.failing(
                    "findAndModify", "insert", "update", mode={"skip": skip} if skip else "alwaysOn",
                    errorCode=NOT_PRIMARY,
                ):  # fmt: skip
                    with pytest.raises(StoreUnavailableError) as caught:
                        await store.put(*sample, embedder_id=EMBEDDER)
                assert isinstance(caught.value, StoreInterruptedError)
                failed += 1
            await store.put(*sample, embedder_id=EMBEDDER)
        assert failed == 6
        assert await audit(place) == {f"d{n}": 2 for n in range(3)}
        assert (await store.status()).documents == 3
        assert len(await store.lexical("apple", k=50, scope=Scope())) == 6


async def test_two_that_create_the_same_row_at_once_both_go_on(place: MongoPlace) -> None:
    """A duplicate key at the registration of a put, or of a space, is no failure."""
    async with place.opened() as store:
        for skip in (0, 1):
            sample = sample_document(f"d{skip}", "Apple.", collection=f"c{skip}")
            mode = {"skip": 1, "times": 1} if skip else {"times": 1}
            async with place.failing("findAndModify", mode=mode, errorCode=DUPLICATE_KEY):
                await store.put(*sample, embedder_id=EMBEDDER)
        async with place.failing("findAndModify", errorCode=DUPLICATE_KEY):
            with pytest.raises(StoreUnavailableError):
                await store.put(*OLD, embedder_id=EMBEDDER)
        assert (await store.status()).documents == 2


async def test_a_write_conflict_is_a_lock(place: MongoPlace) -> None:
    """A conflict with another writer says that somebody holds it, and that trying again helps."""
    async with place.opened() as store, place.failing("findAndModify", errorCode=WRITE_CONFLICT):
        with pytest.raises(StoreLockedError, match="try again"):
            await store.put(*OLD, embedder_id=EMBEDDER)


async def test_puts_of_one_document_at_once_leave_one_of_them(place: MongoPlace) -> None:
    """Whoever commits last wins whole; nothing of the others stays."""
    async with place.opened() as one, place.opened() as two:
        await asyncio.gather(
            *(store.put(*sample, embedder_id=EMBEDDER) for store in (one, two) for sample in (OLD, NEW))
        )
        chunks = await audit(place)
        assert len(await _titles(one)) == 1
        await one.sweep()
        assert await audit(place, tidy=True) == chunks
        assert len(await place.rows("chunks")) == chunks["a"]


@pytest.mark.parametrize("stored", [{}, {"a": 2}])
async def test_a_put_that_was_taken_for_abandoned_fails_whole(place: MongoPlace, stored: dict[str, int]) -> None:
    """What a sweep removed under a slow put does not become visible: the put says that it is to be made again."""
    async with place.opened() as store, place.opened(clock=MovedClock(ahead=7_200)) as later:
        if stored:
            await store.put(*OLD, embedder_id=EMBEDDER)
        async with place.failing("insert", mode={"times": 1}, blockConnection=True, blockTimeMS=600):
            task = asyncio.create_task(store.put(*NEW, embedder_id=EMBEDDER))
            await place.until_writing()
            await later.sweep()
            with pytest.raises(StoreUnavailableError, match="put it again"):
                await task
        assert await audit(place, tidy=True) == stored
        assert await _titles(store) == ({"old"} if stored else set())
        await store.put(*NEW, embedder_id=EMBEDDER)
        await later.sweep()
        assert await audit(place, tidy=True) == {"a": 3}


async def test_a_dead_server_costs_the_selection_timeout_and_tells_no_password(place: MongoPlace) -> None:
    """Nothing listens: a call fails in time, says what to do, and neither it nor its causes hold the password."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    store = MongoStore(
        f"mongodb://me:s3cr3t%40pw@127.0.0.1:{port}/?authSource=admin",
        blocking=place.blocking,
        clock=SystemClock(),
        timeouts=Timeouts(select=0.3, connect=0.3, reply=0.3),
    )
    begin = time.monotonic()
    with pytest.raises(StoreUnavailableError) as caught:
        await store.open()
    assert time.monotonic() - begin < 1.5
    assert "check that it runs" in str(caught.value)
    told = "".join(traceback.format_exception(caught.value)) + repr(store) + repr(vars(store))
    assert "s3cr3t" not in told
    assert f"holdfast on 127.0.0.1:{port}" in told
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed in this process"):
        await store.ping()


async def test_a_store_that_could_not_be_opened_works_when_the_server_does(place: MongoPlace) -> None:
    """The first put makes the indexes that the failed opening did not."""
    store = place.store()
    async with place.failing("createIndexes", errorCode=SHUTTING_DOWN):
        with pytest.raises(StoreUnavailableError):
            await store.open()
    await store.put(*OLD, embedder_id=EMBEDDER)
    assert await _titles(store) == {"old"}
    await store.close()
    await store.open()
    assert await _titles(store) == {"old"}
    await store.close()


async def test_a_job_of_a_process_that_died_is_taken_over_when_its_lease_ends(place: MongoPlace) -> None:
    """Renewed, the lease holds; not renewed, another gets the job, and what both finish counts once."""
    clock, later = MovedClock(), MovedClock(ahead=50.0)
    async with place.opened(clock=clock) as victim, place.opened(clock=later) as other:
        created = await victim.create_job(sample_items(2), collection="default")
        assert await victim.next_job() is not None
        assert await other.next_job() is None
        clock.ahead = 30.0
        assert clock.ring() == 2, "the lease is to be renewed, and the sweep is due"
        await victim.releases_written()
        later.ahead = 80.0
        assert await other.next_job() is None
        later.ahead = 120.0
        taken = await other.next_job()
        assert taken is not None
        assert (taken.id, taken.status) == (created.id, JobState.RUNNING)
        assert (await other.finish_item(created.id, 0)).done == 1
        assert (await victim.finish_item(created.id, 0)).done == 1
        clock.ring()
        await victim.releases_written()
        victim.release_job(created.id)
        await victim.releases_written()
        assert await victim.next_job() is None
        assert (await other.finish_item(created.id, 1)).status is JobState.DONE


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": NOT_PRIMARY}])
async def test_a_job_that_breaks_anywhere_counts_once(place: MongoPlace, how: dict[str, object]) -> None:
    """A job is accepted whole or not at all, and an item whose finish is repeated is finished once."""
    async with place.opened() as store:
        for command, skip in (("findAndModify", 0), ("insert", 0), ("insert", 1), ("findAndModify", 1)):
            async with place.failing(command, mode={"skip": skip} if skip else "alwaysOn", **how):
                with pytest.raises(StoreUnavailableError):
                    await store.create_job(sample_items(2), collection="default")
            assert await store.next_job() is None
        job = await store.create_job(sample_items(2), collection="default")
        assert (await store.next_job()) is not None
        for command in ("findAndModify", "delete"):
            async with place.failing(command, **how):
                with pytest.raises(StoreUnavailableError):
                    await store.finish_item(job.id, 0)
        assert (await store.finish_item(job.id, 0)).done == 1
        async with place.failing("update", **how):
            store.release_job(job.id)
            await store.releases_written()
        taken = await store.next_job()
        assert taken is not None
        assert taken.done == 1
        assert [n for n, _ in await store.next_items(job.id, 9)] == [1]
    assert len([row for row in await place.rows("jobs") if row["status"] == "accepting"]) == 2
    async with place.opened(clock=MovedClock(ahead=7_200)):
        assert [row["_id"] for row in await place.rows("jobs")] == [job.id]
        assert [(row["job"], row["item"]) for row in await place.rows("job_items")] == [(job.id, 1)]


async def test_a_renewal_that_fails_is_told_and_tried_again(
    place: MongoPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """A lease that cannot be renewed now stays held, and the next renewal works."""
    clock = MovedClock()
    async with place.opened(clock=clock) as store:
        await store.create_job(sample_items(1), collection="default")
        await store.next_job()
        (before,) = await place.rows("jobs")
        clock.ahead = 20.0
        async with place.failing("update", errorCode=SHUTTING_DOWN):
            clock.ring()
            await store.releases_written()
        assert "could not be renewed" in caplog.text
        clock.ring()
        await store.releases_written()
        (after,) = await place.rows("jobs")
        assert after["lease_end"] > before["lease_end"]


@pytest.mark.process
async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(place: MongoPlace) -> None:
    """After each of several kills every document is whole, what was reported is there, and a sweep leaves no rest."""
    rng = random.Random(11)
    script = Path(__file__).parents[1] / "mongo" / "writing_process.py"
    async with place.opened() as reader:
        generation = 0
        for round_number in range(5):
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(script), place.uri, place.database, f"r{round_number}-",
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            lines = [await process.stdout.readline() for _ in range(rng.randrange(2, 25))]
            await asyncio.sleep(rng.random() * 0.02)
            process.kill()
            lines += [line async for line in process.stdout if line.endswith(b"\n")]
            await process.wait()
            told = [line.decode().split() for line in lines]
            chunks = await audit(place)
            job = await reader.job(told[0][1])
            assert job is not None
            assert len(await reader.next_items(job.id, 9)) == 3
            unsure = f"r{round_number}-{(len(told) - 1) % 4}"  # under way: old or new, both are right
            for line in {line[1]: line for line in told[1:] if line[1] != unsure}.values():
                document = await reader.get(line[1])
                assert (document is None) is (line[0] == "deleted")
                if document is not None:
                    assert document.title == f"version {line[2]}"
                    assert chunks[line[1]] == 1 + int(line[2]) % 6
            found = await reader.generation()
            assert found > generation
            generation = found
    async with place.opened(clock=MovedClock(ahead=7_200)) as sweeper:
        await sweeper.sweep()
        chunks = await audit(place, tidy=True)
        assert len(await place.rows("chunks")) == sum(chunks.values())
        assert (await sweeper.status()).chunks == sum(chunks.values())


async def test_an_error_of_the_server_is_told_without_its_words(place: MongoPlace) -> None:
    """A refusal names its code and what to do where we know it."""
    async with place.opened() as store:
        for code, words in (
            (13, "role readWrite"),
            (18, "user or the password"),
            (14031, "disk is full"),
            (9999, "9999"),
        ):
            async with place.failing("find", errorCode=code):
                with pytest.raises(StoreError, match=words) as caught:
                    await store.get("a")
            assert "fail point" not in str(caught.value)


async def test_a_row_of_a_deleted_document_goes_when_its_delete_is_announced(place: MongoPlace) -> None:
    """A delete that was cut off before it was announced is announced by a reader and finished by a sweep."""
    async with place.opened() as store, place.client() as client:
        await store.put(*OLD, embedder_id=EMBEDDER)
        async with place.failing("update", mode={"skip": 1}, errorCode=SHUTTING_DOWN):
            assert await store.delete("a")
        (row,) = await place.rows("documents")
        assert row["untidy"]
        assert "text" not in row
        before = await store.generation()
        assert "unannounced" not in (await place.rows("documents"))[0]
        assert await store.sweep() == 1
        assert await place.rows("documents") == await place.rows("chunks") == []
        assert await store.generation() == before
        await client.drop_database(place.database)
        assert await store.generation() == 0
        await store.put(*NEW, embedder_id=EMBEDDER)
        assert await store.generation() > before


async def test_a_change_that_others_always_come_before_is_a_lock(
    place: MongoPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put, a delete and a job give up after some tries, and say that somebody else changes the same thing."""
    async with place.opened() as store:
        await store.put(*OLD, embedder_id=EMBEDDER)
        job = await store.create_job(sample_items(1), collection="default")
        monkeypatch.setattr(writing, "_TRIES", 0)
        monkeypatch.setattr(jobs, "_TRIES", 0)
        for call in (lambda: store.delete("a"), lambda: store.finish_item(job.id, 0), lambda: store.cancel_job(job.id)):
            with pytest.raises(StoreLockedError, match="Others keep changing"):
                await call()
    assert await audit(place) == {"a": 2}


async def test_items_that_are_finished_at_once_count_once_each(place: MongoPlace) -> None:
    """Two that finish the same items at the same time lose no item and no failure, and count none twice."""
    async with place.opened() as one, place.opened() as two:
        job = await one.create_job(sample_items(6), collection="default")
        await one.next_job()
        await asyncio.gather(
            *(
                store.finish_item(job.id, item, failures=[JobFailure(f"d{item}", "broken")] if item % 2 else [])
                for item in range(6)
                for store in (one, two)
            )
        )
        over = await two.job(job.id)
        assert over is not None
        assert (over.status, over.done) == (JobState.PARTIAL, 6)
        assert sorted(each.document_id for each in over.failures) == ["d1", "d3", "d5"]
        await one.sweep()
        assert await place.rows("job_items") == []


@pytest.mark.parametrize("command", ["delete", "update"])
async def test_a_job_whose_end_was_cut_off_is_cleaned_by_a_sweep(place: MongoPlace, command: str) -> None:
    """The job is over when its last item is; payloads that could not be removed then go later."""
    async with place.opened() as store:
        job = await store.create_job(sample_items(1), collection="default")
        await store.next_job()
        async with place.failing(command, closeConnection=True):
            with pytest.raises(StoreUnavailableError):
                await store.finish_item(job.id, 0)
        over = await store.job(job.id)
        assert over is not None
        assert over.status is JobState.DONE
        assert (await store.sweep()) == 1
        assert await place.rows("job_items") == []
        assert (await store.sweep()) == 0
        assert await store.next_job() is None
