"""The course of an ingest: whether it should go on, and what it does now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.store.jobs import Job, JobStore
    from holdfast.rag.types import Document

__all__ = ["Course", "JobCourse", "StoredCourse"]

_WRITE_EVERY_NS = 1_000_000_000


class Course:
    """An ingest that nobody follows from afar: it goes on, and its progress is told by events."""

    async def go_on(self) -> bool:
        """Whether what is done now is still wanted. Asked before everything that costs something."""
        return True

    async def is_void(self, document: Document) -> bool:  # noqa: ARG002 - files are read now: nothing is older
        """Whether somebody deleted the document since it was handed in."""
        return False

    def doing(self, stage: str, detail: str = "") -> None:
        """Say what is done now: ``load``, ``embed``, ``store`` or ``wait``."""

    def did(self, *, documents: int = 0, chunks: int = 0) -> None:
        """Say what was done: documents stored, passages embedded; without either: something that outlives us."""


class StoredCourse(Course):
    """The course of documents that were handed in at a time, and may have been deleted since.

    Args:
        jobs: where deletions are remembered.
        since: when they were handed in, Unix seconds.
    """

    def __init__(self, jobs: JobStore, *, since: float) -> None:
        self._jobs = jobs
        self._since = since

    async def is_void(self, document: Document) -> bool:
        """Whether somebody deleted the document since it was handed in."""
        return await self._jobs.was_forgotten(document.id, collection=document.collection, since=self._since)


class JobCourse(StoredCourse):
    """The course of one item of a job: written down, at most once a second, where every process can read it.

    Args:
        jobs: where the job is.
        job, item: what is worked on.
    """

    def __init__(self, jobs: JobStore, job: Job, item: int, *, clock: Clock) -> None:
        super().__init__(jobs, since=job.created_at)
        self._job_id = job.id
        self._item = item
        self._clock = clock
        self._said = ("", "")
        self._now = ("load", "")
        self._documents = 0
        self._chunks = 0
        self._lasting = self._lasted = False
        self._written_ns: int | None = None

    async def go_on(self) -> bool:
        """Whether the item is still to be done; writes the progress down when it is time to."""
        now = self._clock.now_ns()
        due = self._written_ns is None or now - self._written_ns >= _WRITE_EVERY_NS
        due = due or (self._lasting and not self._lasted)  # a process that is killed soon must not count as one in vain
        news = self._now != self._said or self._documents or self._chunks or self._lasting
        if news and (due or "wait" in (self._now[0], self._said[0])):
            self._written_ns = now
            await self.write()
        return await self._jobs.item_is_open(self._job_id, self._item)

    def doing(self, stage: str, detail: str = "") -> None:
        """Say what is done now."""
        self._now = (stage, detail)

    def did(self, *, documents: int = 0, chunks: int = 0) -> None:
        """Say what was done."""
        self._documents += documents
        self._chunks += chunks
        self._lasting = True

    def rest(self) -> tuple[int, int]:
        """Documents and passages that are done and not written down yet."""
        return self._documents, self._chunks

    async def write(self) -> None:
        """Write the progress down now."""
        stage, detail = self._now
        documents, chunks = self._documents, self._chunks
        lasting, self._lasting = self._lasting or stage == "wait", False
        self._lasted = self._lasted or lasting
        await self._jobs.note_progress(
            self._job_id, stage=stage, detail=detail, documents=documents, chunks=chunks, lasting=lasting
        )
        self._said = (stage, detail)
        self._documents -= documents
        self._chunks -= chunks
