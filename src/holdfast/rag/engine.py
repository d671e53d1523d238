"""The engine: a question goes in, a labelled answer comes out, whatever is broken behind it.

The path is cache, embed, search, answer. Each stage is a dependency behind its pipeline of policies, and each has
something to fall back on:

    cache down      nothing is noticed
    embedder down   the search goes by words
    search down     the last good answer to this question, then a polite sentence
    model down      the sentences that answer best, word for word
    answerer down   the best passages themselves
"""

from __future__ import annotations

from contextlib import ExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import deadline_scope
from holdfast.core.events import correlation_scope
from holdfast.errors import NotFoundError, RetriesExhaustedError, StoreError
from holdfast.rag.health import Health, check_all
from holdfast.rag.inquiry import Inquiry
from holdfast.rag.narrator import Narrator
from holdfast.rag.query import Query
from holdfast.rag.recall import Recall
from holdfast.rag.search import Searcher
from holdfast.rag.types import Answer, Reason, SearchResult, Tier
from holdfast.rag.writer import Writer

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.pipeline import Pipeline
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.cache import AnswerCache
    from holdfast.rag.guards import Guards
    from holdfast.rag.ingest import Ingestor
    from holdfast.rag.models import Models
    from holdfast.rag.settings import Settings
    from holdfast.rag.store.base import Store
    from holdfast.rag.store.jobs import JobStore

__all__ = ["Engine"]

_PER_THREAD = 2
_PER_THREAD_WITH_A_MODEL = 16
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
        fallback: who answers when ``answerer`` cannot; None: the passages themselves do.
        models: the models behind ``answerer`` and ``embedder``, closed with the engine; None where both are local.
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
        fallback: Answerer | None = None,
        models: Models | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.jobs = jobs
        self.ingestor = ingestor
        self.blocking = blocking
        self.clock = clock
        self.events = events
        self._embedder = embedder
        self._models = models
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
        self._inquiry = Inquiry(
            settings=settings,
            store=store.name,
            recall=self._recall,
            searcher=self._searcher,
            writer=Writer(
                answerer=answerer,
                guard=guards.model,
                fallback=fallback,
                fallback_guard=guards.answerer,
                narrator=self._narrator,
            ),
            narrator=self._narrator,
            clock=clock,
        )
        # Work beyond what the machine does in a request's time would only make everybody late: it waits in a short
        # line, in front of the dependencies' timeouts, and is refused when the line is full. A question that waits for
        # a model keeps no thread busy.
        waits_for_a_model = models is not None and models.answers is not None
        self._bulkhead = Bulkhead(
            max_concurrent=(_PER_THREAD_WITH_A_MODEL if waits_for_a_model else _PER_THREAD) * settings.max_workers,
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
        if self._embedder is not None and not self._embeds_remotely:  # a call to a provider costs money
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
        if self._models is not None:
            await self._models.client.close()
        await self.blocking.close()

    def guards(self) -> Mapping[str, Pipeline]:
        """The pipelines on the path of a question, by the dependency's name; those of the models' links included."""
        links = {} if self._models is None else self._models.guards()
        return {**self._guards.by_name(), **links}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what is configured and does not stop the engine from working."""
        return () if self._models is None else self._models.client.routes.warnings

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
        answer: Answer | None = None
        async with aclosing(self._items(query, streamed=False)) as items:
            async for item in items:
                answer = item if isinstance(item, Answer) else answer
        if answer is None:
            raise AssertionError("the last item is the answer")
        return answer

    def stream(self, query: Query | str) -> AsyncGenerator[str | Answer, None]:
        """Answer a question piece by piece: its text as it is written, then the whole answer as the last item.

        The pieces add up to the answer's text. Close it to stop: a model that is writing is told by closing the
        connection.

        Raises:
            InvalidInputError, NotFoundError, RejectedError, DeadlineExceededError: as for :meth:`ask`, before the first
                piece.
        """
        return self._items(query, streamed=True)

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
        checks = await check_all(
            store=self.store,
            embedder=self._embedder,
            ask_embedder=not self._embeds_remotely,
            guards=self._guards,
            links=() if self._models is None else self._models.links(),
            clock=self.clock,
        )
        if not self._opened:
            return Health(status="unavailable", tier=Tier.OFFLINE, checks=checks)
        healthy = all(check.status == "ok" for check in checks.values())
        return Health(status="ok" if healthy else "degraded", tier=self._tier, checks=checks)

    # -- the path of one question ------------------------------------------------------------------------------------

    async def _items(self, query: Query | str, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        """The one path of ``ask`` and ``stream``.

        The scopes are set around each step and not around the whole: between two steps the context is the caller's.
        """
        query = self._named(query)
        _refuse_conversation(query)
        until_ns = self.clock.now_ns() + round(self._seconds_for(query) * 1e9)
        steps = self._steps(query, streamed=streamed)
        try:
            while True:
                with self._scope(query, until_ns):
                    item = await anext(steps, None)
                if item is None:
                    return
                yield item
        finally:
            with self._scope(query, until_ns):
                await steps.aclose()

    def _scope(self, query: Query, until_ns: int) -> ExitStack:
        scopes = ExitStack()
        scopes.enter_context(correlation_scope(query.request_id))
        left = max(0, until_ns - self.clock.now_ns()) / 1e9
        scopes.enter_context(deadline_scope(left, clock=self.clock))
        return scopes

    async def _steps(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        started = self.clock.now_ns()
        answer: Answer | None = None
        async with self._bulkhead.admit():
            self._narrator.received(query)
            async with aclosing(self._inquiry.answer(query, streamed=streamed)) as items:
                async for item in items:
                    if isinstance(item, Answer):
                        answer = item
                    else:
                        yield item
        if answer is None:
            raise AssertionError("the last item is the answer")
        total_ns = self.clock.now_ns() - started
        timings = {**answer.timings_ms, "total": total_ns / 1e6}
        answer = replace(answer, request_id=query.request_id, timings_ms=_rounded(timings))
        self._finish(answer, total_ns / 1e9)
        yield answer

    # -- small things ------------------------------------------------------------------------------------------------

    def _named(self, query: Query | str) -> Query:
        if isinstance(query, str):
            query = Query(question=query, collection=self.settings.collection)
        return query if query.request_id else replace(query, request_id=f"req_{self._rng.getrandbits(96):024x}")

    @property
    def _embeds_remotely(self) -> bool:
        return self._models is not None and self._models.embeds is not None

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
