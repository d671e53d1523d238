"""Ingest jobs. A job's state is one row, changed by compare-and-set on its ``revision``; its items are rows beside it.

What is beside the row is written before the row names it, and deleted after the row names it no more: items before
the job is ``queued``, the failures of an item before the item is finished (they carry a token that the row then
lists), an item's payload after it. A kill between the two leaves rows that nobody reads: whoever takes the job over
removes them, and of a job that is over, which is marked ``untidy`` until then, :func:`sweep_jobs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import bson
from pymongo import ReturnDocument

from holdfast.errors import NotFoundError
from holdfast.rag.identity import document_id_for
from holdfast.rag.store.codec import read_metadata, write_metadata
from holdfast.rag.store.jobs import KEEP_JOBS, KEEP_JOBS_SECONDS, OPEN, Job, JobFailure, JobItem, JobState
from holdfast.rag.store.mongo.faults import too_large, unsettled
from holdfast.rag.store.mongo.layout import FORGOTTEN, JOB_FAILURES, JOB_ITEMS, JOBS, META, key_of
from holdfast.rag.store.mongo.rows import MAX_ROW_BYTES, NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.store.mongo.client import Database, Row
    from holdfast.rag.store.mongo.leases import Leases

__all__ = ["Jobs", "item_from", "item_row", "sweep_jobs"]

_ACCEPTING = "accepting"  # not a state that anybody sees: its items are being written
_TRIES = 20
_ITEMS_AT_ONCE = 100
_OLD_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Job rows of one database."""

    database: Database
    clock: Clock
    leases: Leases
    place: str

    async def create(self, items: Sequence[JobItem], collection: str) -> Job:
        """Write a job with its items; a job without items is done at once. Forgets jobs that were over long ago."""
        rows = [item_row(item) for item in items]
        now_ns = self.clock.wall_ns()
        job_id = f"job-{uuid4().hex[:20]}"
        number = await self._next_number()
        await self._forget_old(number, now_ns)
        row: Row = {
            "_id": job_id,
            "number": number,
            "collection": collection,
            "status": _ACCEPTING,
            "done": 0,
            "total": len(items),
            "failed": 0,
            "open": list(range(len(items))),
            "failures": [],
            "created_at": now_ns,
            "updated_at": now_ns,
            "stage": "",
            "detail": "",
            "documents": 0,
            "chunks": 0,
            "interrupted": 0,
            "revision": 0,
        }
        await self.database[JOBS].insert_one(row)
        for start in range(0, len(rows), _ITEMS_AT_ONCE):
            some = rows[start : start + _ITEMS_AT_ONCE]
            await self.database[JOB_ITEMS].insert_many(
                [{"_id": f"{job_id}/{n}", "job": job_id, "item": n, **each} for n, each in enumerate(some, start)],
                ordered=False,
            )
        status = JobState.QUEUED if items else JobState.DONE
        accepted = await self._change(job_id, lambda _: {"status": str(status)}, accepting=True)
        return await self._read(accepted)

    async def find(self, job_id: str) -> Job | None:
        """A job by its id."""
        row = await self._row(job_id)
        return None if row is None else await self._read(row)

    async def start_next(self) -> Job | None:
        """The oldest open job that is free, marked running and leased to this object."""
        wanted = {"status": {"$in": [str(each) for each in OPEN]}}
        looked_at = dict.fromkeys(("lease", "lease_end", "revision", "open", "done", "status", "interrupted"), 1)
        rows = self.database[JOBS].find(wanted, looked_at)
        async for row in rows.sort("number"):
            if not self.leases.free(row):
                continue
            lease = self.leases.new()
            vanished = row["status"] == JobState.RUNNING  # whoever ran it is gone without a word
            taken = await self.database[JOBS].find_one_and_update(
                {"_id": row["_id"], "revision": row["revision"], "lease": row.get("lease")},
                {
                    "$set": {"status": str(JobState.RUNNING), "updated_at": self.clock.wall_ns(), **lease},
                    "$inc": {"revision": 1, "interrupted": int(vanished)},
                },
                return_document=ReturnDocument.AFTER,
            )
            if taken is None:  # another was quicker
                continue
            self.leases.took(row["_id"], lease["lease"])
            if taken["done"]:  # the one before may have died before it removed what was finished
                await self.database[JOB_ITEMS].delete_many({"job": row["_id"], "item": {"$nin": taken["open"]}})
            return await self._read(taken)
        return None

    async def next_items(self, job_id: str, limit: int) -> list[tuple[int, JobItem]]:
        """Items that are not finished, in order."""
        row = await self._row(job_id)
        numbers = [] if row is None else sorted(row["open"])[: max(limit, 0)]
        if not numbers:
            return []
        rows = self.database[JOB_ITEMS].find({"job": job_id, "item": {"$in": numbers}})
        return [(each["item"], item_from(each)) async for each in rows.sort("item")]

    async def finish_item(
        self, job_id: str, item: int, *, stored: int, failures: Sequence[JobFailure], done: tuple[int, int] = (0, 0)
    ) -> Job:
        """Mark an item finished; a second time, or after the job was cancelled, changes nothing.

        Raises:
            NotFoundError: there is no such job, or it never had such an item.
        """
        row = await self._existing(job_id)
        if not 0 <= item < row["total"]:
            raise NotFoundError("item", f"The job {job_id} has {row['total']} items; there is no item {item}.")
        if item not in row["open"]:
            return await self._read(await self._cleaned(row))
        token = uuid4().hex
        if failures:
            await self.database[JOB_FAILURES].insert_many(
                [
                    {
                        "_id": f"{token}/{n:08d}",
                        "job": job_id,
                        "token": token,
                        "document_id": each.document_id,
                        "reason": each.reason,
                        "kind": each.kind,
                    }
                    for n, each in enumerate(failures)
                ]
            )

        def settled(now: Row) -> Row | None:
            if item not in now["open"]:
                return None
            left = [each for each in now["open"] if each != item]
            tokens = [*now["failures"], token] if failures else now["failures"]
            documents, chunks = done
            finished, failed = now["done"] + 1, now["failed"] + (bool(failures) and not stored)
            fields: Row = {"open": left, "done": finished, "failed": failed, "failures": tokens, "interrupted": 0}
            fields |= {"documents": now["documents"] + documents, "chunks": now["chunks"] + chunks}
            if finished == now["total"]:
                status = str(_outcome(now["total"], failed, problems=bool(tokens)))
                fields |= {"status": status, "untidy": True, "stage": "", "detail": ""}
            return fields

        row = await self._change(job_id, settled)
        await self.database[JOB_ITEMS].delete_many({"job": job_id, "item": item})
        return await self._read(await self._cleaned(row))

    async def item_is_open(self, job_id: str, item: int) -> bool:
        """Whether the item is still to be done."""
        row = await self.database[JOBS].find_one({"_id": job_id}, {"status": 1, "open": 1})
        return row is not None and row["status"] in OPEN and item in row["open"]

    async def note_progress(self, job_id: str, said: Row, *, documents: int, chunks: int) -> None:
        """Write down what is said, and add what was done; without effect on a job that is over."""
        said = {**said, "updated_at": self.clock.wall_ns()}
        await self.database[JOBS].update_one(
            {"_id": job_id, "status": str(JobState.RUNNING)},
            {"$set": said, "$inc": {"documents": documents, "chunks": chunks, "revision": 1}},
        )

    async def forget_document(self, document_id: str, collection: str) -> list[Job]:
        """Remember the end of a document, and drop the items of open jobs that name it; what became of those jobs."""
        await self.database[FORGOTTEN].update_one(
            {"_id": key_of(collection, document_id)}, {"$set": {"at": self.clock.wall_ns()}}, upsert=True
        )
        wanted = {"status": {"$in": [str(each) for each in OPEN]}, "collection": collection}
        jobs = [row["_id"] async for row in self.database[JOBS].find(wanted, {"_id": 1})]
        named = {"job": {"$in": jobs}, "document_id": {"$in": ["", document_id]}}
        looked_at = dict.fromkeys(("job", "item", "document_id", "uri", "name"), 1)
        rows = [row async for row in self.database[JOB_ITEMS].find(named, looked_at)] if jobs else []
        return [
            await self.finish_item(row["job"], row["item"], stored=0, failures=())
            for row in rows
            if row["document_id"] or document_id_for(row["uri"] or row["name"]) == document_id
        ]

    async def was_forgotten(self, document_id: str, collection: str, since: float) -> bool:
        """Whether the document was deleted after this time."""
        row = await self.database[FORGOTTEN].find_one({"_id": key_of(collection, document_id)})
        return row is not None and row["at"] > round(since * NS)

    async def _forget_old(self, number: int, now_ns: int) -> None:
        oldest = now_ns - KEEP_JOBS_SECONDS * NS
        await self.database[FORGOTTEN].delete_many({"at": {"$lt": oldest}})
        over = {"status": {"$nin": [*map(str, OPEN), _ACCEPTING]}, "untidy": {"$exists": False}}
        old = {**over, "$or": [{"updated_at": {"$lt": oldest}}, {"number": {"$lte": number - KEEP_JOBS}}]}
        rows = await self.database[JOBS].find(old, {"_id": 1}, limit=_OLD_AT_ONCE).to_list()
        gone = {"$in": [row["_id"] for row in rows]}
        if rows:
            await self.database[JOB_FAILURES].delete_many({"job": gone})
            await self.database[JOBS].delete_many({"_id": gone})

    async def cancel(self, job_id: str) -> Job | None:
        """Stop a job that is not finished and drop the items that are left."""
        row = await self._row(job_id)
        if row is None:
            return None

        def cancelled(now: Row) -> Row | None:
            over = {"status": str(JobState.CANCELLED), "open": [], "untidy": True, "stage": "", "detail": ""}
            return over if now["status"] in OPEN else None

        return await self._read(await self._cleaned(await self._change(job_id, cancelled)))

    async def _cleaned(self, row: Row) -> Row:
        if row.get("untidy"):
            await _clean(self.database, row)
        return row

    async def _change(self, job_id: str, change: Callable[[Row], Row | None], *, accepting: bool = False) -> Row:
        """The row after ``change`` gave fields for it, or as it is when it gave None."""
        for _ in range(_TRIES):
            row = await self._existing(job_id, accepting=accepting)
            fields = change(row)
            if fields is None:
                return row
            stamp = {} if accepting else {"updated_at": self.clock.wall_ns()}
            changed = await self.database[JOBS].find_one_and_update(
                {"_id": job_id, "revision": row["revision"]},
                {"$set": {**fields, **stamp}, "$inc": {"revision": 1}},
                return_document=ReturnDocument.AFTER,
            )
            if changed is not None:
                return changed
        raise unsettled(self.place)

    async def _next_number(self) -> int:
        row = await self.database[META].find_one_and_update(
            {"_id": "jobs"}, {"$inc": {"number": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        return 0 if row is None else int(row["number"])

    async def _row(self, job_id: str) -> Row | None:
        return await self.database[JOBS].find_one({"_id": job_id, "status": {"$ne": _ACCEPTING}})

    async def _existing(self, job_id: str, *, accepting: bool = False) -> Row:
        row = await (self.database[JOBS].find_one({"_id": job_id}) if accepting else self._row(job_id))
        if row is None:
            raise NotFoundError("job_id", f"There is no job {job_id}.")
        return row

    async def _read(self, row: Row) -> Job:
        tokens: list[str] = row["failures"]
        found: dict[str, list[JobFailure]] = {token: [] for token in tokens}
        if tokens:
            async for each in self.database[JOB_FAILURES].find({"job": row["_id"]}).sort("_id"):
                if each["token"] in found:
                    found[each["token"]].append(JobFailure(each["document_id"], each["reason"], each["kind"]))
        return Job(
            id=row["_id"],
            collection=row["collection"],
            status=JobState(row["status"]),
            done=row["done"],
            total=row["total"],
            failures=[failure for token in tokens for failure in found[token]],
            created_at=row["created_at"] / NS,
            updated_at=row["updated_at"] / NS,
            stage=row["stage"],
            detail=row["detail"],
            documents=row["documents"],
            chunks=row["chunks"],
            interrupted=row["interrupted"],
        )


async def sweep_jobs(database: Database, *, clock: Clock, abandoned_after: float, limit: int) -> int:
    """Remove jobs that were never accepted because their process is gone, and what is left of jobs that are over."""
    oldest = clock.wall_ns() - round(abandoned_after * NS)
    jobs = database[JOBS]
    rows = await jobs.find(
        {"status": _ACCEPTING, "created_at": {"$lt": oldest}}, {"revision": 1}, limit=limit
    ).to_list()
    for row in rows:
        # First the row: a creator that was only slow then finds no job to accept, and says so.
        gone = await jobs.delete_one({"_id": row["_id"], "status": _ACCEPTING, "revision": row["revision"]})
        if gone.deleted_count:
            await database[JOB_ITEMS].delete_many({"job": row["_id"]})
    over = await jobs.find({"untidy": True}, {"failures": 1}, limit=limit).to_list()
    for row in over:
        await _clean(database, row)
    return len(rows) + len(over)


async def _clean(database: Database, row: Row) -> None:
    """Remove the payloads of a job that is over, and failures that were written and never counted."""
    await database[JOB_ITEMS].delete_many({"job": row["_id"]})
    await database[JOB_FAILURES].delete_many({"job": row["_id"], "token": {"$nin": row["failures"]}})
    await database[JOBS].update_one({"_id": row["_id"]}, {"$unset": {"untidy": ""}})


def item_row(item: JobItem) -> Row:
    """An item as fields of a row.

    Raises:
        InvalidInputError: it is larger than MongoDB takes for one row.
    """
    row: Row = {
        "name": item.name,
        "mime": item.mime,
        "document_id": item.document_id,
        "title": item.title,
        "uri": item.uri,
        "metadata": write_metadata(item.metadata),
        "letter": item.letter,
        "payload": item.payload,
    }
    if len(bson.encode(row)) > MAX_ROW_BYTES:
        raise too_large()
    return row


def item_from(row: Row) -> JobItem:
    """What ``item_row`` wrote."""
    return JobItem(
        name=row["name"],
        payload=bytes(row["payload"]),
        mime=row["mime"],
        document_id=row["document_id"],
        title=row["title"],
        uri=row["uri"],
        metadata=read_metadata(row["metadata"]),
        letter=row["letter"],
    )


def _outcome(total: int, failed: int, *, problems: bool) -> JobState:
    if not problems:
        return JobState.DONE
    return JobState.FAILED if failed == total else JobState.PARTIAL
