"""Choosing the sentences of an answer, and putting them together with their citations."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.answering.candidates import Candidate, rank_candidates
from holdfast.rag.answering.composing import compose, select
from holdfast.rag.answering.terms import QuestionTerms
from holdfast.rag.types import Chunk, Hit, Span, StoredChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

HitOf = Callable[..., Hit]


def candidates_of(hits: Sequence[Hit], scores: dict[tuple[int, int], float]) -> list[Candidate]:
    """Candidates with the scores given by (hit, index), 0 for the rest; best first."""
    questions = AnswerRequest(question="", hits=hits)
    found = [
        replace(one, score=scores.get((one.hit, one.index), 0.0))
        for one in rank_candidates(questions, QuestionTerms.of("", {}, 0))
    ]
    return sorted(found, key=lambda one: -one.score)


def answer(
    hits: Sequence[Hit], scores: dict[tuple[int, int], float], *, sentences: int = 3, chars: int = 600
) -> tuple[str, list[str]]:
    chosen = select(candidates_of(hits, scores), max_sentences=sentences, max_chars=chars)
    text, citations = compose(chosen, hits, max_chars=chars)
    return text, [citation.text for citation in citations]


def test_a_clear_winner_stands_alone(hit: HitOf) -> None:
    """When the others are far behind, only the best sentence is quoted."""
    assert answer([hit("One fish. Two fish.")], {(0, 1): 1.0, (0, 0): 0.1}) == ("Two fish. [1]", ["Two fish."])


def test_sentences_side_by_side_are_one_citation(hit: HitOf) -> None:
    """Neighbours come in the order of the document, with one marker and one citation over both."""
    text, cited = answer([hit("First fact. Second truth. Third thing.")], {(0, 1): 1.0, (0, 0): 0.9})

    assert text == "First fact. Second truth. [1]"
    assert cited == ["First fact. Second truth."]


def test_sentences_apart_are_two_citations(hit: HitOf) -> None:
    """A gap between two sentences of a passage makes two citations, still in the order of the document."""
    text, cited = answer([hit("First fact. Second truth. Third thing.")], {(0, 2): 1.0, (0, 0): 0.9})

    assert text == "First fact. [1] Third thing. [2]"
    assert cited == ["First fact.", "Third thing."]


def test_passages_come_in_the_order_of_their_best_sentence(hit: HitOf) -> None:
    """The passage with the best sentence leads, whatever its place among the hits; markers count in reading order."""
    hits = [hit("Alpha one. Beta two.", name="a"), hit("Gamma three.", name="b")]

    text, cited = answer(hits, {(1, 0): 1.0, (0, 1): 0.9})

    assert text == "Gamma three. [1] Beta two. [2]"
    assert cited == ["Gamma three.", "Beta two."]


def test_a_citation_is_the_documents_text(hit: HitOf) -> None:
    """The answer is plain text, while the citation holds the source between its start and end, markup included."""
    passage = hit("Open **Orders** and see [Refunds](refunds.md).", title="Returns", name="returns", at=40, score=0.7)

    text, citations = compose(candidates_of([passage], {(0, 0): 1.0}), [passage], max_chars=600)

    assert text == "Open Orders and see Refunds. [1]"
    (citation,) = citations
    assert citation.text == "Open **Orders** and see [Refunds](refunds.md)."
    assert (citation.start, citation.end) == (40, 40 + len(citation.text))
    assert (citation.title, citation.uri, citation.score) == ("Returns", "returns.md", 0.7)
    assert (citation.document_id, citation.chunk_id) == ("doc_returns", "chk_returns")


def test_a_table_row_is_quoted_with_its_columns(hit: HitOf) -> None:
    """A row is read with the names of its columns; its citation is the row."""
    table = "| Region | Price |\n| --- | --- |\n| UK | £3.95 |\n| EU | €5.95 |"

    assert answer([hit(table)], {(0, 1): 1.0}, sentences=1) == ("Region: EU; Price: €5.95 [1]", ["| EU | €5.95 |"])


def test_list_items_stand_on_lines_of_their_own(hit: HitOf) -> None:
    """Several items, and prose after them, are on lines; a single item needs no bullet."""
    passage = hit("- Bring the box\n- Bring the label\n\nThen go to the shop.")

    assert answer([passage], {(0, 0): 1.0, (0, 1): 0.9, (0, 2): 0.8})[0] == (
        "- Bring the box\n- Bring the label\nThen go to the shop. [1]"
    )
    assert answer([passage], {(0, 1): 1.0})[0] == "Bring the label [1]"


def test_a_sentence_that_introduces_a_list_brings_its_items(hit: HitOf) -> None:
    """A sentence that ends with a colon says nothing alone: the items come with it, as far as they fit."""
    passage = hit("We never take back:\n\n- Food\n- Plants\n- Opened software")

    assert answer([passage], {(0, 0): 1.0}, sentences=1)[0] == (
        "We never take back:\n- Food\n- Plants\n- Opened software [1]"
    )
    assert answer([passage], {(0, 0): 1.0}, sentences=1, chars=32)[0] == "We never take back:\n- Food\n- Plants [1]"


def test_prose_after_a_colon_is_not_introduced(hit: HitOf) -> None:
    """What follows a colon as running text stands for itself and does not come along."""
    passage = hit("Do it like this:\n\nThe whole story follows. And goes on.")

    assert answer([passage], {(0, 0): 1.0}, sentences=1)[0] == "Do it like this: [1]"


def test_code_is_quoted_as_its_lines(hit: HitOf) -> None:
    """A code block keeps its lines and loses its fences."""
    assert answer([hit("Do this.\n\n```sh\ncargo new x\ncd x\n```")], {(0, 1): 1.0})[0] == "cargo new x\ncd x [1]"


def test_what_was_said_is_not_said_again(hit: HitOf) -> None:
    """Of two sentences with nearly the same words only the better one is quoted."""
    hits = [
        hit("A refund takes five to seven working days.", name="a"),
        hit("Refunds take seven to five working days.", name="b"),
    ]

    assert answer(hits, {(0, 0): 1.0, (1, 0): 0.99})[1] == ["A refund takes five to seven working days."]


def test_an_answer_stays_short(hit: HitOf) -> None:
    """No more sentences than asked for, and none that would make it too long unless it is the best one."""
    passage = hit("Ant. Bee. Cat. " + "Dog " * 30 + ".")
    scores = {(0, 3): 1.0, (0, 0): 0.9, (0, 1): 0.8, (0, 2): 0.7}

    assert len(answer([passage], scores, sentences=2)[1]) == 2
    text, cited = answer([passage], scores, chars=50)
    assert len(cited) == 1
    assert len(text) <= 50 + len(" [1]")
    assert text.endswith("… [1]")
    assert cited[0].startswith("Dog Dog")
    assert cited[0].endswith("Dog .")


def test_nothing_chosen_is_nothing() -> None:
    """No candidates make an empty answer without citations."""
    assert select([], max_sentences=3, max_chars=100) == []
    assert compose([], [], max_chars=100) == ("", ())


WORDS = st.lists(
    st.sampled_from(["refund", "parcel", "label", "shop", "days", "money", "card", "week"]), min_size=1, max_size=8
)


@given(
    passages=st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=4),
    scores=st.lists(st.floats(min_value=0, max_value=2), min_size=20, max_size=20),
    limit=st.integers(min_value=1, max_value=5),
)
def test_every_marker_has_its_citation(passages: list[list[list[str]]], scores: list[float], limit: int) -> None:
    """Markers count from 1 without gaps, one a citation; each citation is its passage's text; no sentence twice."""
    hits = []
    for number, sentences in enumerate(passages):
        text, spans = "", []
        for words in sentences:
            start = len(text)
            text += " ".join(words) + "."
            spans.append(Span(start, len(text)))
            text += " "
        chunk = Chunk(
            id=f"c{number}",
            document_id="d",
            ordinal=number,
            start=0,
            end=len(text),
            heading="",
            text=text,
            sentences=tuple(spans),
        )
        hits.append(Hit(stored=StoredChunk(chunk=chunk, title="T", uri="u"), score=0.5))
    places = [(place, index) for place, hit in enumerate(hits) for index in range(len(hit.stored.chunk.sentences))]

    chosen = select(candidates_of(hits, dict(zip(places, scores, strict=False))), max_sentences=limit, max_chars=10_000)
    text, citations = compose(chosen, hits, max_chars=10_000)

    assert 1 <= len(chosen) <= limit
    assert len({(one.hit, one.index) for one in chosen}) == len(chosen)
    assert re.findall(r"\[(\d+)\]", text) == [str(number) for number in range(1, len(citations) + 1)]
    for citation in citations:
        (chunk,) = (hit.stored.chunk for hit in hits if hit.stored.chunk.id == citation.chunk_id)
        assert citation.text == chunk.text[citation.start : citation.end]
        assert citation.text


@pytest.mark.parametrize("text", ["Plain words.", "**Bold:** words.", "- item", "> quoted", "1. one"])
def test_the_text_of_an_answer_has_no_markup(hit: HitOf, text: str) -> None:
    """Marks of emphasis, lists and quotes do not reach the reader."""
    composed, _ = answer([hit(text)], {(0, 0): 1.0})

    assert not re.search(r"[*>]|^1\.|^-", composed)
