"""Markdown: its source is kept as it is, but for front matter, which becomes title and metadata."""

from __future__ import annotations

from holdfast.rag.blocks import Kind, blocks
from holdfast.rag.loaders.base import Content, Loaded, RawFile, document_from
from holdfast.rag.loaders.encoding import decode
from holdfast.rag.loaders.frontmatter import split_front_matter
from holdfast.rag.plain import heading_text
from holdfast.rag.types import Mime

__all__ = ["load_markdown", "read_markdown"]

TITLE_WINDOW = 20_000
"""Characters at the start of a text in which the heading that gives the title must stand."""


def load_markdown(raw: RawFile) -> Loaded:
    """One document from a Markdown file (MDX included: its imports and components are text that is not quoted).

    Raises:
        UnreadableError: it is binary, wrongly encoded, or has no text besides its front matter.
    """
    return Loaded((document_from(raw, read_markdown(decode(raw.data, declared=raw.charset))),))


def read_markdown(text: str) -> Content:
    """The text after its front matter; the title from the front matter, else from the first heading of the top rank."""
    metadata, body = split_front_matter(text)
    title = str(metadata.pop("title", "")) or _first_heading(body)
    return Content(text=body, mime=Mime.MARKDOWN, title=title, metadata=metadata)


def _first_heading(text: str) -> str:
    window = text[:TITLE_WINDOW]
    best = ""
    best_level = 7
    for block in blocks(window, Mime.MARKDOWN):
        if block.kind is Kind.HEADING and 0 < block.level < best_level:
            title = heading_text(window[block.body : block.end])
            if title:
                best, best_level = title, block.level
    return best
