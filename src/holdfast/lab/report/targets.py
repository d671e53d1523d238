"""What was to be reached, and what was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import NOTHING
from holdfast.lab.report.figures import interval, number, percent, seconds
from holdfast.lab.report.intervals import Estimate, mean
from holdfast.lab.report.leave_one_out import left_out
from holdfast.lab.report.rows import error_rate, false_openings, reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.lab.report.groups import Groups
    from holdfast.lab.runs.outcome import Outcome

__all__ = ["Target", "targets"]

_USUAL = 0.02
_ILL = (0.02, 0.05, 0.2)
_EXACT = 1e-9
"""Differences and means of shares are not exact."""


@dataclass(frozen=True, slots=True)
class Target:
    """One target for one configuration.

    Attributes:
        title: what was to be reached, in words.
        configuration: who was to reach it.
        measured: the figure.
        shown: the figure as people read it.
        around: the ends of its interval, likewise; None where there is none.
        met: whether it was reached.
    """

    title: str
    configuration: str
    measured: Estimate
    shown: str
    around: tuple[str, str] | None
    met: bool

    def as_json(self) -> dict[str, object]:
        """As data."""
        return {
            "target": self.title,
            "configuration": self.configuration,
            "measured": self.measured.as_json(),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class _Rule:
    title: str
    of: Callable[[Groups, str], Estimate | None]
    shown: Callable[[float | None], str]
    met: Callable[[float], bool]


def targets(groups: Groups) -> list[Target]:
    """Every target that could be measured, for every configuration but ``nothing`` and those that leave one out."""
    found = []
    for rule in _RULES:
        for configuration in groups.configurations:
            if configuration == NOTHING or left_out(configuration) is not None:
                continue
            measured = rule.of(groups, configuration)
            if measured is not None:
                shown, around = rule.shown(measured.value), interval(measured, rule.shown)
                found.append(Target(rule.title, configuration, measured, shown, around, rule.met(measured.value)))
    return found


def _runs(groups: Groups, configuration: str, rate: float | None = None) -> list[Outcome]:
    cells = [cell for cell in groups.cells() if rate is None or cell[1] == rate]
    return [run for cell in cells for run in groups.runs(cell, configuration)]


def _usual(of: Callable[[Outcome], float]) -> Callable[[Groups, str], Estimate | None]:
    """The mean of a share."""
    return lambda groups, configuration: mean(
        [of(run) for run in _runs(groups, configuration, _USUAL)], least=0.0, most=1.0
    )


def _errors(groups: Groups, configuration: str) -> Estimate | None:
    return error_rate(_runs(groups, configuration, _USUAL))


def _false_openings(groups: Groups, configuration: str) -> Estimate | None:
    return false_openings(_runs(groups, configuration, _USUAL))


def _first_text(groups: Groups, configuration: str) -> Estimate | None:
    times = [run.measures.first_text_p95 for run in _runs(groups, configuration, _USUAL)]
    return mean([each for each in times if each > 0], least=0.0)


def _reduction(rate: float) -> Callable[[Groups, str], Estimate | None]:
    def of(groups: Groups, configuration: str) -> Estimate | None:
        pairs = [
            pair for cell in groups.cells() if cell[1] == rate for pair in groups.alike(cell, configuration, NOTHING)
        ]
        return reduction(pairs)

    return of


def _recovery(groups: Groups, configuration: str) -> Estimate | None:
    """The longest of all; what never recovered counts with the time that was left for it."""
    lengths = [length for run in _runs(groups, configuration) for length in run.measures.recovery]
    return Estimate(max(lengths)) if lengths else None


def _full_again(groups: Groups, configuration: str) -> Estimate | None:
    lengths = [length for run in _runs(groups, configuration) for length in run.measures.full_again]
    return Estimate(max(lengths)) if lengths else None


_RULES: Sequence[_Rule] = (
    _Rule("user-facing errors below 0.1% at 2%", _errors, percent, lambda value: value < 0.001),
    _Rule(
        "availability of 99.9% or more at 2%",
        _usual(lambda run: run.measures.availability),
        percent,
        lambda value: value >= 0.999 - _EXACT,
    ),
    *(
        _Rule(
            f"errors cut by 80% or more at {100 * rate:g}%",
            _reduction(rate),
            percent,
            lambda value: value >= 0.8 - _EXACT,
        )
        for rate in _ILL
    ),
    _Rule("recovery below 30 s, the longest", _recovery, seconds, lambda value: value < 30),
    _Rule("full tier again within 60 s, the longest", _full_again, seconds, lambda value: value <= 60),
    _Rule("first text below 2 s at 2%, p95 of streamed answers", _first_text, seconds, lambda value: value < 2),
    _Rule(
        "retries below 5% of model calls at 2%",
        _usual(lambda run: run.measures.retry_share),
        percent,
        lambda value: value < 0.05,
    ),
    _Rule(
        "false openings below one a day at 2%",
        _false_openings,
        number,
        lambda value: value < 1,
    ),
)
