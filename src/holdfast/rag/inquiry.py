"""The path of one question: a walk down the tiers, from the cache or from the documents to a labelled answer."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from holdfast.errors import DeadlineExceededError
from holdfast.rag.answering.base import AnswerRequest, pieces_of
from holdfast.rag.cache import cache_key
from holdfast.rag.recall import Remembered
from holdfast.rag.tiers.levels import worse
from holdfast.rag.types import Answer, Reason, Source, Tier, Usage
from holdfast.rag.wording import notice
from holdfast.rag.writer import WritingFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.conversations.conversations import Asked
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.recall import Recall
    from holdfast.rag.search import Embedded, Found, Searcher
    from holdfast.rag.settings import Settings
    from holdfast.rag.standby.standby import Standby
    from holdfast.rag.standins import StandIns
    from holdfast.rag.tiers.levels import Level
    from holdfast.rag.tiers.service import ServiceTier
    from holdfast.rag.types import Hit
    from holdfast.rag.writer import Writer, Written

__all__ = ["Inquiry"]

_NOTHING = Remembered()


class Inquiry:
    """Takes questions down the path. What is broken on it never raises.

    Args:
        store: the store's name.
        recall, searcher, writer: the stages.
        standby: a copy of the documents, searched where the store cannot be; None where there is none.
        standins: what is said when one of them fails.
        tiers: where the walk begins; learns how the stages went.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: str,
        recall: Recall,
        searcher: Searcher,
        writer: Writer,
        standins: StandIns,
        tiers: ServiceTier,
        narrator: Narrator,
        clock: Clock,
        standby: Standby | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._recall = recall
        self._searcher = searcher
        self._writer = writer
        self._standby = standby
        self._standins = standins
        self._tiers = tiers
        self._narrator = narrator
        self._clock = clock

    async def answer(
        self, query: Query, conversation: Asked | None = None, *, streamed: bool
    ) -> AsyncGenerator[str | Answer, None]:
        """The answer to ``query``: its text piece by piece when it is ``streamed``, and the whole as the last item.

        Args:
            query: the question.
            conversation: what it means, where it belongs to a conversation.
            streamed: whether to give out pieces.
        """
        if conversation is not None:
            query = replace(query, question=conversation.question_to_search)
        top_k = query.top_k if query.top_k is not None else self._settings.top_k
        asked = _Walk(
            query=query,
            conversation=conversation,
            level=self._tiers.level_for(query),
            key=cache_key(query, top_k=top_k),
            top_k=top_k,
        )
        found = await self._found(asked)
        if isinstance(found, Answer):
            for piece in self._pieces(found, streamed=streamed):
                yield piece
            return
        started = self._clock.now_ns()
        request = _request(asked, found)
        answer = await self._surer(asked, found, request)
        if answer is None:
            written = self._writer.write(
                request, level=asked.level, streamed=streamed, hurried=self._hurried(asked.query)
            )
            try:
                async with aclosing(written) as items:
                    async for item in items:
                        if isinstance(item, str):
                            yield item
                        else:
                            self._tiers.wrote(ok=True)
                            asked.timings["answer"] = self._ms_since(started)
                            yield await self._kept(asked, found, self._labelled(asked, found, item))
            except WritingFailedError as failure:
                reason = failure.reason
            else:
                return
            answer = await self._unwritten(asked, found, request, reason, started)
        for piece in self._pieces(answer, streamed=streamed):
            yield piece if isinstance(piece, str) else await self._kept(asked, found, piece)

    async def _kept(self, asked: _Walk, found: Found, answer: Answer) -> Answer:
        """``answer``, which is kept before it is given out, where it is worth it."""
        if _worth_keeping(answer, asked):
            await self._recall.keep(asked.key, answer, asked.remembered.generation)
            self._recall.keep_similar(asked.key, asked.query, found.query_vector, top_k=asked.top_k)
        return answer

    def _pieces(self, answer: Answer, *, streamed: bool) -> Iterator[str | Answer]:
        if streamed:
            yield from pieces_of(answer.text)
        yield answer

    async def _found(self, asked: _Walk) -> Found | Answer:
        """What the search found; or the answer, where there is one without."""
        if not asked.level.searches:
            return self._standins.offline(self._tiers.reasons)
        started = self._clock.now_ns()
        asked.remembered = remembered = await self._recall.look_up(asked.key)
        asked.timings["cache"] = self._ms_since(started)
        if remembered.answer is not None and remembered.current:
            return _cached(remembered.answer, remembered, asked)
        embedded = None
        if self._recall.knows_similar:
            embedded = await self._searcher.embedded(asked.query)
            similar = await self._recall.look_up_similar(
                asked.query, embedded.vector, top_k=asked.top_k, generation=remembered.generation
            )
            if similar.answer is not None and similar.current:
                return _cached(similar.answer, similar, asked)
            if remembered.answer is None:
                asked.remembered = similar
        try:
            found = await self._searched(asked, embedded)
        except Exception as error:  # noqa: BLE001 - any failure of the search has the same way out
            late = isinstance(error, DeadlineExceededError)
            reason = Reason.DEADLINE_EXCEEDED if late else Reason.VECTOR_STORE_UNAVAILABLE
            self._narrator.stage_failed("search", self._store, reason, error)
            if not (late and self._hurried(asked.query)):
                self._tiers.searched(None)
            copied = None if late or self._standins.is_young(asked.remembered) else await self._copied(asked)
            return copied or replace(
                self._standins.unsearched(asked.query, asked.remembered, (reason,)), timings_ms=asked.timings
            )
        if not found.remembered:  # else it says nothing about who was not asked
            self._tiers.searched(found)
        asked.timings |= found.timings_ms
        if not found.hits:
            found = await self._copied(asked, found) or found
        if found.hits or found.chunk_count:
            if self._standby is not None:
                self._standby.asked(asked.query.collection)
            return found
        return replace(self._standins.empty(asked.query), timings_ms=asked.timings)

    async def _copied(self, asked: _Walk, found: Found | None = None) -> Found | None:
        """What the copy of the documents has, where the store failed or ``found`` nothing; None where that is nothing.

        The service's tier hears nothing of it: it goes by the store.
        """
        if self._standby is None:
            return None
        k = asked.level.passages_for(asked.top_k)
        if found is None:
            copied = await self._standby.search(asked.query, k=k)
            also = None if asked.conversation is None else asked.conversation.also_search
            if also is not None:
                other = await self._standby.search(replace(asked.query, question=also), k=k)
                copied = _in_turn(copied, other, k) if copied is not None and other is not None else copied or other
        else:
            copied = await self._standby.instead_of_nothing(asked.query, found, asked.remembered.generation, k=k)
        if copied is not None:
            asked.copied = True
            asked.timings |= copied.timings_ms
        return copied

    async def _searched(self, asked: _Walk, embedded: Embedded | None) -> Found:
        """What was found for the question; and for the words it was asked in, where rules made another one of it."""
        k, generation = asked.level.passages_for(asked.top_k), asked.remembered.generation
        found = await self._searcher.search(asked.query, k=k, embedded=embedded, generation=generation)
        also = None if asked.conversation is None else asked.conversation.also_search
        if also is None:
            return found
        try:
            other = await self._searcher.search(replace(asked.query, question=also), k=k, generation=generation)
        except Exception as error:  # noqa: BLE001 - one of two searches is enough
            self._narrator.stage_failed("search", self._store, Reason.VECTOR_STORE_UNAVAILABLE, error)
            return found
        return _in_turn(found, other, k)

    async def _surer(self, asked: _Walk, found: Found, request: AnswerRequest) -> Answer | None:
        """What is surer than an answer from the copy of the documents; None where there is nothing, or no need."""
        if not asked.copied:
            return None
        reasons = self._reasons(asked, found.reasons)
        surer = await self._standins.surer(asked.query, request, asked.remembered, reasons)
        return surer and replace(surer, timings_ms=asked.timings)

    async def _unwritten(
        self, asked: _Walk, found: Found, request: AnswerRequest, reason: Reason | None, started: int
    ) -> Answer:
        """What stands in where nobody could write, for this reason."""
        if reason is not None and reason is not Reason.DEADLINE_EXCEEDED:
            self._tiers.wrote(ok=False)
        why = () if reason is None else (reason,)
        reasons = self._reasons(asked, (*found.reasons, *why))
        answer = await self._standins.unwritten(
            asked.query, request, asked.remembered, reasons, quoted=reason is Reason.ANSWERER_UNAVAILABLE
        )
        asked.timings["answer"] = self._ms_since(started)
        return replace(answer, timings_ms=asked.timings)

    def _labelled(self, asked: _Walk, found: Found, written: Written) -> Answer:
        draft = written.draft
        self._narrator.generated(written.answerer, draft, asked.timings["answer"])
        # Without a reranker the usual order is there, which is what others have all the time.
        lacking = any(reason is not Reason.RERANKER_UNAVAILABLE for reason in found.reasons)
        tier = worse(written.tier, Tier.DEGRADED) if lacking else written.tier
        reasons = self._reasons(asked, (*found.reasons, *written.reasons))
        return Answer(
            text=draft.text,
            citations=draft.citations,
            source=draft.source,
            tier=tier,
            degraded=tier is not Tier.FULL,
            reasons=reasons,
            notice=notice(reasons) or asked.level.notice,
            answered=draft.answered,
            confidence=round(draft.confidence, 4),
            model=draft.model,
            usage=draft.usage,
            cost_usd=draft.cost_usd,
            timings_ms=asked.timings,
        )

    def _reasons(self, asked: _Walk, own: Sequence[Reason]) -> tuple[Reason, ...]:
        """What was missing, for this question and for the service where that is why the walk began lower."""
        services = self._tiers.reasons if asked.level.tier is not Tier.FULL else ()
        return tuple(dict.fromkeys((*own, *services)))

    def _hurried(self, query: Query) -> bool:
        """Whether the time allowed was the caller's own choice: then it is no fault of the service if it is short."""
        return query.deadline_seconds is not None and query.deadline_seconds < self._settings.request_timeout

    def _ms_since(self, started_ns: int) -> float:
        return (self._clock.now_ns() - started_ns) / 1e6


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One question on its way.

    Attributes:
        conversation: what it means, where it belongs to one.
        level: where its walk began.
        key: its key in the cache.
        remembered: what is remembered of it.
        copied: whether the answer rests on the copy of the documents, found by words alone.
        timings: milliseconds by stage.
    """

    query: Query
    conversation: Asked | None
    level: Level
    key: str
    top_k: int
    remembered: Remembered = _NOTHING
    copied: bool = False
    timings: dict[str, float] = field(default_factory=dict)


def _request(asked: _Walk, found: Found) -> AnswerRequest:
    """What is to be answered, from what was found."""
    conversation = asked.conversation
    return AnswerRequest(
        question=asked.query.question if conversation is None else conversation.question_to_answer,
        conversation=None if conversation is None else conversation.context,
        hits=found.hits,
        query_vector=found.query_vector,
        document_frequency=found.document_frequency,
        chunk_count=found.chunk_count,
    )


def _in_turn(found: Found, other: Found, k: int) -> Found:
    """The best of two searches in turn: their scores do not compare."""
    once: dict[str, Hit] = {}
    for pair in zip_longest(found.hits, other.hits):
        for hit in pair:
            if hit is not None:
                once.setdefault(hit.stored.chunk.id, hit)
    return replace(found, hits=list(once.values())[:k])


def _worth_keeping(answer: Answer, walk: _Walk) -> bool:
    """Whether somebody else may get it later: it lacks nothing, and tells of nobody's conversation."""
    private = walk.conversation is not None and walk.conversation.private and answer.model is not None
    return walk.level.keeps and not private and not answer.degraded and not answer.reasons


def _cached(answer: Answer, remembered: Remembered, walk: _Walk) -> Answer:
    return replace(
        answer,
        source=Source.CACHE,
        age_seconds=round(remembered.age_seconds, 3),
        usage=Usage(),
        cost_usd=0.0,
        timings_ms=walk.timings,
    )
