"""The two ways in: files named on the command line, and jobs handed in over the API."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from holdfast.core.events import correlation_scope
from holdfast.errors import HoldfastError
from holdfast.rag.documents import FoundFile, Ignored, WalkItem, walk
from holdfast.rag.ingest.sources import FileReader, Sourced
from holdfast.rag.ingest.writer import sentence_of
from holdfast.rag.loaders import load
from holdfast.rag.loaders.base import Problem
from holdfast.rag.store.jobs import JobFailure, JobState
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.ingest.report import IngestReport, Progress, Tally
    from holdfast.rag.ingest.sources import Incoming
    from holdfast.rag.ingest.writer import DocumentWriter
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.jobs import Job, JobItem, JobStore
    from holdfast.rag.types import Document

__all__ = ["Ingestor"]

_ITEMS_AT_ONCE = 16
_IDLE_NS = 10_000_000_000
"""How often a worker with nothing to do looks for jobs that another process left behind."""

_STALL_NS = 10_000_000_000
"""How long a worker waits after a failure of the store or the embedder, whatever else comes in."""

_MAX_STALLS = 5
"""How often one item may be interrupted by failures before what still fails of it is given up.

A round counts only when it got as far as the item: the store took the write that claims the job, and the embedder
answered. So an outage of hours costs no document, and a document that makes the embedder fail does not block the rest.
"""


class Ingestor:
    """Brings files and jobs into the store.

    Args:
        writer: what embeds and stores documents.
        jobs: where jobs are kept.
        max_file_bytes: the largest file that is read.
    """

    def __init__(
        self,
        *,
        writer: DocumentWriter,
        jobs: JobStore,
        blocking: Blocking,
        clock: Clock,
        narrator: Narrator,
        max_file_bytes: int,
    ) -> None:
        self._writer = writer
        self._jobs = jobs
        self._blocking = blocking
        self._clock = clock
        self._narrator = narrator
        self._max_file_bytes = max_file_bytes
        self._work = asyncio.Event()
        self._stalls: defaultdict[str, Counter[int]] = defaultdict(Counter)

    async def ingest_paths(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        uri_prefix: str = "",
        progress: Progress | None = None,
    ) -> IngestReport:
        """Ingest files and folders, and remove what a file held at an earlier time and holds no more.

        A file that is gone from the disk keeps its documents, and so does one that could not be read whole.

        Args:
            paths: files, and folders that are searched recursively.
            uri_prefix: put before each file's path below its folder to make the address that citations show, e.g.
                ``https://example.com/help/``; empty: the folder's name.
            progress: told after each document and at the end.

        Raises:
            StoreError: the store is not usable; nothing was read.
        """
        tally, embedder = await self._writer.begin()
        files: list[FoundFile] = []
        for item in await self._blocking.run("file.scan", _scan, paths, uri_prefix):
            if isinstance(item, Problem):
                self._writer.skip(tally, item.uri, item.reason)
            elif isinstance(item, Ignored):
                tally.ignored = item.by_suffix
            else:
                files.append(item)
        if progress is not None:
            progress("scan", len(files), len(files), "")
        reader = FileReader(files, collection=collection, blocking=self._blocking, limit=self._max_file_bytes)
        async for document in self._writer.put_all(reader.documents(tally, self._writer), tally, embedder):
            if progress is not None:
                progress("ingest", reader.files_read, len(files), reader.place(document))
        if progress is not None:
            progress("ingest", len(files), len(files), "")
        return tally.report()

    def wake(self) -> None:
        """Tell the worker of this process that a job is waiting."""
        self._work.set()

    async def run_jobs(self) -> None:
        """Work on jobs, oldest first, until cancelled; jobs of a process that died are taken over.

        A store or an embedder that fails does not end the worker, nor does it cost a document: the job is given back
        with the items that are left, and tried again after 10 s. An item that was interrupted like that 5 times, while
        the store and the embedder answered otherwise, is given up: what still fails of it is a failure of the job.
        """
        while True:
            self._work.clear()
            try:
                while (job := await self._jobs.next_job()) is not None:
                    try:
                        await self._run_job(job)
                    finally:
                        self._jobs.release_job(job.id)
            except HoldfastError as error:
                self._narrator.stage_failed("ingest", "", Reason.VECTOR_STORE_UNAVAILABLE, error)
                await self._clock.asleep_ns(_STALL_NS)
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

    async def _run_job(self, job: Job) -> None:
        with correlation_scope(job.id):
            tally, embedder = await self._writer.begin()
            while job.status is JobState.RUNNING:
                items = await self._jobs.next_items(job.id, _ITEMS_AT_ONCE)
                if not items:  # somebody cancelled it
                    job = await self._jobs.job(job.id) or job
                    break
                for number, item in items:
                    stored, failures = await self._try_item(number, item, job, tally, embedder)
                    job = await self._jobs.finish_item(job.id, number, stored=stored, failures=failures)
                    if job.status is not JobState.RUNNING:
                        break
            self._stalls.pop(job.id, None)
            self._narrator.job_finished(job)

    async def _try_item(
        self, number: int, item: JobItem, job: Job, tally: Tally, embedder: Embedder | None
    ) -> tuple[int, list[JobFailure]]:
        """Ingest one item; raises what interrupts it, until that happened too often."""
        stalls = self._stalls[job.id]
        patient = stalls[number] < _MAX_STALLS
        try:
            return await self._ingest_item(item, job, tally, embedder, patient=patient)
        except Exception as error:
            if patient:
                stalls[number] += 1
                raise
            reason = f"It was given up after {_MAX_STALLS + 1} tries: {sentence_of(error)}"
            return 0, [JobFailure(_label(item), reason)]

    async def _is_running(self, job_id: str) -> bool:
        job = await self._jobs.job(job_id)
        return job is not None and job.status is JobState.RUNNING

    async def _ingest_item(
        self, item: JobItem, job: Job, tally: Tally, embedder: Embedder | None, *, patient: bool
    ) -> tuple[int, list[JobFailure]]:
        """Store the documents of one item; how many are stored now, and what could not be, and why."""
        label = _label(item)
        loaded = await self._blocking.run(
            "ingest.load",
            load,
            item.payload,
            name=item.name,
            uri=item.uri or item.name,
            document_id=item.document_id,
            title=item.title,
            mime=item.mime,
            collection=job.collection,
            metadata=item.metadata,
            max_bytes=self._max_file_bytes,
        )
        failures = [JobFailure(label, problem.reason) for problem in loaded.problems]
        before = len(tally.skipped), len(tally.failed)
        tally.forget_ids()  # two items of a job may update the same document: the later one wins, as over the API
        async for _ in self._writer.put_all(
            _each(loaded.documents), tally, embedder, patient=patient, go_on=lambda: self._is_running(job.id)
        ):
            pass
        new = [*tally.skipped[before[0] :], *tally.failed[before[1] :]]
        stored = len(loaded.documents) - len(new)
        return stored, failures + [JobFailure(label, problem.reason) for problem in new]


def _scan(paths: Sequence[Path], uri_prefix: str) -> list[WalkItem]:
    return list(walk(paths, uri_prefix=uri_prefix))


async def _each(documents: Sequence[Document]) -> AsyncIterator[Incoming]:
    for document in documents:
        yield Sourced(document)


def _label(item: JobItem) -> str:
    return item.document_id or item.uri or item.name
