"""Conversations from end to end: over a real SQLite file, through restarts, kills and a store that breaks."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.conversations.conftest import DOWN, Desk, FakeModel, settle

from holdfast.core.clock import SystemClock
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.errors import (
    InvalidInputError,
    NotFoundError,
    RetriesExhaustedError,
    StoreLockedError,
    StoreUnavailableError,
)
from holdfast.rag.conversations.conversations import Conversations, MemorySnapshot, new_conversation_id
from holdfast.rag.conversations.keeper import KeeperOptions
from holdfast.rag.conversations.rewriting import How
from holdfast.rag.query import Query
from holdfast.rag.records.limits import check_conversation_id
from holdfast.rag.records.sqlite import FILE_NAME, SqliteRecords
from holdfast.rag.types import Answer, Source, Tier
from holdfast.telemetry.conversation_events import ConversationSummarised, TurnLost
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RETURNS = "How do I return a damaged parcel?"
FOLLOW = "How long does that take?"
BY_MODEL = "How long does the return of a damaged parcel take?"


@asynccontextmanager
async def on_disk(folder: Path, clock: FakeClock, **options: Any) -> AsyncIterator[Desk]:
    """A memory over the records in a folder; its end stands for the end of the process."""
    records = SqliteRecords(folder, blocking=InlineBlocking(), clock=clock, busy_timeout=0.01)
    desk = Desk(records.conversations, clock=clock, **options)
    await desk.conversations.open()
    try:
        yield desk
    finally:
        await desk.conversations.close()
        await records.close()


# --- a question and its conversation ----------------------------------------------------------------------------------


async def test_a_question_without_a_conversation_touches_nothing() -> None:
    """It is taken as it is, and neither read nor kept."""
    desk = Desk()
    asked, remembered = await desk.say(FOLLOW, conversation=None)
    assert (asked.question_to_search, asked.question_to_answer, asked.also_search) == (FOLLOW, FOLLOW, None)
    assert (asked.private, asked.how, remembered) == (False, How.AS_ASKED, True)
    assert desk.fake.calls == []


async def test_a_follow_up_is_searched_by_what_it_means() -> None:
    """The first question begins the conversation; the second one gets its words, and both searches are proposed."""
    desk = Desk()
    asked, remembered = await desk.say(RETURNS, "Print a label [1].")
    assert (asked.private, remembered) == (False, True)
    asked, remembered = await desk.say(FOLLOW)
    assert asked.question_to_search == asked.question_to_answer == "How long does that take? (return damaged parcel)"
    assert (asked.also_search, asked.how, asked.private, remembered) == (FOLLOW, How.RULES, True, True)
    assert asked.context.for_prompt() == f"User: {RETURNS}\nAssistant: Print a label."
    kept = await desk.conversations.get("c")
    assert [turn.standalone for turn in kept.turns] == ["", "How long does that take? (return damaged parcel)"]
    assert kept.turns[0].asked_at == pytest.approx(desk.clock.wall_ns() / 1e9, abs=0.1)


async def test_what_a_model_makes_of_a_question_needs_no_second_search() -> None:
    """Its cost is told, so that it can be added to the answer's."""
    desk = Desk(completer=FakeModel(BY_MODEL))
    await desk.say(RETURNS)
    asked, _ = await desk.say(FOLLOW)
    assert (asked.question_to_search, asked.also_search, asked.how) == (BY_MODEL, None, How.MODEL)
    assert asked.cost_usd == 0.001


@pytest.mark.parametrize(("tier", "turns"), [(Tier.FULL, 4), (Tier.DEGRADED, 2), (Tier.MINIMAL, 0), (Tier.OFFLINE, 0)])
async def test_prompts_shrink_with_the_tier(tier: Tier, turns: int) -> None:
    """A service with fewer means puts less of the conversation to a model, and remembers all of it."""
    desk = Desk()
    for number in range(4):
        await desk.say(f"Is lamp {number} in stock?")
    asked, remembered = await desk.say("Is the sofa red?", tier=tier)
    assert len(asked.context.turns) == turns
    assert remembered
    assert len((await desk.conversations.get("c")).turns) == 5


async def test_two_questions_of_one_conversation_at_a_time() -> None:
    """The second one does not see the first one's answer yet; both are remembered, in the order of their questions."""
    desk = Desk()
    queries = [Query(question=f"Is lamp {n} red?", conversation_id="c", request_id=f"r{n}") for n in range(2)]
    asked = []
    for query in queries:
        asked.append(await desk.conversations.begin(query))
        desk.clock.advance(1)
    answer = Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL)
    for query, one in zip(reversed(queries), reversed(asked), strict=True):
        assert await desk.conversations.finish(query, one, answer)
    later = await desk.conversations.begin(Query(question="And?", conversation_id="c", request_id="r9"))
    assert [turn.request_id for turn in later.context.turns] == ["r0", "r1"]


async def test_a_long_conversation_is_summed_up_after_an_answer() -> None:
    """From the ninth turn on old turns are in the summary, which the next prompt begins with."""
    desk = Desk(completer=FakeModel("The user asks about lamps."))
    for number in range(9):
        await desk.say(f"Is lamp {number} in stock?")
        await settle()
    assert [event.turns for event in desk.recorder.of(ConversationSummarised)] == [5]
    asked, _ = await desk.say("Is the sofa red?")
    assert asked.context.for_prompt().startswith("Before that: The user asks about lamps.\nUser: Is lamp 1 ")
    assert asked.context.unsummarised == 4


async def test_a_broken_memory_fails_no_question() -> None:
    """Be the store down or its error one that nobody expects: the answer says that it may be forgotten."""
    desk = Desk()
    await desk.say(RETURNS)
    for error in (DOWN, ZeroDivisionError("a bug")):
        desk.fake.error = error
        asked, remembered = await desk.say(FOLLOW)
        assert (asked.recalled, remembered) == (False, False)
        assert asked.question_to_search == "How long does that take? (return damaged parcel)"
    assert desk.conversations.snapshot().buffered == 2


async def test_an_answer_says_when_its_conversation_could_not_be_read() -> None:
    """Though its own turn is kept: it may rest on less than was said."""
    desk = Desk()
    query = Query(question=RETURNS, conversation_id="c", request_id="r1")
    await desk.conversations.open()
    desk.fake.error = DOWN
    asked = await desk.conversations.begin(query)
    desk.fake.error = None
    assert not await desk.conversations.finish(query, asked, Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL))
    assert desk.fake.requests() == ["r1"]


async def test_a_turn_that_is_refused_is_not_said_to_be_remembered() -> None:
    """The store does not take it, and the answer says so; in a conversation that was deleted nobody misses it."""
    desk = Desk()
    assert not (await desk.say("refused"))[1]
    query = Query(question=RETURNS, conversation_id="d", request_id="r1")
    asked = await desk.conversations.begin(query)
    desk.clock.advance(1)
    await desk.conversations.delete("d")
    assert await desk.conversations.finish(query, asked, Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL))


async def test_conversations_can_be_read_listed_and_deleted() -> None:
    """One that is not there is told from one that is empty of turns."""
    desk = Desk()
    await desk.say(RETURNS)
    assert (await desk.conversations.get("c", last=1)).turns[0].question == RETURNS
    assert [brief.id for brief in (await desk.conversations.page()).conversations] == ["c"]
    assert await desk.conversations.delete("c")
    assert not await desk.conversations.delete("c")
    with pytest.raises(NotFoundError, match="no conversation c"):
        await desk.conversations.get("c")
    with pytest.raises(InvalidInputError, match="conversation_id"):
        await desk.conversations.get("no id")
    with pytest.raises(InvalidInputError, match="conversation_id"):
        await desk.say(RETURNS, conversation="no id")


@pytest.mark.parametrize("cause", [DOWN, ZeroDivisionError("a bug")])
async def test_of_repetitions_that_fail_the_last_failure_is_told(cause: Exception) -> None:
    """Who reads or deletes a conversation learns what is wrong with the store, not how often it was asked."""
    desk = Desk()
    await desk.conversations.open()
    guard = Pipeline(Retry(max_retries=1, initial_delay=0.0, retry_on=(Exception,)), clock=desk.clock)
    conversations = Conversations(desk.fake, guard, completer=None, clock=desk.clock, rng=desk.rng, events=desk.events)
    desk.fake.error = cause
    with pytest.raises(StoreUnavailableError if cause is DOWN else RetriesExhaustedError):
        await conversations.get("c")


def test_a_new_id_is_long_and_allowed() -> None:
    """Nobody guesses the id of another one's conversation."""
    ids = {new_conversation_id() for _ in range(100)}
    assert len(ids) == 100
    for one in ids:
        check_conversation_id(one)
        assert len(one) == len("conv_") + 32


async def test_the_snapshot_tells_what_waits_and_what_is_lost() -> None:
    """Numbers for health and metrics."""
    desk = Desk(keeping=KeeperOptions(buffer_turns=1))
    desk.fake.error = DOWN
    await desk.say(RETURNS)
    await desk.say(FOLLOW)
    snapshot = desk.conversations.snapshot()
    assert snapshot == MemorySnapshot(buffered=1, buffered_bytes=snapshot.buffered_bytes, replayed=0, lost=1, recent=1)
    assert snapshot.buffered_bytes > 1_000


# --- over a real file -------------------------------------------------------------------------------------------------


async def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    """What was said is there for the next process, summary included, and follow-ups mean what they meant."""
    clock = FakeClock(auto=False)
    async with on_disk(tmp_path, clock) as desk:
        for number in range(9):
            await desk.say(f"Is lamp {number} in stock?")
        await settle()
        await desk.say(RETURNS)
    async with on_disk(tmp_path, clock) as desk:
        asked, remembered = await desk.say(FOLLOW)
    assert asked.question_to_search == "How long does that take? (return damaged parcel)"
    assert asked.context.summary.startswith("The user asked: Is lamp 0 in stock?")
    assert (len(asked.context.turns), asked.recalled, remembered) == (8, True, True)


async def test_turns_wait_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    """A writer that hangs costs the memory, and no question; nothing is lost or doubled when it is gone."""
    clock = FakeClock(auto=False)
    async with on_disk(tmp_path, clock) as desk:
        await desk.say(RETURNS)
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asked, remembered = await desk.say(FOLLOW)
            assert (asked.recalled, remembered) == (True, False)  # SQLite's readers do not wait for writers
            with pytest.raises(StoreLockedError):
                await desk.conversations.delete("other")
            asked, _ = await desk.say("And why?")
            assert asked.question_to_search == "And why? (return damaged parcel)"
            assert desk.conversations.snapshot().buffered == 2
            other.execute("ROLLBACK")
        await desk.pass_time(25)
        assert desk.conversations.snapshot().buffered == 0
        kept = await desk.conversations.get("c")
        assert [turn.question for turn in kept.turns] == [RETURNS, FOLLOW, "And why?"]


async def test_a_file_that_is_gone_for_a_while_costs_nothing_that_was_said(tmp_path: Path) -> None:
    """While the file is away, this process remembers; when it is back, everything is in it."""
    clock = FakeClock(auto=False)
    async with on_disk(tmp_path, clock) as desk:
        await desk.say(RETURNS)
        (tmp_path / FILE_NAME).rename(tmp_path / "away")
        asked, remembered = await desk.say(FOLLOW)
        assert (asked.recalled, remembered) == (False, False)
        assert asked.question_to_search == "How long does that take? (return damaged parcel)"
        (tmp_path / "away").rename(tmp_path / FILE_NAME)
        await desk.pass_time(25)
        kept = await desk.conversations.get("c")
        assert [turn.question for turn in kept.turns] == [RETURNS, FOLLOW]


async def test_a_damaged_file_costs_no_question(tmp_path: Path) -> None:
    """Turns wait; when the process ends before anybody mends the file, each is told to be lost."""
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1_000)
    async with on_disk(tmp_path, FakeClock(auto=False)) as desk:
        await desk.say(RETURNS)
        asked, remembered = await desk.say(FOLLOW)
        assert asked.question_to_search == "How long does that take? (return damaged parcel)"
        assert not remembered
    assert [event.cause for event in desk.recorder.of(TurnLost)] == ["closed", "closed"]


async def test_two_processes_take_turns_in_one_conversation(tmp_path: Path) -> None:
    """Each sees what was said with the other, at once; the one that was away catches up in order."""
    clock = FakeClock(auto=False)
    async with on_disk(tmp_path, clock) as one, on_disk(tmp_path, clock) as other:
        one._requests, other._requests = 100, 200
        await one.say(RETURNS)
        asked, _ = await other.say(FOLLOW)
        assert asked.also_search == FOLLOW
        for number in range(3):
            await (one if number % 2 else other).say(f"Is lamp {number} in stock?")
        for desk in (one, other):
            recalled = await desk.memory.recall("c")
            assert [turn.question for turn in recalled.turns] == [
                RETURNS,
                FOLLOW,
                *(f"Is lamp {n} in stock?" for n in range(3)),
            ]


def acknowledged(folder: Path) -> list[str]:
    """What a process says that remembers turns, until it is killed."""
    script = Path(__file__).with_name("remembering_process.py")
    with subprocess.Popen([sys.executable, script, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(40)]
        process.kill()
        return lines + [line.strip() for line in process.stdout if line.endswith("\n")]


@pytest.mark.process
async def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """After kill -9 the file has every turn that was acknowledged, once and in order, and at most one more."""
    lines = acknowledged(tmp_path)
    records = SqliteRecords(tmp_path, blocking=InlineBlocking(), clock=SystemClock())
    found = await records.conversations.get("c")
    await records.close()
    assert found is not None
    kept = [turn.request_id for turn in found.turns]
    assert kept[: len(lines)] == lines
    assert len(kept) <= len(lines) + 1


async def test_closing_leaves_nothing_running(tmp_path: Path) -> None:
    """Neither a writer nor a summary outlives the memory."""
    async with on_disk(tmp_path, FakeClock(auto=False), completer=FakeModel(None)) as desk:
        for number in range(9):
            await desk.say(f"Is lamp {number} in stock?")
        await settle()
    assert [task for task in asyncio.all_tasks() if "holdfast" in task.get_name()] == []
