"""The marks ``[n]`` with which a model cites, read as its text comes: checked, and numbered as a reader meets them.

A model counts passages as the prompt numbers them, and may name one that is not there. A reader sees ``[1]``, ``[2]``,
... in the order in which passages are first cited. A mark is held back until it is complete, so that none that was
shown has to be taken back. In code, ``[0]`` is no mark.
"""

from __future__ import annotations

import re

__all__ = ["Marks"]

_SPACES = 8
_INSIDE = 40

_SPECIAL = re.compile(rf"[ \t]{{0,{_SPACES}}}\[|`+|\n")
_MARK = re.compile(r"([ \t]*)\[[ \t]*(\d{1,4}(?:[ \t]*[,;][ \t]*\d{1,4})*)[ \t]*\]")
_BEGUN = re.compile(rf"[ \t]*\[[\d,; \t]{{0,{_INSIDE}}}\Z")
_FENCE = 3  # backticks


class Marks:
    """Text in, text with checked and renumbered marks out.

    Args:
        passages: how many there are; they count from 1.

    Attributes:
        cited: the passages that were cited, by the prompt's numbers, in the order of their new ones.
        removed: marks of passages that do not exist; they are left out, with the space before them.
    """

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = self._white = ""
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
        self._held = ""
        out: list[str] = []
        place = 0
        while special := _SPECIAL.search(text, place):
            out.append(text[place : special.start()])
            found, place = special[0], special.end()
            if found == "\n":
                self._in_line_code = False
                out.append(found)
            elif found[0] == "`":
                if place == len(text) and not last:
                    place = special.start()  # more of them may come
                    break
                self._code(len(found))
                out.append(found)
            elif self._in_line_code or self._in_fence:
                out.append(found)
            elif (mark := _MARK.match(text, special.start())) and mark.end() - place <= _INSIDE + 1:
                out.append(self._mark(mark[1], mark[2]))
                place = mark.end()
            elif not last and _BEGUN.match(text, special.start()):
                place = special.start()
                break
            else:
                out.append(found)
        rest = text[place:]
        if not special and not last:
            blank = max(len(rest.rstrip(" \t")), len(rest) - _SPACES)  # it goes with a mark that is left out
            out.append(rest[:blank])
            self._held = rest[blank:]
        elif last:
            out.append(rest)
        else:
            self._held = rest
        return "".join(out)

    def _code(self, ticks: int) -> None:
        if ticks >= _FENCE:
            self._in_fence, self._in_line_code = not self._in_fence, False
        elif not self._in_fence:
            self._in_line_code = not self._in_line_code

    def _mark(self, space: str, numbers: str) -> str:
        written = []
        for number in map(int, re.findall(r"\d+", numbers)):
            if not 1 <= number <= self._passages:
                self.removed += 1
                continue
            if number not in self.cited:
                self.cited.append(number)
            written.append(f"[{self.cited.index(number) + 1}]")
        return space + "".join(written) if written else ""
