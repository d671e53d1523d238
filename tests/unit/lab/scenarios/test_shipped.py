"""The scenarios that come with the package."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.lab.configurations.registry import DEFAULT, configuration_of
from holdfast.lab.faults.plan import Kind
from holdfast.lab.runs.play import play, runs_of
from holdfast.lab.scenarios.loader import shipped, shipped_names


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


def test_both_providers_fail_at_the_same_times() -> None:
    """The outages of the two are one, and every seed has some of its own."""
    scenario = shipped("both-providers")
    spans: dict[str, list[tuple[float, float]]] = {}
    for fault in scenario.plan(7, None):
        spans.setdefault(fault.component, []).append((fault.begin, fault.end))
    assert spans["model:openai"] == spans["model:anthropic"] != []
    assert [each.begin for each in scenario.plan(8, None)] != [each.begin for each in scenario.plan(7, None)]
