"""Metadata values as marks, for stores that can ask which rows have all of some marks."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from holdfast.rag.store.codec import typed_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.types import Scalar

__all__ = ["mark_of", "tags_of"]

_LENGTH = 32  # hexadecimal digits: 128 bits of a SHA-256


def tags_of(field: str, metadata: Mapping[str, Scalar]) -> list[str]:
    """A mark for each metadata value, equal exactly when name and value are; short, whatever the value.

    Raises:
        InvalidInputError: a value is not text, a number, true or false; ``field`` names what it was part of.
    """
    return [_tag(name, *typed_value(field, name, value)) for name, value in metadata.items()]


def mark_of(*parts: object) -> str:
    """A mark for a list of strings or numbers: 32 hexadecimal digits, so that it can stand in any query language."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_LENGTH]


def _tag(name: str, kind: str, value: str | float) -> str:
    if kind in {"number", "digits"}:  # 1 and 1.0 are one number, and so are large ones
        number = int(value) if isinstance(value, str) else value
        kind, value = "number", str(int(number)) if number == number // 1 else repr(number)
    return mark_of(name, kind, value)
