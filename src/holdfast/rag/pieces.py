"""The pieces that chunks are packed from: blocks, and parts of the blocks that are too long for one chunk."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from holdfast.rag.blocks import Block, Kind
from holdfast.rag.packing import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.rag.types import Span

__all__ = ["pieces"]

TINY = 60
"""Characters; pieces smaller than this are joined with the next one while both have at most twice as many: keeps the
number of pieces, and with it the time for packing, in proportion to the text."""

AFTER_HEADING = 4.0
AFTER_TABLE_HEAD = 2.0
INSIDE_WORDS = 1.5
INSIDE_CODE = 1.5
INSIDE_PARAGRAPH = 1.0
AFTER_COLON = 0.8
INSIDE_ITEM = 0.6
BETWEEN_ROWS = 0.3
BEFORE_CODE = 0.25
BETWEEN_ITEMS = 0.15
"""What cuts cost; a passage of half the target size costs 0.25."""


def pieces(text: str, blocks: Sequence[Block], spans: Sequence[Span], *, largest: int) -> list[Piece]:
    """The pieces of a section's blocks, in order: disjoint, none longer than ``largest``, only white space between.

    Args:
        text: the document's text.
        blocks: at least one.
        spans: the sentences of the blocks: a paragraph that is too long is cut where they begin.
        largest: characters.
    """
    starts = [span.start for span in spans]
    joined: list[Piece] = []
    previous: Block | None = None
    for block in blocks:
        for number, part in enumerate(_parts(text, block, starts, largest)):
            piece = part if number else Piece(part.start, part.end, _cost(text, previous, block))
            last = joined[-1] if joined else None
            if last is not None and last.end - last.start < TINY and piece.end - last.start <= min(2 * TINY, largest):
                joined[-1] = Piece(last.start, piece.end, last.cut)
            else:
                joined.append(piece)
        previous = block
    return joined


def _cost(text: str, previous: Block | None, block: Block) -> float:  # noqa: PLR0911 - a table of cases
    """What it costs to cut between two blocks."""
    if previous is None:
        return 0.0
    if previous.kind is Kind.HEADING:
        return AFTER_HEADING
    if previous.kind is Kind.TABLE_HEAD:
        return AFTER_TABLE_HEAD
    if previous.kind is Kind.ROW and block.kind is Kind.ROW:
        return BETWEEN_ROWS
    if text.endswith(":", previous.start, previous.end):
        return AFTER_COLON
    if previous.item >= 0 and previous.item == block.item:
        return INSIDE_ITEM
    if previous.item >= 0 and block.item >= 0:
        return BETWEEN_ITEMS
    if block.kind is Kind.CODE:
        return BEFORE_CODE
    return 0.0


def _parts(text: str, block: Block, sentence_starts: Sequence[int], largest: int) -> Iterator[Piece]:
    """A block as it is, or cut into parts of which none is longer than ``largest``."""
    start = _skip(text, block.start, block.end)
    if block.kind is Kind.CODE and block.end - block.start <= largest:
        start = block.start  # its indentation makes it code
    if block.end - start <= largest:
        yield Piece(start, block.end, 0.0)
        return
    if block.kind in {Kind.PARAGRAPH, Kind.HTML}:
        bounds = sentence_starts[bisect_right(sentence_starts, start) : bisect_left(sentence_starts, block.end)]
        inside = INSIDE_PARAGRAPH
    else:
        bounds = _line_starts(text, start, block.end)
        inside = INSIDE_CODE
    for end in [*bounds, block.end]:
        start, cost = _skip(text, start, end), inside
        for first, last in _cut(text, start, end, largest):
            yield Piece(first, last, cost)
            cost = INSIDE_WORDS
        start = end


def _line_starts(text: str, start: int, end: int) -> list[int]:
    found = []
    at = text.find("\n", start, end)
    while at >= 0:
        found.append(at + 1)
        at = text.find("\n", at + 1, end)
    return found


def _cut(text: str, start: int, end: int, largest: int) -> Iterator[tuple[int, int]]:
    """What is between ``start`` and ``end`` in parts of at most ``largest`` characters, cut between words if it can."""
    end = start + len(text[start:end].rstrip())
    while end - start > largest:
        cut = _last_space(text, start, start + largest)
        yield start, start + len(text[start:cut].rstrip())
        start = _skip(text, cut, end)
    if end > start and not text[start:end].isspace():
        yield start, end


def _last_space(text: str, start: int, end: int) -> int:
    """The last white space in the second half of a range; else its end, moved back out of a composed character."""
    for at in range(end, start + (end - start) // 2, -1):
        if text[at].isspace():
            return at
    at = end
    while at > start + 1 and end - at < 32 and (_joins(text[at]) or text[at - 1] == "\u200d"):
        at -= 1
    return at


def _joins(character: str) -> bool:
    """Whether a character is one with what stands before it: accents, variation selectors, joiners, skin tones."""
    return character == "\u200d" or unicodedata.category(character) in {"Mn", "Mc", "Me", "Sk"}


def _skip(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start
