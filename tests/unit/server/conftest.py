"""A fake engine behind the real application, and clients that speak to it."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import structlog

from holdfast.core.events import Event, Events
from holdfast.core.pipeline import PipelineSnapshot
from holdfast.rag.admission import Line
from holdfast.rag.health import Check, Health
from holdfast.rag.records.records import Records
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.rag.settings import Settings
from holdfast.rag.store.base import DocumentPage, DocumentRecord
from holdfast.rag.store.jobs import Job, JobFailure, JobItem, JobState
from holdfast.rag.types import (
    Answer,
    Chunk,
    Citation,
    Document,
    Hit,
    Mime,
    Reason,
    SearchResult,
    Source,
    StoredChunk,
    Tier,
    Usage,
)
from holdfast.server.app import create_app
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from fastapi import FastAPI

    from holdfast.rag.query import Query

TEXT = "Refunds reach your card within 5 to 7 working days after the parcel has arrived."
CITATION = Citation(
    document_id="refund-times",
    chunk_id="c1",
    title="When you get your money back",
    uri="help/refund-times.md",
    text=TEXT,
    start=120,
    end=120 + len(TEXT),
    score=0.91,
)
ANSWER = Answer(
    text="Refunds take 5 to 7 working days [1].",
    citations=(CITATION,),
    source=Source.EXTRACT,
    tier=Tier.FULL,
    confidence=0.83,
    usage=Usage(),
    timings_ms={"search": 4.2, "total": 9.5},
)


class FakeGuard:
    """A pipeline that only calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def call(self, fn: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        self.calls.append(fn.__name__)
        return await fn(*args, **kwargs)

    def snapshot(self) -> PipelineSnapshot:
        return PipelineSnapshot(name="store:fake", dependency="store:fake", policies={})


class FakeStore:
    name = "store:fake"

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], Document] = {}
        self.error: Exception | None = None
        self.asked: dict[str, Any] = {}
        self.delete_hangs = False

    def add(self, document_id: str, text: str = "Text.", collection: str = "default") -> None:
        self.documents[collection, document_id] = Document(
            id=document_id,
            text=text,
            title=document_id.title(),
            uri=f"{document_id}.md",
            mime=Mime.MARKDOWN,
            content_hash="0" * 64,
            collection=collection,
            metadata={"language": "en"},
        )

    async def get(self, document_id: str, *, collection: str) -> Document | None:
        self._fail()
        return self.documents.get((collection, document_id))

    async def delete(self, document_id: str, *, collection: str) -> bool:
        self._fail()
        if self.delete_hangs:
            await asyncio.Event().wait()
        return self.documents.pop((collection, document_id), None) is not None

    async def list(self, *, collection: str, limit: int, cursor: str | None) -> DocumentPage:
        self._fail()
        self.asked = {"collection": collection, "limit": limit, "cursor": cursor}
        records = [
            DocumentRecord(
                id=one.id,
                collection=one.collection,
                title=one.title,
                uri=one.uri,
                mime=one.mime,
                content_hash=one.content_hash,
                chunks=1,
                characters=len(one.text),
                embedder_id=None,
                stored_at=1.0,
                metadata=one.metadata,
            )
            for (where, _), one in sorted(self.documents.items())
            if where == collection
        ]
        return DocumentPage(documents=records[:limit], next_cursor="more" if len(records) > limit else None)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class FakeJobs:
    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.items: list[JobItem] = []
        self.error: Exception | None = None

    async def create_job(self, items: Sequence[JobItem], *, collection: str) -> Job:
        if self.error is not None:
            raise self.error
        self.items = list(items)
        job = Job(
            id=f"job_{len(self.jobs) + 1}",
            collection=collection,
            status=JobState.QUEUED,
            done=0,
            total=len(items),
            failures=(),
            created_at=1.0,
            updated_at=1.0,
        )
        self.jobs[job.id] = job
        return job

    async def job(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    async def cancel_job(self, job_id: str) -> Job | None:
        if job_id not in self.jobs:
            return None
        failures = (JobFailure("a", "cancelled"),)
        self.jobs[job_id] = replace(self.jobs[job_id], status=JobState.CANCELLED, failures=failures)
        return self.jobs[job_id]


class FakeIngestor:
    def __init__(self) -> None:
        self.woken = 0
        self.running = False
        self.error: Exception | None = None

    def wake(self) -> None:
        self.woken += 1

    async def run_jobs(self) -> None:
        self.running = True
        try:
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            await asyncio.Event().wait()
        finally:
            self.running = False


@dataclass
class FakeEngine:
    """Does what it is told: answers ``answer``, raises ``error``, or hangs until it is cancelled."""

    settings: Settings
    clock: FakeClock = field(default_factory=lambda: FakeClock(start_ns=0))
    events: Events = field(default_factory=Events)
    store: FakeStore = field(default_factory=FakeStore)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    ingestor: FakeIngestor = field(default_factory=FakeIngestor)
    guard: FakeGuard = field(default_factory=FakeGuard)
    removing: list[str] = field(default_factory=list)
    answer: Answer = ANSWER
    pieces: tuple[str, ...] = ("Refunds take 5 to 7 ", "working days [1].")
    error: Exception | None = None
    error_after: int = 0
    hangs: bool = False
    cancelled: bool = False
    queries: list[Query] = field(default_factory=list)
    emits: tuple[Event, ...] = ()
    warnings: tuple[str, ...] = ("one key of two is not set",)
    status: str = "ok"
    opened: int = 0
    closed: int = 0
    folder: TemporaryDirectory[str] = field(default_factory=TemporaryDirectory)
    records: Records = field(init=False)
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.line = Line(max_concurrent=8, max_size=100, clock=self.clock, events=self.events)
        place = SqliteRecords(self.folder.name, blocking=InlineBlocking(), clock=self.clock)
        self.records = Records(place, clock=self.clock, rng=random.Random(7), events=self.events)

    async def open(self) -> None:
        self.opened += 1
        await self.records.open()

    async def close(self) -> None:
        self.closed += 1
        await self.records.close()

    async def ask(self, query: Query) -> Answer:
        self.queries.append(query)
        await self._misbehave()
        for event in self.emits:
            self.events.emit(event)
        return replace(self.answer, request_id=query.request_id)

    async def stream(self, query: Query) -> AsyncIterator[str | Answer]:
        self.queries.append(query)
        for number, piece in enumerate(self.pieces):
            if number == self.error_after:
                await self._misbehave()
            yield piece
        yield replace(self.answer, request_id=query.request_id)

    async def search(self, query: Query) -> SearchResult:
        self.queries.append(query)
        await self._misbehave()
        chunk = Chunk(id="c1", document_id="refund-times", ordinal=0, start=0, end=4, heading="A › B", text="Text")
        hit = Hit(stored=StoredChunk(chunk=chunk, title="Title", uri="a.md"), score=0.5)
        return SearchResult(hits=[hit], tier=Tier.DEGRADED, reasons=(Reason.EMBEDDER_UNAVAILABLE,))

    async def health(self) -> Health:
        check = Check(status="ok", detail="42 documents", latency_ms=1.5, breaker="closed")
        status: Any = self.status
        return Health(status=status, tier=Tier.FULL, checks={"store:fake": check})

    async def delete_conversation(self, conversation_id: str) -> bool:
        await self.records.forget_feedback_on(conversation_id)
        return await self.records.call(self.records.conversations.delete, conversation_id)

    async def delete_document(self, document_id: str, *, collection: str = "default") -> bool:
        self.removing.append(document_id)
        return await self.store.delete(document_id, collection=collection)

    def guards(self) -> Mapping[str, FakeGuard]:
        return {self.store.name: self.guard}

    async def _misbehave(self) -> None:
        if self.hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        if self.error is not None:
            raise self.error


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[Any]]:
    """What is logged: kept, not printed."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=100_000, max_file_bytes=50_000)


@pytest.fixture
def engine(settings: Settings) -> Iterator[FakeEngine]:
    engine = FakeEngine(settings)
    yield engine
    engine.folder.cleanup()


@pytest.fixture
def app(engine: FakeEngine, settings: Settings) -> FastAPI:
    stand_in: Any = engine
    return create_app(stand_in, settings)


@asynccontextmanager
async def client_of(app: FastAPI, host: str = "127.0.0.1:8000") -> AsyncIterator[httpx2.AsyncClient]:
    """The application, started, and a client for it."""
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client,
    ):
        yield client


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
def serving() -> Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]:
    """``async with serving(app) as client``: for tests that make their own application."""
    return client_of


class Wire:
    """One request by hand, piece by piece, for what a client library does not let one do."""

    def __init__(self, app: FastAPI, method: str, path: str, *, headers: Mapping[str, str] | None = None) -> None:
        sent = {"host": "127.0.0.1:8000", "content-type": "application/json", **(headers or {})}
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }
        self.app = app
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.pieces_taken = 0
        self.task: asyncio.Task[None] | None = None

    def start(self, *pieces: bytes, whole: bool = True) -> None:
        """Send the request; ``whole`` False: more of its body may follow."""
        for number, piece in enumerate(pieces):
            more = not whole or number < len(pieces) - 1
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})
        self.task = asyncio.create_task(self._run())

    def hang_up(self) -> None:
        """Close the connection from the client's side."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def finish(self) -> None:
        """Wait until the application is done with the request."""
        assert self.task is not None
        await asyncio.wait_for(self.task, 5)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let everything run until the condition holds."""
        for _ in range(1_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("the condition never held")

    @property
    def status(self) -> int | None:
        return next((one["status"] for one in self.sent if one["type"] == "http.response.start"), None)

    @property
    def headers(self) -> dict[str, str]:
        start = next(one for one in self.sent if one["type"] == "http.response.start")
        return {name.decode(): value.decode() for name, value in start["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent if one["type"] == "http.response.body")

    @property
    def ended(self) -> bool:
        return any(one["type"] == "http.response.body" and not one.get("more_body") for one in self.sent)

    async def _run(self) -> None:
        scope: Any = self.scope
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        message = await self.incoming.get()
        self.pieces_taken += 1
        return message

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
async def wire(app: FastAPI) -> AsyncIterator[Callable[..., Wire]]:
    """Makes requests by hand; those that are still open at the end are hung up."""
    made: list[Wire] = []

    def make(method: str, path: str, **options: Any) -> Wire:
        made.append(Wire(app, method, path, **options))
        return made[-1]

    async with app.router.lifespan_context(app):
        yield make
        for one in made:
            if one.task is not None and not one.task.done():
                one.hang_up()
                await one.finish()
