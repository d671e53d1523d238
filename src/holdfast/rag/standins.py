"""What is said when an answer cannot be looked up or written: the best of what is at hand, honestly labelled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.rag.answering.excerpt import excerpt
from holdfast.rag.types import Answer, Reason, Source, Tier, Usage
from holdfast.rag.wording import empty_store_answer, late_answer, notice, offline_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.answering.base import Answerer, AnswerRequest, Draft
    from holdfast.rag.faq.matching import Faq
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.recall import Remembered

__all__ = ["StandIns"]

_RETRY_HINT_SECONDS = 15.0
"""What an offline answer promises: what is down is asked every five seconds, and two steps up take ten more."""


class StandIns:
    """Answers without the means of the better tiers.

    Args:
        quoting: quotes the sentences that answer best, word for word; None: no words of the documents stand in.
        quoting_guard: the pipeline around it.
        faq: frequent questions with their answers; None where there are none.
        remembers: whether the last good answer stands in.
        contact: how users reach a person.
    """

    def __init__(
        self,
        *,
        quoting: Answerer | None,
        quoting_guard: Pipeline,
        faq: Faq | None,
        contact: str,
        narrator: Narrator,
        remembers: bool = True,
    ) -> None:
        self._quoting = quoting
        self._guard = quoting_guard
        self._faq = faq
        self._remembers = remembers
        self._contact = contact
        self._narrator = narrator

    async def unwritten(
        self, query: Query, request: AnswerRequest, remembered: Remembered, reasons: Sequence[Reason], *, quoted: bool
    ) -> Answer:
        """The answer where the documents were searched, and nobody could write.

        In this order: the last good answer, if the documents are still as they were; sentences of the documents that
        answer; the last good answer, though the documents have changed; a frequent question; the passages themselves.

        Args:
            quoted: whether quoting was tried already, and failed.
        """
        if self._stands_in(remembered) and remembered.unchanged:
            return self._remembered(remembered, reasons)
        draft = None if quoted or self._quoting is None else await self._quote(self._quoting, request)
        if draft is not None and draft.answered:
            return _drafted(draft, reasons)
        if self._stands_in(remembered):
            return self._remembered(remembered, reasons)
        frequent = self._frequent(query, reasons)
        if frequent is not None:
            return frequent
        if self._quoting is None:
            return self.offline(reasons)
        return _drafted(draft or excerpt(request.hits), reasons)

    def unsearched(self, query: Query, remembered: Remembered, reasons: Sequence[Reason]) -> Answer:
        """The answer where the documents could not be searched: the last good one, a frequent question, or sorry."""
        if self._stands_in(remembered):
            return self._remembered(remembered, reasons)
        return self._frequent(query, reasons) or self.offline(reasons)

    async def surer(
        self, query: Query, request: AnswerRequest, remembered: Remembered, reasons: Sequence[Reason]
    ) -> Answer | None:
        """The last good answer or a frequent question, where what was found is too little to answer from; else None."""
        known = self._remembered(remembered, reasons) if self._stands_in(remembered) else self._frequent(query, reasons)
        if known is None or self._quoting is None:
            return None
        draft = await self._quote(self._quoting, request)
        return None if draft is not None and draft.answered else known

    def empty(self, query: Query) -> Answer:
        """The answer where nothing was ever ingested."""
        reasons = (Reason.STORE_EMPTY,)
        return self._frequent(query, reasons) or Answer(
            text=empty_store_answer(query.collection),
            answered=False,
            source=Source.STATIC,
            tier=Tier.MINIMAL,
            degraded=True,
            reasons=reasons,
        )

    def offline(self, reasons: Sequence[Reason]) -> Answer:
        """The polite sentence."""
        late = Reason.DEADLINE_EXCEEDED in reasons
        return Answer(
            text=late_answer() if late else offline_answer(retry_after=_RETRY_HINT_SECONDS, contact=self._contact),
            answered=False,
            source=Source.STATIC,
            tier=Tier.OFFLINE,
            degraded=True,
            reasons=tuple(dict.fromkeys((*reasons, Reason.SERVICE_UNAVAILABLE))),
        )

    def is_young(self, remembered: Remembered) -> bool:
        """Whether an earlier answer stands in that is as good as a new one, but for what may have changed since."""
        return self._stands_in(remembered) and remembered.young

    def _stands_in(self, remembered: Remembered) -> bool:
        return self._remembers and remembered.answer is not None

    async def _quote(self, quoting: Answerer, request: AnswerRequest) -> Draft | None:
        try:
            return await self._guard.call(quoting.answer, request)
        except Exception as error:  # noqa: BLE001 - there are other ways to stand in
            self._narrator.stage_failed("answer", quoting.name, Reason.ANSWERER_UNAVAILABLE, error)
            return None

    def _remembered(self, remembered: Remembered, reasons: Sequence[Reason]) -> Answer:
        if remembered.answer is None:
            raise AssertionError("only what is remembered can be given")
        return replace(
            remembered.answer,
            source=Source.CACHE if remembered.young else Source.STALE_CACHE,
            tier=Tier.DEGRADED if remembered.young else Tier.MINIMAL,
            degraded=True,
            reasons=tuple(reasons),
            notice=notice(reasons, age_seconds=remembered.age_seconds),
            age_seconds=round(remembered.age_seconds, 3),
            usage=Usage(),
            cost_usd=0.0,
        )

    def _frequent(self, query: Query, reasons: Sequence[Reason]) -> Answer | None:
        found = None if self._faq is None else self._faq.match(query.question, collection=query.collection)
        if found is None:
            return None
        return Answer(
            text=found.entry.answer,
            source=Source.FAQ,
            tier=Tier.MINIMAL,
            degraded=True,
            reasons=tuple(reasons),
            notice=notice(reasons, frequent=True),
            confidence=round(found.score, 4),
        )


def _drafted(draft: Draft, reasons: Sequence[Reason]) -> Answer:
    said = tuple(dict.fromkeys((*reasons, *draft.reasons)))
    return Answer(
        text=draft.text,
        citations=draft.citations,
        source=draft.source,
        tier=Tier.MINIMAL,
        degraded=True,
        reasons=said,
        notice=notice(said),
        answered=draft.answered,
        confidence=round(draft.confidence, 4),
    )
