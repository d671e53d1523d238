"""Whether a passage that a model cites can be the one that it means.

Nobody can tell from words alone whether a passage says what a statement says. But a statement that shares no word with
the passage it names, and half of its words with another one, has the wrong number, or an invented one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from holdfast.rag.answering.terms import question_stems, stems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.types import Hit

__all__ = ["Support", "statement_at_end"]

_FEWEST_WORDS = 3
"""A statement of fewer words tells nothing."""
_MEANT_SHARE = 0.5
_PASSAGES = 512
"""Passages whose words are remembered: some 10 MB at most."""

_MARKS_AT_END = re.compile(r"(?:\[\d+\]\s*)+\Z")
_STATEMENT_END = re.compile(r"[.!?:\n\[](?:(?<=[.!?:])\s+|(?<=\n)\n*|(?<=\[)\d+\](?!\[))")
"""A mark of punctuation before white space, line ends, or the last of some marks. That all begin with one class of
characters makes the search several times as quick."""


def statement_at_end(text: str) -> str:
    """The statement that ``text`` ends with, back to the end of the statement before; marks at its end do not count."""
    before = _MARKS_AT_END.sub("", text) if text.rstrip().endswith("]") else text
    for match in reversed(list(_STATEMENT_END.finditer(before))):
        statement = before[match.end() :]
        if statement.strip(" .!?,;"):
            return statement
    return before


class Support:
    """Compares statements with the passages of a prompt.

    Args:
        hits: the passages; they count from 1.
    """

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._hits = hits

    def __call__(self, statement: str, number: int) -> bool:
        """Whether passage ``number`` may say this: False only when it cannot, and another one does.

        Statements in another language than the passages share no words with any of them, and are taken as they are.
        """
        said = frozenset(question_stems(statement))
        if len(said) < _FEWEST_WORDS or said & self._words(number):
            return True
        others = (self._words(other) for other in range(1, len(self._hits) + 1) if other != number)
        return not any(len(said & words) >= _MEANT_SHARE * len(said) for words in others)

    def _words(self, number: int) -> frozenset[str]:
        stored = self._hits[number - 1].stored
        return _words_of(stored.title, stored.chunk.heading, stored.chunk.text)


@lru_cache(_PASSAGES)
def _words_of(title: str, heading: str, text: str) -> frozenset[str]:
    """The same passages are cited in many answers."""
    return stems(f"{title} {heading} {text}")
