"""Puts the default parts of the engine together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.llm.client import ModelClient
from holdfast.llm.prices import load_prices
from holdfast.llm.provider_embedder import ProviderEmbedder
from holdfast.rag.answering.extractive import ExtractiveAnswerer
from holdfast.rag.answering.generated import GenerationOptions, ModelAnswerer
from holdfast.rag.cache import MemoryAnswerCache
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.engine import Engine
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.models import Models, configured_models
from holdfast.rag.narrator import Narrator
from holdfast.rag.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking, Http
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.settings import Settings

__all__ = ["build_engine"]


def build_engine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    blocking: Blocking | None = None,
    events: Events | None = None,
    http: Http | None = None,
    environ: Mapping[str, str] | None = None,
) -> Engine:
    """An engine with the embedded store, and the embedder and the answerer of the settings.

    Reads the files of models and prices that the settings name; every other I/O waits for ``open()``.

    Args:
        clock, rng, blocking, events, http: the doors to the world; None takes the real one.
        environ: where the keys of providers are looked for that are not settings; the process' own by default.

    Raises:
        ConfigError: what the settings say of models cannot be used.
    """
    clock = clock or SYSTEM_CLOCK
    rng = rng or random.Random()  # noqa: S311 - spreads retries and names requests; guards no secret
    events = events or Events()
    models = None
    if (configured := configured_models(settings, environ)) is not None:
        prices = load_prices(settings.prices_file)
        http = http or _http()
        client = ModelClient(configured.routes, http=http, prices=prices, clock=clock, rng=rng, events=events)
        models = Models(client, configured)
    blocking = blocking or _threads(settings)
    store = SqliteStore(settings.data_dir, blocking=blocking, clock=clock)
    embedder = _embedder(settings, blocking, models)
    extractive = ExtractiveAnswerer(blocking=blocking)
    writing = _writing(settings, blocking, models, rng)
    cache = MemoryAnswerCache(size=settings.cache_size) if settings.cache_size else None
    guards = Guards(
        cache=MemoryAnswerCache.name,
        embedder=embedder.name if embedder is not None else "embedder:none",
        store=store.name,
        answerer=extractive.name,
        clock=clock,
        rng=rng,
        events=events,
        model=None if writing is None else writing.name,
        remote_embedder=isinstance(embedder, ProviderEmbedder),
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
        answerer=writing or extractive,
        cache=cache,
        ingestor=ingestor,
        guards=guards,
        blocking=blocking,
        clock=clock,
        rng=rng,
        events=events,
        fallback=None if writing is None else extractive,
        models=models,
    )


def _threads(settings: Settings) -> ThreadBlocking:
    # An ingest keeps its threads busy for minutes; a question must not wait behind it.
    return ThreadBlocking(max_workers=settings.max_workers, dedicated={"embed.batch": 2})


def _http() -> Http:
    from holdfast.llm.http import AiohttpHttp  # noqa: PLC0415 - an extra, not needed without a provider

    return AiohttpHttp()


def _embedder(settings: Settings, blocking: Blocking, models: Models | None) -> Embedder | None:
    if settings.embedder == "none":
        return None
    if models is not None and models.embeds is not None:
        return ProviderEmbedder(models.client, models.embeds)
    from holdfast.llm.local.manifest import default_model_dir  # noqa: PLC0415 - an extra, not needed without a model
    from holdfast.llm.local.minilm import MiniLMEmbedder  # noqa: PLC0415

    return MiniLMEmbedder(settings.model_dir or default_model_dir(), blocking=blocking)


def _writing(settings: Settings, blocking: Blocking, models: Models | None, rng: random.Random) -> Answerer | None:
    """The answerer that has a model write, where one is configured."""
    if models is None or models.answers is None:
        return None
    options = GenerationOptions(max_tokens=settings.max_answer_tokens)
    return ModelAnswerer(models.client, models.answers, blocking=blocking, rng=rng, options=options)
