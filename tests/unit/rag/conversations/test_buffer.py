"""What waits is bounded, ordered, and counted."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rag.conversations.conftest import turn

from holdfast.errors import ConfigError
from holdfast.rag.conversations.buffer import TurnBuffer, size_of


def test_turns_of_a_conversation_come_out_as_they_went_in() -> None:
    """Each conversation has an order of its own, and a turn that is put twice is there once."""
    buffer = TurnBuffer(max_turns=10, max_bytes=100_000)
    for number in (3, 1, 2, 1):
        buffer.put("c", turn(number), now_ns=number)
    buffer.put("d", turn(9), now_ns=9)
    assert [one.request_id for one in buffer.of("c")] == ["req_3", "req_1", "req_2"]
    assert len(buffer) == 4
    first = buffer.first("c")
    assert first is not None
    assert (first.turn.request_id, first.since_ns) == ("req_3", 3)
    buffer.remove(first)
    buffer.remove(first)
    assert [one.request_id for one in buffer.of("c")] == ["req_1", "req_2"]
    assert buffer.first("nobody") is None


def test_who_fails_goes_to_the_back_of_the_line() -> None:
    """The next round begins with another conversation; what a conversation holds stays in its order."""
    buffer = TurnBuffer(max_turns=10, max_bytes=100_000)
    for name in ("a", "b", "c"):
        buffer.put(name, turn(1), now_ns=0)
    buffer.to_back("a")
    buffer.to_back("nobody")
    assert buffer.conversations() == ["b", "c", "a"]


def test_what_is_too_much_is_taken_out_oldest_first() -> None:
    """By number and by bytes, whatever conversation the oldest turn belongs to."""
    buffer = TurnBuffer(max_turns=2, max_bytes=1_000_000)
    for number, name in enumerate("aba"):
        buffer.put(name, turn(number), now_ns=number)
    assert [(one.conversation_id, one.turn.request_id) for one in buffer.trim()] == [("a", "req_0")]
    small = TurnBuffer(max_turns=10, max_bytes=size_of(turn(1)) * 2)
    for number in range(3):
        small.put("a", turn(number), now_ns=number)
    assert [one.turn.request_id for one in small.trim()] == ["req_0"]
    assert small.trim() == []
    assert [one.turn.request_id for one in small.clear()] == ["req_1", "req_2"]
    assert (len(small), small.bytes, small.conversations()) == (0, 0, [])


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "remove", "drop", "trim"]), st.sampled_from("ab"), st.integers(0, 4)),
        max_size=30,
    )
)
def test_bytes_and_number_are_those_of_what_is_there(steps: list[tuple[str, str, int]]) -> None:
    """Whatever comes and goes, the buffer's size is the sum of what it holds."""
    buffer = TurnBuffer(max_turns=3, max_bytes=1_000_000)
    for what, name, number in steps:
        if what == "put":
            buffer.put(name, turn(number), now_ns=0)
        elif what == "remove" and (first := buffer.first(name)) is not None:
            buffer.remove(first)
        elif what == "drop":
            buffer.drop(name)
        else:
            buffer.trim()
            assert len(buffer) <= 3
        held = [*buffer.of("a"), *buffer.of("b")]
        assert (len(buffer), buffer.bytes) == (len(held), sum(map(size_of, held)))


@given(texts=st.tuples(st.text(max_size=300), st.text(max_size=300)))
def test_a_turn_takes_no_more_memory_than_it_is_counted_for(texts: tuple[str, str]) -> None:
    """The bound in bytes holds for what Python really uses."""
    one = turn(1, question=texts[0] or "?", answer=texts[1] or "!")
    real = sum(sys.getsizeof(text) for text in (one.request_id, one.question, one.answer, one.standalone))
    assert size_of(one) >= real + sys.getsizeof(one)


@pytest.mark.parametrize("options", [{"max_turns": 0, "max_bytes": 1}, {"max_turns": 1, "max_bytes": 0}])
def test_a_buffer_has_room(options: dict[str, int]) -> None:
    """Bounds below 1 are refused by name."""
    with pytest.raises(ConfigError, match="must be a whole number of at least 1"):
        TurnBuffer(**options)
