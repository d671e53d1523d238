"""The memory of conversations: what was said is recalled, and what is said is remembered, whatever its store does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name, whole
from holdfast.core.clock import to_ns
from holdfast.core.patience import Patience
from holdfast.errors import AttemptTimeoutError
from holdfast.rag.conversations.context import Context
from holdfast.rag.conversations.keeper import Fate
from holdfast.rag.conversations.recent import RecentConversations, in_order
from holdfast.rag.records.limits import check_conversation_id

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.conversations.access import GuardedStore
    from holdfast.rag.conversations.keeper import TurnKeeper
    from holdfast.rag.conversations.telling import MemoryVoice
    from holdfast.rag.records.base import Turn

__all__ = ["ConversationMemory", "MemoryOptions"]


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """How conversations are recalled.

    Attributes:
        turns: the last turns that are recalled, 1 or more (default 8).
        read_seconds: how long a question waits for the store, above 0 (default 1).
        recent_conversations: conversations that this process remembers by itself, 1 or more (default 1,000).
        recent_bytes: memory that they may take, 1 byte or more (default 16 MiB).

    Raises:
        ConfigError: a value is out of its range.
    """

    turns: int = 8
    read_seconds: float = 1.0
    recent_conversations: int = 1_000
    recent_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        whole("turns", self.turns, least=1)
        duration("read_seconds", self.read_seconds)
        whole("recent_conversations", self.recent_conversations, least=1)
        whole("recent_bytes", self.recent_bytes, least=1)


class ConversationMemory:
    """Remembers conversations.

    What the store says counts, for other processes write to it, too. While it says nothing, what this process saw of
    a conversation lately stands in.

    Args:
        store: where conversations are kept.
        keeper: gets turns there.
        clock: the source of time.
        voice: tells what happens.
    """

    def __init__(
        self,
        store: GuardedStore,
        keeper: TurnKeeper,
        *,
        clock: Clock,
        voice: MemoryVoice,
        options: MemoryOptions | None = None,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._clock = clock
        self._voice = voice
        self._options = options or MemoryOptions()
        self._recent = RecentConversations(
            max_conversations=self._options.recent_conversations,
            max_turns=self._options.turns,
            max_bytes=self._options.recent_bytes,
        )
        self._patience = Patience(clock)
        self._deletions = 0

    @property
    def recent(self) -> int:
        """Conversations that this process remembers by itself."""
        return len(self._recent)

    async def recall(self, conversation_id: str) -> Context:
        """The end of a conversation; an empty one, of one that did not begin yet.

        Raises:
            InvalidInputError: this cannot be a conversation's id.
        """
        check_conversation_id(conversation_id)
        before, deletions = self._recent.get(conversation_id), self._deletions
        due = self._clock.now_ns() + to_ns(self._options.read_seconds)
        try:
            read = self._store.get(conversation_id, last=self._options.turns)
            found = await self._patience.until(due, read, _late)
        except Exception as error:  # noqa: BLE001 - a question never fails because of its conversation
            self._voice.failed("recall", error, buffered=len(self._keeper))
            return self._without_store(conversation_id)
        waiting = self._keeper.waiting_for(conversation_id)
        if found is None:
            turns, summary, unsummarised = in_order(waiting), "", len(waiting)
        else:
            turns, summary = in_order((*found.turns, *waiting)), found.summary
            unsummarised = found.first + len(found.turns) - found.summarised + len(waiting)
        if deletions == self._deletions:  # what was read before a deletion may be what was deleted
            came = [turn for turn in self._recent.get(conversation_id).turns if turn not in before.turns]
            self._recent.put(conversation_id, (*turns, *came), summary=summary)
        return Context(turns=turns[-self._options.turns :], summary=summary, unsummarised=unsummarised)

    async def remember(self, conversation_id: str, turn: Turn) -> Fate:
        """Have a turn kept; returns when the store has it, or else after a bounded time.

        Returns:
            What became of it. What is not kept yet waits in this process for the store to come back.
        """
        self._recent.add(conversation_id, turn)
        fate = await self._keeper.keep(conversation_id, turn)
        if fate is Fate.FORGOTTEN:
            self._recent.drop(conversation_id)
        return fate

    async def delete(self, conversation_id: str) -> bool:
        """Forget a conversation: what is kept of it, what waits to be kept, and what this process remembers.

        Returns:
            False when there was none.

        Raises:
            InvalidInputError: this cannot be a conversation's id.
            StoreError, RejectedError, DeadlineExceededError: it is forgotten here, and may still be in the store.
        """
        check_conversation_id(conversation_id)
        waited = self._keeper.forget(conversation_id)
        self._forget(conversation_id)
        try:
            return await self._store.delete(conversation_id) or waited > 0
        finally:  # what questions under way brought back meanwhile; their turns the store will refuse
            self._forget(conversation_id)

    def _forget(self, conversation_id: str) -> None:
        self._deletions += 1
        self._recent.drop(conversation_id)

    def _without_store(self, conversation_id: str) -> Context:
        known = self._recent.get(conversation_id)
        turns = in_order((*known.turns, *self._keeper.waiting_for(conversation_id)))
        return Context(turns=turns[-self._options.turns :], summary=known.summary, complete=False)


def _late() -> AttemptTimeoutError:
    return AttemptTimeoutError("The store of conversations did not answer in time.")
