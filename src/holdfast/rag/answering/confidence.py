"""How sure an extractive answer is: a logistic function of what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.answering.base import AnswerRequest
    from holdfast.rag.answering.candidates import Candidate

__all__ = ["Evidence", "confidence", "weigh"]

# Logistic regression on the sample knowledge base: answerable against unanswerable questions, both sides with the same
# weight; the bias is then moved so that 8 in 100 answerable questions lie below 0.5. `benchmarks/rag/calibrate.py`
# prints these constants anew, and how well they do on questions that they were not fitted on.
_WITH_VECTORS = {"bias": -5.4, "words": 1.5, "passage": 5.3, "sentence": 3.7}
_BY_WORDS = {"bias": -3.4, "words": 2.8}

_MOST_WORDS = 6.0
"""More rare words than this say nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for the question being answered by what was found.

    Attributes:
        words: the best BM25 score in units of what a word scores that one chunk alone holds: about the number of rare
            words of the question that one passage holds; 0 to 6.
        passage: the cosine of the passage nearest to the question; None without vectors.
        sentence: the cosine of the sentence nearest to the question; None without vectors.
    """

    words: float
    passage: float | None = None
    sentence: float | None = None


def weigh(request: AnswerRequest, candidates: Sequence[Candidate]) -> Evidence:
    """The evidence in what was found."""
    cosines = [hit.cosine for hit in request.hits if hit.cosine is not None]
    near = [candidate.cosine for candidate in candidates if candidate.cosine is not None]
    best_words = max((hit.lexical for hit in request.hits if hit.lexical is not None), default=0.0)
    return Evidence(
        words=min(_MOST_WORDS, best_words / _rarest(max(request.chunk_count, len(request.hits)))),
        passage=max(cosines) if cosines and near else None,
        sentence=max(near) if cosines and near else None,
    )


def _rarest(chunk_count: int) -> float:
    """The inverse document frequency, in BM25 as FTS5 has it, of a word that one chunk holds.

    In a store of one or two chunks no word tells anything apart; FTS5 then puts this small number for all of them.
    """
    return max(log((chunk_count - 0.5) / 1.5), 1e-6)


def confidence(evidence: Evidence) -> float:
    """The confidence, 0 to 1; 0.5 is where answering begins to be worth it."""
    if evidence.passage is None or evidence.sentence is None:
        logit = _BY_WORDS["bias"] + _BY_WORDS["words"] * evidence.words
    else:
        logit = (
            _WITH_VECTORS["bias"]
            + _WITH_VECTORS["passage"] * evidence.passage
            + _WITH_VECTORS["sentence"] * evidence.sentence
            + _WITH_VECTORS["words"] * evidence.words
        )
    return 1 / (1 + exp(-max(-30.0, min(30.0, logit))))
