"""Reading what others wrote as JSON: one error for everything that is wrong with it, and no surprise in its values."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["count", "items", "mapping", "parse", "text"]

_raw_decode = json.JSONDecoder().raw_decode
_BOM = "\ufeff"


def parse(data: bytes) -> object:
    """The value that ``data`` is the JSON text of, in UTF-8.

    Raises:
        ValueError: it is none, there is something behind it, or it is nested too deeply.
    """
    source = data.decode().strip().removeprefix(_BOM)
    try:
        value, end = _raw_decode(source)  # `loads` looks for an encoding and for white space, in twice the time
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(source):
        raise ValueError("something follows the value")
    return value


def mapping(value: object) -> dict[str, Any]:
    """An object, or an empty one instead of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """An array, or an empty one instead of anything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A string that can be encoded, or an empty one instead of anything else.

    JSON can name halves of a surrogate pair, which no encoder takes: halves that belong together are joined, and a
    lonely one becomes a replacement character.
    """
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def count(value: object) -> int:
    """A number of things, or 0 instead of anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
