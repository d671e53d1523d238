"""Where one model's text goes on after another's: nothing is given out twice.

A model that is asked to continue a text mostly does. Some say the end of it again, and some begin from the start. The
seam holds the new text back until it is plain which of these it is, and lets through only what is new.
"""

from __future__ import annotations

__all__ = ["Seam"]

_LEAST_OVERLAP = 8
"""Fewer characters said again may be chance (" the", "\\n\\n- ")."""
_LONGEST_OVERLAP = 400
"""A model repeats the last sentence or two, not more; and text is not to be held back for long."""


class Seam:
    """Joins the text of a second answer to that of a first one.

    Args:
        given: the text that was given out.
    """

    __slots__ = ("_given", "_held", "_open")

    def __init__(self, given: str) -> None:
        self._given = given
        self._held = ""
        self._open = bool(given)

    @property
    def undecided(self) -> bool:
        """Whether text may still be held back."""
        return self._open

    def push(self, text: str) -> str:
        """What of ``text``, and of what was held back before, can be given out now."""
        if not self._open:
            return text
        self._held += text
        if self._may_repeat():
            return ""
        return self.finish()

    def finish(self) -> str:
        """Nothing follows, or it is plain what the new text is: what of it is new."""
        held, self._held, self._open = self._held, "", False
        fresh = held[self._repeated(held) :]
        if self._given[-1:].isspace() and not self._repeated(held):
            fresh = fresh.lstrip()  # some providers take no prefix that ends in a blank, so the model writes it again
        return fresh

    def _may_repeat(self) -> bool:
        """Whether more text could still turn what is held into a repetition."""
        held = self._held.lstrip()
        if not held:
            return True
        if self._given.lstrip().startswith(held):  # it begins from the start, so far
            return True
        if self._restarted(held):
            return False
        # it says the end again, so far: what is held lies inside the last stretch, and goes on to its end
        tail = self._given[-_LONGEST_OVERLAP:]
        return len(held) < len(tail) and held in tail

    def _restarted(self, held: str) -> bool:
        given = self._given.strip()
        return len(given) >= _LEAST_OVERLAP and held.startswith(given)

    def _repeated(self, text: str) -> int:
        """How many characters at the beginning of ``text`` were given out before."""
        blanks = len(text) - len(text.lstrip())
        held = text[blanks:]
        given = self._given.strip()
        if self._restarted(held):
            return blanks + len(given) + self._trailing(held[len(given) :])
        if len(held) >= _LEAST_OVERLAP and given.startswith(held):
            return len(text)  # it began from the start, and ended before it got to anything new
        tail = self._given[-_LONGEST_OVERLAP:].rstrip()
        for size in range(min(len(tail), len(held)), _LEAST_OVERLAP - 1, -1):
            if tail.endswith(held[:size]):
                return blanks + size + self._trailing(held[size:])
        return 0

    def _trailing(self, rest: str) -> int:
        """The blanks at the joint that were given out already."""
        return len(rest) - len(rest.lstrip()) if self._given[-1:].isspace() else 0
