"""The registry: each configuration is there by name, can go to another process, and answers while nothing fails."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError, NotFoundError
from holdfast.lab.configurations.base import Configuration
from holdfast.lab.configurations.registry import DEFAULT, NOTHING, configuration_of, configurations
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import World, run_world
from holdfast.rag.policies import ALL

if TYPE_CHECKING:
    from holdfast.lab.world.record import Asked

QUESTION = Question("How many days do I have to send back a toaster I don't like?", ("30 days",))
NAMES = (
    "holdfast",
    "conservative",
    "balanced",
    "aggressive",
    "cost-optimized",
    "one-provider",
    "no-local-fallbacks",
    "retries-only",
    "nothing",
    "without-retry",
    "without-breaker",
    "without-failover",
    "without-hedge",
    "without-cache",
    "without-lexical",
    "without-standby",
    "without-stale",
    "without-extract",
    "without-probes",
    "tenacity-pybreaker",
)
PLAYED = tuple(name for name in NAMES if name != "tenacity-pybreaker")


def ask(
    name: str | Configuration, *faults: Fault, times: int = 1, after: float = 0.0, warm: bool = False
) -> list[Asked]:
    """The question, some times, under a configuration; ``warm``: once before the faults begin, at ``after``."""

    async def main(world: World) -> list[Asked]:
        if warm:
            await world.ask(QUESTION, request="before")
        await world.wait(after)
        return [await world.ask(QUESTION, request=f"user-{number}") for number in range(times)]

    options = WorldOptions(faults=FaultPlan(faults), provider=SimulatorOptions(speed=0))
    configuration = configuration_of(name) if isinstance(name, str) else name
    return run_world(main, configuration.options(options)).value


def uncopied(name: str) -> Configuration:
    """A configuration that also lacks the copy of the documents, which stands in for much else."""
    known = configuration_of(name)
    return replace(known, policies=replace(known.policies, standby=False))


def down(component: str, begin: float = 0.0) -> Fault:
    """A component that refuses every call."""
    return Fault(component=component, kind=Kind.DOWN, begin=begin)


def test_every_configuration_has_its_name() -> None:
    """The registry has the configurations that reports compare, each under its own name and with a sentence."""
    assert tuple(configurations()) == NAMES
    for name, configuration in configurations().items():
        assert configuration.name == name
        assert configuration.about.endswith(".")


def test_every_configuration_is_documented() -> None:
    """The reference's table names each configuration once, and nothing that is none."""
    text = (Path(__file__).parents[4] / "docs/reference/lab.md").read_text()
    table = text.partition("## Configurations")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == sorted(NAMES)


def test_configurations_go_to_other_processes() -> None:
    """A configuration is the same after pickling."""
    for configuration in configurations().values():
        assert pickle.loads(pickle.dumps(configuration)) == configuration


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    """A name that does not exist is answered with the list of names."""
    with pytest.raises(NotFoundError, match="nothing, one-provider"):
        configuration_of("everything")
    with pytest.raises(ConfigError, match="name"):
        Configuration(name=" ", about="Nobody.")


def test_a_configuration_keeps_what_the_scenario_says() -> None:
    """Settings of the scenario stay, but for those that the configuration is about."""
    options = WorldOptions(seed=9, settings={"top_k": 3, "cache_size": 5})
    changed = configuration_of("without-cache").options(options)
    assert changed.settings == {"top_k": 3, "cache_size": 0}
    assert changed.seed == 9
    assert configuration_of(DEFAULT).options(options) == options
    assert changed.policies == ALL


@pytest.mark.parametrize("name", PLAYED)
def test_all_answer_while_nothing_fails(name: str) -> None:
    """Without a fault every configuration gives the same good answer."""
    asked = ask(name)[0]
    assert (asked.tier, asked.source, asked.fact, asked.error) == ("full", "live", True, "")


def test_nothing_stands_between_a_failure_and_the_user() -> None:
    """With no policy at all, whatever is down is an error; the service answers all the same."""
    for component in ("cache", "embedder", "store", "model:openai"):
        assert ask(NOTHING, down(component))[0].error, component
    for component in ("cache", "embedder", "model:openai"):
        assert ask(DEFAULT, down(component))[0].useful, component


def test_a_part_that_is_left_out_is_missed() -> None:
    """Each part that can be left out answers a question that fails, or is worse, without it."""
    later, store = 301.0, down("store", 10.0)
    assert ask(DEFAULT, store, after=later, warm=True)[0].source == "live"
    assert ask("without-standby", store, after=later, warm=True)[0].source == "stale_cache"
    for without in ("without-stale", "without-cache"):
        assert ask(uncopied(without), store, after=later, warm=True)[0].source == "faq", without
    assert ask("no-local-fallbacks", store, after=later, warm=True)[0].source == "static"
    models = down("model")
    assert ask(DEFAULT, models)[0].source == "extract"
    assert ask("without-extract", models)[0].source == "faq"
    assert ask("no-local-fallbacks", models)[0].source == "static"
    assert ask("without-failover", down("model:openai"))[0].source == "extract"
    assert ask(DEFAULT, down("embedder"))[0].source == "live"
    assert ask(uncopied("without-lexical"), down("embedder"))[0].source == "faq"


def test_retries_and_breakers_can_be_left_out() -> None:
    """Without retries nothing is repeated, and without breakers none opens."""

    async def main(world: World) -> tuple[int, int]:
        for number in range(12):
            await world.ask(QUESTION, request=f"user-{number}")
        return sum(world.record.retries.values()), sum(move.after == "open" for move in world.record.breakers)

    def play(name: str) -> tuple[int, int]:
        options = WorldOptions(faults=FaultPlan([down("store")]), provider=SimulatorOptions(speed=0))
        return run_world(main, configuration_of(name).options(options)).value

    retries, openings = play(DEFAULT)
    assert retries > 0
    assert openings > 0
    assert play("without-retry")[0] == 0
    assert play("without-breaker")[1] == 0


def test_hedges_can_be_left_out() -> None:
    """While the first model takes long another one is asked beside it, and without hedges nobody is."""

    def beside(name: str) -> int:
        async def main(world: World) -> int:
            for number in range(30):
                await world.ask(f"{QUESTION.text} ({number})", request=f"user-{number}")
            return sum(count for (_, cause), count in world.record.model_calls.items() if cause == "hedge")

        slow = Fault(component="model:openai", kind=Kind.SLOW, seconds=4.0, rate=0.2)
        options = WorldOptions(faults=FaultPlan([slow]))
        return run_world(main, configuration_of(name).options(options)).value

    assert beside(DEFAULT) > 0
    assert beside("without-hedge") == 0


def test_without_probes_nobody_asks_a_model_that_was_given_up() -> None:
    """After an outage of all models the service climbs back by its probes, and without them it does not."""

    async def main(world: World) -> str:
        for number in range(30):
            await world.ask(f"Question {number}: {QUESTION.text}", request=f"user-{number}")
            await world.wait(5.0)
        return world.engine.tiers.tier.value

    faults = FaultPlan([Fault(component="model", kind=Kind.DOWN, end=60.0)])
    options = WorldOptions(faults=faults, provider=SimulatorOptions(speed=0))
    assert run_world(main, configuration_of(DEFAULT).options(options)).value == "full"
    assert run_world(main, configuration_of("without-probes").options(options)).value == "minimal"
