"""What a token is here: a piece of at most six letters with the blanks before it, about four characters of English.

The pieces of an answer are what a stream sends one by one, so the count in ``usage`` is the number of pieces, streamed
or not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["count", "pieces_of"]

_SHORT = 100_000
_LINE = 1_000
_LONGEST = 6
_PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")
_SOLID = re.compile(r"\w{1,6}|[^\w\s]")
"""A piece without the blanks before it."""
_KINDS = {code: "w" if re.match(r"\w", chr(code)) else " " if chr(code).isspace() else "." for code in range(128)}
"""Of each character of ASCII, whether it is of a word, blank, or a token by itself."""


def pieces_of(text: str) -> Sequence[str]:
    """``text`` in tokens; put together again they are ``text``."""
    return _pieces_again(text) if len(text) <= _LINE else _PIECE.findall(text)


@lru_cache(1_024)
def _pieces_again(text: str) -> tuple[str, ...]:
    """The same answers are given again."""
    return tuple(_PIECE.findall(text))


def count(text: str) -> int:
    """How many tokens ``text`` has."""
    lines = text.split("\n")
    short = len(text) <= _LINE or max(map(len, lines)) <= _LINE
    solid = sum(map(_counted if short else _count, lines))
    return solid + text[-1:].isspace()  # blanks belong to what follows them; only those at the end are a token


def _count(text: str) -> int:
    """The tokens of ``text`` that are not blank."""
    if len(text) > _SHORT:
        return sum(1 for _ in _SOLID.finditer(text))  # without the memory of the tokens
    if not text.isascii():
        return len(_SOLID.findall(text))
    # A quarter of the time: blanks are put around the tokens, and only then they are taken apart.
    kinds = text.translate(_KINDS).replace("w" * _LONGEST, "w ").replace(".", " . ")
    return len(kinds.split())


_counted = lru_cache(8_192)(_count)
"""Passages come again, in prompts that differ elsewhere: their lines, each of at most 1,000 characters."""
