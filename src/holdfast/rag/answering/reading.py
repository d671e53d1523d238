"""Reads what a model writes, as it comes: what may be shown already, and whether it is an answer at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.answering.addresses import AddressesOf
from holdfast.rag.answering.links import LinkGuard
from holdfast.rag.answering.marking import Marks
from holdfast.rag.answering.prompting import is_unknown, may_be_unknown
from holdfast.rag.answering.supporting import Support

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.rag.types import Hit

__all__ = ["AnswerReader"]


class AnswerReader:
    """A model's text in, an answer's text out.

    What begins like "I don't know" is held back, for the service says that in its own words. Marks of citations are
    checked, see :class:`Marks`, and so are links, see :class:`LinkGuard`.

    Args:
        hits: the passages that the prompt held.
        question: the question, whose addresses may come back.

    Attributes:
        text: what was given out so far.
        marks: the citations so far.
        links: the links so far.
        unknown: whether the model says that it does not know; known after :meth:`finish`.
    """

    def __init__(self, hits: Sequence[Hit], question: str = "") -> None:
        self.text = ""
        self.marks = Marks(len(hits), Support(hits))
        self.links = LinkGuard(AddressesOf(_texts(question, hits)))
        self.unknown = False
        self._beginning = ""
        self._begun = False

    def push(self, raw: str) -> str:
        """What can be shown after ``raw`` has come, too."""
        if not raw:  # streams begin and end with such pieces
            return ""
        if not self._begun:
            raw = self._beginning = self._beginning + raw
            if may_be_unknown(raw):
                return ""
            self._begun = True
        return self._give(self.links.push(self.marks.push(raw)))

    def finish(self) -> str:
        """The rest that can be shown; nothing when the model does not know."""
        rest = "" if self._begun else self.marks.push(self._beginning)
        rest += self.marks.finish()
        if not self._begun and is_unknown(self._beginning) and not self.marks.cited:
            self.unknown = True
            return ""
        # the links come last: taking a mark out may put together what was apart
        return self._give(self.links.push(rest) + self.links.finish())

    def _give(self, piece: str) -> str:
        piece = piece if self.text else piece.lstrip()
        self.text += piece
        return piece


def _texts(question: str, hits: Sequence[Hit]) -> Iterator[str]:
    """Where an address may come from."""
    yield question
    for hit in hits:
        yield hit.stored.chunk.text
        yield hit.stored.uri
