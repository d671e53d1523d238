"""The engine: a question goes in, a labelled answer comes out, whatever is broken behind it.

The path is cache, embed, search, answer. Each stage is a dependency behind its pipeline of policies, and each has
something to fall back on:

    cache down      nothing is noticed
    embedder down   the search goes by words
    search down     the last good answer to this question, then a polite sentence
    answerer down   the best passages themselves
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import deadline_scope
from holdfast.core.events import correlation_scope
from holdfast.errors import DeadlineExceededError, NotFoundError, RetriesExhaustedError, StoreError
from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.answering.excerpt import excerpt
from holdfast.rag.cache import cache_key
from holdfast.rag.health import Health, check_all
from holdfast.rag.narrator import Narrator
from holdfast.rag.query import Query
from holdfast.rag.recall import Recall
from holdfast.rag.search import Searcher
from holdfast.rag.types import Answer, Reason, SearchResult, Source, Tier
from holdfast.rag.wording import empty_store_answer, late_answer, notice, offline_answer

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.pipeline import Pipeline
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.answering.base import Answerer, Draft
    from holdfast.rag.cache import AnswerCache
    from holdfast.rag.guards import Guards
    from holdfast.rag.ingest import Ingestor
    from holdfast.rag.recall import Remembered
    from holdfast.rag.search import Found
    from holdfast.rag.settings import Settings
    from holdfast.rag.store.base import Store
    from holdfast.rag.store.jobs import JobStore

__all__ = ["Engine"]

_RETRY_HINT_SECONDS = 15.0
"""What an offline answer promises: an open breaker lets a probe through after this long."""

_MOST_WAITING = 500
_LONGEST_WAIT_SECONDS = 10.0
_CALLERS_OWN = frozenset({Reason.DEADLINE_EXCEEDED, Reason.STORE_EMPTY})
"""Reasons that lie in the question (a short deadline, a collection that holds nothing), not in the service."""


class Engine:
    """Answers questions from what was ingested.

    Use :func:`holdfast.rag.app.build_engine`, which wires the default parts, unless you bring your own.

    Args:
        settings: defaults for every question, and the times that cached answers live.
        embedder: None to search by words only, by choice.
        cache: None to keep no answers.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        jobs: JobStore,
        embedder: Embedder | None,
        answerer: Answerer,
        cache: AnswerCache | None,
        ingestor: Ingestor,
        guards: Guards,
        blocking: Blocking,
        clock: Clock,
        rng: random.Random,
        events: Events,
    ) -> None:
        self.settings = settings
        self.store = store
        self.jobs = jobs
        self.ingestor = ingestor
        self.blocking = blocking
        self.clock = clock
        self.events = events
        self._embedder = embedder
        self._answerer = answerer
        self._guards = guards
        self._rng = rng
        self._narrator = Narrator(events, clock)
        self._searcher = Searcher(store=store, embedder=embedder, guards=guards, clock=clock, narrator=self._narrator)
        self._recall = Recall(
            cache=cache,
            store=store,
            guards=guards,
            clock=clock,
            narrator=self._narrator,
            ttl=settings.cache_ttl,
            stale_ttl=settings.stale_ttl,
        )
        # Work beyond what the machine does in a request's time would only make everybody late: it waits in a short
        # line, in front of the dependencies' timeouts, and is refused when the line is full.
        self._bulkhead = Bulkhead(
            max_concurrent=2 * settings.max_workers,
            max_waiting=_MOST_WAITING,
            max_wait=_LONGEST_WAIT_SECONDS,
            clock=clock,
            events=events,
            name="engine",
        )
        self._tier = Tier.FULL
        self._opened = False

    async def open(self, *, create: bool = True) -> None:
        """Open the store and warm the embedder up.

        A missing or broken embedder is no failure here: questions are answered by words, and say so.

        Args:
            create: make the store when it is not there; False for those who only read.

        Raises:
            StoreError: the store cannot be opened.
        """
        if create:
            await self.store.open()
        else:
            await self.store.ping()
        if self._embedder is not None:
            try:
                await self._embedder.embed(["warm up"], kind="query")
            except Exception as error:  # noqa: BLE001 - told as an event; each question will try again
                self._narrator.stage_failed("embed", self._embedder.name, Reason.EMBEDDER_UNAVAILABLE, error)
        self._opened = True

    async def close(self) -> None:
        """Release the store, the embedder and the threads. Idempotent."""
        self._opened = False
        await self.store.close()
        if self._embedder is not None:
            await self._embedder.close()
        await self.blocking.close()

    def guards(self) -> Mapping[str, Pipeline]:
        """The pipelines on the path of a question, by the dependency's name."""
        return self._guards.by_name()

    async def delete_document(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it, remembered answers that cite it included.

        Returns:
            False when it was not there.

        Raises:
            StoreError, RetriesExhaustedError: it could not be removed.
        """
        removed = await self._guards.bulk_store.call(self.store.delete, document_id, collection=collection)
        await self._recall.forget(document_id)
        return removed

    async def ask(self, query: Query | str) -> Answer:
        """Answer a question: a plain one, or a ``Query`` with its options.

        A failing dependency never raises: the answer's ``tier``, ``source``, ``reasons`` and ``notice`` tell.

        Raises:
            InvalidInputError: the question is empty, too long, or holds control characters.
            NotFoundError: the conversation that was named does not exist.
            RejectedError: too many questions are under way.
            DeadlineExceededError: the time allowed was used up while waiting for other questions.
        """
        query = self._named(query)
        _refuse_conversation(query)
        started = self.clock.now_ns()
        with correlation_scope(query.request_id), deadline_scope(self._seconds_for(query), clock=self.clock):
            async with self._bulkhead.admit():
                self._narrator.received(query)
                answer = await self._answer(query)
            total_ns = self.clock.now_ns() - started
            timings = {**answer.timings_ms, "total": total_ns / 1e6}
            answer = replace(answer, request_id=query.request_id, timings_ms=_rounded(timings))
            self._finish(answer, total_ns / 1e9)
        return answer

    async def stream(self, query: Query | str) -> AsyncIterator[str | Answer]:
        """Answer a question piece by piece: its text, then the whole answer as the last item.

        Raises:
            NotFoundError: the conversation that was named does not exist.
        """
        answer = await self.ask(query)
        for piece in answer.text.splitlines(keepends=True):
            yield piece
        yield answer

    async def search(self, query: Query | str) -> SearchResult:
        """The passages that fit a question best, without an answer.

        Raises:
            StoreError: the store cannot be searched at all.
            RejectedError: it failed so often that it is left alone for a while, or too many questions are under way.
            DeadlineExceededError: the time allowed was used up.
        """
        query = self._named(query)
        started = self.clock.now_ns()
        with correlation_scope(query.request_id), deadline_scope(self._seconds_for(query), clock=self.clock):
            async with self._bulkhead.admit():
                try:
                    found = await self._searcher.search(query, k=self._top_k(query))
                except RetriesExhaustedError as error:
                    if isinstance(error.__cause__, StoreError):
                        raise error.__cause__ from error  # what failed matters, not how often it was tried
                    raise
        timings = {**found.timings_ms, "total": (self.clock.now_ns() - started) / 1e6}
        return SearchResult(
            hits=found.hits,
            tier=Tier.DEGRADED if found.reasons else Tier.FULL,
            reasons=found.reasons,
            request_id=query.request_id,
            timings_ms=_rounded(timings),
        )

    async def health(self) -> Health:
        """Ask the dependencies now, past their breakers, and say what follows."""
        checks = await check_all(store=self.store, embedder=self._embedder, guards=self._guards, clock=self.clock)
        if not self._opened:
            return Health(status="unavailable", tier=Tier.OFFLINE, checks=checks)
        healthy = all(check.status == "ok" for check in checks.values())
        return Health(status="ok" if healthy else "degraded", tier=self._tier, checks=checks)

    # -- the path of one question ------------------------------------------------------------------------------------

    async def _answer(self, query: Query) -> Answer:
        top_k = self._top_k(query)
        key = cache_key(query, top_k=top_k)
        started = self.clock.now_ns()
        remembered = await self._recall.look_up(key)
        timings = {"cache": (self.clock.now_ns() - started) / 1e6}
        if remembered.answer is not None and remembered.current:
            return replace(
                remembered.answer,
                source=Source.CACHE,
                age_seconds=round(remembered.age_seconds, 3),
                cost_usd=0.0,
                timings_ms=timings,
            )
        try:
            found = await self._searcher.search(query, k=top_k)
        except Exception as error:  # noqa: BLE001 - any failure of the search has the same way out
            late = isinstance(error, DeadlineExceededError)
            reason = Reason.DEADLINE_EXCEEDED if late else Reason.VECTOR_STORE_UNAVAILABLE
            self._narrator.stage_failed("search", self.store.name, reason, error)
            return self._without_search(remembered, reason, timings)
        timings |= found.timings_ms
        if not found.hits and found.chunk_count == 0:
            return Answer(
                text=empty_store_answer(query.collection),
                answered=False,
                source=Source.STATIC,
                tier=Tier.MINIMAL,
                degraded=True,
                reasons=(Reason.STORE_EMPTY,),
                timings_ms=timings,
            )
        answer = await self._compose(query, found, timings)
        if answer.answered and not answer.degraded:
            await self._recall.keep(key, answer, remembered.generation)
        return answer

    async def _compose(self, query: Query, found: Found, timings: dict[str, float]) -> Answer:
        started = self.clock.now_ns()
        reasons, tier = found.reasons, Tier.DEGRADED if found.reasons else Tier.FULL
        request = AnswerRequest(
            question=query.question,
            hits=found.hits,
            query_vector=found.query_vector,
            document_frequency=found.document_frequency,
            chunk_count=found.chunk_count,
        )
        draft: Draft
        try:
            draft = await self._guards.answerer.call(self._answerer.answer, request)
        except Exception as error:  # noqa: BLE001 - the passages themselves are still an answer
            self._narrator.stage_failed("answer", self._answerer.name, Reason.ANSWERER_UNAVAILABLE, error)
            reasons, tier = (*reasons, Reason.ANSWERER_UNAVAILABLE), Tier.MINIMAL
            draft = excerpt(found.hits)
        timings["answer"] = (self.clock.now_ns() - started) / 1e6
        self._narrator.generated(self._answerer.name, draft, timings["answer"])
        return Answer(
            text=draft.text,
            citations=draft.citations,
            source=Source.LIVE if draft.model else Source.EXTRACT,
            tier=tier,
            degraded=tier is not Tier.FULL,
            reasons=reasons,
            notice=notice(reasons),
            answered=draft.answered,
            confidence=round(draft.confidence, 4),
            model=draft.model,
            usage=draft.usage,
            cost_usd=draft.cost_usd,
            timings_ms=timings,
        )

    def _without_search(self, remembered: Remembered, reason: Reason, timings: Mapping[str, float]) -> Answer:
        """The last good answer to this question, labelled with its age; else a polite sentence."""
        if remembered.answer is not None:
            return replace(
                remembered.answer,
                source=Source.CACHE if remembered.young else Source.STALE_CACHE,
                tier=Tier.DEGRADED if remembered.young else Tier.MINIMAL,
                degraded=True,
                reasons=(reason,),
                notice=notice((reason,), age_seconds=remembered.age_seconds),
                age_seconds=round(remembered.age_seconds, 3),
                cost_usd=0.0,
                timings_ms=timings,
            )
        return Answer(
            text=late_answer()
            if reason is Reason.DEADLINE_EXCEEDED
            else offline_answer(retry_after=_RETRY_HINT_SECONDS, contact=self.settings.support_contact),
            answered=False,
            source=Source.STATIC,
            tier=Tier.OFFLINE,
            degraded=True,
            reasons=(reason, Reason.SERVICE_UNAVAILABLE),
            timings_ms=timings,
        )

    # -- small things ------------------------------------------------------------------------------------------------

    def _named(self, query: Query | str) -> Query:
        if isinstance(query, str):
            query = Query(question=query, collection=self.settings.collection)
        return query if query.request_id else replace(query, request_id=f"req_{self._rng.getrandbits(96):024x}")

    def _top_k(self, query: Query) -> int:
        return query.top_k if query.top_k is not None else self.settings.top_k

    def _seconds_for(self, query: Query) -> float:
        return query.deadline_seconds if query.deadline_seconds is not None else self.settings.request_timeout

    def _finish(self, answer: Answer, seconds: float) -> None:
        if answer.tier is not self._tier and not _CALLERS_OWN.intersection(answer.reasons):
            self._narrator.tier_changed(self._tier, answer.tier, answer.reasons)
            self._tier = answer.tier
        self._narrator.returned(answer, _status(answer), seconds)


def _refuse_conversation(query: Query) -> None:
    if query.conversation_id is not None:
        raise NotFoundError(
            "conversation_id",
            "There is no conversation with this id: leave conversation_id out to ask a single question.",
        )


def _status(answer: Answer) -> str:
    if answer.tier is Tier.OFFLINE:
        return "failed"
    if answer.degraded:
        return "degraded"
    return "ok" if answer.answered else "unanswered"


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(ms, 3) for stage, ms in timings.items()}
