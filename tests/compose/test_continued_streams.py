"""A stream that breaks in the middle is gone on with by another model, where there is one. In virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import run_world

if TYPE_CHECKING:
    from holdfast.lab.world.record import Asked
    from holdfast.lab.world.world import World

QUESTION = Question("How many days do I have to send back a toaster I don't like?", ("30 days",))


def asked(way: str, models: str) -> Asked:
    async def main(world: World) -> Asked:
        return await world.ask(QUESTION, streamed=True)

    faults = FaultPlan([Fault(component="model:openai", kind=Kind.GARBAGE, way=way)])
    return run_world(main, WorldOptions(seed=7, faults=faults, settings={"model": models})).value


@pytest.mark.parametrize("way", ["cut", "stall", "eof"])
def test_a_second_model_goes_on(way: str) -> None:
    """The user gets the whole answer, whoever wrote its end."""
    answer = asked(way, "openai/gpt-4o-mini, anthropic/claude-haiku-4-5")
    assert answer.fact
    assert "breaks off" not in answer.text
    assert "answer_interrupted" not in answer.reasons


def test_without_a_second_model_the_break_is_told() -> None:
    """What was given out cannot be taken back: a sentence says that it is not all."""
    answer = asked("cut", "openai/gpt-4o-mini")
    assert "breaks off" in answer.text
    assert "answer_interrupted" in answer.reasons
