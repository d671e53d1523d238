"""All caches of an engine, as the settings want them: in this process's memory, or shared through Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.caching.searches import SearchCache
from holdfast.rag.caching.semantic import SemanticIndex
from holdfast.rag.types import Reason
from holdfast.state.embeddings import EmbeddingCache
from holdfast.state.guard import cache_guard
from holdfast.state.memory import MemoryCache
from holdfast.state.shared import SharedCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.clock import Clock
    from holdfast.core.pipeline import Pipeline
    from holdfast.errors import HoldfastError
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.cache import AnswerCache
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.settings import Settings
    from holdfast.state.base import CacheBackend

__all__ = ["Caches", "build_caches", "cache_name"]

_MIB = 1_048_576
_ANSWER_BYTES = 16_384
"""Room in memory for each answer that is to be kept; most take a third of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """What an engine remembers; None for what it does not.

    Attributes:
        answers: answers to questions.
        vectors: vectors of questions.
        document_vectors: vectors of what is ingested.
        results: what was found for questions.
        semantic: which questions are the same in other words.
        backends: where all that is kept; closed by :meth:`close`.
    """

    answers: AnswerCache | None = None
    vectors: EmbeddingCache | None = None
    document_vectors: EmbeddingCache | None = None
    results: SearchCache | None = None
    semantic: SemanticIndex | None = None
    backends: tuple[CacheBackend, ...] = ()

    async def close(self) -> None:
        """Release connections and memory."""
        for backend in self.backends:
            await backend.close()


def cache_name(settings: Settings) -> str:
    """The name of the dependency that the caches of these settings are."""
    return MemoryCache.name if settings.redis_url is None or not settings.cache_size else "cache:redis"


def build_caches(
    settings: Settings,
    *,
    embedder: Embedder | None,
    remote_embedder: bool,
    guard: Pipeline,
    narrator: Narrator,
    clock: Clock,
    wrap: Callable[[CacheBackend], CacheBackend] | None = None,
) -> Caches:
    """The caches that the settings want. Nothing is connected to before it is asked.

    Args:
        embedder: what embeds questions and documents; None for nobody.
        remote_embedder: whether a provider embeds: then vectors of questions are worth a call of Redis.
        guard: the pipeline around the calls of a server, made by ``cache_guard``.
        narrator: tells of calls that failed.
        wrap: puts something in front of what may fail, to have it fail on purpose; memory counts as such then, too.

    Raises:
        MissingExtraError: the settings name a Redis server, and its client is not installed.
    """
    if not settings.cache_size:
        return Caches()
    shelves = _Shelves(_server(settings), guard=guard, narrator=narrator, clock=clock, wrap=wrap)
    size = settings.cache_size
    answers = shelves.shelf(max_entries=size, max_bytes=max(_MIB, size * _ANSWER_BYTES))
    # Two to three milliseconds of this machine's time are less than a call of Redis may cost.
    vectors = shelves.shelf(max_bytes=16 * _MIB, shared=remote_embedder)
    results = shelves.shelf(max_bytes=16 * _MIB)
    document_vectors = semantic = None
    if embedder is not None:
        if settings.redis_url is not None:
            document_vectors = EmbeddingCache(
                shelves.shelf(max_bytes=4 * _MIB, bulk=True), embedder_id=embedder.id, dimension=embedder.dimension
            )
        if settings.semantic_cache:
            semantic = SemanticIndex(embedder_id=embedder.id, dimension=embedder.dimension)
    return Caches(
        answers=BackedAnswerCache(answers, ttl=max(1.0, settings.cache_ttl, settings.stale_ttl)),
        vectors=None
        if embedder is None
        else EmbeddingCache(vectors, embedder_id=embedder.id, dimension=embedder.dimension),
        document_vectors=document_vectors,
        results=SearchCache(results),
        semantic=semantic,
        backends=tuple(shelves.made),
    )


def _server(settings: Settings) -> CacheBackend | None:
    if settings.redis_url is None:
        return None
    from holdfast.state.redis import RedisCache  # noqa: PLC0415 - an extra, not needed without a server
    from holdfast.state.redis_client import RedisClient  # noqa: PLC0415

    client = RedisClient(settings.redis_url.get_secret_value())
    return RedisCache(client, namespace=settings.redis_namespace)


class _Shelves:
    """Makes a cache for each kind of thing, so that many of one kind do not push out those of another."""

    def __init__(
        self,
        server: CacheBackend | None,
        *,
        guard: Pipeline,
        narrator: Narrator,
        clock: Clock,
        wrap: Callable[[CacheBackend], CacheBackend] | None,
    ) -> None:
        self._server = server if server is None or wrap is None else wrap(server)
        self._guard = guard
        self._narrator = narrator
        self._clock = clock
        self._wrap = wrap
        self.made: list[CacheBackend] = []

    def shelf(
        self, *, max_bytes: int, max_entries: int = 10_000, shared: bool = True, bulk: bool = False
    ) -> CacheBackend:
        """A cache, of this size where it is in memory.

        Args:
            shared: whether it is worth a call of the server.
            bulk: whether its calls are many and large: then their failures say nothing of those for questions.
        """
        own = MemoryCache(max_entries=max_entries, max_bytes=max_bytes, clock=self._clock)
        server = self._server if shared else None
        if server is None and self._wrap is not None:
            server = self._wrap(MemoryCache(max_entries=max_entries, max_bytes=max_bytes, clock=self._clock))
        backend: CacheBackend = own
        if server is not None:
            guard = cache_guard(f"{server.name}:bulk", clock=self._clock, events=self._guard.events) if bulk else None
            backend = SharedCache(
                server, own=own, guard=guard or self._guard, clock=self._clock, on_failure=self._failed(server.name)
            )
        self.made.append(backend)
        return backend

    def _failed(self, name: str) -> Callable[[HoldfastError], None]:
        return lambda error: self._narrator.stage_failed("cache", name, Reason.CACHE_UNAVAILABLE, error)
