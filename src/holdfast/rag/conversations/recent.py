"""The conversations that this process saw last, so that a reader finds his own turns while their store is down."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import whole
from holdfast.rag.conversations.buffer import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.rag.records.base import Turn

__all__ = ["Recent", "RecentConversations", "in_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What is known here of a conversation: its last turns in order, and its summary."""

    turns: tuple[Turn, ...] = ()
    summary: str = ""

    @property
    def size(self) -> int:
        """Bytes of memory, rather too many than too few."""
        return sum(map(size_of, self.turns)) + 4 * len(self.summary)


class RecentConversations:
    """The last turns of the conversations used last.

    Args:
        max_conversations: conversations, 1 or more.
        max_turns: turns of each, 1 or more.
        max_bytes: bytes that all take together, 1 or more.
    """

    def __init__(self, *, max_conversations: int, max_turns: int, max_bytes: int) -> None:
        self._max_conversations = whole("max_conversations", max_conversations, least=1)
        self._max_turns = whole("max_turns", max_turns, least=1)
        self._max_bytes = whole("max_bytes", max_bytes, least=1)
        self._known: OrderedDict[str, Recent] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, conversation_id: str) -> Recent:
        """What is known of a conversation; nothing, of one that is not here."""
        known = self._known.get(conversation_id)
        if known is None:
            return Recent()
        self._known.move_to_end(conversation_id)
        return known

    def put(self, conversation_id: str, turns: Iterable[Turn], *, summary: str = "") -> None:
        """Know this of a conversation, and nothing else."""
        self.drop(conversation_id)
        recent = Recent(turns=in_order(turns)[-self._max_turns :], summary=summary)
        if not recent.turns and not summary:
            return
        self._known[conversation_id] = recent
        self._bytes += recent.size
        while self._bytes > self._max_bytes or len(self._known) > self._max_conversations:
            self._bytes -= self._known.popitem(last=False)[1].size

    def add(self, conversation_id: str, turn: Turn) -> None:
        """Know one turn more."""
        known = self.get(conversation_id)
        self.put(conversation_id, (*known.turns, turn), summary=known.summary)

    def drop(self, conversation_id: str) -> None:
        """Know nothing of a conversation any more."""
        known = self._known.pop(conversation_id, None)
        if known is not None:
            self._bytes -= known.size


def in_order(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Each turn once, in the order in which they were asked: several processes may have kept them in another."""
    once = {turn.request_id: turn for turn in turns}
    return tuple(sorted(once.values(), key=lambda turn: (turn.asked_at, turn.request_id)))
