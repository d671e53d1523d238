"""Cursors of pages: the place of the last conversation that was given, in a text that says nothing to others."""

from __future__ import annotations

import base64
import binascii
import json

from holdfast.errors import InvalidInputError

__all__ = ["cursor_after", "place_of_cursor"]


def cursor_after(updated_at: float, conversation_id: str) -> str:
    """The cursor to go on with after this conversation."""
    return base64.urlsafe_b64encode(json.dumps([updated_at, conversation_id]).encode()).decode()


def place_of_cursor(cursor: str) -> tuple[float, str]:
    """When the last conversation given was updated, and its id.

    Raises:
        InvalidInputError: the cursor is none of ours.
    """
    try:
        match json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)):
            case [float(updated_at), str(conversation_id)]:
                return updated_at, conversation_id
    except (binascii.Error, ValueError, RecursionError):  # not base64, not Unicode, not JSON
        pass
    raise InvalidInputError("cursor", "is not one that a page gave: send next_cursor as it came, or none to begin")
