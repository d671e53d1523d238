"""Search: words and vectors side by side, fused, each able to stand alone when the other is down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.rag.answering.terms import question_words
from holdfast.rag.retrieval import RERANK_POOL, Fused, fuse, rerank
from holdfast.rag.types import Hit, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.store.base import Scored, Store

__all__ = ["Found", "Searcher"]

_CANDIDATES = 50
"""How many chunks each of the two searches hands to the fusion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search brought, and what an answerer needs beside it.

    Attributes:
        reasons: what was missing while searching.
        chunk_count: chunks in the collection; 0 means that nothing was ever ingested into it.
    """

    hits: Sequence[Hit]
    query_vector: Vectors | None
    document_frequency: Mapping[str, int]
    chunk_count: int
    reasons: tuple[Reason, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)


class Searcher:
    """Runs the searches of one question.

    Args:
        embedder: None when the operator chose to search by words only; then nothing is missing.
    """

    def __init__(
        self, *, store: Store, embedder: Embedder | None, guards: Guards, clock: Clock, narrator: Narrator
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._guards = guards
        self._clock = clock
        self._narrator = narrator

    async def search(self, query: Query, *, k: int) -> Found:
        """The ``k`` best passages for the question.

        Raises:
            Exception: both searches failed; it is the failure of the search by words.
        """
        started = self._clock.now_ns()
        timings: dict[str, float] = {}
        reasons: list[Reason] = []
        by_words = asyncio.create_task(self._by_words(query))
        try:
            vector, by_vectors = await self._by_vectors(query, reasons, timings)
            lexical, frequencies, chunk_count = await self._settled(by_words, by_vectors, reasons)
        finally:
            by_words.cancel()
        if (
            vector is not None
            and not by_vectors
            and lexical
            and not query.filters
            and Reason.VECTOR_STORE_UNAVAILABLE not in reasons
        ):
            reasons.append(Reason.VECTORS_MISSING)
        fused = fuse(lexical, by_vectors or (), k=max(k, RERANK_POOL))
        hits = rerank(await self._fetch(fused, query), vector, k=k)
        timings["search"] = self._ms_since(started) - timings.get("embed", 0.0)
        self._narrator.searched(self._store.name, len(hits), timings["search"])
        return Found(
            hits=hits,
            query_vector=vector,
            document_frequency=frequencies,
            chunk_count=chunk_count,
            reasons=tuple(reasons),
            timings_ms=timings,
        )

    async def _by_words(self, query: Query) -> tuple[Sequence[Scored], dict[str, int], int]:
        guard, store = self._guards.store, self._store
        lexical = await guard.call(store.lexical, query.question, k=_CANDIDATES, scope=query.scope)
        frequencies, count = await guard.call(
            store.document_frequency, question_words(query.question), collection=query.collection
        )
        return lexical, frequencies, count

    async def _by_vectors(
        self, query: Query, reasons: list[Reason], timings: dict[str, float]
    ) -> tuple[Vectors | None, Sequence[Scored] | None]:
        """The question's vector and its nearest chunks; None for what could not be had, with the reason noted."""
        embedder = self._embedder
        if embedder is None:
            return None, None
        started = self._clock.now_ns()
        try:
            vector = (await self._guards.query_embedder.call(embedder.embed, [query.question], kind="query"))[0]
        except Exception as error:  # noqa: BLE001 - whatever it was, the search goes on by words, and says so
            self._narrator.stage_failed("embed", embedder.name, Reason.EMBEDDER_UNAVAILABLE, error)
            reasons.append(Reason.EMBEDDER_UNAVAILABLE)
            return None, None
        finally:
            timings["embed"] = self._ms_since(started)
        self._narrator.embedded(embedder.name, embedder.id, timings["embed"])
        try:
            dense = await self._guards.store.call(
                self._store.dense, vector, embedder_id=embedder.id, k=_CANDIDATES, scope=query.scope
            )
        except Exception as error:  # noqa: BLE001 - the search by words may still stand
            self._narrator.stage_failed("search", self._store.name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            reasons.append(Reason.VECTOR_STORE_UNAVAILABLE)
            return vector, None
        return vector, dense

    async def _settled(
        self,
        by_words: asyncio.Task[tuple[Sequence[Scored], dict[str, int], int]],
        by_vectors: Sequence[Scored] | None,
        reasons: list[Reason],
    ) -> tuple[Sequence[Scored], dict[str, int], int]:
        try:
            return await by_words
        except Exception as error:
            if not by_vectors:
                raise
            self._narrator.stage_failed("search", self._store.name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            if Reason.VECTOR_STORE_UNAVAILABLE not in reasons:
                reasons.append(Reason.VECTOR_STORE_UNAVAILABLE)
            return [], {}, len(by_vectors)

    async def _fetch(self, fused: Sequence[Fused], query: Query) -> list[Hit]:
        if not fused:
            return []
        chunks = await self._guards.store.call(
            self._store.fetch,
            [one.chunk_id for one in fused],
            collection=query.collection,
            sentence_vectors=True,
        )
        stored = {one.chunk.id: one for one in chunks}
        return [
            Hit(stored=stored[one.chunk_id], score=one.score, lexical=one.lexical, cosine=one.cosine)
            for one in fused
            if one.chunk_id in stored  # replaced between the search and the fetch: what is gone is not cited
        ]

    def _ms_since(self, started_ns: int) -> float:
        return (self._clock.now_ns() - started_ns) / 1e6
