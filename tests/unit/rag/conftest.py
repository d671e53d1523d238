"""An engine on fakes: a real SQLite store, hashed vectors, blocking work done inline, time that stands still."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.events import Events
from holdfast.rag.answering.extractive import ExtractiveAnswerer
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.caching.caches import Caches
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.engine import Engine
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.narrator import Narrator
from holdfast.rag.records.records import Records
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.rag.settings import load_settings
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.state.memory import MemoryCache
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.rag.cache import AnswerCache

RETURNS = """# Return an item

Most products can be sent back within 30 days of delivery.

## What it costs

A return label costs £2.95 per parcel, and we take that amount off your refund.
"""
WARRANTY = """# Warranty

Kitchen appliances carry a warranty of three years from the day of delivery.

Sofas and bed frames are covered for twelve years.
"""


class Fault:
    """Wraps one part of the engine; while ``error`` is set, every coroutine method raises it.

    With ``only`` set, just the methods of these names raise.
    """

    def __init__(self, part: Any) -> None:
        self._part = part
        self.error: Exception | None = None
        self.only: set[str] = set()
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if not inspect.iscoroutinefunction(value) or name in {"open", "close"}:
            return value

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.error is not None and (not self.only or name in self.only):
                raise self.error
            return await value(*args, **kwargs)

        return guarded


@dataclass(kw_only=True)
class Parts:
    """An engine and everything a test may want to break or look at."""

    engine: Engine
    store: Any
    embedder: Any
    answerer: Any
    cache: Any
    clock: FakeClock
    recorder: EventRecorder
    folder: Path
    documents: Path
    blocking: InlineBlocking = field(default_factory=InlineBlocking)


MakeEngine = Callable[..., Parts]


@pytest.fixture
def make_engine(tmp_path: Path) -> MakeEngine:
    """Builds engines; options: ``embedder=None`` for none, ``cache=None`` for none, and any setting."""

    def make(*, embedder: Any = "hash", cache: Any = "memory", **settings: Any) -> Parts:
        clock, events, blocking = FakeClock(), Events(), InlineBlocking()
        folder = tmp_path / "data"
        configured = load_settings(environ={}, data_dir=folder, support_contact="help@shop.example", **settings)
        store = Fault(SqliteStore(folder, blocking=blocking, clock=clock))
        some_embedder = Fault(HashEmbedder(dimension=256)) if embedder == "hash" else embedder
        some_cache: AnswerCache | Any = (
            Fault(BackedAnswerCache(MemoryCache(max_entries=10, clock=clock))) if cache == "memory" else cache
        )
        answerer = Fault(ExtractiveAnswerer(blocking=blocking))
        guards = Guards(
            cache="cache:memory",
            embedder="embedder:hash",
            store="store:sqlite",
            answerer="answerer:extractive",
            clock=clock,
            rng=random.Random(7),
            events=events,
        )
        narrator = Narrator(events, clock)
        writer = DocumentWriter(
            store=store,
            embedder=some_embedder,
            guards=guards,
            blocking=blocking,
            clock=clock,
            narrator=narrator,
            chunk_options=ChunkOptions(),
        )
        ingestor = Ingestor(
            writer=writer, jobs=store, blocking=blocking, clock=clock, narrator=narrator, max_file_bytes=100_000
        )
        engine = Engine(
            settings=configured,
            store=store,
            jobs=store,
            embedder=some_embedder,
            answerer=answerer,
            caches=Caches(answers=some_cache),
            ingestor=ingestor,
            guards=guards,
            records=Records(
                SqliteRecords(folder, blocking=blocking, clock=clock), clock=clock, rng=random.Random(7), events=events
            ),
            blocking=blocking,
            clock=clock,
            rng=random.Random(7),
            events=events,
        )
        documents = tmp_path / "articles"
        documents.mkdir(exist_ok=True)
        (documents / "returns.md").write_text(RETURNS)
        (documents / "warranty.md").write_text(WARRANTY)
        return Parts(
            engine=engine,
            store=store,
            embedder=some_embedder,
            answerer=answerer,
            cache=some_cache,
            clock=clock,
            recorder=EventRecorder(events),
            folder=folder,
            documents=documents,
            blocking=blocking,
        )

    return make
