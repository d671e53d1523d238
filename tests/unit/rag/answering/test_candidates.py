"""Ranking the sentences of what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.rag.answering.candidates import rank_candidates
from holdfast.rag.answering.terms import QuestionTerms

if TYPE_CHECKING:
    from holdfast.rag.answering.base import AnswerRequest
    from holdfast.rag.answering.candidates import Candidate
    from holdfast.rag.types import Hit

RequestOf = Callable[..., "AnswerRequest"]


def ranked(request: AnswerRequest) -> list[Candidate]:
    return rank_candidates(request, QuestionTerms.of(request.question, request.document_frequency, request.chunk_count))


def test_every_sentence_is_a_candidate_with_its_place(request_of: RequestOf) -> None:
    """Each sentence of each passage is there once, with the document's text at its span."""
    request = request_of("refund", ["First one. Second one.", "- An item\n- Another"])

    found = ranked(request)

    assert {(one.hit, one.index, one.text) for one in found} == {
        (0, 0, "First one."),
        (0, 1, "Second one."),
        (1, 0, "An item"),
        (1, 1, "Another"),
    }
    for one in found:
        chunk = request.hits[one.hit].stored.chunk
        assert chunk.text[one.span.start - chunk.start : one.span.end - chunk.start] == one.text


@pytest.mark.parametrize("vectors", [True, False])
def test_the_sentence_that_shares_the_words_comes_first(request_of: RequestOf, vectors: bool) -> None:
    """With and without vectors the sentence with the words of the question leads."""
    request = request_of(
        "When is my refund paid?",
        ["Socks are blue. Hats are red.", "Parcels travel by night. A refund is paid after a week."],
        vectors=vectors,
    )

    assert ranked(request)[0].text == "A refund is paid after a week."


def test_the_better_passage_decides_between_equal_sentences(request_of: RequestOf) -> None:
    """Of the same sentence in two passages the one in the better passage is first; the order is deterministic."""
    request = request_of("refund", ["A refund is paid.", "A refund is paid."])

    assert [(one.hit, one.index) for one in ranked(request)] == [(0, 0), (1, 0)]


def test_a_question_for_a_quantity_wants_a_number(request_of: RequestOf) -> None:
    """ "How long" prefers a sentence with a number or number word; another question does not."""
    texts = ["Refunds take a while. Refunds take 5 days."]

    how_long = {one.text: one.score for one in ranked(request_of("How long do refunds take?", texts))}
    why = {one.text: one.score for one in ranked(request_of("Why do refunds take?", texts))}

    gain = how_long["Refunds take 5 days."] - how_long["Refunds take a while."]
    plain = why["Refunds take 5 days."] - why["Refunds take a while."]
    assert gain > plain


def test_vectors_of_another_space_are_left_out(request_of: RequestOf) -> None:
    """Sentence vectors whose number or dimension does not fit are not used; the words still are."""
    request = request_of("refund", ["A refund is paid. Socks are blue."])
    (hit,) = request.hits

    for shape in ((2, 3), (5, 512), (2,)):
        broken = replace(hit, stored=replace(hit.stored, sentence_vectors=np.zeros(shape, np.float32)))
        found = ranked(replace(request, hits=[broken]))

        assert [one.cosine for one in found] == [None, None]
        assert found[0].text == "A refund is paid."


def test_a_sentence_without_a_word_is_no_candidate(hit: Callable[..., Hit], request_of: RequestOf) -> None:
    """What has no letter or digit is never quoted."""
    request = request_of("refund", ["A refund is paid."], vectors=False)
    chunk = request.hits[0].stored.chunk
    blank = replace(chunk, text="! ! !" + chunk.text[5:], sentences=(replace(chunk.sentences[0], end=chunk.start + 5),))
    stored = replace(request.hits[0].stored, chunk=blank)

    assert ranked(replace(request, hits=[replace(request.hits[0], stored=stored)])) == []
