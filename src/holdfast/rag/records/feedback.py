"""What users say of answers: the protocol. Every such store passes ``holdfast.testing.record_conformance``."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.errors import InvalidInputError
from holdfast.rag.records.limits import byte_length, check_request_id

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["COMMENT_MAX_CHARS", "Feedback", "FeedbackCounts", "FeedbackStore", "check_feedback"]

COMMENT_MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody said of an answer.

    Attributes:
        request_id: the answer's.
        useful: whether it helped.
        comment: in their own words, at most 2,000 characters; may be empty.
        given_at: Unix seconds.
    """

    request_id: str
    useful: bool
    comment: str = ""
    given_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackCounts:
    """How many answers somebody said something of, and how many of them with a comment."""

    useful: int
    not_useful: int
    comments: int


@runtime_checkable
class FeedbackStore(Protocol):
    """Keeps one opinion for each request: the last one. Failures as in ``ConversationStore``."""

    @property
    def name(self) -> str:
        """The dependency's name; that of the conversations beside it."""
        ...

    async def open(self) -> None:
        """Make it ready, creating it when it is not there. Idempotent."""
        ...

    async def close(self) -> None:
        """Release it. Idempotent."""
        ...

    async def put(self, feedback: Feedback) -> None:
        """Keep it, in the place of what was said of this answer before. It is durable when this returns.

        Raises:
            InvalidInputError: a field is out of its bounds.
        """
        ...

    async def get(self, request_id: str) -> Feedback | None:
        """What was said of an answer."""
        ...

    async def delete(self, request_ids: Collection[str]) -> int:
        """Remove what was said of these answers; how many there were."""
        ...

    async def counts(self) -> FeedbackCounts:
        """How much there is."""
        ...


def check_feedback(feedback: Feedback) -> None:
    """Return when it may be kept.

    Raises:
        InvalidInputError: it may not.
    """
    check_request_id(feedback.request_id)
    byte_length("comment", feedback.comment)
    if len(feedback.comment) > COMMENT_MAX_CHARS:
        raise InvalidInputError(
            "comment", f"has {len(feedback.comment):,} characters; at most {COMMENT_MAX_CHARS:,} are kept: shorten it"
        )
    if not (isfinite(feedback.given_at) and feedback.given_at >= 0):
        raise InvalidInputError("given_at", f"must be a time in Unix seconds, got {feedback.given_at}")
