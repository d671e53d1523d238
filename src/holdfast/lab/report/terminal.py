"""The report as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import MissingExtraError
from holdfast.lab.configurations.registry import NOTHING
from holdfast.lab.report.figures import MISSING, count, estimate, number, percent, points, seconds
from holdfast.lab.report.findings import find
from holdfast.lab.report.groups import cell_name, rate_name
from holdfast.lab.report.leave_one_out import harmful
from holdfast.lab.report.recovery import recoveries
from holdfast.lab.report.rows import ROWS, degraded, error_rate, reduction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from holdfast.lab.report.findings import Findings
    from holdfast.lab.report.groups import Cell, Groups
    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["print_report"]


_FEW = 4
_MAIN = frozenset(
    {"error_rate", "useful_degraded", "availability", "quality", "p95", "recovery", "retry_share", "cost_usd"}
)


def print_report(outcomes: Iterable[Outcome], console: Console, scenarios: Iterable[Scenario] = ()) -> None:
    """Print what matters of the page: measures, error rates, the score, components, recovery and thresholds.

    Args:
        outcomes: of any number of scenarios, configurations, rates and seeds.
        console: where to.
        scenarios: those that were played, as they were played.

    Raises:
        MissingExtraError: rich is not installed.
    """
    findings = find(outcomes, scenarios)
    if not findings.groups.all_runs():
        console.print("There are no runs to report.")
        return
    for scenario in findings.groups.scenarios:
        _scenario(findings, scenario, console)
    _targets(findings, console)
    _scores(findings, console)
    _components(findings, console)
    _recovery(findings, console)
    _thresholds(findings, console)


def _scenario(findings: Findings, scenario: str, console: Console) -> None:
    """One cell: all its measures. Several: the error rates of each configuration."""
    groups = findings.groups
    cells = [cell for cell in groups.cells(scenario) if groups.within(cell)]
    if len(cells) == 1:
        _measures(groups, cells[0], console)
        return
    head = ["configuration", *(rate_name(cell[1]) for cell in cells)]
    names = [name for name in groups.configurations if any(groups.runs(cell, name) for cell in cells)]
    rates = [[name, *(estimate(error_rate(groups.runs(cell, name)), percent) for cell in cells)] for name in names]
    _print(console, f"{scenario}: user-facing errors by share of failing calls", head, rates)
    less = [[name, *(estimate(degraded(groups.runs(cell, name)), percent) for cell in cells)] for name in names]
    _print(console, f"{scenario}: useful answers that were degraded", head, less)
    if NOTHING in names and len(names) > 1:
        saved = [
            [name, *(estimate(reduction(groups.alike(cell, name, NOTHING)), percent) for cell in cells)]
            for name in names
            if name != NOTHING
        ]
        _print(console, f"{scenario}: errors saved, of those of “nothing”", head, saved)


def _measures(groups: Groups, cell: Cell, console: Console) -> None:
    """All measures of a few configurations, side by side; of many the main ones, one below the other."""
    names = groups.within(cell)
    few = len(names) <= _FEW
    rows = []
    for row in ROWS:
        found = [row.of(groups.runs(cell, name)) for name in names]
        if any(each is not None for each in found) and (few or row.name in _MAIN):
            rows.append([row.title, *(estimate(each, row.shown) for each in found)])
    lines = [["measure", *names], *rows]
    head, *body = lines if few else [list(column) for column in zip(*lines, strict=True)]
    _print(console, cell_name(cell), head, body)


def _targets(findings: Findings, console: Console) -> None:
    names = list(dict.fromkeys(each.configuration for each in findings.targets))
    found = {(each.title, each.configuration): each for each in findings.targets}
    rows = []
    for title in dict.fromkeys(each.title for each in findings.targets):
        across = [found.get((title, name)) for name in names]
        cells = [f"{each.shown} {'met' if each.met else 'MISSED'}" if each else MISSING for each in across]
        rows.append([title, *cells])
    _print(console, "Targets", ["target", *names], rows)


def _scores(findings: Findings, console: Console) -> None:
    rows = []
    for score in findings.scores:
        worst = score.worst
        at = MISSING if worst is None else f"{worst.score.value:.3f}, {cell_name(worst.cell)}"
        rows.append([score.configuration, number(score.mean), at])
    _print(console, "Resilience score: 0 is “nothing”, 1 is clairvoyant", ["configuration", "mean", "minimum"], rows)


def _components(findings: Findings, console: Console) -> None:
    rows = [
        [each.name, each.verdict, estimate(each.errors, points), estimate(each.quality, points)]
        for each in findings.components
    ]
    head = ["component", "verdict", "errors prevented", "quality added"]
    _print(console, "What each component is worth, in percentage points; the weakest first", head, rows, words=2)
    harm = harmful(findings.components)
    if harm:
        console.print(f"Better without: {', '.join(each.name for each in harm)}.", style="bold red", markup=False)


def _recovery(findings: Findings, console: Console) -> None:
    rows = [
        [
            cell_name(each.cell),
            each.configuration,
            count(each.outages),
            estimate(each.mttr, seconds),
            estimate(each.recovery, seconds),
            seconds(each.recovery_longest),
            seconds(each.full_longest),
            count(each.unrecovered),
        ]
        for each in recoveries(findings.groups)
    ]
    head = ["scenario", "configuration", "outages", "MTTR", "recovery", "longest", "full again", "not recovered"]
    _print(console, "Repair and recovery", head, rows, words=2)


def _thresholds(findings: Findings, console: Console) -> None:
    rows = [
        [each.name, each.dependency or "all", f"{each.value:g} {each.unit}", each.reason]
        for each in findings.recommendations
    ]
    _print(console, "Recommended thresholds", ["threshold", "of", "recommended", "because"], rows, words=4)


def _print(console: Console, title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> None:
    """A table, unless it is empty. What stands in its cells is text, whatever rich would make of it."""
    try:
        from rich import box  # noqa: PLC0415  what is optional is imported by who uses it
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError("A report in the terminal", "cli") from error
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, each in enumerate(head):
        made.add_column(Text(each), justify="left" if place < words else "right")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    if made.rows:
        console.print(Text(title, style="bold"))
        console.print(made)
