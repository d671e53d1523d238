"""Playing one run: what it keeps, and what it tells on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.runs.meter import Meter
from holdfast.lab.runs.play import Run, play
from holdfast.lab.scenarios.questions import lab_questions
from holdfast.lab.scenarios.scenario import Scenario
from holdfast.lab.scenarios.traffic import Traffic
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import run_world

if TYPE_CHECKING:
    from holdfast.lab.world.world import World

SHORT = Scenario(name="short", about="A test.", seconds=12, traffic=Traffic(rate=1, arrivals="even"))


def test_no_answer_is_kept() -> None:
    """A run counts and keeps no question, so that its memory does not grow with its time."""

    async def main(world: World) -> tuple[int, int]:
        meter = Meter(world, SHORT)
        for question in lab_questions()[:3]:
            await world.ask(question)
        measures, _ = meter.finish()
        return measures.asked, len(world.record.asked)

    assert run_world(main, WorldOptions()).value == (3, 0)


def test_progress_is_told_every_five_seconds() -> None:
    """In virtual time, and at the end; who listens changes nothing."""
    told: list[float] = []
    run = Run(scenario=SHORT, configuration=configuration_of("holdfast"), seed=7)
    assert play(run, told.append) == play(run)
    assert told == [5, 10, 12]


def test_an_error_of_who_listens_is_raised() -> None:
    """What goes wrong beside the questions does not go unnoticed."""

    def broken(_seconds: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(Run(scenario=SHORT, configuration=configuration_of("holdfast"), seed=7), broken)


def test_times_of_a_run_are_times_of_its_world() -> None:
    """Every question is in a bucket, though the engine takes a moment to open; faults begin where the scenario says."""
    outcome = play(Run(scenario=SHORT, configuration=configuration_of("holdfast"), seed=7))
    assert [each.offered for each in outcome.timeline] == [4, 5, 2]
    assert outcome.measures.asked == 11
