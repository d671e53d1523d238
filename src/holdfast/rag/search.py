"""Search: words and vectors side by side, fused, each able to stand alone when the other is down.

Two caches stand before it. A vector that is remembered needs no embedder, and a result that is remembered neither
embedder nor store; so what is remembered is as good as ever while they are down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

from holdfast.errors import DependencyError
from holdfast.rag.answering.terms import question_words
from holdfast.rag.retrieval import RERANK_POOL, Fused, fuse
from holdfast.rag.store.plausible import PlausibleReads
from holdfast.rag.types import Hit, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.caching.searches import SearchCache
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.reranking import Reranking
    from holdfast.rag.store.base import Scored, Store
    from holdfast.state.embeddings import EmbeddingCache

__all__ = ["ByWords", "Copied", "Embedded", "Found", "Searcher"]

ByWords: TypeAlias = "tuple[Sequence[Scored], Mapping[str, int], int]"
"""The best passages by their words, how many passages hold each word of the question, and how many there are."""

_TOLERANCE = 1e-3
_CANDIDATES = 50
"""How many chunks each of the two searches hands to the fusion."""
_KNOWN_SHARE = 0.8
"""Passages are replaced between a search and the fetch now and then. When so few of them are there the index lags
behind the documents, and what it did not name may be the best of all: it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What became of turning a question into a vector.

    Attributes:
        vector: None where there is no embedder, or it could not be had.
        reasons: why it could not be had.
        ms: milliseconds that it took; None where there is no embedder.
        remembered: whether it comes from the cache, and says nothing of how the embedder is.
    """

    vector: Vectors | None = None
    reasons: tuple[Reason, ...] = ()
    ms: float | None = None
    remembered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search brought, and what an answerer needs beside it.

    Attributes:
        reasons: what was missing while searching.
        chunk_count: chunks in the collection; 0 means that nothing was ever ingested into it.
        remembered: whether it comes from the cache, and says nothing of how the store is.
    """

    hits: Sequence[Hit]
    query_vector: Vectors | None
    document_frequency: Mapping[str, int]
    chunk_count: int
    reasons: tuple[Reason, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    remembered: bool = False


class Copied(Protocol):
    """A copy of the documents, searched by words where the store cannot be."""

    async def by_words(self, query: Query, *, k: int) -> ByWords | None:
        """The ``k`` best passages; None where there is no copy, or it fails. Never raises."""
        ...


@dataclass(slots=True, kw_only=True)
class _Looked:
    """What one look brought.

    Attributes:
        lags: whether the store named many passages that it does not hold.
    """

    embedded: Embedded
    hits: list[Hit]
    frequencies: Mapping[str, int]
    chunk_count: int
    reasons: list[Reason]
    lags: bool


class Searcher:
    """Runs the searches of one question.

    Args:
        embedder: None when the operator chose to search by words only; then nothing is missing.
        vectors: remembers the vectors of questions; None for nothing.
        results: remembers what was found; None for nothing.
        reranking: ranks what was found.
        by_words: whether a search by words alone stands in where the one by vectors cannot be made.
        copy: searched by words where the store fails at that alone; None for nothing.
    """

    def __init__(
        self,
        *,
        store: Store,
        embedder: Embedder | None,
        guards: Guards,
        clock: Clock,
        narrator: Narrator,
        vectors: EmbeddingCache | None = None,
        results: SearchCache | None = None,
        reranking: Reranking,
        by_words: bool = True,
        copy: Copied | None = None,
    ) -> None:
        self._store = store
        self._store_name = store.name
        self._reads = PlausibleReads(store)
        self._embedder = embedder
        self._guards = guards
        self._clock = clock
        self._narrator = narrator
        self._vectors = vectors
        self._results = results
        self._reranking = reranking
        self._words = by_words
        self._copy = copy

    async def embedded(self, query: Query) -> Embedded:
        """The question's vector, from the cache or made; never raises for what is broken."""
        embedder = self._embedder
        if embedder is None:
            return Embedded()
        started = self._clock.now_ns()
        vector = await self._known_vector(query)
        if vector is not None:
            return Embedded(vector=vector, ms=self._ms_since(started), remembered=True)
        try:
            vector = await self._guards.query_embedder.call(_made, embedder, query.question)
        except Exception as error:  # noqa: BLE001 - whatever it was, the search goes on by words, and says so
            self._narrator.stage_failed("embed", embedder.name, Reason.EMBEDDER_UNAVAILABLE, error)
            return Embedded(reasons=(Reason.EMBEDDER_UNAVAILABLE,), ms=self._ms_since(started))
        taken = self._ms_since(started)
        self._narrator.embedded(embedder.name, embedder.id, taken)
        await self._keep_vector(query, vector)
        return Embedded(vector=vector, ms=taken)

    async def search(
        self, query: Query, *, k: int, embedded: Embedded | None = None, generation: int | None = None
    ) -> Found:
        """The ``k`` best passages for the question.

        Args:
            embedded: what :meth:`embedded` gave for this question; None: it is embedded here.
            generation: the store's generation, read before; None: no earlier result is looked for, and none is kept.

        Raises:
            Exception: both searches failed; it is the failure of the search by words.
            DependencyError: the search by vectors failed, and words alone are not to stand in.
        """
        started = self._clock.now_ns()
        known = await self._known_result(query, k, generation)
        if known is not None:
            timings = {**_embedding_time(embedded), "search": self._ms_since(started)}
            return replace(known, timings_ms=timings, remembered=True)
        looked = await self._looked(query, embedded, k)
        if looked.lags:
            looked = await self._looked(query, looked.embedded, k)
        reasons = looked.reasons
        hits, missed = await self._reranking.best(query.question, looked.hits, looked.embedded.vector, k=k)
        reasons += missed
        waited = 0.0 if embedded is not None else looked.embedded.ms or 0.0
        taken = self._ms_since(started) - waited
        self._narrator.searched(self._store_name, len(hits), taken)
        found = Found(
            hits=hits,
            query_vector=looked.embedded.vector,
            document_frequency=looked.frequencies,
            chunk_count=looked.chunk_count,
            reasons=tuple(reasons),
            timings_ms={**_embedding_time(looked.embedded), "search": taken},
        )
        await self._keep_result(query, found, k, generation)
        return found

    async def _looked(self, query: Query, embedded: Embedded | None, k: int) -> _Looked:
        """Both searches, fused, with the passages themselves."""
        by_words = asyncio.create_task(self._by_words(query))
        try:
            if embedded is None:
                embedded = await self.embedded(query)
            reasons = list(embedded.reasons)
            by_vectors = await self._by_vector(query, embedded.vector, reasons)
            lexical, frequencies, chunk_count = await self._settled(query, by_words, by_vectors, reasons)
        finally:
            by_words.cancel()
        if by_vectors is None and not self._words and self._embedder is not None:
            raise DependencyError("The documents could not be searched by vectors; words alone are not to stand in.")
        if (
            embedded.vector is not None
            and not by_vectors
            and lexical
            and not query.filters
            and Reason.VECTOR_STORE_UNAVAILABLE not in reasons
        ):
            reasons.append(Reason.VECTORS_MISSING)
        fused = fuse(lexical, by_vectors or (), k=max(k, RERANK_POOL))
        hits = await self._fetch(fused, query)
        return _Looked(
            embedded=embedded,
            hits=hits,
            frequencies=frequencies,
            chunk_count=chunk_count,
            reasons=reasons,
            lags=len(hits) < _KNOWN_SHARE * len(fused),
        )

    async def _by_words(self, query: Query) -> ByWords:
        guard, store = self._guards.store, self._store
        lexical = await guard.call(self._reads.lexical, query.question, k=_CANDIDATES, scope=query.scope)
        frequencies, count = await guard.call(
            store.document_frequency, question_words(query.question), collection=query.collection
        )
        return lexical, frequencies, count

    async def _by_vector(self, query: Query, vector: Vectors | None, reasons: list[Reason]) -> Sequence[Scored] | None:
        """The chunks nearest to the question; None where they could not be had, with the reason noted."""
        embedder = self._embedder
        if vector is None or embedder is None:
            return None
        try:
            return await self._guards.store.call(
                self._reads.dense, vector, embedder_id=embedder.id, k=_CANDIDATES, scope=query.scope
            )
        except Exception as error:  # noqa: BLE001 - the search by words may still stand
            self._narrator.stage_failed("search", self._store_name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            reasons.append(Reason.VECTOR_STORE_UNAVAILABLE)
            return None

    async def _settled(
        self,
        query: Query,
        by_words: asyncio.Task[ByWords],
        by_vectors: Sequence[Scored] | None,
        reasons: list[Reason],
    ) -> ByWords:
        """What the words found; where the store could not say, what they find in the copy, or nothing."""
        try:
            return await by_words
        except Exception as error:
            if not by_vectors:
                raise
            self._narrator.stage_failed("search", self._store_name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            if Reason.VECTOR_STORE_UNAVAILABLE not in reasons:
                reasons.append(Reason.VECTOR_STORE_UNAVAILABLE)
            copied = None if self._copy is None else await self._copy.by_words(query, k=_CANDIDATES)
            return copied or ([], {}, len(by_vectors))

    async def _fetch(self, fused: Sequence[Fused], query: Query) -> list[Hit]:
        if not fused:
            return []
        stored = await self._guards.store.call(
            self._reads.fetch, [one.chunk_id for one in fused], collection=query.collection
        )
        return [
            Hit(stored=stored[one.chunk_id], score=one.score, lexical=one.lexical, cosine=one.cosine)
            for one in fused
            if one.chunk_id in stored  # replaced between the search and the fetch: what is gone is not cited
        ]

    async def _known_vector(self, query: Query) -> Vectors | None:
        cache = self._vectors
        if cache is None:
            return None
        try:
            (vector,) = await cache.get_many([query.question], kind="query")
        except Exception as error:  # noqa: BLE001 - a question never fails because of its cache
            self._narrator.stage_failed("cache", cache.name, Reason.CACHE_UNAVAILABLE, error)
            return None
        self._narrator.cache_lookup(cache.name, cache="embedding", hit=vector is not None)
        return vector

    async def _keep_vector(self, query: Query, vector: Vectors) -> None:
        if self._vectors is None:
            return
        try:
            await self._vectors.put_many({query.question: vector}, kind="query")
        except Exception as error:  # noqa: BLE001 - writing the cache is best effort
            self._narrator.stage_failed("cache", self._vectors.name, Reason.CACHE_UNAVAILABLE, error)

    async def _known_result(self, query: Query, k: int, generation: int | None) -> Found | None:
        cache = self._results
        if cache is None or generation is None:
            return None
        try:
            found = await cache.get(query, k=k, generation=generation, embedder_id=self._space)
        except Exception as error:  # noqa: BLE001 - a question never fails because of its cache
            self._narrator.stage_failed("cache", cache.name, Reason.CACHE_UNAVAILABLE, error)
            return None
        self._narrator.cache_lookup(cache.name, cache="search", hit=found is not None)
        return found

    async def _keep_result(self, query: Query, found: Found, k: int, generation: int | None) -> None:
        if self._results is None or generation is None or not found.hits:
            return  # nothing is quickly found again, and it may be there the next time
        try:
            await self._results.put(query, found, k=k, generation=generation, embedder_id=self._space)
        except Exception as error:  # noqa: BLE001 - writing the cache is best effort
            self._narrator.stage_failed("cache", self._results.name, Reason.CACHE_UNAVAILABLE, error)

    @property
    def _space(self) -> str | None:
        return None if self._embedder is None else self._embedder.id

    def _ms_since(self, started_ns: int) -> float:
        return (self._clock.now_ns() - started_ns) / 1e6


async def _made(embedder: Embedder, question: str) -> Vectors:
    """The question's vector.

    Raises:
        DependencyError: the embedder gave something else: it would poison every comparison.
    """
    vectors = await embedder.embed([question], kind="query")
    if vectors.shape == (1, embedder.dimension):
        vector: Vectors = vectors[0]
        if abs(float(vector.dot(vector)) - 1) < _TOLERANCE:
            return vector
    raise DependencyError(f"{embedder.name} gave no unit vector of {embedder.dimension} numbers: check its model.")


def _embedding_time(embedded: Embedded | None) -> dict[str, float]:
    return {} if embedded is None or embedded.ms is None else {"embed": embedded.ms}
