"""What keeps conversations: the protocol. Every such store passes ``holdfast.testing.record_conformance``.

A conversation is a list of turns in the order in which they were appended, numbered 0, 1, ... A turn that was appended
is on disk. A conversation that was deleted is gone: nothing that was asked before can bring a piece of it back.

Failures are ``StoreUnavailableError``, ``StoreLockedError`` or ``StoreCorruptError``; a call that was cancelled has
changed everything or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Conversation", "ConversationBrief", "ConversationPage", "ConversationStore", "Turn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and its answer, as both were shown.

    Attributes:
        request_id: identifies the turn in its conversation: appending the same one again changes nothing.
        asked_at: Unix seconds.
        source: where the answer came from, a ``rag.types.Source`` value; empty when nobody said.
        tier: a ``rag.types.Tier`` value; empty when nobody said.
        standalone: the question as it was searched, where it was rewritten; empty when it is the same.
    """

    request_id: str
    question: str
    answer: str
    asked_at: float
    source: str = ""
    tier: str = ""
    standalone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation, or its end.

    Attributes:
        turns: in order; the last ones only when no more were asked for.
        first: the number (0, 1, ...) of ``turns[0]`` in the whole conversation; with no turns here, how many there are.
        summary: what the turns 0 to ``summarised`` - 1 said, in short; empty when nobody summarised them.
        created_at: Unix seconds; with the id it tells this conversation from an earlier one that was deleted.
        updated_at: when its last turn was appended, Unix seconds.
    """

    id: str
    turns: Sequence[Turn]
    first: int
    summary: str = ""
    summarised: int = 0
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationBrief:
    """A conversation in a list.

    Attributes:
        turns: how many it has.
        first_question: how it began, cut to ``limits.BRIEF_CHARS`` characters.
        created_at, updated_at: Unix seconds.
    """

    id: str
    turns: int
    first_question: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPage:
    """Some conversations, and the cursor to go on with (None at the end)."""

    conversations: Sequence[ConversationBrief]
    next_cursor: str | None = None


@runtime_checkable
class ConversationStore(Protocol):
    """Keeps conversations. See ``rag.records.limits`` for what ids, turns and summaries may hold."""

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs: ``"records:sqlite"``, ``"records:mongodb"``."""
        ...

    async def open(self) -> None:
        """Make it ready, creating it when it is not there. Idempotent."""
        ...

    async def close(self) -> None:
        """Release it. Idempotent."""
        ...

    async def ping(self) -> None:
        """Return when a read works; raise as any read would. Cheap."""
        ...

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation | None:
        """A conversation with its turns, or the ``last`` n of them (n may be 0); None when there is none.

        Raises:
            InvalidInputError: the id cannot be one, or ``last`` is below 0.
        """
        ...

    async def append(self, conversation_id: str, turn: Turn) -> None:
        """Add a turn, and make the conversation when it is not there. It is durable when this returns.

        Idempotent: a ``request_id`` that the conversation has already is not added again.

        Raises:
            InvalidInputError: a field is out of its bounds, or the conversation is full.
            NotFoundError: the conversation was deleted after this was asked: the turn is to be forgotten.
        """
        ...

    async def summarise(
        self, conversation_id: str, summary: str, *, upto: int, created_at: float | None = None
    ) -> bool:
        """Keep a summary of the turns 0 to ``upto`` - 1.

        Args:
            upto: how many turns it covers, at least 1.
            created_at: that of the conversation as it was read: a summary of one that was deleted meanwhile is then
                never taken for one of its successor under the same id.

        Returns:
            False when it came too late and was not kept: one that covers as many turns or more is there, or the
            conversation has fewer turns (it was deleted and began again), or there is none.

        Raises:
            InvalidInputError: the summary is too long, or ``upto`` is below 1.
        """
        ...

    async def delete(self, conversation_id: str) -> bool:
        """Remove everything of a conversation, and refuse its turns that were asked before; False: it was not there.

        It also counts for a conversation that is not there yet because its turns wait elsewhere to be appended.
        """
        ...

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> ConversationPage:
        """Conversations, the one with the latest turn first.

        One that gets a turn between two pages moves to the front and may be missing in the later one.

        Raises:
            InvalidInputError: ``limit`` is below 1, or the cursor is none of ours.
        """
        ...
