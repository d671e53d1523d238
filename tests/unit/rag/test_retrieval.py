"""Fusing two rankings: the arithmetic, the edges, and what holds for any input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.rag.retrieval import Fused, fuse, rerank
from holdfast.rag.store.base import Scored
from holdfast.rag.types import Chunk, Hit, StoredChunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORES = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False, allow_subnormal=False)
RANKINGS = st.dictionaries(st.sampled_from([f"c{n}" for n in range(12)]), SCORES).map(
    lambda found: [Scored(chunk_id, score) for chunk_id, score in found.items()]
)
WEIGHTS = st.floats(min_value=0, max_value=1)


def test_convex_combination_of_the_scaled_scores() -> None:
    """A chunk's score is its place between the worst and best BM25 and cosine, weighted 0.6 to 0.4 here."""
    fused = fuse(
        [Scored("a", 10.0), Scored("b", 5.0), Scored("c", 0.0)],
        [Scored("b", 0.9), Scored("a", 0.5), Scored("d", 0.1)],
        weight=0.6,
        k=4,
    )

    assert [each.chunk_id for each in fused] == ["a", "b", "d", "c"] or [each.chunk_id for each in fused][:2] == [
        "a",
        "b",
    ]
    scores = {each.chunk_id: each.score for each in fused}
    assert scores["a"] == pytest.approx(0.6 * 1.0 + 0.4 * 0.5)
    assert scores["b"] == pytest.approx(0.6 * 0.5 + 0.4 * 1.0)
    assert scores["c"] == scores["d"] == 0.0


def test_the_raw_scores_travel_along() -> None:
    """Each fused chunk carries what each search said about it, and None where a search did not find it."""
    fused = {each.chunk_id: each for each in fuse([Scored("a", 7.5)], [Scored("b", 0.25)], k=2)}

    assert (fused["a"].lexical, fused["a"].cosine) == (7.5, None)
    assert (fused["b"].lexical, fused["b"].cosine) == (None, 0.25)


@pytest.mark.parametrize("swap", [False, True])
def test_one_list_alone_keeps_its_own_ranking(swap: bool) -> None:
    """With one search missing the other ranks alone, from 1 down to 0."""
    found = [Scored("a", 4.0), Scored("b", 3.0), Scored("c", 2.0)]

    fused = fuse([], found, k=3) if swap else fuse(found, [], k=3)

    assert [(each.chunk_id, each.score) for each in fused] == [("a", 1.0), ("b", 0.5), ("c", 0.0)]


def test_equal_scores_do_not_divide_by_zero() -> None:
    """When one search scores all alike, the other decides."""
    fused = fuse([Scored("a", 2.0), Scored("b", 2.0)], [Scored("b", 0.8), Scored("a", 0.2)], weight=0.6, k=2)

    assert [(each.chunk_id, each.score) for each in fused] == [("b", 1.0), ("a", pytest.approx(0.6))]


def test_nothing_found_is_nothing() -> None:
    """Two empty searches give an empty ranking."""
    assert fuse([], [], k=5) == []


def test_a_chunk_named_twice_counts_once_with_its_better_score() -> None:
    """A list that names a chunk twice gives it one place, by its better score."""
    both, other = [Scored("a", 1.0), Scored("a", 3.0)], Scored("b", 2.0)

    for found in ([*both, other], [*reversed(both), other]):
        assert fuse(found, [], k=5) == [Fused("a", 1.0, lexical=3.0), Fused("b", 0.0, lexical=2.0)]


def test_scores_that_are_no_numbers_lose_no_candidate() -> None:
    """Where a search gives garbage for scores there are still as many candidates as were asked for."""
    garbage = [Scored(chunk_id, float("nan")) for chunk_id in "abc"]

    assert len(fuse(garbage, [], k=2)) == 2


@pytest.mark.parametrize(("field", "weight", "k"), [("weight", 1.5, 5), ("weight", float("nan"), 5), ("k", 0.6, 0)])
def test_options_out_of_range_are_named(field: str, weight: float, k: int) -> None:
    """A weight outside 0 to 1, or a k below 1, is an error that names it."""
    with pytest.raises(ConfigError) as caught:
        fuse([], [], weight=weight, k=k)

    assert caught.value.field == field


@given(lexical=RANKINGS, dense=RANKINGS, weight=WEIGHTS)
def test_every_candidate_once_best_first(lexical: list[Scored], dense: list[Scored], weight: float) -> None:
    """The ranking holds each candidate of either search once, best first, with scores from 0 to 1."""
    fused = fuse(lexical, dense, weight=weight, k=100)

    ids = [each.chunk_id for each in fused]
    assert len(ids) == len(set(ids))
    assert set(ids) == {each.chunk_id for each in [*lexical, *dense]}
    scores = [each.score for each in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 + 1e-12 for score in scores)


@given(lexical=RANKINGS, dense=RANKINGS, weight=WEIGHTS, k=st.integers(min_value=1, max_value=12), data=st.data())
def test_the_order_of_the_input_does_not_matter(
    lexical: list[Scored], dense: list[Scored], weight: float, k: int, data: st.DataObject
) -> None:
    """However the candidates are shuffled, the ranking is the same, ties included; and a smaller k is its beginning."""
    shuffled = fuse(data.draw(st.permutations(lexical)), data.draw(st.permutations(dense)), weight=weight, k=k)

    assert shuffled == fuse(lexical, dense, weight=weight, k=100)[:k]


@given(lexical=RANKINGS, dense=RANKINGS, weight=WEIGHTS)
def test_better_in_both_searches_is_better_in_the_ranking(
    lexical: list[Scored], dense: list[Scored], weight: float
) -> None:
    """A chunk that both searches put above another is not below it in the fused ranking."""
    words = {each.chunk_id: each.score for each in lexical}
    vectors = {each.chunk_id: each.score for each in dense}
    place = {each.chunk_id: n for n, each in enumerate(fuse(lexical, dense, weight=weight, k=100))}
    both = words.keys() & vectors.keys()

    for better in both:
        for worse in both:
            if words[better] > words[worse] and vectors[better] > vectors[worse]:
                assert place[better] < place[worse]


# -- reranking -------------------------------------------------------------------------------------------------------


def passage(chunk_id: str, score: float, cosines: list[float] | None, *, cosine: float | None = 0.0) -> Hit:
    """A hit whose sentences have these cosines to ``QUESTION``; None: it has no sentence vectors."""
    chunk = Chunk(id=chunk_id, document_id="d", ordinal=0, start=0, end=1, heading="", text="x")
    vectors = None if cosines is None else np.array([[c, 0.0] for c in cosines], np.float32).reshape(-1, 2)
    return Hit(stored=StoredChunk(chunk=chunk, title="", uri="", sentence_vectors=vectors), score=score, cosine=cosine)


QUESTION = np.array([1.0, 0.0], np.float32)


def ids(hits: list[Hit]) -> list[str]:
    return [hit.stored.chunk.id for hit in hits]


def test_the_best_sentence_lifts_its_passage() -> None:
    """A passage is worth the mean of its fused score and the cosine of its best sentence."""
    hits = [passage("a", 0.9, [0.1, 0.2]), passage("b", 0.6, [0.0, 0.8, 0.1])]

    ranked = rerank(hits, QUESTION, k=2)

    assert ids(ranked) == ["b", "a"]
    assert [hit.score for hit in ranked] == [pytest.approx(0.7), pytest.approx(0.55)]


@pytest.mark.parametrize("vector", [None, np.ones(3, np.float32)])
def test_without_a_vector_of_that_space_nothing_moves(vector: NDArray[np.float32] | None) -> None:
    """A lexical search, or sentences of another dimension, keep the fused order and scores."""
    hits = [passage("a", 0.9, [0.1]), passage("b", 0.6, [0.8]), passage("c", 0.5, None)]

    assert rerank(hits, vector, k=2) == hits[:2]


def test_a_passage_without_sentences_counts_by_its_own_cosine() -> None:
    """Where others have sentence vectors, a passage without any is judged by its own vector, or as unlike."""
    hits = [passage("a", 0.5, [0.4]), passage("b", 0.5, None, cosine=0.6), passage("c", 0.5, [], cosine=None)]

    assert ids(rerank(hits, QUESTION, k=3)) == ["b", "a", "c"]


def test_ties_keep_their_order_and_k_is_checked() -> None:
    """Equal passages stay in the order they came in, and a k below 1 is named."""
    hits = [passage(name, 0.5, [0.5]) for name in "cab"]

    assert ids(rerank(hits, QUESTION, k=2)) == ["c", "a"]
    with pytest.raises(ConfigError, match="k=0"):
        rerank(hits, QUESTION, k=0)


@given(
    pool=st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=1),
            st.none() | st.lists(st.floats(min_value=-1, max_value=1, width=32), max_size=4),
        ),
        max_size=10,
    ),
    k=st.integers(min_value=1, max_value=12),
)
def test_reranking_only_reorders(pool: list[tuple[float, list[float] | None]], k: int) -> None:
    """The k best come back, each once, best first, with scores from 0 to 1."""
    hits = [passage(f"c{n}", score, cosines) for n, (score, cosines) in enumerate(pool)]

    ranked = rerank(hits, QUESTION, k=k)

    assert len(ranked) == min(k, len(hits))
    assert len(set(ids(ranked))) == len(ranked)
    assert all(0.0 <= hit.score <= 1.0 for hit in ranked)
    if any(cosines for _, cosines in pool):
        assert [hit.score for hit in ranked] == sorted((hit.score for hit in ranked), reverse=True)
