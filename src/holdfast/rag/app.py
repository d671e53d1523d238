"""Puts the default parts of the engine together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.rag.answering.extractive import ExtractiveAnswerer
from holdfast.rag.cache import MemoryAnswerCache
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.engine import Engine
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.narrator import Narrator
from holdfast.rag.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.settings import Settings

__all__ = ["build_engine"]


def build_engine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    blocking: Blocking | None = None,
    events: Events | None = None,
) -> Engine:
    """An engine with the embedded store, the local embedder and the extractive answerer. Does no I/O: ``open()`` does.

    Args:
        clock, rng, blocking, events: the doors to the world; None takes the real one.
    """
    clock = clock or SYSTEM_CLOCK
    rng = rng or random.Random()  # noqa: S311 - spreads retries and names requests; guards no secret
    blocking = blocking or _threads(settings)
    events = events or Events()
    store = SqliteStore(settings.data_dir, blocking=blocking, clock=clock)
    embedder = _embedder(settings, blocking)
    answerer = ExtractiveAnswerer(blocking=blocking)
    cache = MemoryAnswerCache(size=settings.cache_size) if settings.cache_size else None
    guards = Guards(
        cache=MemoryAnswerCache.name,
        embedder=embedder.name if embedder is not None else "embedder:none",
        store=store.name,
        answerer=answerer.name,
        clock=clock,
        rng=rng,
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
        chunk_options=ChunkOptions(target_chars=settings.chunk_chars),
    )
    ingestor = Ingestor(
        writer=writer,
        jobs=store,
        blocking=blocking,
        clock=clock,
        narrator=narrator,
        max_file_bytes=settings.max_file_bytes,
    )
    return Engine(
        settings=settings,
        store=store,
        jobs=store,
        embedder=embedder,
        answerer=answerer,
        cache=cache,
        ingestor=ingestor,
        guards=guards,
        blocking=blocking,
        clock=clock,
        rng=rng,
        events=events,
    )


def _threads(settings: Settings) -> ThreadBlocking:
    # An ingest keeps its threads busy for minutes; a question must not wait behind it.
    return ThreadBlocking(max_workers=settings.max_workers, dedicated={"embed.batch": 2})


def _embedder(settings: Settings, blocking: Blocking) -> Embedder | None:
    if settings.embedder == "none":
        return None
    from holdfast.llm.local.manifest import default_model_dir  # noqa: PLC0415 - an extra, not needed without a model
    from holdfast.llm.local.minilm import MiniLMEmbedder  # noqa: PLC0415

    return MiniLMEmbedder(settings.model_dir or default_model_dir(), blocking=blocking)
