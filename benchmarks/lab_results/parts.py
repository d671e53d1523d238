"""The runs of each part of the page, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.lab.configurations.registry import DEFAULT, NOTHING, WITHOUT, configuration_of, configurations
from holdfast.lab.report.groups import IDEAL
from holdfast.lab.report.summary import summary
from holdfast.lab.runs.play import runs_of
from holdfast.lab.scenarios.loader import shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.runs.play import Run

__all__ = ["PARTS", "PROFILES", "SEED", "kept", "written"]

SEED = 7
PROFILES = ("conservative", "balanced", "aggressive", "cost-optimized")
_COMPARED = (DEFAULT, "balanced", "no-local-fallbacks", "tenacity-pybreaker", "retries-only", NOTHING)
_OUTAGES = ("store-down", "killed", "total-outage", "both-providers")
_SEEDS = 3
_LEFT_OUT_SECONDS = 60.0
"""Of each rate, for what a part is worth: there are ten configurations."""

_KEPT = ("configurations", "trace", "scores", "components", "recovery", "targets")
_CELL = ("scenario", "rate", "configuration")
_SHOWN = (
    "asked",
    "error_rate",
    "error_causes",
    "reduction",
    "useful_degraded",
    "p95",
    "first_text_p95",
    "attempts_per_request",
    "retry_share",
    "cost_usd",
    "cost_by_cause",
    "openings",
    "false_openings",
)


def _suite() -> list[Run]:
    return runs_of(shipped("suite"), map(configuration_of, _COMPARED), seeds=[SEED])


def _outages() -> list[Run]:
    """Outages that end, under the service's own numbers and those of each profile."""
    names = (DEFAULT, *PROFILES)
    seeds = range(SEED, SEED + _SEEDS)
    return [run for name in _OUTAGES for run in runs_of(shipped(name), map(configuration_of, names), seeds=seeds)]


def _left_out() -> list[Run]:
    names = (DEFAULT, NOTHING, *(name for name in configurations() if name.startswith(WITHOUT)))
    return runs_of(replace(shipped("suite"), seconds=_LEFT_OUT_SECONDS), map(configuration_of, names), seeds=[SEED])


def _matrix() -> list[Run]:
    return [
        run
        for scenario in shipped("matrix").cases()
        for run in runs_of(scenario, map(configuration_of, (DEFAULT, "no-local-fallbacks", NOTHING)), seeds=[SEED])
    ]


PARTS: dict[str, Callable[[], list[Run]]] = {
    "suite": _suite,
    "outages": _outages,
    "left_out": _left_out,
    "matrix": _matrix,
}
"""What is played for each part, by its name."""


def kept(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What the file of results keeps: of the summary what the page shows, and the trace of all runs together."""
    scenarios = list({run.scenario.name: run.scenario for run in runs}.values())
    found = summary(outcomes, scenarios)
    measures = [
        {name: each[name] for name in (*_CELL, *_SHOWN)} for each in found["measures"] if each["configuration"] != IDEAL
    ]
    return {**{name: found[name] for name in _KEPT}, "measures": measures}


def written(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The file of results: JSON with a line for each measure, so that a difference can be read."""
    parts = [
        f"{json.dumps(part)}: {{\n"
        + ",\n".join(f" {json.dumps(name)}: {_value(found[name])}" for name in found)
        + "\n}"
        for part, found in results.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _value(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]" if value else "[]"
