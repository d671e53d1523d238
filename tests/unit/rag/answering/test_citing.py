"""From marks to sentences."""

from __future__ import annotations

from tests.unit.rag.answering.conftest import make_hit

from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.answering.citing import citations
from holdfast.rag.answering.judging import judge

PASSAGE = "The library opens at nine. It closes at six on weekdays. Cats may come in."


def test_a_mark_cites_the_sentence_that_says_it() -> None:
    """Of the cited passage, the sentence is cited that shares most words with the statement before the mark."""
    hits = [make_hit("Dogs stay outside.", name="dogs"), make_hit(PASSAGE, name="hours")]
    request = AnswerRequest(question="When is it open?", hits=hits, chunk_count=10)
    text = "Opening is at nine [1]. Six is closing time on weekdays [1], and dogs wait outside [2][1]."
    first, second = citations(text, [2, 1], hits, judge(request).candidates)
    assert (first.document_id, first.text) == ("doc_hours", "The library opens at nine.")
    assert (second.document_id, second.text) == ("doc_dogs", "Dogs stay outside.")
    assert PASSAGE[first.start - 100 : first.end - 100] == first.text


def test_the_statement_may_be_in_the_middle_of_the_answer() -> None:
    """What was said before, with another mark, does not decide which sentence is cited."""
    hits = [make_hit("Dogs stay outside.", name="dogs"), make_hit(PASSAGE, name="hours")]
    request = AnswerRequest(question="When?", hits=hits, chunk_count=10)
    (_, second) = citations(
        "Dogs stay outside at nine [1].\nIt closes at six. [2]", [1, 2], hits, judge(request).candidates
    )
    assert second.text == "It closes at six on weekdays."


def test_among_equals_the_sentence_is_cited_that_fits_the_question() -> None:
    """Where two sentences share as many words with the statement, the one that answers the question better is cited."""
    hits = [make_hit("The café opens at nine. The library opens at nine.", question="library")]
    request = AnswerRequest(question="When does the library open?", hits=hits, chunk_count=10)
    (citation,) = citations("It opens at nine [1].", [1], hits, judge(request).candidates)
    assert citation.text == "The library opens at nine."


def test_a_passage_without_sentences_is_cited_whole() -> None:
    """A passage in which nothing is a sentence is cited from its beginning to its end."""
    hit = make_hit("***")
    (citation,) = citations("Stars [1].", [1], [hit], [])
    assert (citation.start, citation.end) == (hit.stored.chunk.start, hit.stored.chunk.end)
