"""What an extractive answer may quote of a text: sentences, list items, table rows, code blocks.

Headings, table heads, rules, link definitions, includes and the fences of admonitions are not quoted: they say nothing
by themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.rag.blocks import Block, Kind, blocks
from holdfast.rag.segmenter import sentences
from holdfast.rag.types import Mime, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_CODE", "MAX_ITEM", "block_spans", "sentence_spans"]

MAX_ITEM = 300
"""Characters of a list item's paragraph that is one span; a longer one is quoted by sentences."""

MAX_CODE = 1_000
"""Characters of a code block that are quoted; of a longer one, the whole lines that fit."""

MIN_WIDTH = 35
"""Characters: no page and no column is narrower, so shorter lines were not cut to its width."""

_DIRECTIVE = re.compile(
    r"^[ \t>]*(?:"
    r"(?:/{3,}|:{3,}|!{3}|\?{3}|\[!\w{1,20}\]|\.\. [\w-]{1,40}::).*"
    r"|\{[{%*#].*[}%*#]\}[ \t]*"
    r"|(?:import|export)\b[^\n'\"]{0,200}\bfrom ['\"].*"
    r")$",
    re.MULTILINE,
)
"""Lines for a site generator: admonitions (``///``, ``:::``, ``!!!``, ``[!NOTE]``, ``.. note::``), includes and
template tags that fill a line, imports of MDX."""

_HARD_BREAK = re.compile(r"(?:(?<![ ])[ ]{2,}+|\\)\n|<br\s{0,5}/?>", re.IGNORECASE)
_MARKUP = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`{1,9})(?!`)(?:[^`]|(?<!`)(?!(?P=ticks)(?!`))`+){1,400}?(?P=ticks)(?!`))"
    r"|(?P<link>(?:\[[^\[\]\n]{0,300})?\](?:\([^()\n]{0,500}(?:\([^()\n]{0,500}\)[^()\n]{0,500})?\)|\[[^\]\n]{0,200}\]))"
    r"|(?P<tag><!--(?:[^-<]|-(?!->)|<(?!!--)){0,2000}+-->|<[a-zA-Z/!][^<>]{0,1000}>)"
    r"|(?P<prefix>\n[ \t]*(?:>[ \t]?)+)"
)
_STOP_INSIDE = re.compile(r"[.!?\u2026](?=.)", re.DOTALL)
_WORD = re.compile(r"[^\W_]")
_FENCE = re.compile(r"[ \t>]*+(?:[-+*]|\d{1,9}[.)])?[ \t]*+(?:`{3,}|~{3,})")
_BULLET = re.compile(r"[ \t]*+(?:[-+*•‣▪–—]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]+")


def sentence_spans(text: str, mime: Mime) -> list[Span]:
    """The spans of ``text`` that may be quoted, in order and disjoint; none is blank or without a letter or digit.

    A paragraph gives its sentences; a list item's paragraph is one span when it is short; a table row is one span, and
    so is a code block, fences included.
    """
    return [span for block in blocks(text, mime) for span in block_spans(text, block, mime)]


def block_spans(text: str, block: Block, mime: Mime) -> list[Span]:
    """The spans of one block."""
    match block.kind:
        case Kind.PARAGRAPH if mime is Mime.PLAIN:
            ranges: Iterable[tuple[int, int]] = _plain(text, block)
        case Kind.PARAGRAPH:
            ranges = _prose(text, block)
        case Kind.HTML:
            ranges = _marked_up(text, block)
        case Kind.ROW:
            ranges = [(block.body, block.end)]
        case Kind.CODE:
            ranges = _code(text, block)
        case _:
            ranges = ()
    return [Span(start, end) for start, end in ranges if _WORD.search(text, start, end)]


def _prose(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """A Markdown paragraph."""
    if block.depth and block.end - block.body <= MAX_ITEM and not _DIRECTIVE.search(text, block.start, block.end):
        yield block.body, block.end
        return
    yield from _marked_up(text, block)


def _marked_up(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """Sentences of text with inline markup; that is hidden from the segmenter: a full stop in it ends nothing."""
    shift = block.body
    masked = _MARKUP.sub(_mask, text[shift : block.end])
    for start, end in _runs(text, block):
        for sentence_start, sentence_end in sentences(masked, start - shift, end - shift):
            if _WORD.search(masked, sentence_start, sentence_end):
                yield sentence_start + shift, sentence_end + shift


def _mask(match: re.Match[str]) -> str:
    """As many characters, with the same meaning to the segmenter."""
    length = len(match[0])
    match match.lastgroup:
        case "link":
            shown = match[0].partition("]")[0]  # its last character may end the sentence, and what follows closes that
            return _STOP_INSIDE.sub("x", shown) + "]" * (length - len(shown))
        case "tag":
            return " " * length
        case "prefix":
            return "\n" + " " * (length - 1)
        case _:
            return "X" * length  # code can begin a sentence


def _runs(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """The parts of a block between hard line breaks and lines that are directives."""
    breaks = [match.span() for match in _HARD_BREAK.finditer(text, block.body, block.end)]
    breaks += [match.span() for match in _DIRECTIVE.finditer(text, block.start, block.end)]
    begun = block.body
    for start, end in sorted(breaks):
        if start > begun:
            yield begun, start
        begun = max(begun, end)
    if begun < block.end:
        yield begun, block.end


def _code(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """A code block as one span; the first lines of a long one; nothing when only its fences have words."""
    start = block.body if _FENCE.match(text, block.start, block.end) else block.start
    end = block.end
    if end - start > MAX_CODE:
        end = max(text.rfind("\n", start, start + MAX_CODE), start)
    content = _DIRECTIVE.sub("", text[start:end])
    if _FENCE.match(content):
        content = content.partition("\n")[2]
    if _WORD.search(content):
        yield start, end


def _plain(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """A paragraph of plain text: sentences, once it is known which line ends are there for the page's width only."""
    lines = text[block.start : block.end].split("\n")
    width = max(MIN_WIDTH, *map(len, lines))
    begun = at = block.start
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        at += len(line) + 1
        if at > block.end or not _wrapped(line, following, width):
            yield from sentences(text, begun, min(at - 1, block.end))
            begun = at


def _wrapped(line: str, following: str, width: int) -> bool:
    """Whether the line goes on in the following one: its first word would not have fitted, or is in lower case."""
    if _BULLET.match(following) or not _WORD.search(line):
        return False
    word = following.split(None, 1)[0] if following.strip() else ""
    return word[:1].islower() or len(line.rstrip()) + 1 + len(word) > 0.9 * width
