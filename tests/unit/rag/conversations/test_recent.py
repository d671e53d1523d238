"""What a process remembers by itself is bounded, and in order."""

from __future__ import annotations

from tests.unit.rag.conversations.conftest import turn

from holdfast.rag.conversations.buffer import size_of
from holdfast.rag.conversations.recent import Recent, RecentConversations, in_order


def ids(recent: Recent) -> list[str]:
    return [one.request_id for one in recent.turns]


def test_the_last_turns_are_known_in_the_order_in_which_they_were_asked() -> None:
    """A turn that comes late takes its place by the time of its question; the oldest are forgotten."""
    recent = RecentConversations(max_conversations=5, max_turns=3, max_bytes=1_000_000)
    for number in (2, 1, 4, 3, 3):
        recent.add("c", turn(number))
    assert ids(recent.get("c")) == ["req_2", "req_3", "req_4"]
    assert recent.get("d") == Recent()


def test_the_conversation_used_last_stays() -> None:
    """Of too many conversations, the one that nobody asked for longest is forgotten."""
    recent = RecentConversations(max_conversations=2, max_turns=3, max_bytes=1_000_000)
    recent.add("a", turn(1))
    recent.add("b", turn(2))
    recent.get("a")
    recent.add("c", turn(3))
    assert (ids(recent.get("a")), ids(recent.get("b")), len(recent)) == (["req_1"], [], 2)


def test_memory_is_bounded() -> None:
    """What is remembered never takes more bytes than it may, one huge turn included."""
    recent = RecentConversations(max_conversations=100, max_turns=3, max_bytes=size_of(turn(1)) * 2)
    for number in range(5):
        recent.add(str(number), turn(number))
    assert len(recent) == 2
    recent.add("huge", turn(9, answer="x" * 10_000))
    assert len(recent) == 0


def test_what_is_put_takes_the_place_of_what_was_known() -> None:
    """A conversation that is empty in the store is known no more; a summary alone is known."""
    recent = RecentConversations(max_conversations=5, max_turns=3, max_bytes=1_000_000)
    recent.add("c", turn(1))
    recent.put("c", [turn(2)], summary="Lamps.")
    assert (ids(recent.get("c")), recent.get("c").summary) == (["req_2"], "Lamps.")
    recent.add("c", turn(3))
    assert recent.get("c").summary == "Lamps."
    recent.put("c", [])
    assert len(recent) == 0
    recent.drop("c")


def test_order_is_that_of_the_questions() -> None:
    """Each turn is there once; equal times are told apart by the request."""
    late = turn(7, asked_at=turn(1).asked_at)
    assert [one.request_id for one in in_order([turn(2), late, turn(1), turn(2)])] == ["req_1", "req_7", "req_2"]
