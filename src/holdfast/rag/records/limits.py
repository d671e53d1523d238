"""What a record may hold. Every store checks the same, so that what one takes the other takes."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from holdfast.rag.records.base import Turn

__all__ = [
    "BRIEF_CHARS",
    "CONVERSATION_ID_PATTERN",
    "ID_MAX_CHARS",
    "MAX_CONVERSATION_BYTES",
    "MAX_PAGE",
    "MAX_SUMMARY_BYTES",
    "MAX_TURNS",
    "MAX_TURN_BYTES",
    "REQUEST_ID_MAX_CHARS",
    "REQUEST_ID_PATTERN",
    "TOMBSTONE_SECONDS",
    "brief",
    "byte_length",
    "check_conversation_id",
    "check_last",
    "check_page",
    "check_request_id",
    "check_summary",
    "check_turn",
    "full",
]

ID_MAX_CHARS = 100
"""Characters of a conversation's id, each a letter, a digit or one of ``_ . : -``."""

REQUEST_ID_MAX_CHARS = 128
"""Characters of a request's id, of the same kind: what the service takes as ``x-request-id``."""

CONVERSATION_ID_PATTERN = rf"^[A-Za-z0-9_.:\-]{{1,{ID_MAX_CHARS}}}$"
REQUEST_ID_PATTERN = rf"^[A-Za-z0-9_.:\-]{{1,{REQUEST_ID_MAX_CHARS}}}$"

MAX_TURNS = 1_000
"""Turns of one conversation."""

MAX_TURN_BYTES = 1024 * 1024
"""UTF-8 bytes of one turn, all its texts together."""

MAX_CONVERSATION_BYTES = 8 * 1024 * 1024
"""UTF-8 bytes of all turns of one conversation: with what surrounds them they fit into one MongoDB document."""

MAX_SUMMARY_BYTES = 64 * 1024
"""UTF-8 bytes of a summary."""

BRIEF_CHARS = 120
"""Characters of a first question in a list."""

MAX_PAGE = 1_000
"""Conversations on one page."""

TOMBSTONE_SECONDS = 7 * 86_400.0
"""How long a store remembers that a conversation was deleted, and refuses its late turns."""

_ID = re.compile(CONVERSATION_ID_PATTERN)
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)
_LABEL_MAX_CHARS = 50


def check_conversation_id(conversation_id: str) -> None:
    """Return when this may be a conversation's id.

    Raises:
        InvalidInputError: it may not.
    """
    if not _ID.fullmatch(conversation_id):
        raise InvalidInputError(
            "conversation_id", f"must be 1 to {ID_MAX_CHARS} letters, digits and any of the characters _ . : -"
        )


def check_request_id(request_id: str) -> None:
    """Return when this may be a request's id.

    Raises:
        InvalidInputError: it may not.
    """
    if not _REQUEST_ID.fullmatch(request_id):
        raise InvalidInputError(
            "request_id", f"must be 1 to {REQUEST_ID_MAX_CHARS} letters, digits and any of the characters _ . : -"
        )


def check_turn(turn: Turn) -> int:
    """The turn's size in bytes, when it may be kept.

    Raises:
        InvalidInputError: it is too large, is no text, or a field is out of its range.
    """
    check_request_id(turn.request_id)
    if not (isfinite(turn.asked_at) and turn.asked_at >= 0):
        raise InvalidInputError("asked_at", f"must be a time in Unix seconds, got {turn.asked_at}")
    for field in ("source", "tier"):
        if len(getattr(turn, field)) > _LABEL_MAX_CHARS:
            raise InvalidInputError(field, f"must have at most {_LABEL_MAX_CHARS} characters")
    fields = ("request_id", "question", "answer", "standalone", "source", "tier")
    size = sum(byte_length(field, getattr(turn, field)) for field in fields)
    if size > MAX_TURN_BYTES:
        raise InvalidInputError("turn", f"has {size:,} bytes; a turn may have at most {MAX_TURN_BYTES:,}")
    return size


def check_summary(summary: str, upto: int) -> None:
    """Return when the summary may be kept.

    Raises:
        InvalidInputError: it is too long or is no text, or covers less than one turn.
    """
    size = byte_length("summary", summary)
    if size > MAX_SUMMARY_BYTES:
        raise InvalidInputError("summary", f"has {size:,} bytes; a summary may have at most {MAX_SUMMARY_BYTES:,}")
    if upto < 1:
        raise InvalidInputError("upto", f"must be at least 1, got {upto}")


def check_last(last: int | None) -> None:
    """Return when so many turns can be asked for.

    Raises:
        InvalidInputError: it is below 0.
    """
    if last is not None and last < 0:
        raise InvalidInputError("last", f"must be at least 0, got {last}")


def check_page(limit: int) -> int:
    """The number of conversations to give: ``limit``, and ``MAX_PAGE`` at most.

    Raises:
        InvalidInputError: it is below 1.
    """
    if limit < 1:
        raise InvalidInputError("limit", f"must be at least 1, got {limit}")
    return min(limit, MAX_PAGE)


def byte_length(field: str, text: str) -> int:
    """The length of ``text`` in UTF-8.

    Raises:
        InvalidInputError: it has none.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInputError(field, "holds half a character (a lone surrogate): send valid Unicode") from None


def full(conversation_id: str) -> InvalidInputError:
    """A conversation has no room for another turn."""
    return InvalidInputError(
        "conversation_id",
        f"the conversation {conversation_id} is full (at most {MAX_TURNS:,} turns and {MAX_CONVERSATION_BYTES:,} "
        "bytes): begin a new one",
    )


def brief(question: str) -> str:
    """The beginning of a question, on one line."""
    text = " ".join(question[: 4 * BRIEF_CHARS].split())
    return text if len(text) <= BRIEF_CHARS else text[: BRIEF_CHARS - 1].rstrip() + "…"
