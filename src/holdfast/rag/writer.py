"""The last stage of a question: an answer from what was found, written by the best writer that works."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from holdfast.errors import DeadlineExceededError
from holdfast.rag.tiers.levels import worse
from holdfast.rag.types import Reason, Tier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.answering.base import Answerer, AnswerRequest, Draft
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.tiers.levels import Level

__all__ = ["Author", "Writer", "WritingFailedError", "Written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Somebody who writes answers.

    Attributes:
        best: the best tier of the answers.
        tiers: where it is asked.
        answerer: who it is.
        guard: the pipeline around it.
        failure: what answers say when it failed.
    """

    best: Tier
    tiers: frozenset[Tier]
    answerer: Answerer
    guard: Pipeline
    failure: Reason


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


class WritingFailedError(Exception):
    """Nobody could write; inside the engine only.

    Attributes:
        reason: what the answer that stands in will say; None when there was nobody to ask.
    """

    def __init__(self, reason: Reason | None) -> None:
        super().__init__("no answer could be written")
        self.reason = reason


class Writer:
    """Has an answer written by the authors of the tier, and by those below when they fail.

    Until the first piece of an answer is given out, a failure is not seen. After it, the answer ends with a sentence
    that says so.

    Args:
        authors: the best first. One of the same name as one that failed would ask the same models again, and is not
            asked.
    """

    def __init__(self, authors: Sequence[Author], *, narrator: Narrator) -> None:
        self._authors = tuple(authors)
        self._narrator = narrator

    async def write(
        self, request: AnswerRequest, *, level: Level, streamed: bool, hurried: bool
    ) -> AsyncGenerator[str | Written, None]:
        """The answer: its text piece by piece when it is ``streamed``, and what came of it as the last item.

        Args:
            request: what to answer, from what.
            level: where the walk down begins.
            streamed: whether to give out pieces.
            hurried: whether the time allowed was the caller's own choice: then it is no fault of the service when it
                is not enough.

        Raises:
            WritingFailedError: before the first piece: nobody could write.
        """
        reason: Reason | None = None
        failed: set[str] = set()
        for author in self._authors:
            if level.tier not in author.tiers or author.answerer.name in failed:
                continue
            given = False
            try:
                if not streamed:
                    draft = await author.guard.call(author.answerer.answer, request)
                    given = True
                    yield self._written(author, draft, level.tier)
                    return
                async with aclosing(author.guard.call(author.answerer.stream, request)) as pieces:
                    async for piece in pieces:
                        given = True
                        yield piece if isinstance(piece, str) else self._written(author, piece, level.tier)
            except Exception as error:
                if given:
                    raise
                late = isinstance(error, DeadlineExceededError)
                reason = Reason.DEADLINE_EXCEEDED if late and hurried else author.failure
                self._narrator.stage_failed("answer", author.answerer.name, reason, error)
                failed.add(author.answerer.name)
                if late:
                    break
            else:
                return
        raise WritingFailedError(reason)

    def _written(self, author: Author, draft: Draft, at: Tier) -> Written:
        tier, reasons = worse(author.best, at), draft.reasons
        if draft.failure is not None:
            self._narrator.stage_failed("answer", author.answerer.name, Reason.ANSWER_INTERRUPTED, draft.failure)
            tier = worse(tier, Tier.DEGRADED)
        if draft.second_choice:
            tier, reasons = worse(tier, Tier.DEGRADED), (Reason.PRIMARY_MODEL_UNAVAILABLE, *reasons)
        draft = replace(draft, reasons=()) if draft.reasons else draft
        return Written(draft=draft, answerer=author.answerer.name, tier=tier, reasons=reasons)
