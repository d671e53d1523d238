"""The engine: a question goes in, a labelled answer comes out, whatever is broken behind it.

The path is cache, embed, search, answer. Each stage is a dependency behind its pipeline of policies, and each has
something to fall back on:

    cache down      nothing is noticed
    embedder down   the search goes by words
    search down     a young answer to this question, the copy of the documents, the last good answer, a frequent
                    question, then a polite sentence
    model down      another provider's, a cheaper one, the last good answer, the sentences that answer best
    answerer down   the best passages themselves

The service as a whole is at a tier, which says where the walk of a question begins; it climbs back by itself.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.deadline import deadline_scope
from holdfast.core.events import correlation_scope
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.rag.admission import Line
from holdfast.rag.caching.flights import Flights
from holdfast.rag.health import Health, check_all
from holdfast.rag.inquiry import Inquiry
from holdfast.rag.narrator import Narrator
from holdfast.rag.policies import ALL, Policies
from holdfast.rag.query import Query
from holdfast.rag.questions import Questions, rounded
from holdfast.rag.recall import Recall
from holdfast.rag.reranking import Reranking
from holdfast.rag.search import Searcher
from holdfast.rag.standby.bare import searched
from holdfast.rag.standins import StandIns
from holdfast.rag.tiers.configured import quoting_author
from holdfast.rag.tiers.wiring import service_tier
from holdfast.rag.types import Answer, Reason, SearchResult, Tier
from holdfast.rag.writer import Writer

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.answering.base import Answerer
    from holdfast.rag.caching.caches import Caches
    from holdfast.rag.conversations.conversations import Conversations
    from holdfast.rag.faq.matching import Faq
    from holdfast.rag.guards import Guards
    from holdfast.rag.ingest import Ingestor
    from holdfast.rag.injection.switchboard import Injections
    from holdfast.rag.models import Models
    from holdfast.rag.records.records import Records
    from holdfast.rag.reranking import Reranker
    from holdfast.rag.settings import Settings
    from holdfast.rag.standby.standby import Standby
    from holdfast.rag.store.base import Store
    from holdfast.rag.store.jobs import JobStore
    from holdfast.rag.tiers.levels import Levels
    from holdfast.rag.writer import Author

__all__ = ["Engine"]

_PER_THREAD = 2
_WARM_UP_SECONDS = 30.0
"""An embedder that is not there by then is found by the first questions, which do not wait so long."""
_PER_THREAD_WITH_A_MODEL = 64


class Engine:
    """Answers questions from what was ingested.

    Use :func:`holdfast.rag.app.build_engine`, which wires the default parts, unless you bring your own.

    Args:
        settings: defaults for every question, and the times that cached answers live.
        embedder: None to search by words only, by choice.
        answerer: quotes what was found: the only one who answers where no model writes, and who stands in for them.
        caches: what is remembered, closed with the engine; an empty one to remember nothing.
        conversations: what was said before; None: a question stands alone.
        records: conversations, API keys and feedback, opened and closed with the engine.
        authors: the models that write, the best first; empty where none is configured.
        models: the models behind ``authors`` and ``embedder``, closed with the engine; None where all is local.
        faq: frequent questions with their answers; None where there are none.
        levels: what each tier does.
        reranker: ranks what was found, in place of the ranking by the best sentence.
        standby: a copy of the documents, opened and closed with the engine; None where there is none.
        policies: which of the engine's policies work.
        injections: the switchboard of faults on purpose, where the parts were built to heed it.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        jobs: JobStore,
        embedder: Embedder | None,
        answerer: Answerer,
        caches: Caches,
        ingestor: Ingestor,
        guards: Guards,
        records: Records,
        blocking: Blocking,
        clock: Clock,
        rng: random.Random,
        events: Events,
        authors: Sequence[Author] = (),
        faq: Faq | None = None,
        levels: Levels | None = None,
        models: Models | None = None,
        conversations: Conversations | None = None,
        injections: Injections | None = None,
        reranker: Reranker | None = None,
        standby: Standby | None = None,
        policies: Policies = ALL,
    ) -> None:
        self.settings = settings
        self.injections = injections
        self.store = store
        self.jobs = jobs
        self.ingestor = ingestor
        self.records = records
        self.conversations = conversations
        self.standby = standby
        self.blocking = blocking
        self.clock = clock
        self.events = events
        self._embedder = embedder
        self._models = models
        self._guards = guards
        self._rng = rng
        self._probes = policies.probes
        self._narrator = Narrator(events, clock)
        self._caches = caches
        reranking = Reranking(reranker, clock=clock, rng=rng, events=events, narrator=self._narrator)
        self._reranker_guard = reranking.guard
        self._searcher = Searcher(
            store=store,
            embedder=embedder,
            guards=guards,
            clock=clock,
            narrator=self._narrator,
            vectors=caches.vectors,
            results=caches.results,
            reranking=reranking,
            by_words=policies.words,
            copy=standby,
        )
        self._recall = Recall(
            cache=caches.answers,
            store=store,
            guards=guards,
            clock=clock,
            narrator=self._narrator,
            ttl=settings.cache_ttl,
            stale_ttl=settings.stale_ttl,
            semantic=caches.semantic,
        )
        remembers = policies.remembered and caches.answers is not None and settings.stale_ttl > 0
        self.tiers = service_tier(
            store=store,
            embedder=embedder,
            models=models,
            answerer=answerer,
            guards=guards,
            records=records,
            something_to_say=lambda: remembers or bool(faq),
            copied=None if standby is None else lambda: standby.ready,
            clock=clock,
            rng=rng,
            narrator=self._narrator,
            levels=levels,
        )
        inquiry = Inquiry(
            settings=settings,
            store=store.name,
            recall=self._recall,
            searcher=self._searcher,
            standby=standby,
            writer=Writer(authors or [quoting_author(answerer, guards)], narrator=self._narrator),
            standins=StandIns(
                quoting=answerer if policies.quotes else None,
                quoting_guard=guards.answerer,
                faq=faq,
                remembers=policies.remembered,
                contact=settings.support_contact,
                narrator=self._narrator,
            ),
            tiers=self.tiers,
            narrator=self._narrator,
            clock=clock,
        )
        # A question that waits for a model keeps no thread busy.
        self.line = Line(
            max_concurrent=(_PER_THREAD_WITH_A_MODEL if authors else _PER_THREAD) * settings.max_workers,
            max_size=settings.queue_size,
            clock=clock,
            events=events,
        )
        self._questions = Questions(
            settings=settings,
            line=self.line,
            flights=Flights(clock=clock, events=events),
            conversations=conversations,
            inquiry=inquiry,
            tiers=self.tiers,
            narrator=self._narrator,
            clock=clock,
        )
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
        await self.records.open()
        if self.standby is not None:
            await self.standby.open(at_once=create)
        if self._embedder is not None and not self._embeds_remotely:  # a call to a provider costs money
            within = Pipeline(Timeout(seconds=_WARM_UP_SECONDS), name="warm-up", clock=self.clock)
            try:
                await within.call(self._embedder.embed, ["warm up"], kind="query")
            except Exception as error:  # noqa: BLE001 - told as an event; each question will try again
                self._narrator.stage_failed("embed", self._embedder.name, Reason.EMBEDDER_UNAVAILABLE, error)
        if self._probes:
            self.tiers.open()
        self._opened = True

    async def close(self) -> None:
        """Release the store, the caches, the embedder and the threads. Idempotent."""
        self._opened = False
        await self._caches.close()
        await self.tiers.close()
        if self.conversations is not None:
            await self.conversations.close()
        if self.standby is not None:
            await self.standby.close()
        await self.records.close()
        await self.store.close()
        if self._embedder is not None:
            await self._embedder.close()
        if self._models is not None:
            await self._models.client.close()
        await self.blocking.close()

    def guards(self) -> Mapping[str, Pipeline]:
        """The pipelines on the path of a question, by the dependency's name; those of the models' links included."""
        links = {} if self._models is None else self._models.guards()
        standby = None if self.standby is None else self.standby.guard
        others = {guard.name: guard for guard in (self.records.guard, self._reranker_guard, standby) if guard}
        return {**self._guards.by_name(), **others, **links}

    @property
    def embedder(self) -> Embedder | None:
        """What turns text into vectors, without a cache before it; None: the search goes by words."""
        return self._embedder

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what is configured and does not stop the engine from working."""
        return () if self._models is None else self._models.client.routes.warnings

    async def delete_document(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it; what was handed in before does not bring it back.

        That includes remembered answers that cite it, its place in open jobs, and what was kept of failed tries.

        Returns:
            False when it was not there.

        Raises:
            StoreError, RetriesExhaustedError: it could not be removed.
        """
        try:
            dropped = await self.ingestor.forget(document_id, collection=collection)
            removed = await self._guards.bulk_store.call(self.store.delete, document_id, collection=collection)
        finally:  # it is not wanted; the copy gets it back from a store that could not be told, and still has it
            if self.standby is not None:
                await self.standby.forget(document_id, collection=collection)
        await self._recall.forget(document_id)
        return removed or dropped

    async def delete_conversation(self, conversation_id: str) -> bool:
        """Remove a conversation, what was said of its answers, and what of it waits in this process to be kept.

        Returns:
            False when it was not there.

        Raises:
            InvalidInputError: this cannot be a conversation's id.
            StoreError, RetriesExhaustedError, RejectedError: it could not be removed.
        """
        try:
            await self.records.forget_feedback_on(conversation_id)
        finally:  # what this process holds of it goes in any case
            if self.conversations is not None:
                removed = await self.conversations.delete(conversation_id)
            else:
                removed = await self.records.call(self.records.conversations.delete, conversation_id)
        return removed

    async def ask(self, query: Query | str) -> Answer:
        """Answer a question: a plain one, or a ``Query`` with its options.

        A failing dependency never raises: the answer's ``tier``, ``source``, ``reasons`` and ``notice`` tell.

        Raises:
            InvalidInputError: the question is empty, too long, or holds control characters.
            RejectedError: too many questions are under way.
            DeadlineExceededError: the time allowed was used up while waiting for other questions.
        """
        answer: Answer | None = None
        async with aclosing(self._questions.answer(self._named(query), streamed=False)) as items:
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
            InvalidInputError, RejectedError, DeadlineExceededError: as for :meth:`ask`, before the first
                piece.
        """
        return self._questions.answer(self._named(query), streamed=True)

    async def search(self, query: Query | str) -> SearchResult:
        """The passages that fit a question best, without an answer.

        Raises:
            StoreError: the store cannot be searched at all.
            RejectedError: it failed so often that it is left alone for a while, or too many questions are under way.
            DeadlineExceededError: the time allowed was used up.
        """
        query = self._named(query)
        started = self.clock.now_ns()
        with correlation_scope(query.request_id), deadline_scope(self._questions.seconds_for(query), clock=self.clock):
            async with self.line.turn(query):
                found = await searched(self._searcher, self.standby, query, k=self._top_k(query))
        timings = {**found.timings_ms, "total": (self.clock.now_ns() - started) / 1e6}
        return SearchResult(
            hits=found.hits,
            tier=Tier.DEGRADED if found.reasons else Tier.FULL,
            reasons=found.reasons,
            request_id=query.request_id,
            timings_ms=rounded(timings),
        )

    async def health(self) -> Health:
        """Ask the dependencies now, past their breakers, and say what follows."""
        checks = await check_all(
            store=self.store,
            embedder=self._embedder,
            ask_embedder=not self._embeds_remotely,
            guards=self._guards,
            links=() if self._models is None else self._models.links(),
            records=self.records,
            memory=None if self.conversations is None else self.conversations.snapshot(),
            standby=self.standby,
            clock=self.clock,
        )
        if not self._opened:
            return Health(status="unavailable", tier=Tier.OFFLINE, checks=checks)
        healthy = all(check.status == "ok" for check in checks.values())
        return Health(status="ok" if healthy else "degraded", tier=self.tiers.tier, checks=checks)

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
