"""The plain program: one call after the other, and every failure is the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.configurations.calls import Repeated
from holdfast.lab.configurations.plain import PlainProgram
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import World, run_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.lab.world.program import Program

QUESTION = Question("How many days do I have to send back a toaster I don't like?", ("30 days",))


def options(program: Callable[[World], Program], *faults: Fault, **more: Any) -> WorldOptions:
    """A world in which ``program`` answers."""
    return WorldOptions(
        **{"provider": SimulatorOptions(speed=0), "faults": FaultPlan(faults), "program": program, **more}
    )


def test_a_question_is_cached_for_its_time_to_live() -> None:
    """The second asking is answered from the cache, and one after the time to live is not."""

    async def main(world: World) -> list[str]:
        first, second = await world.ask(QUESTION), await world.ask(QUESTION, streamed=True)
        await world.wait(301.0)
        third = await world.ask(QUESTION)
        await world.flush()
        fourth = await world.ask(QUESTION)
        assert second.first is not None
        return [each.source for each in (first, second, third, fourth)]

    assert run_world(main, options(PlainProgram)).value == ["live", "cache", "live", "live"]


def test_a_stream_begins_before_it_ends() -> None:
    """A streamed answer comes piece by piece, and breaks where the provider breaks it."""

    async def main(world: World) -> None:
        good = await world.ask(QUESTION, streamed=True)
        assert good.first is not None
        assert good.first < good.seconds - 0.3
        assert good.fact
        world.strike(Fault(component="model:openai", kind=Kind.DOWN, begin=world.seconds))
        cut = await world.ask("What does a gift card cost?", streamed=True)
        assert cut.error
        assert cut.first is None

    slowly = SimulatorOptions(first_token=0.5, first_token_sigma=0, per_token=0.1, per_token_sigma=0)
    run_world(main, options(PlainProgram, provider=slowly, settings={"cache_size": 0}))


def test_the_gateway_gives_up() -> None:
    """What hangs is ended by the gateway, after the time that a request may take."""

    async def main(world: World) -> tuple[str, float]:
        asked = await world.ask(QUESTION)
        return asked.error, asked.seconds

    for component in ("store", "model:openai", "embedder", "cache"):
        hang = Fault(component=component, kind=Kind.HANG)
        assert run_world(main, options(PlainProgram, hang)).value == ("AttemptTimeoutError", 30.0), component


def test_a_retry_helps_and_costs_time() -> None:
    """With repetitions a call that fails for two seconds ends well, some seconds later."""

    async def main(world: World) -> tuple[str, bool, int]:
        asked = await world.ask(QUESTION)
        return asked.source, 1.0 < asked.seconds < 8.0, world.record.retries["store:sqlite"]

    lost = Fault(component="store", kind=Kind.ERRORS, way="interrupted", end=1.5)
    wanted = ("live", True, 2)
    program = options(lambda world: PlainProgram(world, calls=Repeated(world)), lost)
    assert run_world(main, program).value[:2] == wanted[:2]
    assert run_world(main, options(PlainProgram, lost)).value[0] == ""


def test_the_next_model_is_asked() -> None:
    """A program that knows two models asks the second when the first fails, and says so."""

    async def main(world: World) -> tuple[str, str, bool]:
        asked = await world.ask(QUESTION)
        return asked.tier, asked.source, asked.useful

    refused = Fault(component="model:openai", kind=Kind.DOWN)
    program = options(lambda world: PlainProgram(world, models=2), refused)
    assert run_world(main, program).value == ("degraded", "other_provider", True)


def test_a_spared_cache_is_no_failure() -> None:
    """Where the cache is spared, its outage is not the user's, neither reading nor writing."""

    async def main(world: World) -> str:
        return (await world.ask(QUESTION)).source

    gone = Fault(component="cache", kind=Kind.DOWN)
    assert run_world(main, options(lambda world: PlainProgram(world, spares_cache=True), gone)).value == "live"
    assert run_world(main, options(PlainProgram, gone)).value == ""


def test_garbage_of_the_embedder_is_an_error() -> None:
    """Vectors that are none end the question with an error, and not with a crash."""

    async def main(world: World) -> tuple[str, list[str]]:
        return (await world.ask(QUESTION)).error, world.record.crashes

    for way in ("empty", "wrong_dimension", "not_a_number"):
        garbage = Fault(component="embedder", kind=Kind.GARBAGE, way=way)
        error, crashes = run_world(main, options(PlainProgram, garbage)).value
        assert error in {"DependencyError", "InvalidInputError"}, way
        assert crashes == [], way


def test_a_plain_program_needs_a_model() -> None:
    """Without a model there is nobody to answer, which is said at once."""

    async def main(world: World) -> None:
        raise AssertionError(world)

    with pytest.raises(ConfigError, match="must name a model"):
        run_world(main, options(PlainProgram, settings={"model": None}))
