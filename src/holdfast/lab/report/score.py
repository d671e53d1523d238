"""The resilience score: how much of what could be saved from the faults a configuration saves.

    score = (quality - quality of nothing) / (quality of the clairvoyant - quality of nothing)

0 is no better than no policy at all, 1 is as good as a policy that knows the faults beforehand; below 0 the policies
harm. Quality is the quality-weighted availability of :class:`~holdfast.lab.runs.outcome.Measures`. The page
``docs/explanation/resilience-score.md`` tells more.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import NOTHING
from holdfast.lab.report.groups import IDEAL, Groups, cell_name
from holdfast.lab.report.intervals import part_of_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.report.groups import Cell
    from holdfast.lab.report.intervals import Estimate

__all__ = ["LEAST_TO_GAIN", "CellScore", "Score", "scores"]

LEAST_TO_GAIN = 0.005
"""Where the clairvoyant gains less than this over nothing, there is nothing to be measured, and no score."""


@dataclass(frozen=True, slots=True)
class CellScore:
    """The score in one scenario at one rate.

    Attributes:
        cell: the scenario and the rate.
        score: with its interval over the seeds.
        quality: the configuration's.
        nothing, clairvoyant: the two that it is measured by.
    """

    cell: Cell
    score: Estimate
    quality: float
    nothing: float
    clairvoyant: float

    def as_json(self) -> dict[str, object]:
        """As data."""
        return {
            "scenario": self.cell[0],
            "rate": self.cell[1],
            "score": self.score.as_json(),
            "quality": self.quality,
            "nothing": self.nothing,
            "clairvoyant": self.clairvoyant,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one configuration.

    Attributes:
        configuration: its name.
        cells: where there was something to gain, in the order of the scenarios and rates.
    """

    configuration: str
    cells: Sequence[CellScore]

    @property
    def mean(self) -> float | None:
        """Over the cells, each counting the same; None where there are none."""
        return fmean(cell.score.value for cell in self.cells) if self.cells else None

    @property
    def worst(self) -> CellScore | None:
        """The cell with the lowest score: what the mean would hide."""
        return min(self.cells, key=lambda cell: cell.score.value, default=None)

    def as_json(self) -> dict[str, object]:
        """As data."""
        worst = self.worst
        return {
            "configuration": self.configuration,
            "mean": self.mean,
            "minimum": None if worst is None else worst.score.value,
            "minimum_at": None if worst is None else cell_name(worst.cell),
            "cells": [cell.as_json() for cell in self.cells],
        }


def scores(groups: Groups) -> list[Score]:
    """The score of every configuration but ``nothing``, the best mean first; those without a score are left out.

    Runs are compared seed by seed, on the same faults. Without runs of ``nothing`` there is no score. Without those of
    the clairvoyant, its quality is taken to be that of the calm: of the rate 0 of the same scenario and seed, or 1.
    """
    found = []
    for configuration in groups.configurations:
        if configuration != NOTHING:
            cells = [each for cell in groups.cells() if (each := _cell_score(groups, cell, configuration)) is not None]
            if cells:
                found.append(Score(configuration, cells))
    return sorted(found, key=lambda each: -(each.mean or 0.0))


def _cell_score(groups: Groups, cell: Cell, configuration: str) -> CellScore | None:
    pairs = groups.alike(cell, configuration, NOTHING)
    if not pairs:
        return None
    ours = [one.measures.quality for one, _ in pairs]
    nothing = [other.measures.quality for _, other in pairs]
    best = [_ceiling(groups, cell, one.seed) for one, _ in pairs]
    gained = [a - b for a, b in zip(ours, nothing, strict=True)]
    possible = [a - b for a, b in zip(best, nothing, strict=True)]
    score = part_of_runs(gained, possible, least=LEAST_TO_GAIN)
    return None if score is None else CellScore(cell, score, fmean(ours), fmean(nothing), fmean(best))


def _ceiling(groups: Groups, cell: Cell, seed: int) -> float:
    """The clairvoyant's quality with one seed.

    No policy makes the search find what it does not find in the calm, so the clairvoyant's answers are as good as those
    of the best configuration in the calm. And where some configuration got more than the clairvoyant (an answer from
    the cache is full, while its models are down), that was possible, and is the ceiling.
    """
    scenario, _ = cell
    calm = groups.best_quality((scenario, 0.0), seed)
    ideal = next((run.measures.quality for run in groups.runs(cell, IDEAL) if run.seed == seed), 1.0)
    return max(ideal * (1.0 if calm is None else calm), groups.best_quality(cell, seed) or 0.0)
