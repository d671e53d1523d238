"""Reading a caller's body: every check names the field and the rule, as the providers do."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from holdfast.lab.simulator.failures import Failure, Problem

__all__ = ["Body", "boolean", "integer", "number", "object_of", "objects", "text", "text_of", "texts"]

Body: TypeAlias = dict[str, Any]

_TEXT_PARTS = {"text", "input_text", "output_text"}


def object_of(content: bytes) -> Body:
    """The JSON object in ``content``."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(Failure.INVALID, "We could not parse the JSON body of your request.") from None
    if not isinstance(value, dict):
        raise Problem(Failure.INVALID, "The body must be a JSON object.")
    return value


def text(body: Body, name: str) -> str:
    """A text that has to be there."""
    value = body.get(name)
    if value is None:
        raise Problem(Failure.INVALID, f"Missing required parameter: '{name}'.", param=name)
    if not isinstance(value, str) or not value:
        raise _invalid(name, "a string that is not empty")
    return value


def boolean(body: Body, name: str) -> bool:
    """True or false; false when it is not there."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _invalid(name, "true or false")
    return value


def integer(body: Body, name: str, least: int = 1, most: int = 1 << 31) -> int | None:
    """A whole number; None when it is not there."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _invalid(name, f"an integer from {least} to {most}")
    return value


def number(body: Body, name: str, least: float, most: float) -> None:
    """Refuse a number out of its range; nothing here goes by it."""
    value = body.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _invalid(name, f"a number from {least:g} to {most:g}")


def texts(body: Body, name: str) -> list[str]:
    """A text or a list of texts; an empty list when it is not there."""
    value = body.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _invalid(name, "a string or a list of strings")
    return value


def objects(body: Body, name: str) -> list[Body]:
    """A list of objects; an empty list when it is not there."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _invalid(name, "a list of objects")
    return value


def text_of(content: object, where: str) -> str:
    """The text of a message: a string, or the text parts of a list of parts. Images and files are passed over."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _invalid(where, "a string or a list of content parts")
    found = []
    for place, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise _invalid(f"{where}[{place}]", "an object with a type")
        if part["type"] in _TEXT_PARTS:
            found.append(text(part, "text") if part.get("text") != "" else "")
        elif part["type"] == "tool_result":
            found.append(text_of(part.get("content"), f"{where}[{place}].content"))
    return "\n".join(found)


def _invalid(name: str, rule: str) -> Problem:
    return Problem(Failure.INVALID, f"Invalid value for '{name}': it must be {rule}.", param=name)
