"""One ranking out of two searches: :func:`fuse` combines words and vectors, :func:`rerank` looks at the sentences.

Fusion is the convex combination of min-max scaled scores (Bruch, Gai, Ingber: "An Analysis of Fusion Functions for
Hybrid Retrieval", 2023). On 7,938 questions over 1,581 paragraphs it found more than either list alone and more than
reciprocal rank fusion, which forgets how far apart two neighbours are.

A passage's vector is the mean of all it speaks of, so one sentence that answers the question drowns in it. Reranking
looks at the best sentence instead, which costs nothing but a product: the sentences were embedded for the answerer.
"""

from __future__ import annotations

from math import isfinite, isnan
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import ConfigError
from holdfast.rag.types import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import Scored

__all__ = ["LEXICAL_WEIGHT", "RERANK_POOL", "Fused", "fuse", "rerank"]

LEXICAL_WEIGHT = 0.5
"""The share of the words in the fused score; the vectors have the rest. Questions that repeat the words of the text are
found best with 0.6, those that paraphrase it with 0.4 (``benchmarks/rag/calibrate.py``)."""

RERANK_POOL = 20
"""How many fused passages are worth fetching for :func:`rerank`: more change nothing, ten lose little."""


class Fused(NamedTuple):
    """A chunk in the fused ranking.

    Attributes:
        score: 0 to 1; only its order means something across searches.
        lexical: its BM25 score, or None when the words did not find it.
        cosine: its cosine similarity to the question, or None when the vectors did not find it.
    """

    chunk_id: str
    score: float
    lexical: float | None = None
    cosine: float | None = None


def fuse(lexical: Sequence[Scored], dense: Sequence[Scored], *, weight: float = LEXICAL_WEIGHT, k: int) -> list[Fused]:
    """Rank the chunks of both searches by ``weight`` x scaled BM25 + (1 - ``weight``) x scaled cosine.

    Each list is scaled so that its best candidate has 1 and its worst 0; in a list whose scores are all equal every
    candidate has 1. A chunk that only one search found counts as the other's worst. When one list is empty the other
    ranks alone. Ties go to the better BM25, then to the better cosine, then to the smaller id, so that equal input
    gives equal output. The order of the input does not matter.

    Args:
        lexical: candidates by BM25; give both searches the same generous number, several times ``k``.
        dense: candidates by cosine.
        weight: the share of BM25, 0 to 1.
        k: how many to return, at least 1.

    Raises:
        ConfigError: ``weight`` or ``k`` is out of its range.
    """
    if not (isfinite(weight) and 0 <= weight <= 1):
        raise ConfigError("weight", weight, "must be from 0 to 1")
    if k < 1:
        raise ConfigError("k", k, "must be at least 1")
    if not dense:
        weight = 1.0
    elif not lexical:
        weight = 0.0
    words, vectors = _best_by_id(lexical), _best_by_id(dense)
    scores = _shares(words, weight)
    for chunk_id, share in _shares(vectors, 1 - weight).items():
        scores[chunk_id] = scores.get(chunk_id, 0.0) + share
    # Most candidates are far from the best: only those that are not are put in order with all that breaks a tie.
    least = _at_least(scores, k)
    missing = float("-inf")
    ranked = [
        (-score, -words.get(chunk_id, missing), -vectors.get(chunk_id, missing), chunk_id)
        for chunk_id, score in scores.items()
        if not score < least  # what is no number at all stays, too
    ]
    ranked.sort()
    return [Fused(chunk_id, -score, words.get(chunk_id), vectors.get(chunk_id)) for score, _, _, chunk_id in ranked[:k]]


def rerank(hits: Sequence[Hit], query_vector: Vectors | None, *, k: int) -> list[Hit]:
    """The ``k`` best of ``hits`` by the mean of their score and the cosine of their best sentence to the question.

    Ties keep the order of ``hits``. Without a question's vector, or when no hit has sentence vectors of its dimension,
    the hits stay as they are; among others that have them, a hit without counts by its passage's cosine.

    Args:
        hits: fused passages, best first, with sentence vectors; several times ``k``, see :data:`RERANK_POOL`.
        query_vector: the embedded question, shape (dimension,), unit length, or None.
        k: how many to return, at least 1.

    Raises:
        ConfigError: ``k`` is out of its range.
    """
    if k < 1:
        raise ConfigError("k", k, "must be at least 1")
    best = [None] * len(hits) if query_vector is None else _best_sentences(hits, query_vector)
    if best.count(None) == len(hits):
        return list(hits[:k])
    scored = [
        ((hit.score + max(0.0, (hit.cosine or 0.0) if cosine is None else cosine)) / 2, hit)
        for hit, cosine in zip(hits, best, strict=True)
    ]
    scored.sort(key=itemgetter(0), reverse=True)  # which keeps the order of ties, too
    return [Hit(stored=hit.stored, score=score, lexical=hit.lexical, cosine=hit.cosine) for score, hit in scored[:k]]


def _best_sentences(hits: Sequence[Hit], query_vector: Vectors) -> list[float | None]:
    """The cosine of each hit's best sentence; None for a hit that has no sentence vectors of this dimension."""
    shape = query_vector.shape
    best: list[float | None] = []
    for hit in hits:
        vectors = hit.stored.sentence_vectors
        if vectors is None or not len(vectors) or vectors.shape[1:] != shape:
            best.append(None)
        else:
            # A hit has some ten sentences: numpy's own maximum takes longer, and "@" twice as long as the method. Those
            # of all hits in one product would be rounded otherwise.
            cosine: float = max(vectors.dot(query_vector).tolist())
            best.append(min(1.0, cosine))
    return best


def _best_by_id(scored: Sequence[Scored]) -> dict[str, float]:
    best = {each.chunk_id: each.score for each in scored}
    if len(best) < len(scored):  # seldom: a search that names a chunk twice
        for each in scored:
            best[each.chunk_id] = max(best[each.chunk_id], each.score)
    return best


def _shares(scores: dict[str, float], weight: float) -> dict[str, float]:
    """The scores, scaled to 0..1 between the worst and the best, times ``weight``."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high == low:
        return dict.fromkeys(scores, weight)
    span = high - low
    return {chunk_id: weight * ((score - low) / span) for chunk_id, score in scores.items()}


def _at_least(scores: dict[str, float], k: int) -> float:
    """The ``k``-th best score; less than any where there are not more, or some are no numbers: those sort wrong."""
    if k >= len(scores) or isnan(sum(scores.values())):
        return float("-inf")
    return sorted(scores.values(), reverse=True)[k - 1]
