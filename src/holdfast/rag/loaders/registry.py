"""Which loader reads which format: one line a format."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.rag.loaders.base import Loaded, RawFile

__all__ = ["Format", "find_format", "is_supported", "supported_suffixes"]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        name: for people.
        loader: ``module:function`` of the loader; imported at first use, since PDF and HTML pull in large packages.
        suffixes: file endings, lower case, with the dot, separated by spaces.
        mimes: media types, lower case, without parameters, separated by spaces.
    """

    name: str
    loader: str
    suffixes: str
    mimes: str

    def load(self, raw: RawFile) -> Loaded:
        """Read a file of this format; raises ``UnreadableError``."""
        module, _, function = self.loader.partition(":")
        return cast("Callable[[RawFile], Loaded]", getattr(importlib.import_module(module), function))(raw)


_HERE = "holdfast.rag.loaders"

FORMATS = (
    Format("Markdown", f"{_HERE}.markdown:load_markdown", ".md .markdown .mdx", "text/markdown text/x-markdown"),
    Format("text", f"{_HERE}.text:load_text", ".txt .text .rst", "text/plain text/x-rst"),
    Format("HTML", f"{_HERE}.html:load_html", ".html .htm .xhtml", "text/html application/xhtml+xml"),
    Format("PDF", f"{_HERE}.pdf:load_pdf", ".pdf", "application/pdf application/x-pdf"),
    Format("JSONL", f"{_HERE}.jsonl:load_jsonl", ".jsonl .ndjson", "application/jsonl application/x-ndjson"),
)

_BY_SUFFIX = {suffix: format_ for format_ in FORMATS for suffix in format_.suffixes.split()}
_BY_MIME = {mime: format_ for format_ in FORMATS for mime in format_.mimes.split()}

_GENERIC = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream"})
"""Media types that clients send for want of a better one: a known file ending says more."""


def find_format(name: str, mime: str = "") -> Format | None:
    """The format of a file: by its media type, unless that is a generic one and the name's ending is known."""
    kind = mime.partition(";")[0].strip().lower()
    by_suffix = _BY_SUFFIX.get(PurePosixPath(name.replace("\\", "/")).suffix.lower())
    if kind in _GENERIC:
        return by_suffix or _BY_MIME.get(kind)
    return _BY_MIME.get(kind) or by_suffix


def is_supported(name: str, mime: str = "") -> bool:
    """Whether there is a loader for a file of this name, or of this media type."""
    return find_format(name, mime) is not None


def supported_suffixes() -> tuple[str, ...]:
    """The file endings that can be read, sorted."""
    return tuple(sorted(_BY_SUFFIX))
