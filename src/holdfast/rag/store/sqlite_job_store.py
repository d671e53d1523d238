"""The embedded store as a job store: jobs, their items and dead letters in the file that the documents are in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from holdfast.rag.store import sqlite_dead_letters, sqlite_jobs
from holdfast.rag.store.dead_letters import letter_id
from holdfast.rag.store.jobs import OPEN, Job, JobFailure, JobItem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.store.claims import JobClaims
    from holdfast.rag.store.connection import Database
    from holdfast.rag.store.dead_letters import DeadLetter, DeadLetterPage
    from holdfast.rag.store.open_file import Call

__all__ = ["SqliteJobs"]

T = TypeVar("T")
_NANOSECONDS = 1_000_000_000
_Items: TypeAlias = "list[tuple[int, JobItem]]"


class SqliteJobs(ABC):
    """A ``JobStore`` on a file that the derived class reads and writes."""

    _clock: Clock
    _claims: JobClaims
    _database: Database[Any]

    @abstractmethod
    async def _read(self, fn: Callable[[sqlite3.Connection, Any], T]) -> T:
        """Run ``fn`` in a read transaction; its second argument is the derived class' own."""

    @abstractmethod
    async def _write(self, fn: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T:
        """Run ``fn`` in a write transaction."""

    @abstractmethod
    async def _in_turn(self, fn: Callable[[Call], T]) -> T:
        """Run ``fn`` when it is our turn to write."""

    async def create_job(self, items: Sequence[JobItem], *, collection: str) -> Job:
        """Write a job with all of its items, in one transaction."""
        return await self._write(
            lambda connection: sqlite_jobs.create_job(
                connection, items, collection=collection, now_ns=self._clock.wall_ns()
            ),
            create=True,
        )

    async def job(self, job_id: str) -> Job | None:
        """A job by its id."""
        return await self._read(lambda connection, _: sqlite_jobs.find_job(connection, job_id))

    async def next_job(self) -> Job | None:
        """The oldest job that is queued, or whose process is gone; marks it running.

        While a process lives, no other gets a job that it began; its own store object gets it again after
        ``release_job`` or ``close``.
        """
        if not await self._read(lambda connection, _: sqlite_jobs.any_open(connection)):
            return None  # asked again and again: without work it takes no lock from those who write
        claimed: str | None = None

        def start(connection: sqlite3.Connection) -> Job | None:
            nonlocal claimed
            job = sqlite_jobs.start_next_job(connection, self._claims.claim, now_ns=self._clock.wall_ns())
            claimed = None if job is None else job.id
            return job

        def run(call: Call) -> Job | None:
            try:
                return self._database.write(call, start, create=False)
            except BaseException:
                if claimed is not None:
                    self._claims.give_up(claimed)
                raise

        return await self._in_turn(run)

    def release_job(self, job_id: str) -> None:
        """Give back a job that ``next_job`` handed out; no I/O but the closing of a lock file. Idempotent."""
        self._claims.give_up(job_id)

    async def next_items(self, job_id: str, limit: int) -> _Items:
        """Items of the job that are not finished, in order, each with its number; none when it was cancelled."""
        return await self._read(lambda connection, _: sqlite_jobs.next_items(connection, job_id, limit))

    async def item_is_open(self, job_id: str, item: int) -> bool:
        """Whether the item is still to be done: its job was not cancelled, nor the item dropped or finished."""
        return await self._read(lambda connection, _: sqlite_jobs.item_is_open(connection, job_id, item))

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
        now_ns = self._clock.wall_ns()
        await self._write(
            lambda connection: sqlite_jobs.note_progress(
                connection,
                job_id,
                stage=stage,
                detail=detail,
                documents=documents,
                chunks=chunks,
                lasting=lasting,
                now_ns=now_ns,
            )
        )

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
        now_ns = self._clock.wall_ns()

        def finish(connection: sqlite3.Connection) -> Job:
            return sqlite_jobs.finish_item(
                connection,
                job_id,
                item,
                stored=stored,
                failures=failures,
                documents=documents,
                chunks=chunks,
                now_ns=now_ns,
            )

        return await self._in_turn(lambda call: self._settled(self._database.write(call, finish, create=False)))

    async def cancel_job(self, job_id: str) -> Job | None:
        """Stop a job that is not finished: items not finished are dropped, documents that are stored stay."""
        now_ns = self._clock.wall_ns()

        def cancel(connection: sqlite3.Connection) -> Job | None:
            return sqlite_jobs.cancel_job(connection, job_id, now_ns=now_ns)

        def run(call: Call) -> Job | None:
            job = self._database.write(call, cancel, create=False)
            return None if job is None else self._settled(job)

        return await self._in_turn(run)

    async def forget_document(self, document_id: str, *, collection: str) -> bool:
        """Drop the items of open jobs that name this document, and its dead letter; remember it. One transaction."""
        now_ns = self._clock.wall_ns()

        def forget(connection: sqlite3.Connection) -> tuple[int, list[str]]:
            letters = sqlite_dead_letters.remove_letters(connection, [letter_id(collection, document_id)])
            items, over = sqlite_jobs.forget_document(connection, document_id, collection=collection, now_ns=now_ns)
            return letters + items, over

        def run(call: Call) -> bool:
            dropped, over = self._database.write(call, forget, create=False)
            for job_id in over:
                self._claims.settle(job_id)
            return dropped > 0

        return await self._in_turn(run)

    async def was_forgotten(self, document_id: str, *, collection: str, since: float) -> bool:
        """Whether the document was deleted after ``since``, Unix seconds."""
        since_ns = round(since * _NANOSECONDS)
        return await self._read(
            lambda connection, _: sqlite_jobs.was_forgotten(
                connection, document_id, collection=collection, since_ns=since_ns
            )
        )

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is there counts a try more. One transaction."""
        now_ns = self._clock.wall_ns()
        await self._write(lambda connection: sqlite_dead_letters.bury(connection, letters, now_ns=now_ns), create=True)

    async def dead_letters(
        self, *, collection: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> DeadLetterPage:
        """Dead letters in the order of their ids, without payloads.

        Raises:
            InvalidInputError: ``limit`` is below 1.
        """
        return await self._read(
            lambda connection, _: sqlite_dead_letters.list_letters(connection, collection, limit, cursor)
        )

    async def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """A dead letter by its id, with its payload."""
        return await self._read(lambda connection, _: sqlite_dead_letters.find_letter(connection, letter_id))

    async def dead_letter_sources(self, collection: str) -> dict[str, str]:
        """The ids of a collection's dead letters, each with its source."""
        return await self._read(lambda connection, _: sqlite_dead_letters.sources_of_letters(connection, collection))

    async def remove_dead_letters(self, letter_ids: Collection[str]) -> int:
        """Forget these; how many there were."""
        return await self._write(
            lambda connection: sqlite_dead_letters.remove_letters(connection, letter_ids), create=True
        )

    def _settled(self, job: Job) -> Job:
        if job.status not in OPEN:
            self._claims.settle(job.id)
        return job
