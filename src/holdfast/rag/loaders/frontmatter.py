"""Front matter: the ``key: value`` lines between two lines of dashes at the top of a Markdown file.

Only what metadata can hold is read: scalars at the top level. It is a small part of YAML, read without a YAML parser:
no types beyond text, numbers and truth, no anchors, nothing that could run. What does not look like front matter (no
closing line, a line that YAML would not have there) is not an error: it stays in the text, so nothing is lost.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.rag.types import Scalar

__all__ = ["MAX_LINES", "MAX_VALUE", "split_front_matter"]

MAX_LINES = 200
MAX_VALUE = 1_000
"""Characters of a value that is kept; a longer one is left out, since it is prose, not metadata."""

_KEY = re.compile(r"(?P<key>[A-Za-z_][\w .-]{0,63}?)[ \t]*:(?:[ \t]+(?P<value>.*))?$")
_OTHER = re.compile(r"\s*(?:#.*|-(?:\s.*)?|[\]}],?)?$|[ \t]+\S.*$")
_INT = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[+-]?\d{1,18}\.\d{1,18}(?:[eE][+-]?\d{1,3})?")
_COMMENT = re.compile(r"(?<!\s)\s++#.*$")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}
_ESCAPED = re.compile(r'\\["\\nt]')


def split_front_matter(text: str) -> tuple[dict[str, Scalar], str]:
    """The scalars of the front matter, and the text after it; no scalars and the whole text when there is none.

    Lists, nested keys and empty values are passed over; they are not part of the text either.
    """
    if not text.startswith("---"):
        return {}, text
    found: dict[str, Scalar] = {}
    at = text.find("\n") + 1
    if not at or text[:at].strip() != "---":
        return {}, text
    for _ in range(MAX_LINES):
        end = text.find("\n", at)
        line = (text[at:] if end < 0 else text[at:end]).rstrip()
        if line in {"---", "..."}:
            return found, "" if end < 0 else text[end + 1 :].lstrip("\n")
        if end < 0:
            break
        match = _KEY.match(line)
        if match:
            value = _scalar(match["value"] or "")
            if value is not None:
                found[match["key"]] = value
        elif not _OTHER.match(line):
            break
        at = end + 1
    return {}, text


def _scalar(source: str) -> Scalar | None:
    """A YAML scalar on one line; None for anything else."""
    source = source.strip()
    quote = source[:1]
    if quote and quote in "\"'":
        return _quoted(source, quote)
    source = _COMMENT.sub("", source)
    if source.startswith("#") or source in _NULLS or source[0] in "[{&*!|>%@`" or len(source) > MAX_VALUE:
        return None
    if source.lower() in _TRUTH:
        return _TRUTH[source.lower()]
    if _INT.fullmatch(source):
        return int(source)
    if _FLOAT.fullmatch(source):
        number = float(source)
        return number if math.isfinite(number) else source
    return source


def _quoted(source: str, quote: str) -> str | None:
    end = _COMMENT.sub("", source) if source.rstrip()[-1] != quote else source
    if len(end) < 2 or end[-1] != quote or len(end) > MAX_VALUE:
        return None
    inner = end[1:-1]
    if quote == "'":
        return inner.replace("''", "'")
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], inner)
