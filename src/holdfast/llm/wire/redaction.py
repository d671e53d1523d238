"""What a provider said, fit to be shown: no keys, no control characters, no page of HTML."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REDACTED", "redact", "redact_bytes", "redact_value", "words"]

REDACTED = "[redacted]"
_LONGEST_WORDS = 300
_MOST_READ = 4_096  # of a page; looking for tags in it takes time with its square
_DEEPEST = 32
_SHORTEST_SECRET = 4  # a shorter one is in every text

# What looks like a key, whoever it belongs to. Providers repeat a wrong key in their answer, masked or not.
_KEYS = re.compile(
    r"""
    (?P<before>
        \bBearer\s+                                                 # an Authorization header
      | \b(?:x-)?(?:goog-)?api[-_\s]?key(?:\s+provided)?["']?\s*[:=]\s*["']?   # api_key=..., "api-key": "..."
      | [?&](?:key|api[-_]?key|token)=                              # in an address
    )
    [^\s"'&,;<>\\]{4,}
    | \b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.\-]{6,}                       # most providers; masked ones have stars
    | \b(?:pa|co|fw|r8)[-_](?=[\w\-]{0,40}\d)[\w\-]{16,}              # prefixes that words have, too
    | \bAIza[\w\-]{16,}                                             # Google
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_TAGS = re.compile(r"<(?:script|style)\b.*?(?:</(?:script|style)\s*>|\Z)|<[^>]*>", re.IGNORECASE | re.DOTALL)
_HEADLINE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """``text`` without ``secrets`` and without anything that looks like a key."""
    for spelling in _spellings(tuple(secrets)):
        text = text.replace(spelling, REDACTED)
    return _KEYS.sub(_hide, text)


@lru_cache(maxsize=64)
def _spellings(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """How ``secrets`` may be written, the longest first.

    Kept, for an error has a dozen texts, and a provider always the same secrets; of a few providers, for they are few.
    """
    found: dict[str, None] = {}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            found |= dict.fromkeys((secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/")))
    return tuple(found)


def redact_bytes(content: bytes, secrets: Sequence[str] = ()) -> bytes:
    """:func:`redact` for bytes of any kind: what is not UTF-8 stays as it is."""
    return redact(content.decode("utf-8", "surrogateescape"), secrets).encode("utf-8", "surrogateescape")


def redact_value(value: Any, secrets: Sequence[str] = (), *, depth: int = _DEEPEST) -> Any:  # noqa: ANN401  JSON
    """:func:`redact` for every text in parsed JSON, keys of objects included; what is nested deeper is left out."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        if depth == 0:
            return {}
        return {redact(key, secrets): redact_value(each, secrets, depth=depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [redact_value(each, secrets, depth=depth - 1) for each in value] if depth else []
    return value


def words(text: str, secrets: Sequence[str] = ()) -> str:
    """``text`` on one line of at most 300 characters: of HTML its headline, without control characters and keys."""
    # Before the markup and what cannot be seen is taken out, and after it: either could hide a key from the other.
    shown = redact(text, secrets)[:_MOST_READ]
    if shown.lstrip("\ufeff \t\r\n").startswith("<"):
        headline = _HEADLINE.search(shown)
        shown = _TAGS.sub(" ", headline[2] if headline else shown)
    shown = redact("".join(c if c.isprintable() else " " if c.isspace() else "" for c in shown), secrets)
    shown = " ".join(shown.split())
    return shown if len(shown) <= _LONGEST_WORDS else shown[: _LONGEST_WORDS - 1].rstrip() + "…"


def _hide(match: re.Match[str]) -> str:
    return (match["before"] or "") + REDACTED
