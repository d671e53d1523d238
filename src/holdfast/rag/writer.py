"""The last stage of a question: an answer from what was found, with two others behind the answerer that writes it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import DeadlineExceededError
from holdfast.rag.answering.base import pieces_of
from holdfast.rag.answering.excerpt import excerpt
from holdfast.rag.types import Reason, Tier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.answering.base import Answerer, AnswerRequest, Draft
    from holdfast.rag.narrator import Narrator

__all__ = ["Writer", "Written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of the answer stage.

    Attributes:
        answerer: the name of who wrote it.
        tier: what could be mustered for it.
        reasons: what was missing.
    """

    draft: Draft
    answerer: str
    tier: Tier = Tier.FULL
    reasons: tuple[Reason, ...] = ()


class Writer:
    """Has an answer written, whatever is broken.

    Until the first piece of an answer is given out, a failure is not seen: the fallback answers, or else the best
    passages themselves do, and the answer says so. After it, the answer ends with a sentence that says so.

    Args:
        answerer: who writes.
        guard: the pipeline around it.
        fallback: who writes when it cannot; None: nobody does, and the passages speak for themselves.
        fallback_guard: the pipeline around that.
    """

    def __init__(
        self,
        *,
        answerer: Answerer,
        guard: Pipeline,
        fallback: Answerer | None,
        fallback_guard: Pipeline,
        narrator: Narrator,
    ) -> None:
        self._answerer = answerer
        self._guard = guard
        self._fallback = fallback
        self._fallback_guard = fallback_guard
        self._narrator = narrator

    async def write(
        self, request: AnswerRequest, *, streamed: bool, hurried: bool
    ) -> AsyncGenerator[str | Written, None]:
        """The answer: its text piece by piece when it is ``streamed``, and what came of it as the last item.

        Args:
            request: what to answer, from what.
            streamed: whether to give out pieces.
            hurried: whether the time allowed was the caller's own choice: then it is no fault of the service when it
                is not enough.
        """
        given = False
        try:
            async with aclosing(self._pieces(request, streamed=streamed)) as pieces:
                async for piece in pieces:
                    given = True
                    yield piece if isinstance(piece, str) else self._written(piece)
        except Exception as error:
            if given:
                raise
            late = hurried and isinstance(error, DeadlineExceededError)
            reason = Reason.DEADLINE_EXCEEDED if late else Reason.ANSWERER_UNAVAILABLE
            self._narrator.stage_failed("answer", self._answerer.name, reason, error)
        else:
            return
        written = await self._stand_in(request, reason)
        for part in pieces_of(written.draft.text) if streamed else ():
            yield part
        yield written

    async def _pieces(self, request: AnswerRequest, *, streamed: bool) -> AsyncGenerator[str | Draft, None]:
        if not streamed:
            yield await self._guard.call(self._answerer.answer, request)
            return
        async with aclosing(self._guard.call(self._answerer.stream, request)) as pieces:
            async for piece in pieces:
                yield piece

    def _written(self, draft: Draft) -> Written:
        if draft.failure is not None:
            reason = Reason.ANSWER_INTERRUPTED
            self._narrator.stage_failed("answer", self._answerer.name, reason, draft.failure)
        tier = Tier.FULL if draft.failure is None else Tier.DEGRADED
        return Written(draft=draft, answerer=self._answerer.name, tier=tier, reasons=draft.reasons)

    async def _stand_in(self, request: AnswerRequest, reason: Reason) -> Written:
        answerer, draft = "excerpt", excerpt(request.hits)
        if self._fallback is not None:
            try:
                draft = await self._fallback_guard.call(self._fallback.answer, request)
                answerer = self._fallback.name
            except Exception as error:  # noqa: BLE001 - the passages themselves are still an answer
                self._narrator.stage_failed("answer", self._fallback.name, reason, error)
        return Written(draft=draft, answerer=answerer, tier=Tier.MINIMAL, reasons=(reason,))
