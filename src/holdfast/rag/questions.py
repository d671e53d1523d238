"""One question from the door to the label: the line, the conversation, others who ask the same, and the path itself."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import deadline_at
from holdfast.core.events import correlation_scope
from holdfast.errors import DeadlineExceededError, RejectedError
from holdfast.rag.cache import cache_key
from holdfast.rag.types import Answer, Reason, Tier
from holdfast.rag.wording import notice
from holdfast.state.patience import Patience, patience_scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.rag.admission import Line
    from holdfast.rag.caching.flights import Flights
    from holdfast.rag.conversations.conversations import Conversations
    from holdfast.rag.inquiry import Inquiry
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.settings import Settings
    from holdfast.rag.tiers.service import ServiceTier

__all__ = ["Questions", "rounded"]


class Questions:
    """Answers questions that have an id.

    Args:
        line: where they wait for their turn.
        flights: who asks the same at the same moment shares an answer.
        conversations: what was said before; None: nothing is remembered.
        inquiry: the path.
        tiers: how much of the service there is.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        line: Line,
        flights: Flights,
        conversations: Conversations | None,
        inquiry: Inquiry,
        tiers: ServiceTier,
        narrator: Narrator,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._line = line
        self._flights = flights
        self._conversations = conversations
        self._inquiry = inquiry
        self._tiers = tiers
        self._narrator = narrator
        self._clock = clock

    async def answer(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        """The answer to ``query``: its text piece by piece when it is ``streamed``, and the whole as the last item.

        The scopes are set around each step and not around the whole: between two steps the context is the caller's. The
        answer is the last item: nothing is left to be done when it is given out.

        Raises:
            RejectedError: too many questions are under way.
            DeadlineExceededError: the time allowed was used up while waiting for other questions.
        """
        started = self._clock.now_ns()
        deadline = deadline_at(started + round(self.seconds_for(query) * NS_PER_SECOND))
        correlation, patience = correlation_scope(query.request_id), patience_scope(Patience())
        with correlation:
            self._narrator.received(query)
        items = self._shared(query, streamed=streamed)
        ended = False
        try:
            while not ended:
                with patience, correlation, deadline:
                    try:
                        item = await anext(items)
                        if isinstance(item, Answer):
                            async for more in items:  # to their end, which lets go of the place in the line
                                item = more if isinstance(more, Answer) else item
                            item, ended = self._returned(query, item, started), True
                    except (RejectedError, DeadlineExceededError) as error:
                        self._narrator.rejected((self._clock.now_ns() - started) / NS_PER_SECOND, error)
                        raise
                yield item
        finally:
            if not ended:
                with patience, correlation, deadline:
                    await items.aclose()

    def seconds_for(self, query: Query) -> float:
        """The time that a question has."""
        return query.deadline_seconds if query.deadline_seconds is not None else self._settings.request_timeout

    def _returned(self, query: Query, answer: Answer, started: int) -> Answer:
        """The answer as the caller gets it, when everything else is done."""
        total_ns = self._clock.now_ns() - started
        timings = {**answer.timings_ms, "total": total_ns / 1e6}
        answer = replace(answer, request_id=query.request_id, timings_ms=rounded(timings))
        self._narrator.returned(answer, _status(answer), total_ns / NS_PER_SECOND)
        return answer

    def _shared(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        """The answer, or that of somebody who asked the same just before; not where anything of it is the caller's."""
        own = (
            query.conversation_id is not None
            or query.tier is not None
            or self.seconds_for(query) < self._settings.request_timeout
        )
        if own:
            return self._answered(query, streamed=streamed)
        top_k = query.top_k if query.top_k is not None else self._settings.top_k
        # Who is important does not wait behind who is not.
        key = f"{query.priority}:{cache_key(query, top_k=top_k)}"
        return self._flights.answer(key, lambda: self._answered(query, streamed=streamed), streamed=streamed)

    async def _answered(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        async with self._line.turn(query):
            if self._conversations is None or query.conversation_id is None:
                items = self._inquiry.answer(query, streamed=streamed)
            else:
                items = self._conversed(self._conversations, query, streamed=streamed)
            async with aclosing(items):
                async for item in items:
                    yield item

    async def _conversed(
        self, conversations: Conversations, query: Query, *, streamed: bool
    ) -> AsyncGenerator[str | Answer, None]:
        """The answer to a question of a conversation. The turn is kept before the answer is acknowledged."""
        asked = await conversations.begin(query, tier=self._tiers.tier)
        async with aclosing(self._inquiry.answer(query, asked, streamed=streamed)) as items:
            async for item in items:
                if isinstance(item, str):
                    yield item
                    continue
                answer = replace(
                    item,
                    conversation_id=query.conversation_id,
                    cost_usd=item.cost_usd + asked.cost_usd,
                    timings_ms={"recall": asked.ms, **item.timings_ms},
                )
                if not await conversations.finish(query, asked, answer):
                    reasons = (*answer.reasons, Reason.MEMORY_UNAVAILABLE)
                    said = " ".join(filter(None, (answer.notice, notice([Reason.MEMORY_UNAVAILABLE]))))
                    answer = replace(answer, reasons=reasons, notice=said)
                yield answer


def _status(answer: Answer) -> str:
    if answer.tier is Tier.OFFLINE:
        return "failed"
    if answer.degraded:
        return "degraded"
    return "ok" if answer.answered else "unanswered"


def rounded(timings: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds, to the microsecond."""
    return {stage: round(ms, 3) for stage, ms in timings.items()}
