"""What the service is compared with has to fail, and to repeat, as it does in the hands of its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.configurations.registry import NOTHING, configuration_of
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import World, run_world

if TYPE_CHECKING:
    from holdfast.lab.world.record import Asked

QUESTION = Question("How many days do I have to send back a toaster I don't like?", ("30 days",))
RETRIES = "retries-only"


def asked(name: str, way: str, **fault: Any) -> tuple[Asked, int]:
    """What becomes of a question while the model fails in one way, and how often the model was called."""

    async def main(world: World) -> tuple[Asked, int]:
        return await world.ask(QUESTION), len(world.providers["openai"].calls)

    failing = Fault(component="model:openai", kind=Kind.ERRORS, way=way, **fault)
    options = WorldOptions(faults=FaultPlan([failing]), provider=SimulatorOptions(speed=0))
    return run_world(main, configuration_of(name).options(options)).value


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("server_error", "ProviderError"),
        ("rate_limited", "ProviderError"),
        ("quota", "ProviderError"),
        ("not_json", "MalformedAnswerError"),
        ("reset", "DependencyError"),
    ],
)
def test_the_user_of_a_plain_program_sees_the_providers_error(way: str, error: str) -> None:
    """A failed call to the model raises what a client of the provider would raise, and not that no target is left."""
    ended, calls = asked(NOTHING, way)
    assert (ended.error, calls) == (error, 1)


@pytest.mark.parametrize(
    ("way", "calls"),
    [
        ("server_error", 4),
        ("overloaded", 4),
        ("reset", 4),
        ("not_json", 4),
        ("rate_limited", 2),
        ("quota", 1),
        ("auth", 1),
        ("context_length", 1),
    ],
)
def test_a_program_that_only_repeats_does_repeat_calls_to_the_model(way: str, calls: int) -> None:
    """What may pass is asked four times, a rate limit twice, and what no repetition mends once."""
    ended, made = asked(RETRIES, way)
    assert ended.error
    assert made == calls


def test_a_repetition_mends_what_passes() -> None:
    """A model that fails for two seconds is an error of the plain program, and an answer of the one that repeats."""
    assert asked(NOTHING, "server_error", end=2.0)[0].error
    ended, calls = asked(RETRIES, "server_error", end=2.0)
    assert (ended.source, ended.fact, calls) == ("live", True, 3)


def test_half_an_answer_is_an_error_and_is_not_kept() -> None:
    """A stream that breaks after its first words is the user's error, and the next one does not get the half answer."""

    async def main(world: World) -> tuple[Asked, Asked]:
        broken = await world.ask(QUESTION, streamed=True)
        await world.wait(60.0)
        return broken, await world.ask(QUESTION)

    cut = Fault(component="model:openai", kind=Kind.GARBAGE, way="cut", end=30.0)
    options = WorldOptions(faults=FaultPlan([cut]), provider=SimulatorOptions(speed=0))
    broken, after = run_world(main, configuration_of(NOTHING).options(options)).value
    assert broken.error == "StreamInterruptedError"
    assert (after.source, after.fact) == ("live", True)
