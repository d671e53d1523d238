"""What every job store must do, as tests that any ``JobStore`` can be run against.

Used like ``StoreConformance``: derive a class, give it ``make_jobs``, and pytest with pytest-asyncio runs the tests.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.rag.identity import document_id_for
from holdfast.rag.store.dead_letters import DeadLetter
from holdfast.rag.store.jobs import JobFailure, JobItem, JobState, JobStore

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = ["JobStoreConformance", "sample_items", "sample_letter"]


def sample_items(count: int) -> list[JobItem]:
    """Items that differ in every field."""
    return [
        JobItem(
            name=f"file {n}.md",
            payload=b"\x00\xff payload " + bytes([n]),
            mime="text/markdown",
            document_id=f"d{n}",
            title=f"Title {n}",
            uri=f"file:///{n}",
            metadata={"n": n, "draft": n % 2 == 0, "lang": "en", "score": 0.5},
        )
        for n in range(count)
    ]


def sample_letter(name: str, *, collection: str = "default", source: str = "", kept: bool = True) -> DeadLetter:
    """A dead letter of a document of this name."""
    return DeadLetter(
        collection=collection,
        document_id=name,
        uri=f"https://example.com/{name}",
        reason=f"it could not be embedded: {name}",
        kind="throttled",
        stage="embed",
        source=source,
        item=sample_items(1)[0] if kept else None,
        path="" if kept else f"/srv/{name}.md",
        file_uri="" if kept else f"docs/{name}.md",
    )


class JobStoreConformance(ABC):
    """The contract of ``JobStore``."""

    @abstractmethod
    def make_jobs(self, place: Path) -> AbstractAsyncContextManager[JobStore]:
        """An open job store; two of the same place share their jobs, and stand for two processes.

        The end of the block stands for the end of the process.
        """

    async def released(self, jobs: JobStore) -> None:  # noqa: B027 - a hook, most stores have nothing to wait for
        """Return when a job that ``jobs`` gave back is free for others; here at once, which not every store can do."""

    async def test_has_the_protocol(self, tmp_path: Path) -> None:
        """It has every member of the protocol."""
        async with self.make_jobs(tmp_path) as jobs:
            assert isinstance(jobs, JobStore)

    async def test_a_job_comes_back_as_it_was_written(self, tmp_path: Path) -> None:
        """A new job is queued; its items come back in order, with their bytes."""
        items = sample_items(3)
        async with self.make_jobs(tmp_path) as jobs:
            created = await jobs.create_job(items, collection="books")
            assert (created.status, created.done, created.total, created.collection) == (JobState.QUEUED, 0, 3, "books")
            assert list(created.failures) == []
            assert created.created_at == created.updated_at > 0
            assert await jobs.job(created.id) == created
            assert await jobs.next_items(created.id, 2) == [(0, items[0]), (1, items[1])]
            assert await jobs.next_items(created.id, 9) == list(enumerate(items))

    async def test_unknown_jobs(self, tmp_path: Path) -> None:
        """An unknown job is None to look at, has no items, and cannot be worked on."""
        async with self.make_jobs(tmp_path) as jobs:
            assert await jobs.job("nothing") is None
            assert await jobs.next_job() is None
            assert await jobs.next_items("nothing", 1) == []
            assert await jobs.cancel_job("nothing") is None
            with pytest.raises(NotFoundError):
                await jobs.finish_item("nothing", 0)
            job = await jobs.create_job(sample_items(1), collection="default")
            with pytest.raises(NotFoundError):
                await jobs.finish_item(job.id, 1)

    async def test_a_job_without_items_is_done(self, tmp_path: Path) -> None:
        """There is nothing to wait for in a job of nothing."""
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job([], collection="default")
            assert (job.status, job.total) == (JobState.DONE, 0)
            assert await jobs.next_job() is None

    async def test_an_item_that_failed_in_part_makes_the_job_partial(self, tmp_path: Path) -> None:
        """A job of one item, of which one document was stored and one was not, is partial and not failed."""
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job(sample_items(1), collection="default")
            await jobs.next_job()
            job = await jobs.finish_item(job.id, 0, stored=1, failures=[JobFailure("d0#2", "broken")])
            assert job.status is JobState.PARTIAL

    @pytest.mark.parametrize(
        ("failing", "outcome"), [((), JobState.DONE), ((1,), JobState.PARTIAL), ((0, 1, 2), JobState.FAILED)]
    )
    async def test_the_last_item_settles_the_job(
        self, tmp_path: Path, failing: tuple[int, ...], outcome: JobState
    ) -> None:
        """Done without failures, failed when every item had one, partial between."""
        async with self.make_jobs(tmp_path) as jobs:
            created = await jobs.create_job(sample_items(3), collection="default")
            started = await jobs.next_job()
            assert started is not None
            assert (started.id, started.status) == (created.id, JobState.RUNNING)
            expected: list[JobFailure] = []
            job = started
            for n in (1, 0, 2):
                failures = [JobFailure(f"d{n}", "broken"), JobFailure(f"d{n}b", "broken too")] if n in failing else []
                expected += failures
                assert job.status is JobState.RUNNING
                job = await jobs.finish_item(created.id, n, failures=failures)
            assert (job.status, job.done, list(job.failures)) == (outcome, 3, expected)
            assert await jobs.job(created.id) == job
            assert await jobs.next_items(created.id, 9) == []
            assert await jobs.next_job() is None

    async def test_finishing_an_item_twice_counts_once(self, tmp_path: Path) -> None:
        """A second finish changes nothing: not the count, not the failures."""
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job(sample_items(2), collection="default")
            once = await jobs.finish_item(job.id, 0, failures=[JobFailure("d0", "broken")])
            twice = await jobs.finish_item(job.id, 0, failures=[JobFailure("d0", "broken")])
            assert (
                (twice.done, list(twice.failures))
                == (once.done, list(once.failures))
                == (1, [JobFailure("d0", "broken")])
            )
            assert [n for n, _ in await jobs.next_items(job.id, 9)] == [1]

    async def test_jobs_come_in_the_order_they_were_made(self, tmp_path: Path) -> None:
        """The oldest first, each once."""
        async with self.make_jobs(tmp_path) as jobs:
            made = [(await jobs.create_job(sample_items(1), collection="default")).id for _ in range(4)]
            started = [await jobs.next_job() for _ in made]
            assert [job.id for job in started if job is not None] == made
            assert await jobs.next_job() is None

    async def test_a_cancelled_job_stops(self, tmp_path: Path) -> None:
        """Cancelling drops the items that are left, holds when an item finishes late, and leaves finished jobs."""
        async with self.make_jobs(tmp_path) as jobs, self.make_jobs(tmp_path) as others:
            job = await jobs.create_job(sample_items(3), collection="default")
            await jobs.next_job()
            await jobs.finish_item(job.id, 0)
            cancelled = await others.cancel_job(job.id)
            assert cancelled is not None
            assert (cancelled.status, cancelled.done, cancelled.total) == (JobState.CANCELLED, 1, 3)
            assert await jobs.next_items(job.id, 9) == []
            assert (await jobs.finish_item(job.id, 1)).status is JobState.CANCELLED
            assert await jobs.next_job() is None
            done = await jobs.create_job([], collection="default")
            assert await jobs.cancel_job(done.id) == done

    async def test_two_processes_never_run_the_same_job(self, tmp_path: Path) -> None:
        """However they ask at once, each job goes to one of them."""
        async with self.make_jobs(tmp_path) as one, self.make_jobs(tmp_path) as two:
            made = {(await one.create_job(sample_items(1), collection="default")).id for _ in range(6)}
            started = await asyncio.gather(*(jobs.next_job() for _ in range(5) for jobs in (one, two)))
            ids = [job.id for job in started if job is not None]
            assert sorted(ids) == sorted(made)

    async def test_a_job_of_a_process_that_is_gone_is_taken_over(self, tmp_path: Path) -> None:
        """Its finished items stay finished, the others are handed out again, and nobody else gets it meanwhile."""
        items = sample_items(3)
        async with self.make_jobs(tmp_path) as survivor:
            async with self.make_jobs(tmp_path) as victim:
                job = await victim.create_job(items, collection="default")
                assert await victim.next_job() is not None
                await victim.finish_item(job.id, 0, failures=[JobFailure("d0", "broken")])
                assert await survivor.next_job() is None
            taken = await survivor.next_job()
            assert taken is not None
            assert (taken.id, taken.status, taken.done) == (job.id, JobState.RUNNING, 1)
            assert list(taken.failures) == [JobFailure("d0", "broken")]
            assert await survivor.next_items(job.id, 9) == [(1, items[1]), (2, items[2])]

    async def test_a_released_job_is_handed_out_again(self, tmp_path: Path) -> None:
        """Whoever gave a job back, or another process, goes on with the items that are left; twice is as once."""
        items = sample_items(3)
        async with self.make_jobs(tmp_path) as one, self.make_jobs(tmp_path) as two:
            job = await one.create_job(items, collection="default")
            one.release_job("nothing")
            one.release_job(job.id)
            for worker, done in ((one, 0), (one, 1), (two, 2)):
                taken = await worker.next_job()
                assert taken is not None
                assert (taken.id, taken.status, taken.done) == (job.id, JobState.RUNNING, done)
                (two if worker is one else one).release_job(job.id)  # it is not theirs to give back
                assert await one.next_job() is None
                assert await two.next_job() is None
                job = await worker.finish_item(job.id, done)
                worker.release_job(job.id)
                worker.release_job(job.id)
                await self.released(worker)
            assert job.status is JobState.DONE
            assert await one.next_job() is None

    async def test_jobs_survive_reopening(self, tmp_path: Path) -> None:
        """What was accepted is there after a restart, to the byte."""
        items = sample_items(2)
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job(items, collection="default")
        async with self.make_jobs(tmp_path) as jobs:
            assert await jobs.job(job.id) == job
            assert await jobs.next_items(job.id, 9) == list(enumerate(items))

    async def test_a_failure_keeps_its_kind(self, tmp_path: Path) -> None:
        """What sort of failure it was comes back with the failure."""
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job(sample_items(1), collection="default")
            await jobs.next_job()
            failures = [JobFailure("d0", "no money", "quota"), JobFailure("d1", "no idea")]
            assert list((await jobs.finish_item(job.id, 0, failures=failures)).failures) == failures

    async def test_progress_adds_up(self, tmp_path: Path) -> None:
        """The stage is the last one said, counts add up, every process sees them, and the end clears the stage."""
        async with self.make_jobs(tmp_path) as jobs, self.make_jobs(tmp_path) as others:
            job = await jobs.create_job(sample_items(2), collection="default")
            await jobs.next_job()
            await jobs.note_progress(job.id, stage="embed", chunks=3)
            await jobs.note_progress(job.id, stage="wait", detail="a minute", documents=1, chunks=4)
            seen = await others.job(job.id)
            assert seen is not None
            assert (seen.stage, seen.detail, seen.documents, seen.chunks) == ("wait", "a minute", 1, 7)
            await jobs.finish_item(job.id, 0, stored=1, documents=2, chunks=1)
            over = await jobs.finish_item(job.id, 1, stored=1)
            assert (over.status, over.stage, over.detail, over.chunks) == (JobState.DONE, "", "", 8)
            assert over.documents == 3
            await jobs.note_progress(job.id, stage="embed", chunks=9)
            assert await jobs.job(job.id) == over
            await jobs.note_progress("nothing", stage="embed")

    async def test_an_item_is_open_until_it_is_over(self, tmp_path: Path) -> None:
        """Finished, cancelled and unknown items are not open."""
        async with self.make_jobs(tmp_path) as jobs, self.make_jobs(tmp_path) as others:
            job = await jobs.create_job(sample_items(2), collection="default")
            await jobs.next_job()
            assert [await jobs.item_is_open(job.id, n) for n in range(3)] == [True, True, False]
            await jobs.finish_item(job.id, 0)
            assert [await others.item_is_open(job.id, n) for n in range(2)] == [False, True]
            await others.cancel_job(job.id)
            assert not await jobs.item_is_open(job.id, 1)
            assert not await jobs.item_is_open("nothing", 0)

    async def test_processes_that_vanish_are_counted(self, tmp_path: Path) -> None:
        """A job knows how many processes in a row began it and were gone; what lasts of their work starts anew."""
        async with self.make_jobs(tmp_path) as jobs:
            job = await jobs.create_job(sample_items(2), collection="default")
            for vanished in range(4):
                taken = await jobs.next_job()
                assert taken is not None
                assert taken.interrupted == vanished
                jobs.release_job(job.id)
                await self.released(jobs)
            await jobs.next_job()
            for lasting, vanished in ((False, 5), (True, 1)):
                await jobs.note_progress(job.id, stage="embed", lasting=lasting)
                jobs.release_job(job.id)
                await self.released(jobs)
                taken = await jobs.next_job()
                assert taken is not None
                assert taken.interrupted == vanished
            assert (await jobs.finish_item(job.id, 0)).interrupted == 0

    async def test_an_item_may_name_a_dead_letter(self, tmp_path: Path) -> None:
        """An item that tries a dead letter again has no payload of its own."""
        async with self.make_jobs(tmp_path) as jobs:
            item = JobItem(name="again", payload=b"", letter="dl-1")
            job = await jobs.create_job([item], collection="default")
            assert await jobs.next_items(job.id, 1) == [(0, item)]

    async def test_dead_letters_are_kept_and_removed(self, tmp_path: Path) -> None:
        """A dead letter comes back with its payload, through reopening; a listing leaves the payload out."""
        letters = [sample_letter("a", source="s1"), sample_letter("b", source="s2", kept=False)]
        async with self.make_jobs(tmp_path) as jobs:
            await jobs.bury(letters)
        async with self.make_jobs(tmp_path) as jobs:
            for letter in letters:
                found = await jobs.dead_letter(letter.id)
                assert found is not None
                assert found.first_at == found.last_at > 0
                assert replace(found, first_at=0.0, last_at=0.0) == letter
                assert found.retryable
            page = await jobs.dead_letters()
            assert {each.id: each.uri for each in page.letters} == {each.id: each.uri for each in letters}
            assert [None if each.item is None else each.item.payload for each in page.letters].count(b"") == 1
            assert await jobs.dead_letter_sources("default") == {each.id: each.source for each in letters}
            assert await jobs.remove_dead_letters([letters[0].id, "dl-nothing"]) == 1
            assert await jobs.dead_letter(letters[0].id) is None
            assert await jobs.remove_dead_letters(()) == 0
            assert await jobs.remove_dead_letters([letters[0].id]) == 0

    async def test_a_second_failure_counts(self, tmp_path: Path) -> None:
        """The same document failing again is one dead letter: the last reason, one try more, the first time stays."""
        async with self.make_jobs(tmp_path) as jobs:
            first = sample_letter("a")
            await jobs.bury([first])
            before = await jobs.dead_letter(first.id)
            await jobs.bury([replace(first, reason="another", kind="quota", item=None)])
            after = await jobs.dead_letter(first.id)
            assert before is not None
            assert after is not None
            assert (after.tries, after.reason, after.kind, after.item) == (2, "another", "quota", None)
            assert after.first_at == before.first_at <= after.last_at
            assert not after.retryable

    async def test_dead_letters_come_in_pages(self, tmp_path: Path) -> None:
        """Page by page every dead letter of a collection comes once."""
        async with self.make_jobs(tmp_path) as jobs:
            wanted = [sample_letter(f"d{n}") for n in range(7)]
            await jobs.bury([*wanted, sample_letter("other", collection="books")])
            found: list[str] = []
            cursor: str | None = None
            while True:
                page = await jobs.dead_letters(collection="default", limit=3, cursor=cursor)
                found += [each.id for each in page.letters]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert found == sorted(each.id for each in wanted)
            assert len((await jobs.dead_letters()).letters) == 8
            assert list(await jobs.dead_letter_sources("books")) == [sample_letter("other", collection="books").id]
            with pytest.raises(InvalidInputError):
                await jobs.dead_letters(limit=0)

    async def test_a_deleted_document_is_forgotten(self, tmp_path: Path) -> None:
        """Its dead letter and the items that name it are dropped, and uploads from before know that they are void."""
        async with self.make_jobs(tmp_path) as jobs:
            await jobs.bury([sample_letter("d0"), sample_letter("d1")])
            named, nameless = JobItem(name="a.md", payload=b"x", document_id="d0"), JobItem(name="b.md", payload=b"y")
            job = await jobs.create_job([named, nameless, *sample_items(2)[1:]], collection="default")
            other = await jobs.create_job([named], collection="books")
            await asyncio.sleep(0.001)  # what is deleted at the very moment of an upload is deleted before it
            assert await jobs.forget_document("d0", collection="default")
            assert await jobs.forget_document(document_id_for("b.md"), collection="default")
            assert not await jobs.forget_document("unheard-of", collection="default")
            assert [n for n, _ in await jobs.next_items(job.id, 9)] == [2]
            seen = await jobs.job(job.id)
            assert seen is not None
            assert (seen.done, seen.total, list(seen.failures)) == (2, 3, [])
            assert await jobs.item_is_open(other.id, 0)
            assert set(await jobs.dead_letter_sources("default")) == {sample_letter("d1").id}
            for document_id, void in (("d0", True), ("unheard-of", True), ("d1", False)):
                found = await jobs.was_forgotten(document_id, collection="default", since=job.created_at)
                assert found is void
            assert not await jobs.was_forgotten("d0", collection="books", since=job.created_at)
            assert not await jobs.was_forgotten("d0", collection="default", since=seen.updated_at + 60)
            assert await jobs.forget_document("d1", collection="default")
            assert (await jobs.job(job.id) or seen).status is JobState.DONE
