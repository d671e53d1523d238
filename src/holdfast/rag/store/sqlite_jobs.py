"""Ingest jobs in the store's file. Every function runs inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import NotFoundError
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.jobs import Job, JobFailure, JobItem, JobState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

__all__ = ["any_open", "cancel_job", "create_job", "find_job", "finish_item", "next_items", "start_next_job"]

_NANOSECONDS = 1_000_000_000
_OPEN = (JobState.QUEUED, JobState.RUNNING)


def create_job(connection: sqlite3.Connection, items: Sequence[JobItem], *, collection: str, now_ns: int) -> Job:
    """Write a job with its items; a job without items is done at once."""
    number, job_id = connection.execute(
        "INSERT INTO jobs (id, collection, status, done, total, failed, created_at, updated_at) "
        "VALUES ('job-' || lower(hex(randomblob(10))), ?, ?, 0, ?, 0, ?, ?) RETURNING number, id",
        (collection, JobState.QUEUED if items else JobState.DONE, len(items), now_ns, now_ns),
    ).fetchone()
    connection.executemany(
        "INSERT INTO job_items (job, item, name, mime, document_id, title, uri, metadata, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                each,
                item.name,
                item.mime,
                item.document_id,
                item.title,
                item.uri,
                write_metadata(item.metadata),
                item.payload,
            )
            for each, item in enumerate(items)
        ],
    )
    return _existing(connection, job_id)


def find_job(connection: sqlite3.Connection, job_id: str) -> Job | None:
    """A job by its id."""
    found = connection.execute(
        "SELECT number, collection, status, done, total, created_at, updated_at FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if found is None:
        return None
    number, collection, status, done, total, created_at, updated_at = found
    failures = connection.execute(
        "SELECT document_id, reason FROM job_failures WHERE job = ? ORDER BY number", (number,)
    ).fetchall()
    return Job(
        id=job_id,
        collection=collection,
        status=JobState(status),
        done=done,
        total=total,
        failures=[JobFailure(*each) for each in failures],
        created_at=created_at / _NANOSECONDS,
        updated_at=updated_at / _NANOSECONDS,
    )


def any_open(connection: sqlite3.Connection) -> bool:
    """Whether a job is queued or running."""
    found = connection.execute("SELECT EXISTS (SELECT 1 FROM jobs WHERE status IN ('queued', 'running'))").fetchone()
    return bool(found[0])


def start_next_job(connection: sqlite3.Connection, claim: Callable[[str], bool], *, now_ns: int) -> Job | None:
    """The oldest open job that ``claim`` gets hold of, marked running.

    Args:
        claim: takes the job for this process; False when a living process has it.
    """
    for (job_id,) in connection.execute(
        "SELECT id FROM jobs WHERE status IN ('queued', 'running') ORDER BY number"
    ).fetchall():
        if claim(job_id):
            connection.execute(
                "UPDATE jobs SET status = ?, updated_at = ? WHERE id = ?", (JobState.RUNNING, now_ns, job_id)
            )
            return _existing(connection, job_id)
    return None


def next_items(connection: sqlite3.Connection, job_id: str, limit: int) -> list[tuple[int, JobItem]]:
    """Items that are not finished, in order."""
    return [
        (
            item,
            JobItem(
                name=name,
                payload=payload,
                mime=mime,
                document_id=document_id,
                title=title,
                uri=uri,
                metadata=read_metadata(metadata),
            ),
        )
        for item, name, mime, document_id, title, uri, metadata, payload in connection.execute(
            "SELECT i.item, i.name, i.mime, i.document_id, i.title, i.uri, i.metadata, i.payload FROM job_items AS i "
            "JOIN jobs AS j ON j.number = i.job WHERE j.id = ? ORDER BY i.item LIMIT ?",
            (job_id, max(limit, 0)),
        )
    ]


def finish_item(
    connection: sqlite3.Connection,
    job_id: str,
    item: int,
    *,
    stored: int,
    failures: Sequence[JobFailure],
    now_ns: int,
) -> Job:
    """Mark an item finished; a second time, or after the job was cancelled, changes nothing.

    Raises:
        NotFoundError: there is no such job, or it never had such an item.
    """
    job = _existing(connection, job_id)
    if not 0 <= item < job.total:
        raise NotFoundError("item", f"The job {job_id} has {job.total} items; there is no item {item}.")
    number = connection.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
    removed = connection.execute("DELETE FROM job_items WHERE job = ? AND item = ?", (number, item)).rowcount
    if not removed:
        return job
    connection.executemany(
        "INSERT INTO job_failures (job, document_id, reason) VALUES (?, ?, ?)",
        [(number, failure.document_id, failure.reason) for failure in failures],
    )
    done, total, failed = connection.execute(
        "UPDATE jobs SET done = done + 1, failed = failed + ?, updated_at = ? WHERE number = ? "
        "RETURNING done, total, failed",
        (bool(failures) and not stored, now_ns, number),
    ).fetchone()
    if done == total:
        (problems,) = connection.execute("SELECT count(*) FROM job_failures WHERE job = ?", (number,)).fetchone()
        connection.execute("UPDATE jobs SET status = ? WHERE number = ?", (_outcome(total, failed, problems), number))
    return _existing(connection, job_id)


def cancel_job(connection: sqlite3.Connection, job_id: str, *, now_ns: int) -> Job | None:
    """Stop a job that is not finished and drop the items that are left."""
    job = find_job(connection, job_id)
    if job is None or job.status not in _OPEN:
        return job
    connection.execute("UPDATE jobs SET status = ?, updated_at = ? WHERE id = ?", (JobState.CANCELLED, now_ns, job_id))
    connection.execute("DELETE FROM job_items WHERE job = (SELECT number FROM jobs WHERE id = ?)", (job_id,))
    return _existing(connection, job_id)


def _outcome(total: int, failed: int, problems: int) -> JobState:
    if problems == 0:
        return JobState.DONE
    return JobState.FAILED if failed == total else JobState.PARTIAL


def _existing(connection: sqlite3.Connection, job_id: str) -> Job:
    job = find_job(connection, job_id)
    if job is None:
        raise NotFoundError("job_id", f"There is no job {job_id}.")
    return job
