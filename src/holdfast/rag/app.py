"""Puts the default parts of the engine together."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.llm.client import ModelClient
from holdfast.llm.prices import load_prices
from holdfast.llm.provider_embedder import ProviderEmbedder
from holdfast.rag.answering.extractive import ExtractiveAnswerer
from holdfast.rag.caching.caches import build_caches, cache_name
from holdfast.rag.caching.embedder import CachedEmbedder
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.conversations.conversations import Conversations
from holdfast.rag.engine import Engine
from holdfast.rag.faq.configured import configured_faq
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor
from holdfast.rag.ingest.journal import EmbeddingJournal
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.injection.components import injectable
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.injection.switchboard import Injections
from holdfast.rag.injection.wire import injectable_https
from holdfast.rag.models import Models, configured_models
from holdfast.rag.narrator import Narrator
from holdfast.rag.policies import ALL, Policies
from holdfast.rag.records.build import build_records
from holdfast.rag.standby.copy import STANDBY_THREADS
from holdfast.rag.standby.wiring import build_standby
from holdfast.rag.store.choose import build_stores
from holdfast.rag.tiers.configured import model_authors, settled_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking, Http
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.reranking import Reranker
    from holdfast.rag.settings import Settings
    from holdfast.rag.store.jobs import JobStore
    from holdfast.state.base import CacheBackend

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
    wrap: Callable[[Dependency, Any], Any] | None = None,
    reranker: Reranker | None = None,
    policies: Policies = ALL,
) -> Engine:
    """An engine with the store, the embedder and the answerer of the settings.

    Reads the files of models and prices that the settings name; every other I/O waits for ``open()``.

    Args:
        clock, rng, blocking, events, http: the doors to the world; None takes the real one.
        environ: where the keys of providers are looked for that are not settings; the process' own by default.
        wrap: puts something in front of a part, or in its place: ``wrap(Dependency.STORE, store)`` gives what is used.
            It is asked for the store, the answerer that quotes, each cache, and an embedder that is no provider's.
        reranker: ranks passages in place of the engine's own way.
        policies: which of the engine's policies work, and by which numbers; all of them, by its own.

    Raises:
        ConfigError: what the settings say of models or of the store cannot be used.
        MissingExtraError: the store's packages are not installed.
    """
    clock = clock or SYSTEM_CLOCK
    rng = rng or random.Random()  # noqa: S311 - spreads retries and names requests; guards no secret
    events = events or Events()
    injections = Injections(clock=clock, rng=rng, events=events) if settings.fault_injection else None
    models = None
    if (configured := configured_models(settings, environ)) is not None:
        configured = policies.configured(configured)
        prices = load_prices(settings.prices_file)
        http = http or _http()
        https = None if injections is None else injectable_https(http, configured, injections)
        client = ModelClient(
            configured.routes, http=http, https=https, prices=prices, clock=clock, rng=rng, events=events
        )
        if injections is not None:
            # a key that was parked for an injected refusal works; nobody has to mend it
            injections.when_ended(lambda fault: client.network.release_keys() if fault.parks_keys else None)
        models = Models(client, configured)
    blocking = blocking or _threads(settings)
    stores = build_stores(settings, blocking=blocking, clock=clock, events=events)
    store: Any = stores.store  # a Store; and a JobStore, unless `stores` has one beside it
    embedder = _embedder(settings, blocking, models)
    extractive: Answerer = ExtractiveAnswerer(blocking=blocking)
    remote_embedder = isinstance(embedder, ProviderEmbedder)
    if wrap is not None:
        store = wrap(Dependency.STORE, store)
        extractive = wrap(Dependency.ANSWERER, extractive)
        if embedder is not None and not remote_embedder:
            embedder = wrap(Dependency.EMBEDDER, embedder)
    if injections is not None:
        store = injectable(store, Dependency.STORE, injections)
        extractive = injectable(extractive, Dependency.ANSWERER, injections)
        if embedder is not None and not remote_embedder:  # a provider's fails over the wire
            embedder = injectable(embedder, Dependency.EMBEDDER, injections)
    jobs: JobStore = store if stores.jobs is None else stores.jobs
    guards = Guards(
        cache=cache_name(settings),
        embedder=embedder.name if embedder is not None else "embedder:none",
        store=store.name,
        answerer=extractive.name,
        clock=clock,
        rng=rng,
        events=events,
        model=None if models is None or models.answers is None else f"answerer:{models.answers}",
        remote_embedder=remote_embedder,
        policies=policies,
    )
    narrator = Narrator(events, clock)
    levels = settled_levels(settings, quotes=policies.quotes)
    caches = build_caches(
        settings,
        embedder=embedder,
        remote_embedder=remote_embedder,
        guard=guards.cache,
        narrator=narrator,
        clock=clock,
        wrap=_cache_wrap(wrap, injections),
    )
    known = caches.document_vectors
    writer = DocumentWriter(
        store=store,
        embedder=embedder if embedder is None or known is None else CachedEmbedder(embedder, known),
        guards=guards,
        blocking=blocking,
        clock=clock,
        narrator=narrator,
        chunk_options=ChunkOptions(target_chars=settings.chunk_chars),
        journal=EmbeddingJournal(settings.data_dir / "journal.sqlite3", blocking=blocking, clock=clock),
    )
    ingestor = Ingestor(
        writer=writer,
        jobs=jobs,
        blocking=blocking,
        clock=clock,
        narrator=narrator,
        max_file_bytes=settings.max_file_bytes,
    )
    records = build_records(settings, blocking=blocking, clock=clock, rng=rng, events=events)
    if injections is not None:
        records.conversations = injectable(records.conversations, Dependency.RECORDS, injections)
    return Engine(
        settings=settings,
        store=store,
        jobs=jobs,
        embedder=embedder,
        answerer=extractive,
        caches=caches,
        ingestor=ingestor,
        guards=guards,
        records=records,
        conversations=Conversations(
            records.conversations,
            records.guard,
            completer=None if models is None else models.completer(),
            clock=clock,
            rng=rng,
            events=events,
        ),
        blocking=blocking,
        clock=clock,
        rng=rng,
        events=events,
        authors=() if models is None else model_authors(settings, models, guards, levels, blocking=blocking, rng=rng),
        faq=configured_faq(settings) if policies.frequent else None,
        levels=levels,
        models=models,
        injections=injections,
        reranker=reranker,
        standby=build_standby(
            settings,
            store=store,
            guards=guards,
            blocking=blocking,
            clock=clock,
            rng=rng,
            events=events,
            narrator=narrator,
            policies=policies,
        ),
        policies=policies,
    )


def _cache_wrap(
    wrap: Callable[[Dependency, Any], Any] | None, injections: Injections | None
) -> Callable[[CacheBackend], CacheBackend] | None:
    if injections is not None:
        injected = partial(injectable, dependency=Dependency.CACHE, injections=injections)
        return injected if wrap is None else lambda backend: injected(wrap(Dependency.CACHE, backend))
    return None if wrap is None else partial(wrap, Dependency.CACHE)


def _threads(settings: Settings) -> ThreadBlocking:
    # An ingest keeps its threads busy for minutes; a question must not wait behind it, nor an API key behind either.
    # And a store that hangs may keep all others.
    return ThreadBlocking(
        max_workers=settings.max_workers, dedicated={"embed.batch": 2, "records": 2, STANDBY_THREADS: 2}
    )


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
