"""The two ways in: files named on the command line, and jobs handed in over the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.core.events import correlation_scope
from holdfast.errors import HoldfastError
from holdfast.rag.documents import FoundFile, Ignored, WalkItem, walk
from holdfast.rag.identity import document_id_for
from holdfast.rag.loaders import load
from holdfast.rag.loaders.base import Loaded, Problem
from holdfast.rag.store.jobs import JobFailure
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.ingest.report import IngestReport, Progress, Tally
    from holdfast.rag.ingest.writer import DocumentWriter
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.jobs import Job, JobItem, JobStore
    from holdfast.rag.types import Document

__all__ = ["Ingestor"]

_ITEMS_AT_ONCE = 16
_IDLE_NS = 10_000_000_000
"""How often a worker with nothing to do looks for jobs that another process left behind."""


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

    async def ingest_paths(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        uri_prefix: str = "",
        progress: Progress | None = None,
    ) -> IngestReport:
        """Ingest files and folders.

        Args:
            paths: files, and folders that are searched recursively.
            uri_prefix: put before each file's path below its folder to make the address that citations show, e.g.
                ``https://example.com/help/``; empty: the folder's name.
            progress: told after each file.

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
        reader = _FileReader(files, collection=collection, blocking=self._blocking, limit=self._max_file_bytes)
        async for document in self._writer.put_all(reader.documents(tally, self._writer), tally, embedder):
            if progress is not None:
                progress("ingest", reader.files_read, len(files), document.uri)
        if progress is not None:
            progress("ingest", len(files), len(files), "")
        return tally.report()

    def wake(self) -> None:
        """Tell the worker of this process that a job is waiting."""
        self._work.set()

    async def run_jobs(self) -> None:
        """Work on jobs, oldest first, until cancelled; jobs of a process that died are taken over.

        A store that fails does not end the worker: the job stays where it is and is tried again.
        """
        while True:
            self._work.clear()
            try:
                while (job := await self._jobs.next_job()) is not None:
                    await self._run_job(job)
            except HoldfastError as error:
                self._narrator.stage_failed("ingest", "", Reason.VECTOR_STORE_UNAVAILABLE, error)
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
            while items := await self._jobs.next_items(job.id, _ITEMS_AT_ONCE):
                for number, item in items:
                    stored, failures = await self._ingest_item(item, job, tally, embedder)
                    job = await self._jobs.finish_item(job.id, number, stored=stored, failures=failures)
            self._narrator.job_finished(job)

    async def _ingest_item(
        self, item: JobItem, job: Job, tally: Tally, embedder: Embedder | None
    ) -> tuple[int, list[JobFailure]]:
        """Store the documents of one item; how many are stored now, and what could not be, and why."""
        label = item.document_id or item.uri or item.name
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
        async for _ in self._writer.put_all(_each(loaded.documents), tally, embedder):
            pass
        new = [*tally.skipped[before[0] :], *tally.failed[before[1] :]]
        stored = len(loaded.documents) - len(new)
        return stored, failures + [JobFailure(label, problem.reason) for problem in new]


class _FileReader:
    """Reads and parses files one by one, as the writer asks for documents."""

    def __init__(self, files: Sequence[FoundFile], *, collection: str, blocking: Blocking, limit: int) -> None:
        self._files = files
        self._collection = collection
        self._blocking = blocking
        self._limit = limit
        self.files_read = 0

    async def documents(self, tally: Tally, writer: DocumentWriter) -> AsyncIterator[Document]:
        for file in self._files:
            with tally.timed("read"):
                loaded = await self._blocking.run("file.read", self._load, file)
            for problem in loaded.problems:
                writer.skip(tally, problem.uri, problem.reason)
            for document in loaded.documents:
                yield document
            self.files_read += 1

    def _load(self, file: FoundFile) -> Loaded:
        try:
            size = file.path.stat().st_size
            if size > self._limit:
                reason = f"It has {size:,} bytes; at most {self._limit:,} are read. Split it, or raise max_file_bytes."
                return Loaded(problems=(Problem(file.uri, reason),))
            raw = file.path.read_bytes()
        except OSError as error:
            reason = f"It cannot be read: {error.strerror or error}. Check that it is still there and its permissions."
            return Loaded(problems=(Problem(file.uri, reason),))
        return load(
            raw,
            name=file.path.name,
            uri=file.uri,
            document_id=document_id_for(file.identity),
            collection=self._collection,
            max_bytes=self._limit,
        )


def _scan(paths: Sequence[Path], uri_prefix: str) -> list[WalkItem]:
    return list(walk(paths, uri_prefix=uri_prefix))


async def _each(documents: Sequence[Document]) -> AsyncIterator[Document]:
    for document in documents:
        yield document
