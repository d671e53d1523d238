"""What every job store must do, as tests that any ``JobStore`` can be run against.

Used like ``StoreConformance``: derive a class, give it ``make_jobs``, and pytest with pytest-asyncio runs the tests.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import NotFoundError
from holdfast.rag.store.jobs import JobFailure, JobItem, JobState, JobStore

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = ["JobStoreConformance", "sample_items"]


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
