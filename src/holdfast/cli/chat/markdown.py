"""An answer's Markdown on a terminal. Its text comes from models and documents, so nothing in it is obeyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from rich.markdown import Markdown

from holdfast.cli.output import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

__all__ = ["answer_markdown"]

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Without HTML a ``<tag>`` is text: rich would leave it out, and what it says with it."""


def answer_markdown(text: str) -> Markdown:
    """``text`` to be shown: links with their address, tags as they are written, no control characters."""
    shown = Markdown("", hyperlinks=False)
    shown.parsed = _PARSER.parse(plain(text))
    _clean(shown.parsed)
    return shown


def _clean(tokens: Iterable[Token]) -> None:
    # Again behind the parser, because it turns `&#x202e;` into the character.
    for token in tokens:
        token.content = plain(token.content)
        for name, value in token.attrs.items():
            token.attrs[name] = plain(str(value))
        _clean(token.children or ())
