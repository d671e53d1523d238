"""Ingest jobs that survive a restart: what was accepted over the API is on disk before it is acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.rag.types import Scalar

__all__ = ["Job", "JobFailure", "JobItem", "JobState", "JobStore"]


class JobState(StrEnum):
    """Where a job stands. ``partial``: finished, and some of its documents failed; ``failed``: all of them did."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """One document as it was handed in, not yet parsed.

    Attributes:
        name: a file name or another label; its ending tells the format when ``mime`` is empty.
        payload: the raw bytes.
        mime: the media type that the caller named, or empty.
        document_id, title, uri: what the caller named, or empty: then they come from the content.
    """

    name: str
    payload: bytes
    mime: str = ""
    document_id: str = ""
    title: str = ""
    uri: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobFailure:
    """A document of a job that could not be ingested, and why."""

    document_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its owner sees it; ``created_at`` and ``updated_at`` are Unix seconds."""

    id: str
    collection: str
    status: JobState
    done: int
    total: int
    failures: Sequence[JobFailure]
    created_at: float
    updated_at: float


@runtime_checkable
class JobStore(Protocol):
    """Keeps jobs and their items. An item's payload is deleted when it is finished."""

    async def create_job(self, items: Sequence[JobItem], *, collection: str) -> Job:
        """Write a job with all of its items, in one transaction."""
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

    async def finish_item(self, job_id: str, item: int, *, stored: int = 0, failures: Sequence[JobFailure] = ()) -> Job:
        """Mark an item finished and settle the job's status when it was the last.

        Args:
            stored: the documents of the item that are stored now; an item with failures and none stored has failed.
            failures: what of it could not be ingested.
        """
        ...

    async def cancel_job(self, job_id: str) -> Job | None:
        """Stop a job that is not finished: items not begun are dropped, documents that are stored stay."""
        ...
