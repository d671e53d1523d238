"""What the simulated model answers: from the passages, to the question, and no longer than it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.lab.simulator.conftest import ANSWER, QUESTION

from holdfast.lab.simulator.answers import DONT_KNOW, answer, prompt_tokens
from holdfast.lab.simulator.prompt import Prompt, Tool, Turn
from holdfast.lab.simulator.reading import passages_in, question_in


def asked(*texts: str, roles: tuple[str, ...] = (), **options: Any) -> Prompt:
    turns = [Turn(role, text) for role, text in zip(roles or ("user",) * len(texts), texts, strict=True)]
    return Prompt(model="gpt-sim", turns=turns, **options)


def test_the_answer_is_the_best_sentence_with_its_citation() -> None:
    """The sentence that shares most with the question is the answer, with its passage's number before the full stop."""
    assert answer(asked(QUESTION)).text == ANSWER


@pytest.mark.parametrize(
    "prompt",
    [
        asked("<document id='1'>Lamps are blue.</document><document id='2'>Days: the parcel takes two days.</document>"
              "\n\nHow many days does the parcel take?"),
        asked("Use these.\n\n[1]: Lamps are blue.\n[2]: Days: the parcel takes two days.",
              "How many days does the parcel take?", roles=("system", "user")),
        asked("[1] Lamps are blue.\n\n[2] Days: the parcel takes two days.\n</context>\n<question>How many days does "
              "the parcel take?</question>"),
    ],
)  # fmt: skip
def test_passages_are_found_in_the_usual_forms(prompt: Prompt) -> None:
    """Elements with a number, lines with a number in the system message, and a tagged question are understood."""
    assert answer(prompt).text == "Days: the parcel takes two days [2]."


@pytest.mark.parametrize(
    "text",
    [
        "Context: Lamps are blue. The parcel takes two days.\n\nQuestion: How long does the parcel take?",
        "## Context\nLamps are blue. The parcel takes two days.\n## Question: How long does the parcel take?",
        "<context>\nLamps are blue. The parcel takes two days.\n</context>\n\nHow long does the parcel take?",
        "Context:\nLamps are blue. The parcel takes two days.",
    ],
)
def test_context_without_numbers_is_answered_without_citation(text: str) -> None:
    """What is marked as context is answered from, and there is no number to cite."""
    prompt = asked(text, "How long does the parcel take?") if "long" not in text else asked(text)
    assert answer(prompt).text == "The parcel takes two days."


def test_two_sentences_that_are_as_good_are_both_given() -> None:
    """A second sentence follows in the order of the passages when it says nearly as much."""
    text = "[1] A red lamp costs ten euros.\n[2] It is grey!\n[3] A blue lamp costs six euros\n\nWhat costs a lamp?"
    assert answer(asked(text)).text == "A red lamp costs ten euros [1]."
    text = text.replace("six euros", "six euros.")
    assert answer(asked(text)).text == "A red lamp costs ten euros [1]. A blue lamp costs six euros [3]."


def test_a_sentence_may_go_over_lines() -> None:
    """A line that goes on in lower case belongs to the sentence; a title before the text does not."""
    text = "[1] Parcels\nThe parcel takes two days,\nor three in winter.\n\nHow long does a parcel take in winter?"
    assert answer(asked(text)).text == "The parcel takes two days, or three in winter [1]."


def test_it_does_not_know_what_no_passage_says() -> None:
    """Passages that share no word with the question give an answer that says so."""
    assert answer(asked("[1] Lamps are blue.\n\nWho wrote Faust?")).text == DONT_KNOW
    assert answer(asked("[1] \n[2] What is this?\n\nQuestion: what?")).text == DONT_KNOW


def test_fragments_are_answers_when_there_are_no_sentences() -> None:
    """Where no passage has a whole sentence, a line is the answer."""
    assert answer(asked("[1] price of a lamp: ten euros\n\nWhich price has a lamp?")).text == (
        "price of a lamp: ten euros [1]"
    )


def test_without_passages_the_answer_is_made_of_the_question() -> None:
    """The question is quoted, shortened when it is long, and the same question has the same answer."""
    assert answer(asked("Why?")).text.startswith('You asked: "Why?" ')
    assert "..." in answer(asked("word " * 100)).text
    assert answer(asked("Why?")).text != answer(asked("Who?")).text
    assert answer(asked("no question", roles=("system",))).text.startswith('You asked: ""')


def test_the_question_is_the_last_one_asked() -> None:
    """A later turn and a later mark win; a paragraph that asks wins over one that does not."""
    assert question_in([Turn("user", "Who?"), Turn("assistant", "I."), Turn("user", "Why?")]) == "Why?"
    assert question_in([Turn("user", "Question: one?\nQuestion: two?")]) == "two?"
    assert question_in([Turn("user", "Who is it?\n\nAnswer in French.")]) == "Who is it?"
    assert question_in([Turn("user", "Tell me.\n\n[1] A passage?")]) == "Tell me."
    assert question_in([Turn("user", "[1] A passage.")]) == "[1] A passage."
    assert question_in([]) == ""


def test_tags_that_are_not_closed_are_text() -> None:
    """An element without an end is passed over, and costs no time however often it stands there."""
    text = "<document id=1>never closed " * 20_000 + "<source n=2>It is blue.</source>"
    assert [(each.label, each.text) for each in passages_in([Turn("user", text)])] == [("2", "It is blue.")]


def test_the_answer_ends_at_max_tokens() -> None:
    """A longer answer is cut to the tokens allowed and says so; one that fits is whole."""
    cut = answer(asked(QUESTION, max_tokens=4))
    assert (cut.text, cut.finish, cut.completion_tokens) == ("Shipping to the", "length", 4)
    assert answer(asked(QUESTION, max_tokens=15)).finish == "stop"


def test_the_answer_ends_at_the_first_stop_text() -> None:
    """The stop text that comes first ends the answer and is not part of it."""
    stopped = answer(asked(QUESTION, stop=["working", " takes", "", "nowhere"]))
    assert (stopped.text, stopped.finish, stopped.stop_sequence) == ("Shipping to the islands", "stop", " takes")
    both = answer(asked(QUESTION, stop=[" takes"], max_tokens=2))
    assert (both.text, both.finish, both.stop_sequence) == ("Shipping", "length", None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(ANSWER)))
def test_an_answer_that_was_begun_is_continued(place: int) -> None:
    """Handed any beginning of its answer, the model writes exactly the rest."""
    begun = ANSWER[:place]
    rest = answer(asked(QUESTION, begun, roles=("user", "assistant"))).text
    assert begun + rest == ANSWER
    told = asked(QUESTION, begun, "Continue exactly where you stopped.", roles=("user", "assistant", "user"))
    assert begun + answer(told).text == ANSWER


def test_a_beginning_without_its_last_blank_is_continued_too() -> None:
    """A prefix to which a blank was added is still the beginning, and one that is foreign leaves the answer whole."""
    assert answer(asked(QUESTION, "Shipping to \n", roles=("user", "assistant"))).text == ANSWER.removeprefix(
        "Shipping to"
    )
    assert answer(asked(QUESTION, "Well, ", roles=("user", "assistant"))).text == ANSWER


def test_json_mode_gives_an_object() -> None:
    """JSON mode gives an object with the answer and the numbers that it cites."""
    assert json.loads(answer(asked(QUESTION, json_mode=True)).text) == {"answer": ANSWER, "citations": [2]}


def test_a_schema_gives_what_fits_it() -> None:
    """Every kind of schema gets the smallest value that fits."""
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "yes": {"type": "boolean"},
            "one": {"enum": ["a", "b"]},
            "fixed": {"const": 7},
            "kept": {"type": "string", "default": "d"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "any": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "maybe": {"type": ["null", "string"]},
            "nothing": {"type": "null"},
            "bare": {"type": "array"},
            "untyped": {},
            "inner": {"properties": {"deep": {"type": "boolean"}}, "type": "object"},
            "broken": 3,
        },
    }
    value = json.loads(answer(asked("Why?", json_mode=True, schema=schema)).text)
    text = value.pop("text")
    assert text.startswith("You asked")
    assert value == {
        "count": 1, "share": 1.0, "yes": True, "one": "a", "fixed": 7, "kept": "d", "list": [1], "any": 1,
        "maybe": text, "nothing": None, "bare": [], "untyped": text, "inner": {"deep": True},
    }  # fmt: skip


def test_a_schema_without_end_has_one() -> None:
    """A schema that nests very deeply gives a value all the same."""
    schema: dict[str, Any] = {"type": "string"}
    for place in range(60):
        wrap: dict[str, Any] = {"type": "array", "items": schema} if place % 3 else {"anyOf": [schema]}
        schema = {"type": "object", "properties": {"a": wrap}}
    assert json.loads(answer(asked("Why?", json_mode=True, schema=schema)).text)


def test_a_forced_tool_is_called_with_arguments_that_fit() -> None:
    """The arguments are JSON that fits the tool's schema, and count as the tokens of the answer."""
    tool = Tool("search", {"type": "object", "properties": {"query": {"type": "string"}, "k": {"type": "integer"}}})
    called = answer(asked("Why?", tool=tool))
    assert (called.tool, called.finish) == ("search", "tool")
    assert json.loads(called.text) == {"query": "Why?", "k": 1}
    assert json.loads(answer(asked("Why?", tool=Tool("now"))).text) == {}


def test_prompt_tokens_count_every_turn() -> None:
    """A turn costs its tokens and three more, a prompt three, and what is read besides is added."""
    assert prompt_tokens(asked("one two", "three", extra_tokens=10)) == 3 + (2 + 3) + (1 + 3) + 10
