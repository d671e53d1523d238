"""Ingest jobs that survive a restart: what was accepted over the API is on disk before it is acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.rag.store.dead_letters import DeadLetterStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.rag.types import Scalar

__all__ = ["KEEP_JOBS", "KEEP_JOBS_SECONDS", "OPEN", "Job", "JobFailure", "JobItem", "JobState", "JobStore"]

KEEP_JOBS_SECONDS = 7 * 86_400
"""How long a job that is over can be asked for: 7 days."""

KEEP_JOBS = 10_000
"""How many of the last jobs can be asked for, at most."""


class JobState(StrEnum):
    """Where a job stands. ``partial``: finished, and some of its documents failed; ``failed``: all of them did."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (JobState.QUEUED, JobState.RUNNING)
"""A job in one of these is not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One document as it was handed in, not yet parsed.

    Attributes:
        name: a file name or another label; its ending tells the format when ``mime`` is empty.
        payload: the raw bytes.
        mime: the media type that the caller named, or empty.
        document_id, title, uri: what the caller named, or empty: then they come from the content.
        letter: the dead letter that is tried again, which has the payload; empty for what was handed in.
    """

    name: str
    payload: bytes
    mime: str = ""
    document_id: str = ""
    title: str = ""
    uri: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    letter: str = ""


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A document of a job that could not be ingested, and why.

    Attributes:
        kind: what sort of failure, as :class:`holdfast.rag.store.dead_letters.DeadLetter` has it.
    """

    document_id: str
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its owner sees it; ``created_at`` and ``updated_at`` are Unix seconds.

    Attributes:
        done, total: items that are finished, and all of them.
        stage: what is done now: ``load``, ``embed``, ``store`` or ``wait``; empty while it is queued or over.
        detail: of ``wait``: what it waits for, a sentence.
        documents, chunks: documents stored, and passages embedded so far.
        interrupted: how many processes began to work on it one after the other, and were gone before they had done
            anything that lasts.
    """

    id: str
    collection: str
    status: JobState
    done: int
    total: int
    failures: Sequence[JobFailure]
    created_at: float
    updated_at: float
    stage: str = ""
    detail: str = ""
    documents: int = 0
    chunks: int = 0
    interrupted: int = 0


@runtime_checkable
class JobStore(DeadLetterStore, Protocol):
    """Keeps jobs and their items, and dead letters. An item's payload is deleted when it is finished."""

    async def create_job(self, items: Sequence[JobItem], *, collection: str) -> Job:
        """Write a job with all of its items, in one transaction.

        Jobs that were over ``KEEP_JOBS_SECONDS`` ago, and all but the last ``KEEP_JOBS``, are forgotten.
        """
        ...

    async def job(self, job_id: str) -> Job | None:
        """A job by its id."""
        ...

    async def next_job(self) -> Job | None:
        """The oldest job that is queued, or was left running by a process that is gone; marks it running."""
        ...

    def release_job(self, job_id: str) -> None:
        """Give back a job that ``next_job`` handed out and that is not finished: anybody may get it again.

        Idempotent, and without effect on a job that this object does not run. Touches nothing that can fail when the
        store is broken, so that it can be called because of that.
        """
        ...

    async def next_items(self, job_id: str, limit: int) -> list[tuple[int, JobItem]]:
        """Items of the job that are not finished, in order, each with its number."""
        ...

    async def item_is_open(self, job_id: str, item: int) -> bool:
        """Whether the item is still to be done: its job was not cancelled, nor the item dropped or finished."""
        ...

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
        """Say what is done now, and add what was done; without effect on a job that is over.

        Args:
            lasting: whether something was done that outlives the process: ``interrupted`` is counted anew.
        """
        ...

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

        Args:
            stored: the documents of the item that are stored now; an item with failures and none stored has failed.
            failures: what of it could not be ingested.
            documents, chunks: what was done and was not noted as progress yet.
        """
        ...

    async def cancel_job(self, job_id: str) -> Job | None:
        """Stop a job that is not finished: items not begun are dropped, documents that are stored stay."""
        ...

    async def forget_document(self, document_id: str, *, collection: str) -> bool:
        """Somebody deletes this document: drop the items of open jobs that name it, and its dead letter.

        That it was deleted is remembered for ``KEEP_JOBS_SECONDS``: an upload of many documents may hold it, too.

        Returns:
            whether anything was dropped.
        """
        ...

    async def was_forgotten(self, document_id: str, *, collection: str, since: float) -> bool:
        """Whether the document was deleted after ``since``, Unix seconds: what was handed in before is void."""
        ...
