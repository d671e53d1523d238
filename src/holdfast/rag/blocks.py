"""The block structure of a text: headings, paragraphs, list items, table rows, code, as ranges of characters.

Markdown is parsed by markdown-it-py (CommonMark with tables), its block level only: what matters here is where a block
begins and ends. Its nesting limit keeps it linear on hostile input; what it drops below that limit, and what it keeps
no token for (link definitions), is put back here, so that every character that is not white space belongs to a block.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from markdown_it import MarkdownIt

from holdfast.rag.types import Mime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

__all__ = ["Block", "Kind", "blocks"]

PIECE_LINES = 20_000
"""Lines that are parsed at once: bounds the memory that tokens take."""

MAX_HEADING = 250
"""Characters; a longer "heading" is a paragraph that happens to stand above a line of dashes."""


class Kind(Enum):
    """What a block is."""

    HEADING = auto()
    PARAGRAPH = auto()
    TABLE_HEAD = auto()
    """A table's header row with the row of dashes under it."""
    ROW = auto()
    CODE = auto()
    HTML = auto()
    RULE = auto()
    DEFINITION = auto()
    """Link definitions, ``[label]: address``."""


class Block(NamedTuple):
    """A leaf of the block structure.

    Attributes:
        start: the start of its first line, list and quote markers included.
        body: where its own text begins, after the markers.
        end: the end of its last line that is not blank.
        level: 1 to 6 for a heading that stands at the top, 0 for anything else.
        depth: how many lists it is in.
        item: the number of the outermost list item that it is in, counted through the document; -1 outside of lists.
    """

    kind: Kind
    start: int
    body: int
    end: int
    level: int = 0
    depth: int = 0
    item: int = -1


class _Lines(NamedTuple):
    """A token's range of lines with what :class:`Block` needs to know."""

    kind: Kind
    first: int
    last: int
    level: int
    depth: int
    item: int
    nested: bool


_PARSER = MarkdownIt("commonmark").enable("table")
_MARKERS = re.compile(r"(?:[ \t]*(?:>|(?:[-+*]|\d{1,9}[.)])(?=[ \t])))*+[ \t]*+(?:\[[ xX]\][ \t]+)?")
_INDENT = re.compile(r"[ \t]*")
_DEFINITION = re.compile(r"[ \t>]*\[[^\]\n]{1,999}\]:")
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_NEWLINE = re.compile("\n")


def blocks(text: str, mime: Mime) -> Iterator[Block]:
    """The blocks of ``text`` in order: disjoint, and together covering everything but white space.

    In plain text a block is a paragraph: lines without a blank line between them.
    """
    starts = [0, *(match.end() for match in _NEWLINE.finditer(text)), len(text) + 1]
    ranges = _markdown(text, starts) if mime is Mime.MARKDOWN else _plain(text, starts, 0, len(starts) - 1)
    for lines in ranges:
        block = _block(text, starts, lines)
        if block is not None:
            yield block


def _block(text: str, starts: list[int], lines: _Lines) -> Block | None:
    start = starts[lines.first]
    end = start + len(text[start : starts[lines.last] - 1].rstrip())
    while start < end and not text[start : starts[lines.first + 1] - 1].strip():  # blank lines before the first word
        lines = lines._replace(first=lines.first + 1)
        start = starts[lines.first]
    if start >= end:
        return None
    markers = (_MARKERS if lines.nested else _INDENT).match(text, start, end)
    body = markers.end() if markers else start
    kind, level = lines.kind, lines.level
    if kind is Kind.HEADING and end - body > MAX_HEADING:
        kind, level = Kind.PARAGRAPH, 0
    return Block(kind, start, min(body, end), end, level, lines.depth, lines.item)


def _plain(text: str, starts: list[int], first: int, last: int) -> Iterator[_Lines]:
    """Lines ``first`` to ``last`` as paragraphs; in Markdown: the lines that no token stands for."""
    begun = -1
    for line in range(first, last):
        if not text[starts[line] : starts[line + 1] - 1].strip():
            if begun >= 0:
                yield _Lines(Kind.PARAGRAPH, begun, line, 0, 0, -1, nested=False)
            begun = -1
        elif begun < 0:
            begun = line
    if begun >= 0:
        yield _Lines(Kind.PARAGRAPH, begun, last, 0, 0, -1, nested=False)


def _markdown(text: str, starts: list[int]) -> Iterator[_Lines]:
    items = 0
    for first, last in _pieces(text, starts):
        tokens: list[Token] = []
        _PARSER.block.parse(text[starts[first] : starts[last] - 1], _PARSER, {}, tokens)
        done = first
        for leaf in _leaves(tokens, first, items):
            begin = max(leaf.first, done)
            yield from _gap(text, starts, done, begin)
            if leaf.last > begin:
                yield leaf._replace(first=begin)
                done = leaf.last
            items = max(items, leaf.item + 1)
        yield from _gap(text, starts, done, last)


def _gap(text: str, starts: list[int], first: int, last: int) -> Iterator[_Lines]:
    for lines in _plain(text, starts, first, last):
        if _DEFINITION.match(text, starts[lines.first], starts[lines.last] - 1):
            yield lines._replace(kind=Kind.DEFINITION)
        else:
            yield lines._replace(nested=True)


def _pieces(text: str, starts: list[int]) -> Iterator[tuple[int, int]]:
    """Ranges of lines that are parsed one after the other: cut at a heading or a blank line outside of code."""
    total = len(starts) - 1
    first = 0
    while total - first > PIECE_LINES:
        cut = _cut(text, starts, first, first + PIECE_LINES)
        yield first, cut
        first = cut
    yield first, total


def _cut(text: str, starts: list[int], first: int, last: int) -> int:
    """The last line of the range's second half at which a new piece may begin; the range's end if there is none."""
    fence = ""
    best = last
    for line in range(first, last):
        match = _FENCE.match(text, starts[line], starts[line + 1] - 1)
        if match:
            mark = match[1]
            if not fence:
                fence = mark
            elif mark[0] == fence[0] and len(mark) >= len(fence):
                fence = ""
        elif (
            not fence
            and line > (first + last) // 2
            and text[starts[line] : starts[line] + 1] not in ("", " ", "\t", "\n")
        ):
            previous = text[starts[line - 1] : starts[line] - 1]
            if not previous.strip():
                best = line
    return best


_LEAVES = {
    "heading_open": Kind.HEADING,
    "paragraph_open": Kind.PARAGRAPH,
    "thead_open": Kind.TABLE_HEAD,
    "tr_open": Kind.ROW,
    "fence": Kind.CODE,
    "code_block": Kind.CODE,
    "html_block": Kind.HTML,
    "hr": Kind.RULE,
}


def _leaves(tokens: list[Token], offset: int, items: int) -> Iterator[_Lines]:
    """The leaf blocks of a parse, in order; ``items`` is the number of the next list item at the top."""
    lists = quotes = 0
    item = items - 1
    in_head = False
    for token in tokens:
        name = token.type
        if name == "list_item_open":
            lists += 1
            item += lists == 1
        elif name == "list_item_close":
            lists -= 1
        elif name in {"blockquote_open", "blockquote_close"}:
            quotes += token.nesting
        elif name == "thead_close":
            in_head = False
        kind = _LEAVES.get(name)
        if kind is None or token.map is None or (kind is Kind.ROW and in_head):
            continue
        first, last = token.map
        if kind is Kind.TABLE_HEAD:
            in_head = True
            last = first + 2  # the row of dashes has no token
        nested = bool(lists or quotes)
        level = int(token.tag[1]) if kind is Kind.HEADING and not nested else 0
        yield _Lines(kind, offset + first, offset + last, level, lists, item if lists else -1, nested)
