"""Tokens and vectors are the same whether a text is taken whole or put together from what is remembered of it."""

from __future__ import annotations

import random
import re
from typing import Any

from holdfast.lab.simulator import answers, script, tokens, vectors
from holdfast.lab.simulator.prompt import Prompt, Turn
from holdfast.lab.simulator.reading import Passage, question_in

_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")


def test_lines_add_up_to_their_text() -> None:
    """A text has as many tokens as its lines have, whatever blanks stand between them."""
    rng = random.Random(5)
    parts = ["word", "longerword", " ", "\n", "\n\n", " \n", "\n ", "\t", ".", "é", "\x1c", "\r\n", "[1]", "x" * 1_200]
    for _ in range(2_000):
        text = "".join(rng.choices(parts, k=rng.randrange(12)))
        assert tokens.count(text) == len(_PIECE.findall(text)) == len(tokens.pieces_of(text)), text


def test_a_vector_depends_on_words_only() -> None:
    """What is remembered of a text stands for it: case and marks change nothing, whatever the text is made of."""
    rng = random.Random(6)
    parts = ["Word", "übermäßig", "3", " ", "?", "(;,)", "_", "\n", "ǅ", "İ"]
    for _ in range(500):
        text = "".join(rng.choices(parts, k=rng.randrange(8)))
        assert vectors.vector_of(vectors.plain(text), 16) == vectors.vector_of(text, 16), repr(text)


def test_long_prompts_are_not_remembered() -> None:
    """The sentences that answer best are remembered for prompts of an ordinary length only."""
    answers._told_again.cache_clear()
    for length in (1, 1_000):
        text = "Refunds take five days. " * length
        passages = (Passage("1", text),)
        asked = answers._stems("How long do refunds take?")
        assert answers._best(passages, asked)[0] == (passages[0], "Refunds take five days.")
        prompt = Prompt(model="m", turns=[Turn("user", f"[1] {text}\n\nQuestion: How long do refunds take?")])
        assert answers.answer(prompt).text.startswith("Refunds take five days [1].")
    assert answers._told_again.cache_info().currsize == 1


def test_every_character_of_ascii_counts_as_it_is_written() -> None:
    """Each character adds to a word, ends it, or is a token by itself: the count is that of the pieces."""
    for code in range(128):
        text = f"longerword{chr(code)}word {chr(code)}{chr(code)} end"
        assert tokens.count(text) == len(_PIECE.findall(text)), repr(text)


def test_tokens_fill_an_event_as_if_it_were_written_for_each() -> None:
    """Marks that JSON has to escape arrive, in the tokens and in what stands around them."""
    texts = ("", 'x"\n', "\\", '""', "é")
    values: list[Any] = [{"model": 'a"', "delta": {"text": text}, "usage": None} for text in texts]
    blank, *events = [script.event(value, script.Kind.TOKEN, "delta") for value in values]
    assert script.filled(blank, texts[1:]) == events


def test_the_question_is_what_follows_the_last_mark() -> None:
    """Read from the end, a prompt has the same last ``Question:`` as read from its beginning."""
    rng = random.Random(7)
    mark = re.compile(r"^[ \t]*(?:#+[ \t]*)?question[ \t]*:[ \t]*", re.MULTILINE | re.IGNORECASE)
    parts = ["Question:", "question :", "## QUE\u017fTION:", "\n", "\n\n", " ", "no question: this", "\r", "words"]
    for _ in range(1_000):
        text = "".join(rng.choices(parts, k=rng.randrange(9)))
        if marks := list(mark.finditer(text)):
            assert question_in([Turn("user", text)]) == text[marks[-1].end() :].strip(), repr(text)
