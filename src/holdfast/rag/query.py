"""A question as it enters the engine, checked before anything is spent on it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError
from holdfast.rag.names import is_plain_name
from holdfast.rag.records.limits import check_conversation_id
from holdfast.rag.types import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.types import Scalar, Tier

__all__ = ["COLLECTION_MAX_CHARS", "MAX_FILTERS", "MAX_TOP_K", "QUESTION_MAX_CHARS", "Query"]

QUESTION_MAX_CHARS = 4_000
"""The longest question that is read; a customer's question is a few hundred characters."""

MAX_TOP_K = 50
MAX_FILTERS = 16
COLLECTION_MAX_CHARS = 100
_MAX_DEADLINE_SECONDS = 600.0
_HARMLESS_CONTROLS = frozenset("\t\n\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question with its options.

    Args:
        question: 1 to 4,000 characters, without control characters other than tab and line ends.
        collection: which collection to ask; 1 to 100 characters, default ``"default"``.
        top_k: how many passages to rest on, 1 to 50; None takes the service's default.
        filters: equality on documents' metadata, at most 16.
        conversation_id: the conversation that this question belongs to: an id of your own, 1 to 100 letters, digits or
            ``_.:-``; its first use begins the conversation. None: the question stands alone.
        deadline_seconds: the time allowed for the whole request, above 0 and at most 600; None: the service's
            default.
        priority: 0 to 9, higher is more important, default 5.
        tier: the best tier that may be used, for measuring what each is worth; None: whatever the service has.
        request_id: the caller's id for the request; empty: the engine makes one.

    Raises:
        InvalidInputError: a field is out of its range; it names the field.
    """

    question: str
    collection: str = "default"
    top_k: int | None = None
    filters: Mapping[str, Scalar] = field(default_factory=dict)
    conversation_id: str | None = None
    deadline_seconds: float | None = None
    priority: int = 5
    tier: Tier | None = None
    request_id: str = ""

    def __post_init__(self) -> None:
        _check_question(self.question)
        if not 1 <= len(self.collection) <= COLLECTION_MAX_CHARS or not is_plain_name(self.collection):
            raise InvalidInputError("collection", f"must be 1 to {COLLECTION_MAX_CHARS} printable characters")
        if self.top_k is not None and not 1 <= self.top_k <= MAX_TOP_K:
            raise InvalidInputError("top_k", f"must be from 1 to {MAX_TOP_K}, got {self.top_k}")
        if len(self.filters) > MAX_FILTERS:
            raise InvalidInputError("filters", f"at most {MAX_FILTERS} filters, got {len(self.filters)}")
        seconds = self.deadline_seconds
        if seconds is not None and not (isfinite(seconds) and 0 < seconds <= _MAX_DEADLINE_SECONDS):
            raise InvalidInputError(
                "deadline_seconds", f"must be above 0 and at most {_MAX_DEADLINE_SECONDS:g}, got {seconds}"
            )
        if self.conversation_id is not None:
            check_conversation_id(self.conversation_id)
        if not 0 <= self.priority <= 9:
            raise InvalidInputError("priority", f"must be from 0 to 9, got {self.priority}")

    @property
    def scope(self) -> Scope:
        """The part of the store this question is about."""
        return Scope(collection=self.collection, filters=self.filters)


def _check_question(question: str) -> None:
    if not question.strip():
        raise InvalidInputError("question", "is empty: write the question to be answered")
    if len(question) > QUESTION_MAX_CHARS:
        raise InvalidInputError(
            "question", f"has {len(question):,} characters; at most {QUESTION_MAX_CHARS:,} are read: shorten it"
        )
    if question.isprintable():
        return  # as nearly all are, and none of those holds one
    for position, character in enumerate(question):
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in _HARMLESS_CONTROLS:
            raise InvalidInputError(
                "question",
                f"holds the control character U+{ord(character):04X} at position {position}: remove it and ask again",
            )
