"""Turns that wait for their store, bounded by number and size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import whole

if TYPE_CHECKING:
    from holdfast.rag.records.base import Turn

__all__ = ["TurnBuffer", "Waiting", "size_of"]

_OVERHEAD = 1_000
"""Bytes that a turn takes beside its texts, roughly."""

_BYTES_A_CHARACTER = 4
"""The most that Python takes for a character."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A turn that is to be kept.

    Attributes:
        since_ns: when it was to be kept first, in the clock's nanoseconds.
        size: bytes of memory, rather too many than too few.
        late: whether nobody waits any more for it to be kept.
    """

    conversation_id: str
    turn: Turn
    since_ns: int
    size: int
    late: bool = False


class TurnBuffer:
    """Turns by conversation, each conversation's in the order in which they came.

    :meth:`put` always takes a turn, for it may be kept a moment later; :meth:`trim` takes out what is too much.

    Args:
        max_turns: turns that may wait, 1 or more.
        max_bytes: bytes that they may take together, 1 or more.
    """

    def __init__(self, *, max_turns: int, max_bytes: int) -> None:
        self._max_turns = whole("max_turns", max_turns, least=1)
        self._max_bytes = whole("max_bytes", max_bytes, least=1)
        self._by_age: dict[tuple[str, str], Waiting] = {}
        self._line: dict[str, dict[str, Waiting]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._by_age)

    def put(self, conversation_id: str, turn: Turn, *, now_ns: int) -> Waiting:
        """Take a turn; one that is there already stays as it is."""
        key = conversation_id, turn.request_id
        if (there := self._by_age.get(key)) is not None:
            return there
        waiting = Waiting(conversation_id, turn, now_ns, size_of(turn))
        self._by_age[key] = self._line.setdefault(conversation_id, {})[turn.request_id] = waiting
        self.bytes += waiting.size
        return waiting

    def first(self, conversation_id: str) -> Waiting | None:
        """The conversation's turn that has waited longest."""
        return next(iter(self._line.get(conversation_id, {}).values()), None)

    def of(self, conversation_id: str) -> tuple[Turn, ...]:
        """The conversation's turns, in order."""
        return tuple(waiting.turn for waiting in self._line.get(conversation_id, {}).values())

    def remove(self, waiting: Waiting) -> None:
        """Take a turn out; harmless when it is not there any more."""
        key = waiting.conversation_id, waiting.turn.request_id
        if self._by_age.get(key) is waiting:
            del self._by_age[key]
            turns = self._line[waiting.conversation_id]
            del turns[waiting.turn.request_id]
            if not turns:
                del self._line[waiting.conversation_id]
            self.bytes -= waiting.size

    def drop(self, conversation_id: str) -> int:
        """Take out all turns of a conversation; how many there were."""
        turns = list(self._line.get(conversation_id, {}).values())
        for waiting in turns:
            self.remove(waiting)
        return len(turns)

    def trim(self) -> list[Waiting]:
        """Take out what is too much, the oldest first."""
        out: list[Waiting] = []
        while len(self._by_age) > self._max_turns or self.bytes > self._max_bytes:
            oldest = next(iter(self._by_age.values()))
            self.remove(oldest)
            out.append(oldest)
        return out

    def clear(self) -> list[Waiting]:
        """Take out everything."""
        out = list(self._by_age.values())
        for waiting in out:
            self.remove(waiting)
        return out

    def conversations(self) -> list[str]:
        """Whose turns wait, in the order in which to try them."""
        return list(self._line)

    def to_back(self, conversation_id: str) -> None:
        """Try this conversation after all others from now on."""
        if (turns := self._line.pop(conversation_id, None)) is not None:
            self._line[conversation_id] = turns


def size_of(turn: Turn) -> int:
    """Bytes of memory that a turn takes, rather too many than too few."""
    texts = (turn.request_id, turn.question, turn.answer, turn.standalone)
    return _OVERHEAD + _BYTES_A_CHARACTER * sum(map(len, texts))
