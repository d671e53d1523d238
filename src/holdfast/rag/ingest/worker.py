"""The worker of a process: takes jobs, works on them item by item, and gives them back when it cannot go on."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns
from holdfast.core.events import correlation_scope
from holdfast.core.faults import FaultKind
from holdfast.errors import HoldfastError, StoreError
from holdfast.rag.ingest.batch import Writing
from holdfast.rag.ingest.burials import Burials, letters_of_item, source_of_item
from holdfast.rag.ingest.course import JobCourse
from holdfast.rag.ingest.faults import OutageError, kind_of, sentence_of, store_outage
from holdfast.rag.ingest.items import each_of
from holdfast.rag.ingest.report import Fallen
from holdfast.rag.store.jobs import JobFailure, JobState

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.ingest.items import ItemReader
    from holdfast.rag.ingest.writer import DocumentWriter
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.jobs import Job, JobItem, JobStore

__all__ = ["JobWorker"]

_log = logging.getLogger(__name__)

_ITEMS_AT_ONCE = 16
_IDLE_NS = 10_000_000_000
"""How often a worker with nothing to do looks for jobs that another process left behind."""

_STALL_SECONDS, _LONGEST_STALL_SECONDS = 10.0, 300.0
"""How long a worker waits after a failure of the store or the embedder, whatever else comes in."""

_MAX_STALLS = 5
"""How often one item may be interrupted by failures of the store before what still fails of it is given up.

A round counts only when it got as far as the item: the store took the write that claims the job, and the embedder
answered. So an outage of hours costs no document, and a document that the store never takes does not block the rest.
"""

_MAX_CRASHES = 20
"""How many processes in a row may end without a word while they work on one item, before it is given up."""


class JobWorker:
    """Works on jobs until it is cancelled; jobs of a process that died are taken over.

    A store or an embedder that fails does not end the worker, nor does it cost a document: the job is given back with
    the items that are left, and tried again after 10 s, or after the time that the embedder asks for. What fails
    because of what is in it becomes a failure of the job and a dead letter, and the job goes on.

    Args:
        items: reads uploads.
    """

    def __init__(
        self, *, writer: DocumentWriter, jobs: JobStore, items: ItemReader, clock: Clock, narrator: Narrator
    ) -> None:
        self._writer = writer
        self._jobs = jobs
        self._items = items
        self._clock = clock
        self._narrator = narrator
        self._work = asyncio.Event()
        self._stalls: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def wake(self) -> None:
        """A job is waiting."""
        self._work.set()

    async def run(self) -> None:
        """Work on jobs, oldest first, until cancelled."""
        while True:
            self._work.clear()
            try:
                while (job := await self._jobs.next_job()) is not None:
                    try:
                        await self._run_job(job)
                    finally:
                        self._jobs.release_job(job.id)
            except HoldfastError as error:
                outage = self._outage(error)
                self._narrator.stage_failed("ingest", outage.dependency, outage.reason, error)
                stall = max(_STALL_SECONDS, outage.retry_after or 0.0)
                await self._clock.asleep_ns(to_ns(min(stall, _LONGEST_STALL_SECONDS)))
            else:
                await self._until_woken()

    async def _until_woken(self) -> None:
        woken = asyncio.ensure_future(self._work.wait())
        idle = asyncio.ensure_future(self._clock.asleep_ns(_IDLE_NS))
        try:
            await asyncio.wait({woken, idle}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            idle.cancel()

    def _outage(self, error: HoldfastError) -> OutageError:
        """Which dependency failed; what is not the embedder is the store, which everything else goes to."""
        return error if isinstance(error, OutageError) else store_outage(error, self._writer.store.name, self._clock)

    async def _run_job(self, job: Job) -> None:
        with correlation_scope(job.id):
            try:
                job = await self._work_on(job)
            except OutageError as error:
                await self._note_wait(job, error)
                raise
            self._stalls.pop(job.id, None)
            self._narrator.job_finished(job)

    async def _work_on(self, job: Job) -> Job:
        crashed = job.interrupted >= _MAX_CRASHES
        burials = Burials(self._jobs, job.collection, strict=True)
        await burials.open()
        tally, embedder = await self._writer.begin()
        while job.status is JobState.RUNNING:
            items = await self._jobs.next_items(job.id, _ITEMS_AT_ONCE)
            if not items:  # somebody cancelled it
                return await self._jobs.job(job.id) or job
            for number, item in items:
                course = JobCourse(self._jobs, job, number, clock=self._clock)
                if crashed:
                    stored, failures = await self._give_up(item, job, burials)
                    crashed = False
                else:
                    how = Writing(
                        tally=tally,
                        embedder=embedder,
                        course=course,
                        patient_with_embedder=True,
                        patient_with_store=self._stalls[job.id][number] < _MAX_STALLS,
                    )
                    stored, failures = await self._try_item(number, item, job, how, burials)
                documents, chunks = course.rest()
                job = await self._jobs.finish_item(
                    job.id, number, stored=stored, failures=failures, documents=documents, chunks=chunks
                )
                if job.status is not JobState.RUNNING:
                    break
        return job

    async def _note_wait(self, job: Job, outage: OutageError) -> None:
        """Say why the job waits, where the store can be told."""
        try:
            detail = f"{outage.dependency}: {outage}"
            await self._jobs.note_progress(job.id, stage="wait", detail=detail, lasting=True)
        except StoreError as error:
            _log.debug("the wait of %s could not be noted: %s", job.id, error)

    async def _give_up(self, item: JobItem, job: Job, burials: Burials) -> tuple[int, list[JobFailure]]:
        reason = (
            f"It was given up: {_MAX_CRASHES} processes in a row ended while they worked on it. Look at what ended "
            "them (out of memory?), and split the document if it is large."
        )
        return 0, await self._lost(item, job, burials, reason=reason, kind="crash", stage="read")

    async def _try_item(
        self, number: int, item: JobItem, job: Job, how: Writing, burials: Burials
    ) -> tuple[int, list[JobFailure]]:
        """Ingest one item; raises what interrupts it, until the store's failures did that too often."""
        try:
            return await self._ingest_item(item, job, how, burials)
        except HoldfastError as error:
            is_store = self._outage(error).dependency == self._writer.store.name
            if how.patient_with_store or not is_store:
                self._stalls[job.id][number] += is_store
                raise
            reason = f"It was given up after {_MAX_STALLS + 1} tries: {sentence_of(error)}"
            kind = kind_of(error, self._clock)
            return 0, await self._lost(item, job, burials, reason=reason, kind=kind, stage="store")
        except Exception as error:  # noqa: BLE001 - a bug that this item has met: the others must not wait for its end
            _log.exception("an item of %s failed unexpectedly", job.id)
            reason = f"It failed unexpectedly: {sentence_of(error)}. Please report it; the log has the details."
            return 0, await self._lost(item, job, burials, reason=reason, kind=FaultKind.BUG, stage="read")

    async def _ingest_item(
        self, item: JobItem, job: Job, how: Writing, burials: Burials
    ) -> tuple[int, list[JobFailure]]:
        """Store the documents of one item; how many are stored now, and what could not be, and why."""
        if item.letter:
            letter = await self._jobs.dead_letter(item.letter)
            if letter is None or letter.item is None:  # it succeeded meanwhile, or was thrown away
                return 0, []
            item = letter.item
        loaded = await self._items.read(item, collection=job.collection)
        tally = how.tally
        tally.take_news()
        tally.forget_ids()  # two items of a job may update the same document: the later one wins, as over the API
        async for _ in self._writer.put_all(each_of(loaded.documents), how):
            pass
        found, succeeded, _ = tally.take_news()
        fallen = [*loaded.fallen, *found]
        tally.stopped = ""  # of an item that is given up: the next one has its own chance
        await burials.bury(letters_of_item(fallen, item, job.collection, readable=len(loaded.documents)))
        await burials.read([source_of_item(item)], succeeded)
        failures = [JobFailure(_label(item), each.reason, each.kind) for each in fallen]
        return len(loaded.documents) - len(found), failures

    async def _lost(
        self, item: JobItem, job: Job, burials: Burials, *, reason: str, kind: str, stage: str
    ) -> list[JobFailure]:
        """A whole item that failed, kept as a dead letter."""
        if item.letter:
            letter = await self._jobs.dead_letter(item.letter)
            if letter is None or letter.item is None:
                return []
            item = letter.item
        fallen = Fallen(uri=item.uri or item.name, reason=reason, kind=kind, stage=stage)
        await burials.bury(letters_of_item([fallen], item, job.collection, readable=0))
        return [JobFailure(_label(item), reason, kind)]


def _label(item: JobItem) -> str:
    return item.document_id or item.uri or item.name
