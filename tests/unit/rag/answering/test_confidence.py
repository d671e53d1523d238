"""How sure an answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.answering.candidates import rank_candidates
from holdfast.rag.answering.confidence import Evidence, confidence, weigh
from holdfast.rag.answering.terms import QuestionTerms

if TYPE_CHECKING:
    from holdfast.rag.answering.base import AnswerRequest

RequestOf = Callable[..., "AnswerRequest"]
COSINES = st.floats(min_value=-1, max_value=1)
WORDS = st.floats(min_value=0, max_value=50)


def evidence_of(request: AnswerRequest) -> Evidence:
    terms = QuestionTerms.of(request.question, request.document_frequency, request.chunk_count)
    return weigh(request, rank_candidates(request, terms))


def test_evidence_is_the_best_of_each_kind(request_of: RequestOf) -> None:
    """The nearest passage, the nearest sentence and the best BM25 score count, wherever they are."""
    request = request_of("refund paid week", ["A refund is paid. Socks.", "refund paid week"])

    found = evidence_of(request)

    assert found.passage == pytest.approx(1.0, abs=1e-5)
    assert found.sentence == pytest.approx(1.0, abs=1e-5)
    assert found.words == pytest.approx(12.0 / 4.19, abs=0.01)


def test_without_vectors_there_are_no_cosines(request_of: RequestOf) -> None:
    """A search by words leaves only the words as evidence, on a scale of its own."""
    found = evidence_of(request_of("refund", ["A refund is paid."], vectors=False))

    assert (found.passage, found.sentence) == (None, None)
    assert confidence(Evidence(words=3.0)) > 0.9
    assert confidence(Evidence(words=0.2)) < 0.1


def test_a_question_that_only_vectors_found_has_no_words(request_of: RequestOf) -> None:
    """When the words found nothing, the evidence of words is zero."""
    request = request_of("refund", ["A refund is paid."])
    hits = [replace(hit, lexical=None) for hit in request.hits]

    assert evidence_of(replace(request, hits=hits)).words == 0.0


def test_a_larger_store_makes_a_word_worth_more_in_bm25_not_here(request_of: RequestOf) -> None:
    """The same BM25 score counts for less in a larger store, where every rare word has a higher one."""
    request = request_of("refund", ["A refund is paid."])

    assert evidence_of(replace(request, chunk_count=100_000)).words < evidence_of(request).words


@pytest.mark.parametrize("chunks", [1, 2, 3, 10])
def test_a_tiny_store_can_answer(request_of: RequestOf, chunks: int) -> None:
    """In a store of a few chunks, where BM25 gives every word next to nothing, matching words still count."""
    idf = max(log((chunks - 0.5) / 1.5), 1e-6)
    request = request_of("refund paid week", ["A refund is paid after a week."])
    hits = [replace(hit, lexical=3 * idf) for hit in request.hits]

    assert evidence_of(replace(request, hits=hits, chunk_count=chunks)).words == pytest.approx(3.0)


@given(words=WORDS, passage=COSINES, sentence=COSINES, more=st.floats(min_value=0, max_value=1))
def test_more_evidence_never_lowers_confidence(words: float, passage: float, sentence: float, more: float) -> None:
    """Confidence lies from 0 to 1 and does not fall when any evidence grows."""
    base = confidence(Evidence(words=words, passage=passage, sentence=sentence))

    assert 0.0 <= base <= 1.0
    assert confidence(Evidence(words=words + more, passage=passage, sentence=sentence)) >= base
    assert confidence(Evidence(words=words, passage=passage + more, sentence=sentence)) >= base
    assert confidence(Evidence(words=words, passage=passage, sentence=sentence + more)) >= base
    assert confidence(Evidence(words=words + more)) >= confidence(Evidence(words=words))
