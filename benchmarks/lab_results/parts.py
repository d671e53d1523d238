"""The runs of each part of the page, and what is kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.lab.configurations.registry import DEFAULT, NOTHING, WITHOUT, configuration_of, configurations
from holdfast.lab.report.summary import summary
from holdfast.lab.runs.play import runs_of
from holdfast.lab.scenarios.loader import shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.runs.play import Run

__all__ = ["PARTS", "PROFILES", "SEED", "kept"]

SEED = 7
PROFILES = ("conservative", "balanced", "aggressive", "cost-optimized")
_COMPARED = (DEFAULT, "balanced", "no-local-fallbacks", "tenacity-pybreaker", "retries-only", NOTHING)
_OUTAGES = ("store-down", "killed", "total-outage", "both-providers")
_SEEDS = 3
_LEFT_OUT_SECONDS = 60.0
"""Of each rate, for what a part is worth: there are ten configurations."""


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
    """What the file of results keeps: the summary, without the courses of the runs."""
    scenarios = list({run.scenario.name: run.scenario for run in runs}.values())
    return summary(outcomes, scenarios)
