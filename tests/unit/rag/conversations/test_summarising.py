"""Old turns are summed up in the background, a few at a time, and what fails is done later."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.rag.conversations.conftest import DOWN, Desk, FakeModel, settle, turn

from holdfast.errors import ConfigError, ProviderError
from holdfast.rag.conversations.summarising import Summariser, SummaryOptions
from holdfast.telemetry.conversation_events import ConversationSummarised, SummaryPostponed

if TYPE_CHECKING:
    from holdfast.rag.records.base import Conversation


async def talked(desk: Desk, count: int, *, start: int = 0, words: int = 1) -> None:
    for number in range(start, start + count):
        await desk.fake.append("c", turn(number, question=f"Is lamp {number} in stock?" * words))


def summariser(desk: Desk, model: FakeModel | None = None, **options: int) -> Summariser:
    return Summariser(
        desk.access,
        model,
        clock=desk.clock,
        rng=random.Random(1),
        voice=desk.voice,
        options=SummaryOptions(**options),
    )


async def test_a_short_conversation_is_left_alone() -> None:
    """Up to ``after_turns`` turns without a summary nothing is read and nothing runs."""
    desk = Desk()
    await talked(desk, 8)
    desk.fake.calls.clear()
    summariser(desk).consider("c", unsummarised=8)
    await settle()
    assert desk.fake.calls == []


async def test_a_model_sums_up_all_but_the_last_turns() -> None:
    """The summary covers what it says it covers, and the event tells on whose behalf it was made."""
    desk, model = Desk(), FakeModel("The user asks about lamps 0 to 4.")
    await talked(desk, 9)
    summariser(desk, model).consider("c", unsummarised=9, request_id="req_8")
    await settle()
    kept = desk.fake.kept["c"]
    assert (kept.summary, kept.summarised) == ("The user asks about lamps 0 to 4.", 5)
    assert "lamp 4" in model.prompts[0]
    assert "lamp 5" not in model.prompts[0]
    (event,) = desk.recorder.of(ConversationSummarised)
    assert (event.how, event.turns, event.conversation_id, event.correlation_id) == ("model", 5, "c", "req_8")


async def test_a_summary_is_made_of_the_one_before_and_of_what_was_said_since() -> None:
    """A model reads no turn twice."""
    desk, model = Desk(), FakeModel(lambda prompt: f"Notes {len(prompt)}")
    sums = summariser(desk, model)
    await talked(desk, 9)
    sums.consider("c", unsummarised=9)
    await settle()
    first = desk.fake.kept["c"].summary
    await talked(desk, 5, start=9)
    sums.consider("c", unsummarised=9)
    await settle()
    assert first in model.prompts[1]
    assert "lamp 4" not in model.prompts[1]
    assert "lamp 9" in model.prompts[1]
    assert desk.fake.kept["c"].summarised == 10


async def test_without_a_model_the_questions_are_listed() -> None:
    """The list goes on from one summary to the next, and the oldest questions give way."""
    desk = Desk()
    sums = summariser(desk)
    await talked(desk, 9)
    sums.consider("c", unsummarised=9)
    await settle()
    assert (
        desk.fake.kept["c"].summary
        == "The user asked: " + "; ".join(f"Is lamp {number} in stock?" for number in range(5)) + "."
    )
    await talked(desk, 60, start=9)
    sums.consider("c", unsummarised=64)
    await settle()
    summary = desk.fake.kept["c"].summary
    assert "lamp 64" in summary
    assert "lamp 0 " not in summary
    assert len(summary) <= 800
    assert summary.count("The user asked: ") == 1


async def test_what_a_model_noted_stays_when_questions_are_listed_after_it() -> None:
    """A service that lost its model builds on the notes that it has."""
    desk = Desk()
    await talked(desk, 9)
    await desk.fake.summarise("c", "The user has a red lamp.", upto=1, created_at=desk.fake.kept["c"].created_at)
    summariser(desk).consider("c", unsummarised=9)
    await settle()
    assert desk.fake.kept["c"].summary.startswith("The user has a red lamp. The user asked: Is lamp 1 in stock?;")


async def test_a_long_conversation_is_read_in_parts() -> None:
    """No request to a model is longer than ``batch_tokens``, but for a single turn that is."""
    desk, model = Desk(), FakeModel("Lamps.")
    await talked(desk, 12, words=5)
    summariser(desk, model, batch_tokens=120).consider("c", unsummarised=12)
    await settle(200)
    assert desk.fake.kept["c"].summarised == 8
    assert len(model.prompts) == 4
    alone = Desk()
    await talked(alone, 12, words=40)
    summariser(alone, FakeModel("Lamps."), batch_tokens=1).consider("c", unsummarised=12)
    await settle(200)
    assert alone.fake.kept["c"].summarised == 8


async def test_one_conversation_is_summed_up_once_at_a_time() -> None:
    """A second answer during a summary begins no second one; neither do more conversations than ``at_once``."""
    desk, model = Desk(), FakeModel(None)
    for name in ("c", "d", "e"):
        for number in range(9):
            await desk.fake.append(name, turn(number))
    sums = summariser(desk, model, at_once=2)
    for name in ("c", "c", "d", "e"):
        sums.consider(name, unsummarised=9)
    await settle()
    assert len(model.prompts) == 2
    await sums.close()
    await sums.close()
    assert [task for task in asyncio.all_tasks() if "summary" in task.get_name()] == []


@pytest.mark.parametrize("says", [ProviderError("The provider is down."), "", "I don't know."])
async def test_a_failure_postpones_the_summary(says: str | Exception) -> None:
    """Nothing is kept, the event says why, and the next answer tries again."""
    desk, model = Desk(), FakeModel(says)
    sums = summariser(desk, model)
    await talked(desk, 9)
    sums.consider("c", unsummarised=9)
    await settle()
    assert desk.fake.kept["c"].summarised == 0
    assert [event.conversation_id for event in desk.recorder.of(SummaryPostponed)] == ["c"]
    model.says = "Lamps."
    sums.consider("c", unsummarised=9)
    await settle()
    assert desk.fake.kept["c"].summarised == 5


async def test_a_store_that_fails_postpones_the_summary() -> None:
    """Nobody waits for a summary, and nobody hears of its failure but the log."""
    desk = Desk()
    await talked(desk, 9)
    await desk.access.open()
    desk.fake.error = DOWN
    summariser(desk).consider("c", unsummarised=9)
    await settle()
    assert "gone" in desk.recorder.of(SummaryPostponed)[0].error


async def test_a_summary_that_comes_too_late_is_thrown_away() -> None:
    """Another process was quicker, or the conversation began again and is short: nothing is kept or told."""
    desk, model = Desk(), FakeModel("Lamps.")
    await talked(desk, 9)
    get = desk.fake.get

    async def overtaken(conversation_id: str, *, last: int | None = None) -> Conversation | None:
        found = await get(conversation_id, last=last)
        await desk.fake.summarise("c", "Sofas.", upto=6, created_at=desk.fake.kept["c"].created_at)
        return found

    desk.fake.get = overtaken  # type: ignore[method-assign]
    sums = summariser(desk, model)
    sums.consider("c", unsummarised=9)
    await settle()
    assert (len(model.prompts), desk.fake.kept["c"].summary) == (1, "Sofas.")
    desk.fake.get = get  # type: ignore[method-assign]
    await desk.fake.delete("c")
    desk.clock.advance(100)
    await talked(desk, 3, start=101)
    sums.consider("c", unsummarised=9)
    await settle()
    assert (len(model.prompts), desk.recorder.of(ConversationSummarised)) == (1, [])


async def test_a_model_that_hangs_is_left_after_its_time() -> None:
    """After ``seconds`` the summary is postponed."""
    desk = Desk()
    await talked(desk, 9)
    summariser(desk, FakeModel(None)).consider("c", unsummarised=9)
    await settle()
    desk.clock.advance(21)
    await settle()
    assert "in time" in desk.recorder.of(SummaryPostponed)[0].error


async def test_a_model_that_fails_for_long_leaves_no_gap() -> None:
    """Once more than twice ``after_turns`` turns wait for a summary, their questions are listed."""
    desk = Desk()
    await talked(desk, 21)
    summariser(desk, FakeModel(ProviderError("down"))).consider("c", unsummarised=21)
    await settle()
    (event,) = desk.recorder.of(ConversationSummarised)
    assert (event.how, event.turns) == ("questions", 17)
    assert "down" in event.error


async def test_a_conversation_that_is_gone_is_not_summed_up() -> None:
    """One that was deleted, or summed up by another process, is left as it is."""
    desk, model = Desk(), FakeModel(None)
    sums = summariser(desk, model)
    sums.consider("c", unsummarised=9)
    await settle()
    await talked(desk, 9)
    sums.consider("c", unsummarised=9)
    await settle()
    desk.clock.advance(1)
    model.says = "Lamps."
    await desk.fake.delete("c")
    await settle()
    assert "c" not in desk.fake.kept
    assert desk.recorder.of(ConversationSummarised) == []
    await sums.close()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"after_turns": 0}, "after_turns"),
        ({"keep_turns": -1}, "keep_turns"),
        ({"keep_turns": 8}, "keep_turns"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_chars": 99}, "max_chars"),
        ({"seconds": 0.0}, "seconds"),
        ({"at_once": 0}, "at_once"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, float], field: str) -> None:
    """Each option is checked when it is given."""
    with pytest.raises(ConfigError, match=f"^{field}="):
        SummaryOptions(**options)  # type: ignore[arg-type]
