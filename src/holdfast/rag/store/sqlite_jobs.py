"""Ingest jobs in the store's file. Every function runs inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import NotFoundError
from holdfast.rag.identity import document_id_for
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.jobs import KEEP_JOBS, KEEP_JOBS_SECONDS, OPEN, Job, JobFailure, JobItem, JobState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

__all__ = [
    "any_open",
    "cancel_job",
    "create_job",
    "find_job",
    "finish_item",
    "forget_document",
    "item_is_open",
    "next_items",
    "note_progress",
    "start_next_job",
    "was_forgotten",
]

_NANOSECONDS = 1_000_000_000


def create_job(connection: sqlite3.Connection, items: Sequence[JobItem], *, collection: str, now_ns: int) -> Job:
    """Write a job with its items; a job without items is done at once. Forgets jobs that were over long ago."""
    _forget_old(connection, now_ns)
    number, job_id = connection.execute(
        "INSERT INTO jobs (id, collection, status, done, total, failed, created_at, updated_at) "
        "VALUES ('job-' || lower(hex(randomblob(10))), ?, ?, 0, ?, 0, ?, ?) RETURNING number, id",
        (collection, JobState.QUEUED if items else JobState.DONE, len(items), now_ns, now_ns),
    ).fetchone()
    connection.executemany(
        "INSERT INTO job_items (job, item, name, mime, document_id, title, uri, metadata, letter, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                item.letter,
                item.payload,
            )
            for each, item in enumerate(items)
        ],
    )
    return _existing(connection, job_id)


def find_job(connection: sqlite3.Connection, job_id: str) -> Job | None:
    """A job by its id."""
    found = connection.execute(
        "SELECT number, collection, status, done, total, created_at, updated_at, stage, detail, documents, chunks, "
        "interrupted FROM jobs WHERE id = ?",
        (job_id,),
    ).fetchone()
    if found is None:
        return None
    number, collection, status, done, total, created_at, updated_at, stage, detail, documents, chunks, gone = found
    failures = connection.execute(
        "SELECT document_id, reason, kind FROM job_failures WHERE job = ? ORDER BY number", (number,)
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
        stage=stage,
        detail=detail,
        documents=documents,
        chunks=chunks,
        interrupted=gone,
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
            # It was running: whoever ran it is gone without a word.
            connection.execute(
                "UPDATE jobs SET interrupted = interrupted + (status = 'running'), status = ?, updated_at = ? "
                "WHERE id = ?",
                (JobState.RUNNING, now_ns, job_id),
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
                letter=letter,
            ),
        )
        for item, name, mime, document_id, title, uri, metadata, letter, payload in connection.execute(
            "SELECT i.item, i.name, i.mime, i.document_id, i.title, i.uri, i.metadata, i.letter, i.payload "
            "FROM job_items AS i JOIN jobs AS j ON j.number = i.job WHERE j.id = ? ORDER BY i.item LIMIT ?",
            (job_id, max(limit, 0)),
        )
    ]


def item_is_open(connection: sqlite3.Connection, job_id: str, item: int) -> bool:
    """Whether the item is there: what is finished, cancelled or dropped is deleted."""
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM job_items WHERE item = ? AND job = (SELECT number FROM jobs WHERE id = ?))",
        (item, job_id),
    ).fetchone()
    return bool(found[0])


def note_progress(
    connection: sqlite3.Connection,
    job_id: str,
    *,
    stage: str,
    detail: str,
    documents: int,
    chunks: int,
    lasting: bool,
    now_ns: int,
) -> None:
    """Say what is done now, and add what was done; without effect on a job that is over."""
    connection.execute(
        "UPDATE jobs SET stage = ?, detail = ?, documents = documents + ?, chunks = chunks + ?, "
        "interrupted = interrupted * ?, updated_at = ? WHERE id = ? AND status = 'running'",
        (stage, detail, documents, chunks, not lasting, now_ns, job_id),
    )


def finish_item(
    connection: sqlite3.Connection,
    job_id: str,
    item: int,
    *,
    stored: int,
    failures: Sequence[JobFailure],
    documents: int,
    chunks: int,
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
        "INSERT INTO job_failures (job, document_id, reason, kind) VALUES (?, ?, ?, ?)",
        [(number, failure.document_id, failure.reason, failure.kind) for failure in failures],
    )
    connection.execute(
        "UPDATE jobs SET documents = documents + ?, chunks = chunks + ? WHERE number = ?", (documents, chunks, number)
    )
    _count_finished(connection, number, failed=bool(failures) and not stored, now_ns=now_ns)
    return _existing(connection, job_id)


def cancel_job(connection: sqlite3.Connection, job_id: str, *, now_ns: int) -> Job | None:
    """Stop a job that is not finished and drop the items that are left."""
    job = find_job(connection, job_id)
    if job is None or job.status not in OPEN:
        return job
    connection.execute(
        "UPDATE jobs SET status = ?, stage = '', detail = '', updated_at = ? WHERE id = ?",
        (JobState.CANCELLED, now_ns, job_id),
    )
    connection.execute("DELETE FROM job_items WHERE job = (SELECT number FROM jobs WHERE id = ?)", (job_id,))
    return _existing(connection, job_id)


def forget_document(
    connection: sqlite3.Connection, document_id: str, *, collection: str, now_ns: int
) -> tuple[int, list[str]]:
    """Drop the items of open jobs that name this document, and remember its end.

    Returns:
        how many items, and the ids of the jobs that are over by that.
    """
    connection.execute(
        "INSERT OR REPLACE INTO forgotten (collection, document_id, at) VALUES (?, ?, ?)",
        (collection, document_id, now_ns),
    )
    dropped, over = 0, list[str]()
    found = connection.execute(
        "SELECT j.id, j.number, i.item, i.document_id, i.uri, i.name FROM job_items AS i "
        "JOIN jobs AS j ON j.number = i.job WHERE j.collection = ? AND i.document_id IN ('', ?)",
        (collection, document_id),
    ).fetchall()
    for job_id, number, item, named, uri, name in found:
        if named or document_id_for(uri or name) == document_id:
            connection.execute("DELETE FROM job_items WHERE job = ? AND item = ?", (number, item))
            dropped += 1
            if _count_finished(connection, number, failed=False, now_ns=now_ns):
                over.append(job_id)
    return dropped, over


def was_forgotten(connection: sqlite3.Connection, document_id: str, *, collection: str, since_ns: int) -> bool:
    """Whether the document was deleted after this time."""
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM forgotten WHERE collection = ? AND document_id = ? AND at > ?)",
        (collection, document_id, since_ns),
    ).fetchone()
    return bool(found[0])


def _count_finished(connection: sqlite3.Connection, number: int, *, failed: bool, now_ns: int) -> bool:
    """Count an item more, and settle the job when it was the last; whether it was."""
    done, total, all_failed = connection.execute(
        "UPDATE jobs SET done = done + 1, failed = failed + ?, interrupted = 0, updated_at = ? WHERE number = ? "
        "RETURNING done, total, failed",
        (failed, now_ns, number),
    ).fetchone()
    if done < total:
        return False
    (problems,) = connection.execute("SELECT count(*) FROM job_failures WHERE job = ?", (number,)).fetchone()
    connection.execute(
        "UPDATE jobs SET status = ?, stage = '', detail = '' WHERE number = ?",
        (_outcome(total, all_failed, problems), number),
    )
    return True


def _forget_old(connection: sqlite3.Connection, now_ns: int) -> None:
    oldest = now_ns - KEEP_JOBS_SECONDS * _NANOSECONDS
    connection.execute("DELETE FROM forgotten WHERE at < ?", (oldest,))
    old = connection.execute(
        "SELECT number FROM jobs WHERE status NOT IN ('queued', 'running') AND updated_at < ? UNION ALL "
        "SELECT number FROM jobs WHERE status NOT IN ('queued', 'running') "
        "AND number <= (SELECT max(number) FROM jobs) - ?",
        (oldest, KEEP_JOBS),
    ).fetchall()
    connection.executemany("DELETE FROM job_failures WHERE job = ?", old)
    connection.executemany("DELETE FROM jobs WHERE number = ?", old)


def _outcome(total: int, failed: int, problems: int) -> JobState:
    if problems == 0:
        return JobState.DONE
    return JobState.FAILED if failed == total else JobState.PARTIAL


def _existing(connection: sqlite3.Connection, job_id: str) -> Job:
    job = find_job(connection, job_id)
    if job is None:
        raise NotFoundError("job_id", f"There is no job {job_id}.")
    return job
