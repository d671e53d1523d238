"""Faults hit the share of calls that the plan says, each component on its own, and every configuration alike."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from statistics import correlation
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import NAME, Bench, near, of_share

from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.faults.models import rules_for
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.fault_plan import FaultPlan as SimulatorPlan
from holdfast.lab.simulator.fault_table import Traits
from holdfast.lab.virtual.running import run
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import run_world

if TYPE_CHECKING:
    from holdfast.lab.simulator.calls import Call
    from holdfast.lab.virtual.clock import VirtualClock
    from holdfast.lab.world.world import World

KINDS = [kind for kind in Kind if kind is not Kind.MIXED]
CALLS = {
    "whole": Traits("chat", stream=False, json_mode=False),
    "streamed": Traits("messages", stream=True, json_mode=False),
    "embeddings": Traits("embeddings", stream=False, json_mode=False),
}
OF_KIND = {
    Kind.DOWN: {"refused"},
    Kind.SLOW: {"slow_headers"},
    Kind.HANG: {"slow_headers"},
    Kind.ERRORS: {"server_error", "overloaded", "rate_limited", "rate_limited_bare", "reset", "bad_gateway_html"},
    Kind.GARBAGE: {
        "empty_content", "wrong_schema", "not_json", "cut", "wrong_dimension", "nan_vector", "missing_vector",
    },
}  # fmt: skip


def mixed(rate: float) -> FaultPlan:
    """Everything fails in every way."""
    return FaultPlan.everywhere(rate)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_a_part_is_hit_at_its_rate_and_by_every_kind_alike(rate: float) -> None:
    """Of a part's calls the rate is hit, within 5% at 50% and 20% at 5%; each kind of ``mixed`` has a fifth of that."""
    count = 8_000

    async def main(clock: VirtualClock) -> Counter[str]:
        bench = Bench(clock, *mixed(rate))
        met = [bench.faults.met(NAME, "embed", (f"user-{number}", 1)) for number in range(count)]
        return Counter(found[1].value for found in met if found is not None)

    played = run(main).value
    assert played.total() / count == near(rate, of_share(rate, count), bound=0.05 if rate > 0.1 else 0.2)
    for kind in KINDS:
        share = rate / len(KINDS)
        assert played[kind.value] / count == near(share, of_share(share, count), bound=0.14 if rate > 0.1 else 0.45)


@pytest.mark.parametrize(("call", "rate"), [("whole", 0.5), ("streamed", 0.5), ("embeddings", 0.5)])
def test_a_model_is_hit_at_its_rate_and_by_every_kind_alike(rate: float, call: str) -> None:
    """The same for a provider's calls, streamed ones and embeddings too."""
    count, embeddings = 12_000, call == "embeddings"
    rules = rules_for(mixed(rate), "embedder:openai/m" if embeddings else "model:openai/m", embeddings=embeddings)
    plan = SimulatorPlan(1, rules)
    met = (plan.choose(CALLS[call], drawn=(f"user-{n}", 1), seconds=0.0, model="m", key=None) for n in range(count))
    played = Counter((found.fault, found.parameters.get("seconds", 0.0)) for found in met if found is not None)
    assert played.total() / count == near(rate, of_share(rate, count), bound=0.05 if rate > 0.1 else 0.2)
    for kind in KINDS:
        endless = kind is Kind.HANG
        hits = sum(
            hit
            for (fault, seconds), hit in played.items()
            if fault in OF_KIND[kind] and (fault != "slow_headers" or (seconds == float("inf")) is endless)
        )
        share = rate / len(KINDS)
        assert hits / count == near(share, of_share(share, count), bound=0.14 if rate > 0.1 else 0.45), kind


def test_components_fail_independently() -> None:
    """No two of stores, embedder, cache and two models have their faults together: correlations within 0.07 of 0."""
    count, rate = 4_000, 0.3
    plan = mixed(rate)
    parts = ("store:sqlite", "store:other", "embedder:local", "cache:memory")  # two of them by one line of the plan

    async def main(clock: VirtualClock) -> dict[str, list[float]]:
        bench = Bench(clock, *plan)
        return {
            part: [bench.faults.met(part, "get", (f"user-{n}", 1)) is not None for n in range(count)] for part in parts
        }

    hits = run(main).value
    for seed, name in ((11, "model:openai/a"), (12, "model:anthropic/b")):
        simulator = SimulatorPlan(seed, rules_for(plan, name))
        model = name.partition("/")[2]
        hits[name] = [
            simulator.choose(CALLS["whole"], drawn=(f"user-{n}", 1), seconds=0.0, model=model, key=None) is not None
            for n in range(count)
        ]
    for one, other in combinations(hits, 2):
        assert abs(correlation(hits[one], hits[other])) < 4 / count**0.5, (one, other)


def test_attempts_of_a_request_fail_independently() -> None:
    """Its second attempt is hit as often after a hit as after none, and so is another operation."""
    count, rate = 4_000, 0.3

    async def main(clock: VirtualClock) -> list[list[bool]]:
        bench = Bench(clock, *mixed(rate))
        keys = (("lexical", 1), ("lexical", 2), ("dense", 1))
        return [
            [bench.faults.met("store:x", operation, (f"user-{n}", attempt)) is not None for n in range(count)]
            for operation, attempt in keys
        ]

    for one, other in combinations(run(main).value, 2):
        assert abs(correlation(one, other)) < 4 / count**0.5


def met_under(name: str) -> dict[tuple[str, object], str | None]:
    """Which fault each call to a model met, by the model and by request and attempt, under a configuration."""
    plan = FaultPlan([Fault(component="model", kind=Kind.ERRORS, rate=0.3), *mixed(0.1)])
    options = configuration_of(name).options(WorldOptions(seed=7, faults=plan))

    async def main(world: World) -> dict[tuple[str, object], str | None]:
        met: dict[tuple[str, object], str | None] = {}

        def note(call: Call) -> None:
            if isinstance(call.drawn, tuple) and call.drawn[0]:
                met[call.model, call.drawn] = call.fault

        for provider in world.providers.values():
            provider.on_call = note
        for number in range(32):
            await world.ask(f"How long does it take until question {number} is answered?", request=f"user-{number}")
        return met

    return run_world(main, options).value


def test_configurations_meet_the_same_faults() -> None:
    """A call that two configurations both make meets the same fault, whatever else they call."""
    usual = met_under("holdfast")
    assert sum(fault is not None for fault in usual.values()) > 10
    for name in ("nothing", "one-provider"):  # the one makes fewer calls, the other has two models of the provider
        other = met_under(name)
        both = usual.keys() & other.keys()
        assert len(both) > 8
        assert {key: usual[key] for key in both} == {key: other[key] for key in both}
