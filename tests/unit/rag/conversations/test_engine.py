"""Conversations through the whole engine: follow-ups find what they mean, and a broken memory is only a notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.rag.scripted import Provider, desk

from holdfast.rag.query import Query
from holdfast.rag.records.sqlite import FILE_NAME
from holdfast.rag.types import Reason, Tier
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.rag.scripted import Desk

    from holdfast.rag.types import Answer

WARRANTY = "How long is the warranty of kitchen appliances?"
FOLLOW = "And when does it begin?"


async def ask(service: Desk, question: str, conversation: str | None = "c") -> Answer:
    return await service.engine.ask(Query(question=question, conversation_id=conversation))


async def test_a_follow_up_finds_what_its_conversation_is_about(tmp_path: Path) -> None:
    """Alone it finds nothing; in its conversation it is answered, after a restart too."""
    async with desk(tmp_path, Provider(), model=None) as service:
        assert not (await ask(service, FOLLOW, None)).answered
        first = await ask(service, WARRANTY)
        second = await ask(service, FOLLOW)
        assert (first.conversation_id, first.answered, second.answered) == ("c", True, True)
        assert "day of delivery" in second.text
        assert (second.reasons, second.notice) == ((), "")
    async with desk(tmp_path, Provider(), model=None) as service:
        again = await ask(service, FOLLOW)
        assert again.answered
        kept = await service.engine.records.conversations.get("c")
    assert kept is not None
    assert [turn.question for turn in kept.turns] == [WARRANTY, FOLLOW, FOLLOW]


async def test_a_model_gets_the_conversation_and_its_answer_is_nobody_elses(tmp_path: Path) -> None:
    """What was said is in the prompt; an answer that may tell of it is not given to others from the cache."""
    provider = Provider(pieces=["Three years from the day of delivery [1]."])
    async with desk(tmp_path, provider) as service:
        await ask(service, WARRANTY)
        await ask(service, "How long is the warranty of kitchen appliances exactly?")
        assert f"User: {WARRANTY}\nAssistant: Three years from the day of delivery.\n</conversation_" in provider.prompt
        asked = len(provider.requests)
        await ask(service, "How long is the warranty of kitchen appliances exactly?", None)
        assert len(provider.requests) > asked
        assert "conversation_" not in provider.prompt


async def test_a_broken_memory_is_a_notice(tmp_path: Path) -> None:
    """While the records are away the answer is whole, says that it may be forgotten, and is kept when they are back."""
    clock = FakeClock()
    async with desk(tmp_path, Provider(), model=None, clock=clock) as service:
        await ask(service, WARRANTY)
        records = tmp_path / "data" / FILE_NAME
        records.rename(tmp_path / "away")
        answer = await ask(service, FOLLOW)
        assert (answer.answered, answer.tier, answer.reasons) == (True, Tier.FULL, (Reason.MEMORY_UNAVAILABLE,))
        assert "may not be remembered" in answer.notice
        (tmp_path / "away").rename(records)
        await clock.asleep_ns(30_000_000_000)
        kept = await service.engine.records.conversations.get("c")
    assert kept is not None
    assert [turn.question for turn in kept.turns] == [WARRANTY, FOLLOW]
