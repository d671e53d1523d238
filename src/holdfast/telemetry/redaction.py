"""Keeps secrets out of log lines.

Three nets, one behind the other: fields whose name says that they hold a secret, the secrets that the service was
configured with (wherever they turn up), and what looks like one: bearer tokens, API keys, passwords in addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["REDACTED", "Redactor"]

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:authorization|proxy[_\-]authorization|cookie|set[_\-]cookie|password|passwd|secret|api[_\-]?key|apikey"
    r"|access[_\-]?token|refresh[_\-]?token|auth[_\-]?token|token|credential|credentials|private[_\-]?key)$",
    re.IGNORECASE,
)
_SECRET_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\b(?:sk|pk|rk|pa|hf|key)[-_][A-Za-z0-9_\-]{16,}"), REDACTED),
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"), REDACTED),
    (
        re.compile(
            r"""(\b(?:x-)?(?:api[_-]?key|access[_-]?token|token|password|passwd|secret)["']?\s*[=:]\s*["']?)[^\s&"',;]+""",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
)
_MIN_SECRET_CHARS = 6
"""A shorter configured secret would blank out ordinary words."""

_MAX_DEPTH = 6


class Redactor:
    """A structlog processor that replaces secrets by ``[redacted]``.

    Args:
        secrets: the texts that must never appear, e.g. the configured keys.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({one for one in secrets if len(one) >= _MIN_SECRET_CHARS}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: object, _method: str, line: Mapping[str, Any]) -> dict[str, Any]:
        """The line without its secrets."""
        return {name: self._field(name, value, 0) for name, value in line.items()}

    def text(self, text: str) -> str:
        """A text without its secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for shape, replacement in _SECRET_SHAPES:
            text = shape.sub(replacement, text)
        return text

    def _field(self, name: object, value: object, depth: int) -> object:
        if isinstance(name, str) and _SECRET_NAME.search(name) and value is not None:
            return REDACTED
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= _MAX_DEPTH:
            return self.text(repr(value))
        if isinstance(value, Mapping):
            return {key: self._field(key, item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in value]
        return self.text(repr(value))  # a SecretStr shows stars here; anything else is searched like a text
