"""Turns are kept once and in order, whatever their store does; what is lost is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rag.conversations.conftest import DOWN, Desk, settle, turn

from holdfast.core.deadline import deadline_scope
from holdfast.errors import CircuitOpenError, ConfigError, InvalidInputError, StoreUnavailableError
from holdfast.rag.conversations.keeper import Fate, KeeperOptions
from holdfast.rag.conversations.memory import MemoryOptions
from holdfast.telemetry.conversation_events import MemoryFailed, TurnLost, TurnReplayed


def recalled(context: object) -> list[str]:
    return [one.request_id for one in context.turns]  # type: ignore[attr-defined]


# --- a store that works -----------------------------------------------------------------------------------------------


async def test_a_turn_is_in_the_store_before_it_is_acknowledged() -> None:
    """When ``remember`` returns, the store has the turn, and another memory over the same store recalls it."""
    desk = Desk()
    assert await desk.memory.remember("c", turn(1)) is Fate.KEPT
    assert desk.fake.requests() == ["req_1"]
    other = Desk(desk.fake)
    context = await other.memory.recall("c")
    assert (recalled(context), context.complete, context.unsummarised) == (["req_1"], True, 1)
    assert desk.keeper.snapshot().buffered == 0


async def test_a_conversation_that_did_not_begin_is_empty() -> None:
    """Nothing was said, and that is known for sure."""
    context = await Desk().memory.recall("c")
    assert not context
    assert context.complete
    assert context.unsummarised == 0


async def test_two_processes_on_one_conversation_lose_and_double_nothing() -> None:
    """Turns of two processes are recalled in the order in which they were asked, however they were kept."""
    desk = Desk()
    other = Desk(desk.fake)
    await asyncio.gather(
        *(one.memory.remember("c", turn(number)) for number, one in enumerate([desk, other, desk, other]))
    )
    await other.memory.remember("c", turn(1))
    for one in (desk, other):
        assert recalled(await one.memory.recall("c")) == ["req_0", "req_1", "req_2", "req_3"]


async def test_only_the_last_turns_are_recalled() -> None:
    """However long a conversation is, a prompt is made of its end; how much no summary covers is known."""
    desk = Desk(memory=MemoryOptions(turns=2))
    for number in range(5):
        await desk.memory.remember("c", turn(number))
    context = await desk.memory.recall("c")
    assert (recalled(context), context.unsummarised) == (["req_3", "req_4"], 5)


async def test_a_deadline_that_has_passed_does_not_keep_a_turn_from_its_store() -> None:
    """An answer that took all its time is remembered like any other: keeping is no part of the request's time."""
    desk = Desk()
    with deadline_scope(0.0, clock=desk.clock):
        assert await desk.memory.remember("c", turn(1)) is Fate.KEPT


# --- a store that is down ---------------------------------------------------------------------------------------------


async def test_a_turn_waits_for_its_store_and_is_kept_when_it_is_back() -> None:
    """While the store is down a reader sees his own turns; once it is back, they are kept in order, by themselves."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.fake.error = DOWN
    assert await desk.memory.remember("c", turn(2)) is Fate.WAITS
    assert await desk.memory.remember("c", turn(3)) is Fate.WAITS
    context = await desk.memory.recall("c")
    assert (recalled(context), context.complete) == (["req_1", "req_2", "req_3"], False)
    assert desk.keeper.snapshot().buffered == 2
    desk.fake.error = None
    await desk.pass_time(7)
    assert desk.fake.requests() == ["req_1", "req_2", "req_3"]
    assert desk.keeper.snapshot().buffered == 0
    assert desk.keeper.snapshot().replayed == 2
    assert [event.correlation_id for event in desk.recorder.of(TurnReplayed)] == ["req_2", "req_3"]
    assert desk.recorder.of(TurnReplayed)[0].waited_ns == pytest.approx(5e9, rel=0.25)
    assert (await desk.memory.recall("c")).complete


async def test_failures_are_told_with_what_waits() -> None:
    """Each failing call is an event with its operation, on behalf of the request whose turn it is."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.memory.recall("c")
    await desk.memory.remember("c", turn(1))
    await desk.pass_time(7)
    told = [(event.operation, event.buffered, event.correlation_id) for event in desk.recorder.of(MemoryFailed)]
    assert told == [("recall", 0, ""), ("remember", 1, "req_1"), ("replay", 1, "req_1")]
    assert "The records are gone." in desk.recorder.of(MemoryFailed)[0].error


async def test_the_store_is_not_asked_all_the_time() -> None:
    """While it is down it is asked every five seconds at most, once, however many turns wait; and not at all later."""
    desk = Desk()
    desk.fake.error = DOWN
    for number in range(3):
        await desk.memory.remember(f"c{number}", turn(number))
    desk.fake.calls.clear()
    await desk.pass_time(60)
    assert 4 <= len(desk.fake.calls) <= 13
    desk.fake.error = None
    await desk.pass_time(25)
    asked = len(desk.fake.calls)
    assert desk.keeper.snapshot().buffered == 0
    await desk.pass_time(60)
    assert len(desk.fake.calls) == asked


async def test_a_new_turn_takes_along_what_waits_of_its_conversation() -> None:
    """A turn is never kept before the earlier ones of its conversation that this process holds."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.memory.remember("c", turn(1))
    desk.fake.error = None
    assert await desk.memory.remember("c", turn(2)) is Fate.KEPT
    assert desk.fake.requests() == ["req_1", "req_2"]


async def test_an_answer_waits_a_bounded_time_for_a_store_that_hangs() -> None:
    """After ``write_seconds`` the answer goes out; the turn is kept when the store comes to itself."""
    desk = Desk(keeping=KeeperOptions(write_seconds=1.0))
    desk.fake.hangs = True
    remembering = asyncio.ensure_future(desk.memory.remember("c", turn(1)))
    await desk.pass_time(1)
    assert remembering.done()
    assert remembering.result() is Fate.WAITS
    desk.fake.hangs = False
    await desk.pass_time(9)
    assert desk.fake.requests() == ["req_1"]


async def test_a_question_waits_a_bounded_time_for_a_store_that_hangs() -> None:
    """After ``read_seconds`` the question goes on with what this process remembers."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.fake.hangs = True
    recalling = asyncio.ensure_future(desk.memory.recall("c"))
    await desk.pass_time(1)
    assert recalling.done()
    assert (recalled(recalling.result()), recalling.result().complete) == (["req_1"], False)


async def test_a_caller_who_goes_away_leaves_his_turn_behind() -> None:
    """A cancelled request's turn is written all the same, now or when the store is back."""
    desk = Desk()
    desk.fake.hangs = True
    remembering = asyncio.ensure_future(desk.memory.remember("c", turn(1)))
    await settle()
    remembering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await remembering
    desk.fake.hangs = False
    await desk.pass_time(9)
    assert desk.fake.requests() == ["req_1"]


async def test_a_turn_whose_fate_is_not_known_is_kept_once() -> None:
    """A store that did its work and then failed is told again, and has the turn once."""
    desk = Desk()
    desk.fake.after = DOWN
    assert await desk.memory.remember("c", turn(1)) is Fate.WAITS
    assert recalled(await desk.memory.recall("c")) == ["req_1"]
    desk.fake.after = None
    await desk.pass_time(7)
    assert desk.fake.requests() == ["req_1"]


async def test_a_store_that_is_down_at_the_start_is_opened_when_it_is_back() -> None:
    """Nobody restarts a service for that."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.conversations.open()
    assert [event.operation for event in desk.recorder.of(MemoryFailed)] == ["open"]
    assert await desk.memory.remember("c", turn(1)) is Fate.WAITS
    assert "append" not in desk.fake.calls
    desk.fake.error = None
    await desk.pass_time(7)
    assert desk.fake.requests() == ["req_1"]


# --- what cannot be kept ----------------------------------------------------------------------------------------------


async def test_a_full_buffer_gives_up_its_oldest_turns_and_says_so() -> None:
    """What is evicted is counted, and told with its request and conversation."""
    desk = Desk(keeping=KeeperOptions(buffer_turns=2))
    desk.fake.error = DOWN
    for number in range(4):
        await desk.memory.remember("c", turn(number))
    assert [(event.correlation_id, event.cause) for event in desk.recorder.of(TurnLost)] == [
        ("req_0", "buffer_full"),
        ("req_1", "buffer_full"),
    ]
    assert (desk.keeper.snapshot().buffered, desk.keeper.snapshot().lost) == (2, 2)
    desk.fake.error = None
    await desk.pass_time(20)
    assert desk.fake.requests() == ["req_2", "req_3"]


async def test_a_working_store_is_not_bounded_by_the_buffer() -> None:
    """The bound is for what waits: turns that are just being written do not push each other out."""
    desk = Desk(keeping=KeeperOptions(buffer_turns=1))
    fates = await asyncio.gather(*(desk.memory.remember(f"c{number}", turn(number)) for number in range(5)))
    assert set(fates) == {Fate.KEPT}
    assert desk.recorder.of(TurnLost) == []


async def test_a_turn_that_the_store_refuses_does_not_hold_up_the_others() -> None:
    """It is lost, and told with the reason; what comes after it is kept."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.memory.remember("c", turn(1, question="refused"))
    await desk.memory.remember("c", turn(2))
    desk.fake.error = None
    assert await desk.memory.remember("c", turn(3, question="refused")) is Fate.REFUSED
    assert desk.fake.requests() == ["req_2"]
    assert [(event.correlation_id, event.cause) for event in desk.recorder.of(TurnLost)] == [
        ("req_1", "refused"),
        ("req_3", "refused"),
    ]
    assert "is not taken" in desk.recorder.of(TurnLost)[0].error


async def test_a_conversation_that_always_fails_does_not_hold_up_the_others() -> None:
    """A failure that is not the store's, but one conversation's, costs the others a few seconds."""
    desk = Desk()
    append = desk.fake.append

    async def poisoned(conversation_id: str, one: object) -> None:
        if conversation_id == "bad":
            raise ZeroDivisionError
        await append(conversation_id, one)  # type: ignore[arg-type]

    desk.fake.error = DOWN
    for name in ("bad", "c", "d"):
        await desk.memory.remember(name, turn(1))
    desk.fake.error = None
    desk.fake.append = poisoned  # type: ignore[method-assign, assignment]
    await desk.pass_time(20)
    assert (desk.fake.requests("c"), desk.fake.requests("d")) == (["req_1"], ["req_1"])
    assert desk.keeper.snapshot().buffered == 1


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_closing_tries_once_more_past_the_breaker() -> None:
    """A store that is back keeps what waits at the last moment, though its circuit breaker is open."""
    desk = Desk()
    desk.fake.error = DOWN
    for number in range(8):
        await desk.memory.remember("c", turn(number))
    desk.fake.error = None
    assert await desk.keeper.close() == 0
    assert desk.fake.requests() == [f"req_{number}" for number in range(8)]


async def test_closing_says_what_is_lost() -> None:
    """A store that stays down takes what waits with it: each turn is told."""
    desk = Desk()
    desk.fake.error = DOWN
    for number in range(2):
        await desk.memory.remember(f"c{number}", turn(number))
    assert await desk.keeper.close() == 2
    assert {(event.conversation_id, event.cause) for event in desk.recorder.of(TurnLost)} == {
        ("c0", "closed"),
        ("c1", "closed"),
    }
    assert desk.keeper.snapshot().buffered == 0
    assert await desk.memory.remember("c", turn(9)) is Fate.WAITS
    assert desk.recorder.of(TurnLost)[-1].correlation_id == "req_9"


async def test_closing_takes_a_bounded_time() -> None:
    """A store that hangs holds up the end of the process for ``close_seconds`` and no longer."""
    desk = Desk(keeping=KeeperOptions(close_seconds=3.0, write_seconds=1.0))
    desk.fake.hangs = True
    remembering = asyncio.ensure_future(desk.memory.remember("c", turn(1)))
    await desk.pass_time(1)
    assert remembering.done()
    closing = asyncio.ensure_future(desk.keeper.close())
    await desk.pass_time(2)
    assert not closing.done()
    await desk.pass_time(1)
    assert closing.result() == 1
    assert [task for task in asyncio.all_tasks() if "holdfast" in task.get_name()] == []


async def test_nothing_runs_on_when_nothing_waits() -> None:
    """A memory without anything to do has no task, and closing it is harmless, twice too."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    await settle()
    assert [task for task in asyncio.all_tasks() if "holdfast" in task.get_name()] == []
    assert await desk.keeper.close() == 0
    assert await desk.keeper.close() == 0


# --- deletion ---------------------------------------------------------------------------------------------------------


async def test_delete_means_gone_from_the_store_the_cache_and_the_buffer() -> None:
    """Nothing of a deleted conversation is recalled, and what waited of it is not kept later."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.fake.error = DOWN
    await desk.memory.remember("c", turn(2))
    desk.fake.error = None
    desk.clock.advance(3)
    assert await desk.memory.delete("c") is True
    desk.fake.error = DOWN
    assert not await desk.memory.recall("c")
    desk.fake.error = None
    await desk.pass_time(20)
    assert "c" not in desk.fake.kept
    assert await desk.memory.delete("c") is False


async def test_a_conversation_that_only_waits_is_deleted_too() -> None:
    """It was there, as far as its owner can tell."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.memory.remember("c", turn(1))
    desk.fake.error = None
    assert await desk.memory.delete("c") is True


async def test_an_answer_under_way_brings_no_deleted_conversation_back() -> None:
    """A question asked before the deletion and answered after it leaves nothing, in the store or in this process."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.clock.advance(5)
    await desk.memory.delete("c")
    assert await desk.memory.remember("c", turn(2)) is Fate.FORGOTTEN
    assert "c" not in desk.fake.kept
    desk.fake.error = DOWN
    assert not await desk.memory.recall("c")


async def test_what_was_read_before_a_deletion_is_not_remembered() -> None:
    """A recall that overlaps a deletion leaves no copy in this process."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.clock.advance(5)
    await asyncio.gather(desk.memory.recall("c"), desk.memory.delete("c"))
    assert desk.memory.recent == 0


async def test_a_deletion_that_fails_says_so_and_forgets_here_all_the_same() -> None:
    """The caller is told that the store may still have it; this process brings nothing back."""
    desk = Desk()
    desk.fake.error = DOWN
    await desk.memory.remember("c", turn(1))
    with pytest.raises(StoreUnavailableError, match="gone"):
        await desk.memory.delete("c")
    assert desk.memory.recent == desk.keeper.snapshot().buffered == 0


async def test_a_conversation_deleted_elsewhere_is_forgotten_here() -> None:
    """What the store says counts: another process's deletion empties the memory of this one."""
    desk = Desk()
    await desk.memory.remember("c", turn(1))
    desk.fake.kept.clear()
    assert not await desk.memory.recall("c")
    assert desk.memory.recent == 0


async def test_a_turn_that_ends_during_a_recall_is_remembered() -> None:
    """The copy in this process has it, though the store was read before."""
    desk = Desk()
    await asyncio.gather(desk.memory.recall("c"), desk.memory.remember("c", turn(1)))
    desk.fake.error = DOWN
    assert recalled(await desk.memory.recall("c")) == ["req_1"]


# --- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conversation_id", ["", "a b", "x" * 101, "c\n"])
async def test_ids_that_cannot_be_are_refused(conversation_id: str) -> None:
    """They are the caller's mistake, and no failure of the store."""
    desk = Desk()
    with pytest.raises(InvalidInputError, match="conversation_id"):
        await desk.memory.recall(conversation_id)
    with pytest.raises(InvalidInputError, match="conversation_id"):
        await desk.memory.delete(conversation_id)
    assert desk.fake.calls == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (lambda: KeeperOptions(buffer_turns=0), "buffer_turns"),
        (lambda: KeeperOptions(buffer_bytes=0), "buffer_bytes"),
        (lambda: KeeperOptions(write_seconds=0.0), "write_seconds"),
        (lambda: KeeperOptions(probe_seconds=-1.0), "probe_seconds"),
        (lambda: KeeperOptions(close_seconds=0.0), "close_seconds"),
        (lambda: MemoryOptions(turns=0), "turns"),
        (lambda: MemoryOptions(read_seconds=0.0), "read_seconds"),
        (lambda: MemoryOptions(recent_conversations=0), "recent_conversations"),
        (lambda: MemoryOptions(recent_bytes=0), "recent_bytes"),
    ],
)
def test_options_out_of_range_are_named(options: object, field: str) -> None:
    """Each option is checked when it is given."""
    with pytest.raises(ConfigError, match=f"^{field}="):
        options()  # type: ignore[operator]


# --- everything at once -----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from("ab")),
        st.tuples(st.just("leave"), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["down", "up", "unsure", "hang", "wait"]), st.just("")),
        st.tuples(st.just("delete"), st.sampled_from("ab")),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_no_turn_is_lost_doubled_or_turned_round(steps: list[tuple[str, str]]) -> None:
    """Whatever the store does, once it works again it has each turn once, each conversation in its order."""
    asyncio.run(_everything(steps))


async def _everything(steps: list[tuple[str, str]]) -> None:
    desk = Desk()
    said: dict[str, list[str]] = {"a": [], "b": []}
    number = 0
    for what, name in steps:
        if what in {"say", "leave"}:
            number += 1
            desk.clock.advance(0.001)
            one = replace(turn(number), asked_at=desk.clock.wall_ns() / 1e9)
            said[name].append(one.request_id)
            remembering = asyncio.ensure_future(desk.memory.remember(name, one))
            await settle(3)
            if what == "leave":
                remembering.cancel()
                await asyncio.wait({remembering})
            else:
                await desk.pass_time(2)
                fate = await remembering
                assert fate is Fate.WAITS or one.request_id in desk.fake.requests(name)
            mine = [item.request_id for item in (await _recall(desk, name)).turns]  # type: ignore[attr-defined]
            assert mine == said[name][-8:]
        elif what == "delete":
            desk.clock.advance(0.001)
            desk.fake.error = desk.fake.after = None
            desk.fake.hangs = False
            for _ in range(5):  # what hung until now may fail once more: whoever deletes is told, and tries again
                desk.clock.advance(16)  # the breaker lets a call through
                await settle()
                with suppress(CircuitOpenError):
                    await desk.memory.delete(name)
                    break
            else:
                raise AssertionError("it could not be deleted, though the store works")
            said[name] = []
        elif what == "wait":
            await desk.pass_time(6)
        else:
            desk.fake.error = DOWN if what == "down" else None
            desk.fake.after = DOWN if what == "unsure" else None
            desk.fake.hangs = what == "hang"
    desk.fake.error = desk.fake.after = None
    desk.fake.hangs = False
    await desk.pass_time(40)
    assert desk.keeper.snapshot().buffered == 0
    assert {name: desk.fake.requests(name) for name in said} == said
    assert desk.recorder.of(TurnLost) == []
    await desk.keeper.close()


async def _recall(desk: Desk, name: str) -> object:
    recalling = asyncio.ensure_future(desk.memory.recall(name))
    await desk.pass_time(1)
    return await recalling
