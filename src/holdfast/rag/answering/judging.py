"""What was found, judged once: how sure an answer can be, and what to say when it is not sure enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.rag.answering.base import Draft
from holdfast.rag.answering.candidates import rank_candidates
from holdfast.rag.answering.confidence import confidence, weigh
from holdfast.rag.answering.terms import QuestionTerms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.answering.base import AnswerRequest
    from holdfast.rag.answering.candidates import Candidate
    from holdfast.rag.types import Hit

__all__ = ["MIN_CONFIDENCE", "Judged", "judge", "refuse"]

MIN_CONFIDENCE = 0.5
"""Below this confidence an answer is not worth giving."""

_NEAREST = 2
_NEAR_ENOUGH = 0.2
"""Below this confidence not even the nearest titles are worth a look."""
_TITLE_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found for a question, looked at sentence by sentence.

    Attributes:
        candidates: all sentences, best first.
        confidence: how sure it is that the question is answered by them, 0 to 1; 0 without any.
    """

    candidates: Sequence[Candidate]
    confidence: float


def judge(request: AnswerRequest) -> Judged:
    """Judge what was found: a few milliseconds of CPU."""
    terms = QuestionTerms.of(request.question, request.document_frequency, request.chunk_count)
    candidates = rank_candidates(request, terms)
    return Judged(candidates=candidates, confidence=confidence(weigh(request, candidates)) if candidates else 0.0)


def refuse(request: AnswerRequest, judged: Judged) -> Draft:
    """An "I don't know": it rests on nothing and names the nearest titles if they come near enough."""
    nearest = request.hits if judged.candidates and judged.confidence >= _NEAR_ENOUGH else ()
    return Draft(text=_refusal(nearest), citations=(), confidence=judged.confidence, answered=False)


def _refusal(nearest: Sequence[Hit]) -> str:
    titles = list(dict.fromkeys(" ".join(hit.stored.title.split())[:_TITLE_CHARS] for hit in nearest))
    named = [f"“{title}”" for title in titles if title][:_NEAREST]
    if not named:
        return "I don't know: I found nothing about this in the documents. Other words may help."
    return f"I don't know: I found no answer to this in the documents. What comes nearest is in {' and '.join(named)}."
