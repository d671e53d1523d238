"""Outcomes side by side: the runs of one configuration with every seed, and configurations on the same faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from holdfast.lab.runs.outcome import Outcome

__all__ = ["IDEAL", "Cell", "Groups", "cell_name", "member_name", "rate_name"]

IDEAL = "clairvoyant"
"""The configuration of outcomes that :func:`holdfast.lab.report.clairvoyant.clairvoyant` makes."""

Cell: TypeAlias = tuple[str, float | None]
"""A scenario with a rate of faults: what configurations are compared within."""


def cell_name(cell: Cell) -> str:
    """For people: ``"suite at 5%"``."""
    scenario, rate = cell
    return scenario if rate is None else f"{scenario} at {rate_name(rate)}"


def member_name(cell: Cell) -> str:
    """The same within a family, see :meth:`Groups.families`."""
    return cell_name((cell[0].partition("/")[2] or cell[0], cell[1]))


def rate_name(rate: float | None) -> str:
    """For people: ``"5%"``."""
    return "no rate" if rate is None else f"{100 * rate:g}%"


@dataclass(frozen=True, slots=True)
class _Key:
    cell: Cell
    configuration: str


class Groups:
    """Outcomes by scenario, rate and configuration.

    Of two outcomes that agree in all of that and in their seed, the later one counts.

    Args:
        outcomes: in any order. The clairvoyant's are kept apart: it is no configuration that anybody can choose.

    Attributes:
        scenarios: their names, in the order in which they came.
        configurations: their names, in the order in which they came, the clairvoyant's not among them.
        seeds: all of them, in order.
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self._runs: dict[_Key, dict[int, Outcome]] = {}
        for outcome in outcomes:
            key = _Key((outcome.scenario, outcome.rate), outcome.configuration)
            self._runs.setdefault(key, {})[outcome.seed] = outcome
        self.scenarios = list(dict.fromkeys(key.cell[0] for key in self._runs))
        self.configurations = list(dict.fromkeys(key.configuration for key in self._runs if key.configuration != IDEAL))
        self.seeds = sorted({seed for runs in self._runs.values() for seed in runs})

    def families(self) -> Mapping[str, Sequence[str]]:
        """The scenarios that were played, by what stands before a slash in their names: what is reported as one."""
        found: dict[str, list[str]] = {}
        for name in self.scenarios:
            if any(self.within(cell) for cell in self.cells(name)):
                found.setdefault(name.partition("/")[0], []).append(name)
        return found

    def cells(self, scenario: str | None = None) -> list[Cell]:
        """Scenarios with their rates, in the order of the scenarios, the rates from the lowest on.

        Args:
            scenario: only its.
        """
        known = dict.fromkeys(key.cell for key in self._runs)
        chosen = [scenario] if scenario is not None else self.scenarios
        return [
            cell
            for name in chosen
            for cell in sorted((each for each in known if each[0] == name), key=lambda each: each[1] or 0.0)
        ]

    def within(self, cell: Cell) -> list[str]:
        """The configurations that were played there."""
        return [name for name in self.configurations if _Key(cell, name) in self._runs]

    def runs(self, cell: Cell, configuration: str) -> Sequence[Outcome]:
        """The outcomes, in the order of their seeds; none when it was not played there."""
        runs = self._of(cell, configuration)
        return [runs[seed] for seed in sorted(runs)]

    def alike(self, cell: Cell, *configurations: str) -> list[tuple[Outcome, ...]]:
        """The outcomes of several configurations with the same faults: for each seed that all were played with."""
        runs = [self._of(cell, name) for name in configurations]
        seeds = sorted(set.intersection(*(set(each) for each in runs))) if runs else []
        return [tuple(each[seed] for each in runs) for seed in seeds]

    def best_quality(self, cell: Cell, seed: int) -> float | None:
        """The highest quality that a configuration had there with this seed; None where none was played."""
        found = [
            runs[seed].measures.quality
            for key, runs in self._runs.items()
            if key.cell == cell and key.configuration != IDEAL and seed in runs
        ]
        return max(found, default=None)

    def all_runs(self) -> list[Outcome]:
        """Every outcome but the clairvoyant's, scenario by scenario."""
        return [
            run
            for cell in self.cells()
            for configuration in self.within(cell)
            for run in self.runs(cell, configuration)
        ]

    def _of(self, cell: Cell, configuration: str) -> Mapping[int, Outcome]:
        return self._runs.get(_Key(cell, configuration), {})
