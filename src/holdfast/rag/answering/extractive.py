"""The answerer that needs no model: it quotes the sentences that answer best, or says that it does not know."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.rag.answering.base import Draft, pieces_of
from holdfast.rag.answering.composing import compose, select
from holdfast.rag.answering.judging import MIN_CONFIDENCE, judge, refuse
from holdfast.rag.answering.links import quoted_links

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from holdfast.core.ports import Blocking
    from holdfast.rag.answering.base import AnswerRequest

__all__ = ["ExtractiveAnswerer", "ExtractiveOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractiveOptions:
    """How an answer is put together.

    Attributes:
        max_sentences: sentences that are quoted, 1 to 10 (default 3). The items of a list that a quoted sentence
            introduces are not counted.
        max_chars: characters that are quoted, 50 to 5,000 (default 600).
        min_confidence: below this the answer is "I don't know", 0 to 1 (default 0.5); 0 always answers.

    Raises:
        ConfigError: a value is out of its range.
    """

    max_sentences: int = 3
    max_chars: int = 600
    min_confidence: float = MIN_CONFIDENCE

    def __post_init__(self) -> None:
        if not 1 <= self.max_sentences <= 10:
            raise ConfigError("max_sentences", self.max_sentences, "must be from 1 to 10")
        if not 50 <= self.max_chars <= 5_000:
            raise ConfigError("max_chars", self.max_chars, "must be from 50 to 5,000")
        if not (isfinite(self.min_confidence) and 0 <= self.min_confidence <= 1):
            raise ConfigError("min_confidence", self.min_confidence, "must be from 0 to 1")


class ExtractiveAnswerer:
    """Answers with the best sentences of the passages that were found, word for word, each with its citation.

    A refusal ("I don't know") rests on nothing and cites nothing; it names the titles nearest to the question when
    they come near enough.

    Args:
        blocking: runs the work, a few milliseconds of CPU, as ``"answer.extract"``.
        options: how long an answer may be, and how sure it must be.
    """

    name = "answerer:extractive"

    def __init__(self, *, blocking: Blocking, options: ExtractiveOptions | None = None) -> None:
        self._blocking = blocking
        self._options = options or ExtractiveOptions()

    async def answer(self, request: AnswerRequest) -> Draft:
        """Answer from ``request.hits`` only; no hits, or none that fits: a draft with ``answered=False``."""
        return await self._blocking.run("answer.extract", _answer, request, self._options)

    async def stream(self, request: AnswerRequest) -> AsyncGenerator[str | Draft, None]:
        """The same, line by line, and then the draft: it is there all at once."""
        draft = await self.answer(request)
        for piece in pieces_of(draft.text):
            yield piece
        yield draft


def _answer(request: AnswerRequest, options: ExtractiveOptions) -> Draft:
    judged = judge(request)
    if not judged.candidates or judged.confidence < options.min_confidence:
        return refuse(request, judged)
    chosen = select(judged.candidates, max_sentences=options.max_sentences, max_chars=options.max_chars)
    text, citations = compose(chosen, request.hits, max_chars=options.max_chars)
    return Draft(text=quoted_links(text), citations=citations, confidence=judged.confidence, answered=True)
