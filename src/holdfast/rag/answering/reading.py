"""Reads what a model writes, as it comes: what may be shown already, and whether it is an answer at all."""

from __future__ import annotations

from holdfast.rag.answering.marking import Marks
from holdfast.rag.answering.prompting import is_unknown, may_be_unknown

__all__ = ["AnswerReader"]


class AnswerReader:
    """A model's text in, an answer's text out.

    What begins like "I don't know" is held back, for the service says that in its own words. Marks of citations are
    checked, see :class:`Marks`.

    Args:
        passages: how many the prompt held.

    Attributes:
        text: what was given out so far.
        marks: the citations so far.
        unknown: whether the model says that it does not know; known after :meth:`finish`.
    """

    def __init__(self, passages: int) -> None:
        self.text = ""
        self.marks = Marks(passages)
        self.unknown = False
        self._beginning = ""
        self._begun = False

    def push(self, raw: str) -> str:
        """What can be shown after ``raw`` has come, too."""
        if not self._begun:
            raw = self._beginning = self._beginning + raw
            if may_be_unknown(raw):
                return ""
            self._begun = True
        return self._give(self.marks.push(raw))

    def finish(self) -> str:
        """The rest that can be shown; nothing when the model does not know."""
        rest = "" if self._begun else self.marks.push(self._beginning)
        rest += self.marks.finish()
        if not self._begun and is_unknown(self._beginning) and not self.marks.cited:
            self.unknown = True
            return ""
        return self._give(rest)

    def _give(self, piece: str) -> str:
        piece = piece if self.text else piece.lstrip()
        self.text += piece
        return piece
