"""Tokens and vectors are the same whether a text is taken whole or put together from what is remembered of it."""

from __future__ import annotations

import random
import re

from holdfast.lab.simulator import tokens

_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")


def test_lines_add_up_to_their_text() -> None:
    """A text has as many tokens as its lines have, whatever blanks stand between them."""
    rng = random.Random(5)
    parts = ["word", "longerword", " ", "\n", "\n\n", " \n", "\n ", "\t", ".", "é", "\r\n", "[1]", "x" * 1_200]
    for _ in range(2_000):
        text = "".join(rng.choices(parts, k=rng.randrange(12)))
        assert tokens.count(text) == len(_PIECE.findall(text)) == len(tokens.pieces_of(text)), text
