"""From a quoted piece of Markdown to the plain text that a person reads in an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from holdfast.rag.types import Mime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

    from holdfast.rag.types import Span

__all__ = ["header_of", "heading_text", "plain_text", "quoted_text", "row_cells", "row_text"]

MAX_FRAGMENT = 20_000
"""Characters of a fragment that are parsed; inline parsing of a longer one is left out, and its marks stay."""

_PARSER = MarkdownIt("commonmark").enable("strikethrough")
_SPECIAL = re.compile(r"[\\*_`\[\]<>&~!]")
_PREFIX = re.compile(
    r"[ \t]*(?:(?:>|[-+*]|\d{1,9}[.)])[ \t]+)*(?P<hashes>#{1,6}(?:[ \t]+|$))?"
    r"(?:\[[ xX]\][ \t]+)?(?:\[\^[^\]\s]{1,50}\]:[ \t]*)?"
)
_QUOTE = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_UNDERLINE = re.compile(r"\n[ \t]*(?:=+|-+)[ \t]*$")
_ATTRIBUTES = re.compile(r"(?<![ \t])[ \t]*+\{[ \t]*+[#.:][^{}\n]*+\}[ \t]*$")
_CLOSING_HASHES = re.compile(r"(?:^|(?<![ \t])[ \t]++)#++[ \t]*$")
_REFERENCE = re.compile(r"(?<!!)\[([^\[\]]{1,500})\]\[[^\[\]]{0,200}\]")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]{1,50}\]")
_FENCE = re.compile(r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)?(?P<mark>`{3,}|~{3,})[^\n]*\n?")
_ROW = re.compile(r"[ \t>]*\|.*\|[ \t]*")
_CELL_END = re.compile(r"(?<!\\)\|")
_OPEN, _CLOSE = "\ue000", "\ue001"
_BRACKETS = str.maketrans({"[": _OPEN, "]": _CLOSE})
_BRACKETS_BACK = str.maketrans({_OPEN: "[", _CLOSE: "]"})


def plain_text(fragment: str, mime: Mime = Mime.MARKDOWN) -> str:
    """``fragment`` as one line of plain text; a fenced code block as its lines.

    Links become their text, images their description; the marks of emphasis, code, quotes, lists and headings are
    dropped, and HTML tags with them; entities and backslash escapes become what they stand for; the cells of a table
    row are joined by semicolons. Plain text only has its white space evened out.
    """
    if mime is not Mime.MARKDOWN:
        return " ".join(fragment.split())
    fence = _FENCE.match(fragment)
    if fence:
        return _code(fragment, fence)
    if _ROW.fullmatch(fragment):
        return row_text(fragment)
    prefix = _PREFIX.match(fragment)
    if prefix is not None and prefix["hashes"]:
        return heading_text(fragment[prefix.end() :])
    return _inline(_QUOTE.sub("", fragment[prefix.end() if prefix else 0 :]))


def heading_text(source: str) -> str:
    """A heading as plain text, without hashes, underline and attributes such as ``{#anchor}``."""
    source = _UNDERLINE.sub("", source.rstrip()).lstrip(" \t").lstrip("#")
    return _inline(_CLOSING_HASHES.sub("", _ATTRIBUTES.sub("", source)))


def row_text(row: str, header: Sequence[str] = ()) -> str:
    """A table row as a clause for each cell: ``Service: Standard; Price: £3.95``.

    Args:
        row: its source, a line of a table.
        header: the names of the columns, as plain text. An empty name, and a column without one, gives the cell alone.
    """
    clauses = []
    for number, cell in enumerate(row_cells(row)):
        name = header[number].rstrip(":") if number < len(header) else ""
        if cell:
            clauses.append(f"{name}: {cell}" if name else cell)
    return "; ".join(clauses)


def row_cells(row: str) -> list[str]:
    """The cells of a table row as plain text."""
    line = _QUOTE.sub("", row).strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [_inline(cell.replace("\\|", "|")) for cell in _CELL_END.split(line)]


def header_of(text: str, span: Span) -> tuple[str, ...]:
    """The column names of the table that the row at ``span`` is in; empty when it is not a table's row.

    Args:
        text: the document's text, or a chunk's with the span counted from the chunk's start. When the table's head is
            not part of it, there are no names.
    """
    dashes_end = text.rfind("\n", 0, span.start)
    while dashes_end >= 0:
        dashes_start = text.rfind("\n", 0, dashes_end) + 1
        line = text[dashes_start:dashes_end]
        if "|" in line and "-" in line and not line.strip(" \t>|:-"):
            head_start = text.rfind("\n", 0, max(dashes_start - 1, 0)) + 1
            return tuple(row_cells(text[head_start : dashes_start - 1])) if dashes_start else ()
        if "|" not in line:
            return ()
        dashes_end = dashes_start - 1
    return ()


def quoted_text(text: str, span: Span, mime: Mime = Mime.MARKDOWN) -> str:
    """What stands at ``span``, as an answer shows it: as :func:`plain_text`, a table row with its column names.

    Args:
        text: the document's text, or a chunk's with the span counted from the chunk's start.
    """
    fragment = text[span.start : span.end]
    if mime is Mime.MARKDOWN and "|" in fragment and "\n" not in fragment:
        header = header_of(text, span)
        if header:
            return row_text(fragment, header)
    return plain_text(fragment, mime)


def _code(fragment: str, fence: re.Match[str]) -> str:
    lines = fragment[fence.end() :].split("\n")
    if lines and lines[-1].strip(" \t>").startswith(fence["mark"]):
        lines.pop()
    return "\n".join(lines).strip("\n")


def _inline(source: str) -> str:
    if _SPECIAL.search(source) and len(source) <= MAX_FRAGMENT:
        (token,) = _PARSER.parseInline(source)
        joined = "".join(_pieces(token.children or ()))
        joined = _REFERENCE.sub(r"\1", _FOOTNOTE.sub("", joined))
        source = joined.translate(_BRACKETS_BACK)
    return " ".join(source.split())


def _pieces(tokens: Sequence[Token]) -> list[str]:
    """The text of inline tokens; brackets inside code are put aside so that they are not taken for links."""
    pieces = []
    for token in tokens:
        match token.type:
            case "text" | "text_special":
                pieces.append(token.content)
            case "code_inline":
                pieces.append(token.content.translate(_BRACKETS))
            case "softbreak" | "hardbreak":
                pieces.append(" ")
            case "image":
                pieces.append("".join(_pieces(token.children or ())))
            case "html_inline" if token.content[:3].lower() == "<br":
                pieces.append(" ")
            case _:
                pass
    return pieces
