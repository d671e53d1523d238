"""Tokens and vectors are the same whether a text is taken whole or put together from what is remembered of it."""

from __future__ import annotations

import random
import re

from holdfast.lab.simulator import answers, tokens, vectors
from holdfast.lab.simulator.prompt import Prompt, Turn
from holdfast.lab.simulator.reading import Passage

_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")


def test_lines_add_up_to_their_text() -> None:
    """A text has as many tokens as its lines have, whatever blanks stand between them."""
    rng = random.Random(5)
    parts = ["word", "longerword", " ", "\n", "\n\n", " \n", "\n ", "\t", ".", "é", "\r\n", "[1]", "x" * 1_200]
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
    answers._best_again.cache_clear()
    for length in (1, 1_000):
        text = "Refunds take five days. " * length
        passages = (Passage("1", text),)
        asked = answers._stems("How long do refunds take?")
        assert answers._best(passages, asked)[0] == (passages[0], "Refunds take five days.")
        prompt = Prompt(model="m", turns=[Turn("user", f"[1] {text}\n\nQuestion: How long do refunds take?")])
        assert answers.answer(prompt).text.startswith("Refunds take five days [1].")
    assert answers._best_again.cache_info().currsize == 1
