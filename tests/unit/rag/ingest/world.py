"""An ingest on a real SQLite store, with an embedder that does what a test says and time that stands still."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.core.events import Events
from holdfast.errors import ProviderError
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor
from holdfast.rag.ingest.journal import EmbeddingJournal
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.narrator import Narrator
from holdfast.rag.store.jobs import JobItem, JobState
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from holdfast.llm.embedding import EmbedKind, Vectors
    from holdfast.rag.store.jobs import Job

PROBE = "warm up"


def refusal(status: int, said: str = "no", **headers: str) -> ProviderError:
    """What a provider says with an HTTP status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return ProviderError(f"the provider said {status}: {said}", provider="p", status_code=status, headers=fields)


def quota() -> ProviderError:
    """What a provider says when the money is used up."""
    return ProviderError(
        "You have used up your quota: add credit.", provider="p", status_code=429, code="insufficient_quota"
    )


class ScriptedEmbedder(HashEmbedder):
    """A hash embedder that is told what to do with each call.

    Attributes:
        space: names the vector space.
        trouble: gives the exception that a call of these texts raises, or None.
        paid: every text that was embedded, in order, the probe left out.
        asked: the number of texts of each call, in order, failed ones and probes included.
    """

    def __init__(self, *, space: str = "a", dimension: int = 64) -> None:
        super().__init__(dimension=dimension)
        self.space = space
        self.trouble: Callable[[Sequence[str]], Exception | None] = lambda texts: None
        self.paid: list[str] = []
        self.asked: list[int] = []

    @property
    def id(self) -> str:
        return f"test:{self.space}:{self.dimension}"

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        self.asked.append(len(texts))
        error = self.trouble(texts)
        if error is not None:
            raise error
        vectors = await super().embed(texts, kind=kind)
        if self.space != "a":  # another space: the same text elsewhere
            vectors = vectors[:, ::-1].copy()
        self.paid += [text for text in texts if text != PROBE]
        return vectors


@dataclass(kw_only=True)
class World:
    """An ingestor and everything a test may want to break or look at."""

    ingestor: Ingestor
    store: SqliteStore
    embedder: Any
    clock: FakeClock
    recorder: EventRecorder
    folder: Path

    async def texts(self, collection: str = "default") -> set[str]:
        """The texts of all documents that are stored."""
        page = await self.store.list(collection=collection, limit=1_000)
        documents = [await self.store.get(each.id, collection=collection) for each in page.documents]
        return {each.text for each in documents if each is not None}

    async def job(self, *items: JobItem, collection: str = "default") -> str:
        """A job of these items; its id."""
        await self.store.open()
        return (await self.store.create_job(items, collection=collection)).id

    async def work(self, until: Callable[[], Awaitable[bool]]) -> None:
        """Have a worker work until something is true."""
        worker = asyncio.create_task(self.ingestor.run_jobs())
        try:
            for _ in range(20_000):
                if await until():
                    return
                if worker.done():
                    worker.result()
                await asyncio.sleep(0)
            raise AssertionError("it did not happen")
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    async def finish(self, job_id: str) -> Job:
        """Have a worker work until the job is over."""

        async def over() -> bool:
            return (await self.look(job_id)).status not in {JobState.QUEUED, JobState.RUNNING}

        await self.work(over)
        return await self.look(job_id)

    async def look(self, job_id: str) -> Job:
        """The job as it is."""
        job = await self.store.job(job_id)
        assert job is not None
        return job

    async def letters(self) -> list[Any]:
        """All dead letters."""
        return list((await self.store.dead_letters(limit=1_000)).letters)


def world(
    folder: Path,
    *,
    embedder: Any = None,
    journal: bool = True,
    clock: FakeClock | None = None,
    busy_timeout: float = 5.0,
) -> World:
    """Everything for an ingest into ``folder``; two of the same folder stand for two processes."""
    clock = clock or FakeClock()
    events, blocking = Events(), InlineBlocking()
    embedder = embedder or ScriptedEmbedder()
    store = SqliteStore(folder, blocking=blocking, clock=clock, busy_timeout=busy_timeout)
    guards = Guards(
        cache="cache:none",
        embedder=embedder.name,
        store=store.name,
        answerer="answerer:none",
        clock=clock,
        rng=random.Random(7),
        events=events,
    )
    narrator = Narrator(events, clock)
    writer = DocumentWriter(
        store=store,
        embedder=embedder,
        guards=guards,
        blocking=blocking,
        clock=clock,
        narrator=narrator,
        chunk_options=ChunkOptions(),
        journal=EmbeddingJournal(folder / "journal.sqlite3", blocking=blocking, clock=clock) if journal else None,
    )
    ingestor = Ingestor(
        writer=writer, jobs=store, blocking=blocking, clock=clock, narrator=narrator, max_file_bytes=1_000_000
    )
    return World(
        ingestor=ingestor,
        store=store,
        embedder=embedder,
        clock=clock,
        recorder=EventRecorder(events),
        folder=folder,
    )


def upload(text: str, document_id: str = "", *, name: str = "note.txt") -> JobItem:
    """A document as it is handed in over the API."""
    return JobItem(name=name, payload=text.encode(), document_id=document_id)


def sections(count: int, *, of: str = "it") -> str:
    """A document of many passages, each of sentences of its own."""
    sentence = "This is sentence {} of part {} of " + of + "."
    return "\n\n".join(f"## Part {n} of {of}\n\n{sentence.format(1, n)} {sentence.format(2, n)}" for n in range(count))
