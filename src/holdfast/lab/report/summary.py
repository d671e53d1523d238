"""The report as data, for programs."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from holdfast.lab.report.findings import find
from holdfast.lab.report.groups import IDEAL
from holdfast.lab.report.leave_one_out import harmful, most_needed, weakest
from holdfast.lab.report.recovery import recoveries
from holdfast.lab.report.rows import ROWS, causes, costs_by_cause, costs_by_model, reduction_in, tier_shares
from holdfast.lab.report.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.lab.report.groups import Cell, Groups
    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["summary"]


def summary(outcomes: Iterable[Outcome], scenarios: Iterable[Scenario] = ()) -> dict[str, Any]:
    """Everything that the page says, as JSON can hold it; the timelines are in the outcomes themselves.

    Args:
        outcomes: of any number of scenarios, configurations, rates and seeds.
        scenarios: those that were played, as they were played.

    Returns:
        ``scenarios``, ``configurations``, ``seeds``; ``measures``, each with ``value``, ``low`` and ``high``, by
        scenario, rate and configuration; ``scores``, ``components``, ``weakest``, ``most_needed``, ``harmful``,
        ``recovery``, ``targets``, ``thresholds``; ``traces`` of the runs, and ``trace``,
        one hash of all of them. What was not measured is None.
    """
    findings = find(outcomes, scenarios)
    groups = findings.groups
    least, most = weakest(findings.components), most_needed(findings.components)
    data = {
        "scenarios": groups.scenarios,
        "configurations": groups.configurations,
        "seeds": groups.seeds,
        "measures": [
            _measures(groups, cell, name)
            for cell in groups.cells()
            for name in (*groups.configurations, IDEAL)
            if groups.runs(cell, name)
        ],
        "scores": [each.as_json() for each in findings.scores],
        "components": [each.as_json() for each in findings.components],
        "weakest": None if least is None else least.name,
        "most_needed": None if most is None else most.name,
        "harmful": [each.name for each in harmful(findings.components)],
        "recovery": [each.as_json() for each in recoveries(groups)],
        "targets": [each.as_json() for each in findings.targets],
        "thresholds": [each.as_json() for each in findings.recommendations],
        "trace": trace_of(groups.all_runs()),
        "traces": [
            {
                "scenario": run.scenario,
                "rate": run.rate,
                "configuration": run.configuration,
                "seed": run.seed,
                "trace": run.trace,
            }
            for run in groups.all_runs()
        ],
    }
    return {name: _finite(value) for name, value in data.items()}


def _measures(groups: Groups, cell: Cell, configuration: str) -> dict[str, Any]:
    runs = groups.runs(cell, configuration)
    cut = reduction_in(groups, cell, configuration)
    only = {"asked", "error_rate", "useful_degraded", "quality"} if configuration == IDEAL else None
    found = {row.name: row.of(runs) for row in ROWS if only is None or row.name in only}
    return {
        "scenario": cell[0],
        "rate": cell[1],
        "configuration": configuration,
        "seeds": [run.seed for run in runs],
        **{name: None if value is None else value.as_json() for name, value in found.items()},
        "reduction": None if cut is None else cut.as_json(),
        "error_causes": causes(runs),
        "cost_by_cause": {name: each.as_json() for name, each in costs_by_cause(runs).items()},
        "cost_by_model": {name: each.as_json() for name, each in costs_by_model(runs).items()},
        "tiers": tier_shares(runs),
    }


def _finite(value: object) -> object:
    """``value`` without what JSON has no number for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
