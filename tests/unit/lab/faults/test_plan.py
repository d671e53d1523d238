"""Plans of faults, and outages drawn at random."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws
from holdfast.lab.faults.models import rules_for
from holdfast.lab.faults.outages import random_outages
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.calls import Call
from holdfast.lab.simulator.fault_plan import FaultPlan as SimulatorPlan
from holdfast.lab.simulator.fault_table import Traits

CHAT = Traits("chat", stream=False, json_mode=False)


@pytest.mark.parametrize(
    ("named", "component", "concerned"),
    [
        ("store", "store:sqlite", True),
        ("store", "store", True),
        ("store:sqlite", "store:sqlite", True),
        ("store:mongo", "store:sqlite", False),
        ("stor", "store:sqlite", False),
        ("model", "model:openai/gpt-4o-mini", True),
        ("model:openai", "model:openai/gpt-4o-mini", True),
        ("model:open", "model:openai/gpt-4o-mini", False),
        ("model:openai/gpt-4o", "model:openai/gpt-4o-mini", False),
    ],
)
def test_a_name_stands_for_all_that_begin_with_it(named: str, component: str, concerned: bool) -> None:
    """A role, a provider or a whole name concerns what it names, and no part of a word does."""
    assert Fault(component=named, kind=Kind.DOWN).concerns(component) is concerned


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"component": ""}, "component"),
        ({"kind": "broken"}, "must be one of down, slow, errors"),
        ({"begin": -1}, "begin"),
        ({"begin": 5, "end": 5}, "must be above begin, which is 5"),
        ({"rate": 1.5}, "must be from 0 to 1"),
        ({"rate": -0.5}, "rate"),
        ({"seconds": -1}, "seconds"),
    ],
)
def test_faults_are_checked(fields: dict[str, Any], words: str) -> None:
    """A value out of its range is refused by name; a kind may be written as text."""
    with pytest.raises(ConfigError, match=words):
        Fault(**{"component": "store", "kind": "down", **fields})
    assert Fault(component="store", kind="down").kind is Kind.DOWN  # type: ignore[arg-type]


def test_a_plan_keeps_places() -> None:
    """A fault's place in the plan stays when others are added; a component sees its own ones."""
    plan = FaultPlan.everywhere(0.05)
    plan.add(Fault(component="store", kind=Kind.DOWN, begin=10, end=40))
    assert len(plan) == 5
    assert [(place, fault.kind) for place, fault in plan.of("store:sqlite")] == [(2, Kind.MIXED), (4, Kind.DOWN)]
    assert [fault.component for fault in plan] == ["cache", "embedder", "store", "model", "store"]


# --- of models --------------------------------------------------------------------------------------------------------


def played(plan: FaultPlan, model: str, calls: int, *, seconds: float = 0.0, traits: Traits = CHAT) -> list[str]:
    """The faults that a simulator plays on calls to a model."""
    rules = rules_for(plan, f"model:openai/{model}")
    simulator = SimulatorPlan(1, rules)
    hits = [simulator.choose(traits, drawn=n, seconds=seconds, model=model, key=None) for n in range(calls)]
    return [hit.fault for hit in hits if hit is not None]


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        (Kind.DOWN, {"refused"}),
        (Kind.SLOW, {"slow_headers"}),
        (Kind.HANG, {"slow_headers"}),
        (
            Kind.ERRORS,
            {"server_error", "overloaded", "rate_limited", "rate_limited_bare", "reset", "bad_gateway_html"},
        ),
        (Kind.GARBAGE, {"empty_content", "wrong_schema", "not_json", "cut"}),
    ],
)
def test_kinds_are_faults_of_the_simulator(kind: Kind, faults: set[str]) -> None:
    """Each kind plays its faults, at its rate together, and each of them as often as the next."""
    calls, rate = 6_000, 0.3
    hits = played(FaultPlan([Fault(component="model", kind=kind, rate=rate)]), "m", calls)
    assert set(hits) == faults
    assert abs(len(hits) / calls - rate) < 4 * math.sqrt(rate * (1 - rate) / calls)
    share = rate / len(faults)
    for fault in faults:
        assert abs(hits.count(fault) / calls - share) < 4 * math.sqrt(share * (1 - share) / calls)


def test_everything_mixed() -> None:
    """``mixed`` plays at least seven faults of the simulator."""
    assert len(set(played(FaultPlan.everywhere(0.5), "m", 2_000))) >= 7


def test_a_whole_rate_hits_every_call() -> None:
    """A rate of 1 over several faults leaves no call alone."""
    plan = FaultPlan([Fault(component="model", kind=Kind.ERRORS)])
    assert len(played(plan, "m", 500)) == 500


def test_rules_hold_for_their_model_and_their_time() -> None:
    """A fault of one model spares the others, before its time and after it nobody is hit; embeddings are their own."""
    plan = FaultPlan([Fault(component="model:openai/m", kind=Kind.DOWN, begin=10, end=40)])
    assert rules_for(plan, "model:openai/other") == []
    assert [len(played(plan, "m", 5, seconds=at)) for at in (9.9, 10, 39.9, 40)] == [0, 5, 5, 0]
    late = rules_for(plan, "model:openai/m", begun=30)
    assert [(rule.begin, rule.end) for rule in late] == [(0, 10)]
    spoilt = rules_for(FaultPlan([Fault(component="embedder", kind=Kind.GARBAGE)]), "embedder:x", embeddings=True)
    assert {rule.endpoint for rule in spoilt} == {"embeddings"}
    assert "wrong_dimension" in {rule.fault for rule in spoilt}


def test_a_way_is_a_fault_of_the_simulator() -> None:
    """A model can fail in any way that the simulator knows, and in no other."""
    plan = FaultPlan([Fault(component="model", kind=Kind.ERRORS, way="auth")])
    assert set(played(plan, "m", 10)) == {"auth"}
    with pytest.raises(ConfigError, match="must be a fault of the simulator"):
        played(FaultPlan([Fault(component="model", kind=Kind.ERRORS, way="gremlins")]), "m", 1)


def test_a_call_keeps_its_key_to_itself() -> None:
    """What a call's draws are keyed by is not shown."""
    call = Call(1, 0.0, "chat", None, "m", stream=False, drawn=("user-1", 1))
    assert "drawn" not in call.as_json()


# --- outages ----------------------------------------------------------------------------------------------------------


def test_outages_have_heavy_tails() -> None:
    """Their number and their median length are what was asked for; none overlaps; the longest is bounded."""
    outages = random_outages("store", Draws(3), until=2_000_000, every=1_000, shortest=10, tail=1.2, longest=600)
    lengths = [each.end - each.begin for each in outages]
    pauses = [after.begin - before.end for before, after in itertools.pairwise(outages)]
    count = len(outages)
    assert abs(statistics.mean(pauses) - 1_000) < 4 * 1_000 / math.sqrt(count)
    median = 10 * 2 ** (1 / 1.2)
    assert abs(sum(each < median for each in lengths) / count - 0.5) < 4 * math.sqrt(0.25 / count)
    assert 9.999 < min(lengths) < 11
    assert max(lengths) == pytest.approx(600)
    assert all(pause > 0 for pause in pauses)


def test_outages_are_the_same_for_everybody_with_the_seed() -> None:
    """Components of one group are down at the same times, others at their own."""

    def times(component: str, **options: Any) -> list[tuple[float, float]]:
        made = random_outages(component, Draws(3), until=5_000, every=500, shortest=10, **options)
        return [(each.begin, each.end) for each in made]

    assert times("store") == times("store")
    assert times("store") != times("cache")
    assert times("model:openai", group="eu-west") == times("model:anthropic", group="eu-west")
    partial = random_outages("store", Draws(3), until=5_000, every=500, shortest=10, kind=Kind.SLOW, rate=0.3)
    assert {(each.kind, each.rate) for each in partial} == {(Kind.SLOW, 0.3)}
    with pytest.raises(ConfigError, match="every"):
        random_outages("store", Draws(3), until=10, every=0, shortest=1)
