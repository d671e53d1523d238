"""The scenarios that come with the package."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from holdfast.lab.configurations.registry import DEFAULT, configuration_of
from holdfast.lab.faults.plan import Kind
from holdfast.lab.runs.play import play, runs_of
from holdfast.lab.scenarios.failing import FaultLine, OutageLine
from holdfast.lab.scenarios.loader import shipped, shipped_names
from holdfast.lab.scenarios.scenario import Scenario
from holdfast.lab.scenarios.traffic import Traffic


@pytest.mark.parametrize("name", shipped_names())
def test_each_can_be_played(name: str) -> None:
    """Its faults exist, its settings are right, and questions get answers; for two seconds of it."""
    scenario = shipped(name)
    short = replace(scenario, seconds=2, traffic=replace(scenario.traffic, rate=1), rates=scenario.rates[:1])
    (run,) = runs_of(short, [configuration_of(DEFAULT)])
    outcome = play(run)
    assert scenario.name == name
    assert scenario.about.endswith((".", "?"))
    assert outcome.measures.crashes == 0
    assert len(outcome.timeline) == 1


def test_every_scenario_and_every_field_is_documented() -> None:
    """The reference names each scenario once, and each field that a file can have."""
    text = (Path(__file__).parents[4] / "docs/reference/lab.md").read_text()
    table = text.partition("## Scenarios")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == sorted(shipped_names())
    for part in (Scenario, FaultLine, OutageLine, Traffic):
        for field in fields(part):
            assert re.search(rf"`(\[+)?{field.name}[`.\]]|\[{field.name}", text), field.name


def test_the_suite_is_what_it_is_said_to_be() -> None:
    """Mixed faults of every remote dependency, both providers included: 10 minutes at 50 a second and five rates."""
    suite = shipped("suite")
    assert (suite.seconds, suite.traffic.rate, suite.rates) == (600, 50, (0, 0.02, 0.05, 0.2, 0.5))
    faults = list(suite.plan(7, 0.2))
    components = {"cache", "embedder", "store", "model:openai", "model:anthropic"}
    assert {(each.component, each.kind, each.rate) for each in faults} == {
        (each, Kind.MIXED, 0.2) for each in components
    }
    assert len(suite.plan(7, 0.0)) == 0


def test_the_matrix_plays_each_fault_apart() -> None:
    """Every component fails in every kind, one in each run, and a run ends long enough after its fault to recover."""
    matrix = shipped("matrix")
    cases = matrix.cases()
    faults = [list(case.plan(7, None)) for case in cases]
    assert all(len(each) == 1 for each in faults)
    assert len({case.name for case in cases}) == len(cases) > 40
    played = {(fault.component, fault.kind) for (fault,) in faults}
    components = {"cache", "embedder", "store", "model:openai"}
    kinds = set(Kind) - {Kind.MIXED}
    assert played >= {(component, kind) for component in components for kind in kinds}
    assert all(fault.rate == 1 and fault.end + 30 < matrix.seconds for (fault,) in faults)
    assert all(case.cases() == (case,) for case in cases)


@pytest.mark.parametrize(
    "case", [case for case in shipped("matrix").cases() if case.faults[0].way], ids=lambda each: each.name
)
def test_each_way_of_the_matrix_is_one_that_its_component_has(case: Scenario) -> None:
    """A fault whose way nobody knows would be refused when the world is made."""
    short = replace(case, seconds=1, traffic=replace(case.traffic, rate=0.01))
    (run,) = runs_of(short, [configuration_of(DEFAULT)])
    assert play(run).measures.crashes == 0


def test_both_providers_fail_at_the_same_times() -> None:
    """The outages of the two are one, and every seed has some of its own."""
    scenario = shipped("both-providers")
    spans: dict[str, list[tuple[float, float]]] = {}
    for fault in scenario.plan(7, None):
        spans.setdefault(fault.component, []).append((fault.begin, fault.end))
    assert spans["model:openai"] == spans["model:anthropic"] != []
    assert [each.begin for each in scenario.plan(8, None)] != [each.begin for each in scenario.plan(7, None)]
