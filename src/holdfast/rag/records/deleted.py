"""What is left of a conversation that was deleted: that it was, and when. Not even its id."""

from __future__ import annotations

import hashlib

from holdfast.errors import NotFoundError

__all__ = ["deleted", "digest_of_id"]


def digest_of_id(conversation_id: str) -> str:
    """By what a deleted conversation is known again."""
    return hashlib.sha256(conversation_id.encode()).hexdigest()


def deleted(conversation_id: str) -> NotFoundError:
    """A turn comes to a conversation that was deleted after it was asked."""
    return NotFoundError(
        "conversation_id",
        f"The conversation {conversation_id} was deleted after this was asked: the turn is not kept.",
    )
