"""Plain text: .txt, .text, and .rst read as it is written."""

from __future__ import annotations

from holdfast.rag.loaders.base import Content, Loaded, RawFile, document_from
from holdfast.rag.loaders.encoding import decode
from holdfast.rag.types import Mime

__all__ = ["load_text", "read_text"]


def load_text(raw: RawFile) -> Loaded:
    """One document from a plain text file.

    Raises:
        UnreadableError: it is binary, wrongly encoded or empty.
    """
    return Loaded((document_from(raw, read_text(decode(raw.data, declared=raw.charset))),))


def read_text(text: str) -> Content:
    """Plain text as it is; it says nothing about itself."""
    return Content(text=text, mime=Mime.PLAIN)
