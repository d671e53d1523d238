"""The MongoDB store as a job store: jobs, their items and leases in the database that the documents are in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from holdfast.rag.store.dead_letters import letter_id
from holdfast.rag.store.jobs import OPEN, Job, JobFailure, JobItem
from holdfast.rag.store.mongo import dead_letters
from holdfast.rag.store.mongo.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from contextlib import AbstractAsyncContextManager

    from holdfast.core.clock import Clock
    from holdfast.rag.store.dead_letters import DeadLetter, DeadLetterPage
    from holdfast.rag.store.mongo.client import Database
    from holdfast.rag.store.mongo.leases import Leases

__all__ = ["MongoJobs"]

_Items: TypeAlias = "list[tuple[int, JobItem]]"


class MongoJobs(ABC):
    """A ``JobStore`` on a database that the derived class is connected to."""

    _clock: Clock
    _leases: Leases
    _place: str

    @abstractmethod
    def _using(self) -> AbstractAsyncContextManager[Database]:
        """The database, for a block whose failures are the store's errors."""

    async def create_job(self, items: Sequence[JobItem], *, collection: str) -> Job:
        """Write a job with all of its items; nobody sees it before it is whole.

        Raises:
            InvalidInputError: an item is larger than MongoDB takes for one (16 MB).
        """
        async with self._jobs() as jobs:
            return await jobs.create(items, collection)

    async def job(self, job_id: str) -> Job | None:
        """A job by its id."""
        async with self._jobs() as jobs:
            return await jobs.find(job_id)

    async def next_job(self) -> Job | None:
        """The oldest job that is queued, or whose lease has ended; marks it running and takes a lease on it."""
        async with self._jobs() as jobs:
            return await jobs.start_next()

    def release_job(self, job_id: str) -> None:
        """Give back a job that ``next_job`` handed out. Idempotent; does not wait, and cannot fail.

        This object may get it again at once, others as soon as the server knows: that message goes out by itself.
        """
        self._leases.give_up(job_id)

    async def releases_written(self) -> None:
        """Return when the server knows of every job that was given back, or could not be told."""
        await self._leases.settled()

    async def next_items(self, job_id: str, limit: int) -> _Items:
        """Items of the job that are not finished, in order, each with its number; none when it was cancelled."""
        async with self._jobs() as jobs:
            return await jobs.next_items(job_id, limit)

    async def item_is_open(self, job_id: str, item: int) -> bool:
        """Whether the item is still to be done: its job was not cancelled, nor the item dropped or finished."""
        async with self._jobs() as jobs:
            return await jobs.item_is_open(job_id, item)

    async def note_progress(
        self,
        job_id: str,
        *,
        stage: str,
        detail: str = "",
        documents: int = 0,
        chunks: int = 0,
        lasting: bool = False,
    ) -> None:
        """Say what is done now, and add what was done; without effect on a job that is over."""
        async with self._jobs() as jobs:
            said = {"stage": stage, "detail": detail} | ({"interrupted": 0} if lasting else {})
            await jobs.note_progress(job_id, said, documents=documents, chunks=chunks)

    async def finish_item(
        self,
        job_id: str,
        item: int,
        *,
        stored: int = 0,
        failures: Sequence[JobFailure] = (),
        documents: int = 0,
        chunks: int = 0,
    ) -> Job:
        """Mark an item finished and settle the job's status when it was the last.

        Raises:
            NotFoundError: there is no such job or no such item.
        """
        async with self._jobs() as jobs:
            return self._settled(
                await jobs.finish_item(job_id, item, stored=stored, failures=failures, done=(documents, chunks))
            )

    async def cancel_job(self, job_id: str) -> Job | None:
        """Stop a job that is not finished: items not finished are dropped, documents that are stored stay."""
        async with self._jobs() as jobs:
            job = await jobs.cancel(job_id)
            return None if job is None else self._settled(job)

    async def forget_document(self, document_id: str, *, collection: str) -> bool:
        """Drop the items of open jobs that name this document, and its dead letter; remember it."""
        removed = await self.remove_dead_letters([letter_id(collection, document_id)])
        async with self._jobs() as jobs:
            settled = [self._settled(job) for job in await jobs.forget_document(document_id, collection)]
        return bool(settled) or removed > 0

    async def was_forgotten(self, document_id: str, *, collection: str, since: float) -> bool:
        """Whether the document was deleted after ``since``, Unix seconds."""
        async with self._jobs() as jobs:
            return await jobs.was_forgotten(document_id, collection, since)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is there counts a try more.

        Raises:
            InvalidInputError: one is larger than MongoDB takes for a row (16 MB).
        """
        async with self._using() as database:
            await dead_letters.bury(database, letters, now_ns=self._clock.wall_ns())

    async def dead_letters(
        self, *, collection: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> DeadLetterPage:
        """Dead letters in the order of their ids, without payloads.

        Raises:
            InvalidInputError: ``limit`` is below 1.
        """
        async with self._using() as database:
            return await dead_letters.list_letters(database, collection, limit, cursor)

    async def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """A dead letter by its id, with its payload."""
        async with self._using() as database:
            return await dead_letters.find_letter(database, letter_id)

    async def dead_letter_sources(self, collection: str) -> dict[str, str]:
        """The ids of a collection's dead letters, each with its source."""
        async with self._using() as database:
            return await dead_letters.sources_of_letters(database, collection)

    async def remove_dead_letters(self, letter_ids: Collection[str]) -> int:
        """Forget these; how many there were."""
        async with self._using() as database:
            return await dead_letters.remove_letters(database, letter_ids)

    def _settled(self, job: Job) -> Job:
        if job.status not in OPEN:
            self._leases.forget(job.id)
        return job

    @asynccontextmanager
    async def _jobs(self) -> AsyncIterator[Jobs]:
        async with self._using() as database:
            yield Jobs(database=database, clock=self._clock, leases=self._leases, place=self._place)
