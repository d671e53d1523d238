"""The path of one question: from the cache or from the documents to a labelled answer."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.errors import DeadlineExceededError
from holdfast.rag.answering.base import AnswerRequest, pieces_of
from holdfast.rag.cache import cache_key
from holdfast.rag.types import Answer, Reason, Source, Tier, Usage
from holdfast.rag.wording import empty_store_answer, late_answer, notice, offline_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.recall import Recall, Remembered
    from holdfast.rag.search import Found, Searcher
    from holdfast.rag.settings import Settings
    from holdfast.rag.writer import Writer, Written

__all__ = ["Inquiry"]

_RETRY_HINT_SECONDS = 15.0
"""What an offline answer promises: an open breaker lets a probe through after this long."""


class Inquiry:
    """Takes questions down the path. What is broken on it never raises.

    Args:
        store: the store's name.
        recall, searcher, writer: the stages.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: str,
        recall: Recall,
        searcher: Searcher,
        writer: Writer,
        narrator: Narrator,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._recall = recall
        self._searcher = searcher
        self._writer = writer
        self._narrator = narrator
        self._clock = clock

    async def answer(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        """The answer to ``query``: its text piece by piece when it is ``streamed``, and the whole as the last item."""
        top_k = query.top_k if query.top_k is not None else self._settings.top_k
        key = cache_key(query, top_k=top_k)
        started = self._clock.now_ns()
        remembered = await self._recall.look_up(key)
        timings = {"cache": (self._clock.now_ns() - started) / 1e6}
        found = await self._found(query, top_k, remembered, timings)
        if isinstance(found, Answer):
            for piece in pieces_of(found.text) if streamed else ():
                yield piece
            yield found
            return
        async with aclosing(self._compose(query, found, timings, streamed=streamed)) as items:
            async for item in items:
                if isinstance(item, Answer) and item.answered and not item.degraded and not item.reasons:
                    await self._recall.keep(key, item, remembered.generation)
                yield item

    async def _found(
        self, query: Query, top_k: int, remembered: Remembered, timings: dict[str, float]
    ) -> Found | Answer:
        """What the search found; or the answer, where there is one without."""
        if remembered.answer is not None and remembered.current:
            return replace(
                remembered.answer,
                source=Source.CACHE,
                age_seconds=round(remembered.age_seconds, 3),
                usage=Usage(),
                cost_usd=0.0,
                timings_ms=timings,
            )
        try:
            found = await self._searcher.search(query, k=top_k)
        except Exception as error:  # noqa: BLE001 - any failure of the search has the same way out
            late = isinstance(error, DeadlineExceededError)
            reason = Reason.DEADLINE_EXCEEDED if late else Reason.VECTOR_STORE_UNAVAILABLE
            self._narrator.stage_failed("search", self._store, reason, error)
            return self._without_search(remembered, reason, timings)
        timings |= found.timings_ms
        if found.hits or found.chunk_count:
            return found
        return Answer(
            text=empty_store_answer(query.collection),
            answered=False,
            source=Source.STATIC,
            tier=Tier.MINIMAL,
            degraded=True,
            reasons=(Reason.STORE_EMPTY,),
            timings_ms=timings,
        )

    async def _compose(
        self, query: Query, found: Found, timings: dict[str, float], *, streamed: bool
    ) -> AsyncGenerator[str | Answer, None]:
        started = self._clock.now_ns()
        request = AnswerRequest(
            question=query.question,
            hits=found.hits,
            query_vector=found.query_vector,
            document_frequency=found.document_frequency,
            chunk_count=found.chunk_count,
        )
        hurried = query.deadline_seconds is not None and query.deadline_seconds < self._settings.request_timeout
        async with aclosing(self._writer.write(request, streamed=streamed, hurried=hurried)) as items:
            async for item in items:
                if isinstance(item, str):
                    yield item
                else:
                    timings["answer"] = (self._clock.now_ns() - started) / 1e6
                    yield self._labelled(item, found, timings)

    def _labelled(self, written: Written, found: Found, timings: Mapping[str, float]) -> Answer:
        draft = written.draft
        self._narrator.generated(written.answerer, draft, timings["answer"])
        tier = Tier.DEGRADED if found.reasons and written.tier is Tier.FULL else written.tier
        reasons = (*found.reasons, *written.reasons)
        return Answer(
            text=draft.text,
            citations=draft.citations,
            source=draft.source,
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
                usage=Usage(),
                cost_usd=0.0,
                timings_ms=timings,
            )
        return Answer(
            text=late_answer()
            if reason is Reason.DEADLINE_EXCEEDED
            else offline_answer(retry_after=_RETRY_HINT_SECONDS, contact=self._settings.support_contact),
            answered=False,
            source=Source.STATIC,
            tier=Tier.OFFLINE,
            degraded=True,
            reasons=(reason, Reason.SERVICE_UNAVAILABLE),
            timings_ms=timings,
        )
