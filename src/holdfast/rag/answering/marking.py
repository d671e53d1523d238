"""The marks ``[n]`` with which a model cites, read as its text comes: checked, and numbered as a reader meets them.

A model counts passages as the prompt numbers them, and may name one that is not there, or that says something else. A
reader sees ``[1]``, ``[2]``, ... in the order in which passages are first cited. A mark is held back until it is
complete, so that none that was shown has to be taken back. In code, ``[0]`` is no mark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.rag.answering.supporting import statement_at_end

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Marks"]

_SPACES = 8
_INSIDE = 40
_REMEMBERED = 1_000
"""Characters before a mark in which the statement that it stands behind is looked for."""

_SPECIAL = re.compile(r"[\[\n`](?:(?<=`)`+)?")
"""An opening bracket, a line end or a run of backticks. That all begin with one class of characters makes the search
several times as quick."""
_NUMBER = re.compile(r"\d+")
_MARK = re.compile(r"([ \t]*)\[[ \t]*(\d{1,4}(?:[ \t]*[,;][ \t]*\d{1,4})*)[ \t]*\]")
_BEGUN = re.compile(rf"[ \t]*\[[\d,; \t]{{0,{_INSIDE}}}\Z")
_FENCE = 3  # backticks


class Marks:
    """Text in, text with checked and renumbered marks out.

    Args:
        passages: how many there are; they count from 1.
        supports: whether a passage, by its number, may say a statement; None: nobody asks.

    Attributes:
        cited: the passages that were cited, by the prompt's numbers, in the order of their new ones.
        removed: marks of passages that do not exist, or do not say so; they are left out, with the space before them.
    """

    def __init__(self, passages: int, supports: Callable[[str, int], bool] | None = None) -> None:
        self._passages = passages
        self._supports = supports
        self._held = self._white = self._said = self._gap = ""
        self._in_line_code = self._in_fence = False
        self.cited: list[int] = []
        self.removed = 0

    def push(self, text: str) -> str:
        """What can be given out after ``text`` has come, too."""
        read = self._white + self._drain(text, last=False)
        end = max(len(read.rstrip()), len(read) - _SPACES)
        self._white = read[end:]  # the answer may end here
        return read[:end]

    def finish(self) -> str:
        """What was held back to the end, without white space."""
        return (self._white + self._drain("", last=True)).rstrip()

    def _drain(self, text: str, *, last: bool) -> str:
        text = self._held + text
        if not text:
            return ""
        self._held = ""
        out: list[str] = []
        place = 0
        while special := _SPECIAL.search(text, place):
            start = _blanks_before(text, place, special.start()) if special[0] == "[" else special.start()
            out.append(self._plain(text[place:start]))
            found, place = text[start : special.end()], special.end()
            if found == "\n":
                self._in_line_code = False
                out.append(self._plain(found))
            elif found[0] == "`":
                if place == len(text) and not last:
                    place = start  # more of them may come
                    break
                self._code(len(found))
                out.append(self._plain(found))
            elif self._in_line_code or self._in_fence:
                out.append(self._plain(found))
            elif (mark := _MARK.match(text, start)) and mark.end() - place <= _INSIDE + 1:
                out.append(self._mark(mark[1], mark[2], self._said + "".join(out)))
                place = mark.end()
            elif not last and _BEGUN.match(text, start):
                place = start
                break
            else:
                out.append(self._plain(found))
        rest = text[place:]
        if not special and not last:
            blank = max(len(rest.rstrip(" \t")), len(rest) - _SPACES)  # it goes with a mark that is left out
            out.append(self._plain(rest[:blank]))
            self._held = rest[blank:]
        elif last:
            out.append(self._plain(rest))
        else:
            self._held = rest
        given = "".join(out)
        self._said = (self._said + given)[-_REMEMBERED:]
        return given

    def _plain(self, text: str) -> str:
        """Text that is none of what is looked for; it ends a run of marks."""
        self._gap = "" if text else self._gap
        return text

    def _code(self, ticks: int) -> None:
        if ticks >= _FENCE:
            self._in_fence, self._in_line_code = not self._in_fence, False
        elif not self._in_fence:
            self._in_line_code = not self._in_line_code

    def _mark(self, space: str, numbers: str, said: str) -> str:
        written: list[str] = []
        for number in map(int, _NUMBER.findall(numbers)):
            if not 1 <= number <= self._passages or not self._is_supported(said, number):
                self.removed += 1
                continue
            if number not in self.cited:
                self.cited.append(number)
            written.append(f"[{self.cited.index(number) + 1}]")
        # the space before a mark that is left out is that of the mark which follows at once
        space, self._gap = space or self._gap, "" if written else space or self._gap
        return space + "".join(written) if written else ""

    def _is_supported(self, said: str, number: int) -> bool:
        return self._supports is None or self._supports(statement_at_end(said), number)


def _blanks_before(text: str, start: int, end: int) -> int:
    """Where the blanks begin that ``text[start:end]`` ends with; at most so many as a mark may have before it."""
    return max(start + len(text[start:end].rstrip(" \t")), end - _SPACES)
