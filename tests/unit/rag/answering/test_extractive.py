"""The extractive answerer as the engine uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.rag.answering.base import Answerer
from holdfast.rag.answering.extractive import ExtractiveAnswerer, ExtractiveOptions
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from holdfast.rag.answering.base import AnswerRequest

RequestOf = Callable[..., "AnswerRequest"]

TEXTS = [
    "Returns are easy. Most products can be sent back within 30 days. Keep the **receipt**.",
    "A refund reaches your card within 7 working days. Banks may need longer.",
]
QUESTION = "When does a refund reach my card?"


@pytest.fixture
def blocking() -> InlineBlocking:
    return InlineBlocking()


@pytest.fixture
def answerer(blocking: InlineBlocking) -> ExtractiveAnswerer:
    return ExtractiveAnswerer(blocking=blocking)


async def test_it_is_an_answerer(answerer: ExtractiveAnswerer) -> None:
    """It has the name that pipelines and metrics know it by."""
    assert isinstance(answerer, Answerer)
    assert answerer.name == "answerer:extractive"


@pytest.mark.parametrize("vectors", [True, False])
async def test_it_quotes_the_sentence_that_answers(
    answerer: ExtractiveAnswerer, request_of: RequestOf, vectors: bool
) -> None:
    """With and without vectors the answer begins with the sentence that answers, cited, free of charge and model."""
    draft = await answerer.answer(request_of(QUESTION, TEXTS, vectors=vectors))

    assert draft.answered
    assert draft.text.startswith("A refund reaches your card within 7 working days.")
    assert "[1]" in draft.text
    assert draft.citations[0].text.startswith("A refund reaches your card within 7 working days.")
    assert draft.citations[0].uri == "d1.md"
    assert draft.confidence >= 0.5
    assert (draft.model, draft.cost_usd) == (None, 0.0)


async def test_it_says_when_it_does_not_know(answerer: ExtractiveAnswerer, request_of: RequestOf) -> None:
    """A question that nothing fits is refused in one sentence that cites nothing and claims nothing."""
    request = request_of("Who painted the moon?", TEXTS)
    unfit = replace(request, hits=[replace(hit, lexical=None) for hit in request.hits])

    draft = await answerer.answer(unfit)

    assert not draft.answered
    assert draft.citations == ()
    assert draft.confidence < 0.2
    assert draft.text.startswith("I don't know: I found nothing about this")
    assert "Title" not in draft.text


async def test_a_near_miss_names_where_to_look(answerer: ExtractiveAnswerer, request_of: RequestOf) -> None:
    """When something comes near, the refusal names the titles of the two nearest documents, without citing them."""
    request = request_of("Do banks ask for returns of toys?", [*TEXTS, "Toys are fun."])
    near = replace(request, hits=[replace(hit, lexical=10.0) for hit in request.hits])

    draft = await ExtractiveAnswerer(blocking=InlineBlocking(), options=ExtractiveOptions(min_confidence=1.0)).answer(
        near
    )

    assert not draft.answered
    assert draft.citations == ()
    assert draft.text.endswith("What comes nearest is in “Title 0” and “Title 1”.")


async def test_titles_in_a_refusal_are_short_and_named_once(request_of: RequestOf) -> None:
    """Titles are data: line ends and excess length do not reach the sentence, equal ones are named once."""
    request = request_of(QUESTION, TEXTS)
    hits = [replace(hit, stored=replace(hit.stored, title="A\n title " + "x" * 500)) for hit in request.hits]

    strict = ExtractiveAnswerer(blocking=InlineBlocking(), options=ExtractiveOptions(min_confidence=1.0))
    draft = await strict.answer(replace(request, hits=hits))

    assert draft.text.count("“A title xxx") == 1
    assert len(draft.text) < 200
    assert "\n" not in draft.text


async def test_nothing_found_is_not_known(answerer: ExtractiveAnswerer, request_of: RequestOf) -> None:
    """Without hits, or with hits that hold nothing to quote, the answer is a refusal with confidence 0."""
    for request in (request_of(QUESTION, []), request_of(QUESTION, ["# Only a heading"])):
        draft = await answerer.answer(request)

        assert not draft.answered
        assert draft.confidence == 0.0
        assert draft.text.startswith("I don't know")


async def test_the_work_runs_behind_the_blocking_port(
    blocking: InlineBlocking, answerer: ExtractiveAnswerer, request_of: RequestOf
) -> None:
    """An answer is one run of blocking work with a kind of its own."""
    await answerer.answer(request_of(QUESTION, TEXTS))

    assert blocking.kinds == ["answer.extract"]


async def test_the_same_request_gives_the_same_draft(answerer: ExtractiveAnswerer, request_of: RequestOf) -> None:
    """Nothing about an answer is left to chance."""
    assert await answerer.answer(request_of(QUESTION, TEXTS)) == await answerer.answer(request_of(QUESTION, TEXTS))


async def test_confidence_zero_always_answers(request_of: RequestOf) -> None:
    """With ``min_confidence=0`` the best sentence is quoted, however little speaks for it."""
    eager = ExtractiveAnswerer(blocking=InlineBlocking(), options=ExtractiveOptions(min_confidence=0.0))

    draft = await eager.answer(request_of("Who painted the moon?", TEXTS))

    assert draft.answered
    assert draft.citations


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_sentences", 0),
        ("max_sentences", 11),
        ("max_chars", 49),
        ("max_chars", 5_001),
        ("min_confidence", -0.1),
        ("min_confidence", 1.1),
        ("min_confidence", float("nan")),
    ],
)
def test_options_out_of_range_are_named(field: str, value: float) -> None:
    """An option outside of its range is an error that names it."""
    with pytest.raises(ConfigError) as caught:
        ExtractiveOptions(**{field: value})  # type: ignore[arg-type]

    assert caught.value.field == field
