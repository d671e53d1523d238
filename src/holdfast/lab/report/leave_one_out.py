"""What each component is worth: the same faults with it and without it.

Configurations named ``without-X`` are compared with the default one, seed by seed, scenario by scenario. What comes out
is the worth of a component *beside all the others*: two that can stand in for each other are both worth little.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import DEFAULT, WITHOUT
from holdfast.lab.report.groups import Groups, cell_name
from holdfast.lab.report.intervals import Estimate, difference, mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.lab.report.groups import Cell
    from holdfast.lab.runs.outcome import Outcome

__all__ = ["Component", "components", "harmful", "left_out", "most_needed", "weakest"]


@dataclass(frozen=True, slots=True)
class Component:
    """What leaving one component out changes, over all scenarios and rates that both configurations were played in.

    Attributes:
        name: the component.
        errors: the error rate without it, less that with it: above 0, it prevents errors.
        quality: the quality with it, less that without it: above 0, it makes answers better.
        hardest: the scenario and rate at which leaving it out costs most errors, and how much there.
        cells: how many scenarios and rates were compared.
    """

    name: str
    errors: Estimate
    quality: Estimate
    hardest: tuple[Cell, float]
    cells: int

    @property
    def verdict(self) -> str:
        """``helps`` or ``harms``, where the intervals say so; ``no difference shown`` where neither does."""
        signs = {self.errors.sign, self.quality.sign}
        if 1 in signs and -1 in signs:
            return "helps and harms"
        return "helps" if 1 in signs else "harms" if -1 in signs else "no difference shown"

    def as_json(self) -> dict[str, object]:
        """As data."""
        cell, worth = self.hardest
        return {
            "component": self.name,
            "errors": self.errors.as_json(),
            "quality": self.quality.as_json(),
            "verdict": self.verdict,
            "hardest": cell_name(cell),
            "hardest_errors": worth,
            "cells": self.cells,
        }


def components(groups: Groups) -> list[Component]:
    """Every component that was left out, the one that is worth least first."""
    found = []
    for name in groups.configurations:
        component = left_out(name)
        worth = None if component is None else _worth(groups, component, name)
        if worth is not None:
            found.append(worth)
    return sorted(found, key=lambda each: (each.errors.value, each.quality.value))


def left_out(configuration: str) -> str | None:
    """The component that a configuration leaves out of the default; None where it is not one of those."""
    return configuration.removeprefix(WITHOUT) if configuration.startswith(WITHOUT) else None


def weakest(found: Sequence[Component]) -> Component | None:
    """The one that contributes least, or harms most."""
    return found[0] if found else None


def most_needed(found: Sequence[Component]) -> Component | None:
    """The one without which users see most errors."""
    return found[-1] if found else None


def harmful(found: Iterable[Component]) -> list[Component]:
    """Those without which it is surely better."""
    return [each for each in found if "harms" in each.verdict]


def _worth(groups: Groups, component: str, without: str) -> Component | None:
    by_cell = {cell: groups.alike(cell, DEFAULT, without) for cell in groups.cells()}
    by_cell = {cell: pairs for cell, pairs in by_cell.items() if pairs}
    errors = _errors([pair for pairs in by_cell.values() for pair in pairs])
    quality = mean(_by_seed(by_cell.values()))
    if errors is None or quality is None:
        return None
    costs = {
        cell: fmean(other.measures.error_rate - one.measures.error_rate for one, other in pairs)
        for cell, pairs in by_cell.items()
    }
    hardest = max(costs, key=lambda cell: costs[cell])
    return Component(component, errors, quality, (hardest, costs[hardest]), len(by_cell))


def _errors(pairs: Sequence[tuple[Outcome, ...]]) -> Estimate | None:
    """The difference of error rates, each seed's questions taken together."""
    counts: dict[int, list[int]] = {}
    for one, other in pairs:
        sums = counts.setdefault(one.seed, [0, 0, 0, 0])
        for place, run in ((0, other), (2, one)):
            sums[place] += run.measures.errors
            sums[place + 1] += run.measures.asked
    return difference([((sums[0], sums[1]), (sums[2], sums[3])) for sums in counts.values()])


def _by_seed(cells: Iterable[Sequence[tuple[Outcome, ...]]]) -> list[float]:
    """The mean difference of quality of each seed, each cell counting the same."""
    gains: dict[int, list[float]] = {}
    for pairs in cells:
        for one, other in pairs:
            gains.setdefault(one.seed, []).append(one.measures.quality - other.measures.quality)
    return [fmean(each) for each in gains.values()]
