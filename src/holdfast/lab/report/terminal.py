"""The report as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import MissingExtraError
from holdfast.lab.configurations.registry import NOTHING
from holdfast.lab.report.figures import MISSING, count, estimate, number, percent, points, seconds
from holdfast.lab.report.findings import find
from holdfast.lab.report.groups import cell_name, member_name, rate_name
from holdfast.lab.report.leave_one_out import harmful
from holdfast.lab.report.recovery import recoveries
from holdfast.lab.report.rows import REDUCTION, degraded, error_rate, measured, reduction_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from holdfast.lab.report.findings import Findings
    from holdfast.lab.report.groups import Cell, Groups
    from holdfast.lab.report.recovery import Recovery
    from holdfast.lab.report.targets import Target
    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["print_report"]


_FEW = 4
_FEW_SCENARIOS = 2
_NAME = 20
"""Columns that a name has at least, however narrow the terminal is."""
_MAIN = frozenset(
    {
        "error_rate",
        "reduction",
        "useful_degraded",
        "availability",
        "quality",
        "p95",
        "recovery",
        "retry_share",
        "cost_usd",
    }
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
    families = findings.groups.families()
    for family, members in families.items():
        if len(members) > 1:
            _family(findings.groups, family, members, console)
        else:
            _scenario(findings, members[0], console, brief=len(families) > _FEW_SCENARIOS)
    _targets(findings, console)
    _scores(findings, console)
    _components(findings, console)
    _recovery(findings, console)
    _thresholds(findings, console)


def _scenario(findings: Findings, scenario: str, console: Console, *, brief: bool) -> None:
    """One cell: all its measures, or the main ones. Several: the error rates of each configuration."""
    groups = findings.groups
    cells = [cell for cell in groups.cells(scenario) if groups.within(cell)]
    if len(cells) == 1:
        _measures(groups, cells[0], console, brief=brief)
        return
    head = ["configuration", *(rate_name(cell[1]) for cell in cells)]
    names = [name for name in groups.configurations if any(groups.runs(cell, name) for cell in cells)]
    rates = [[name, *(estimate(error_rate(groups.runs(cell, name)), percent) for cell in cells)] for name in names]
    _print(console, f"{scenario}: user-facing errors by share of failing calls", head, rates)
    less = [[name, *(estimate(degraded(groups.runs(cell, name)), percent) for cell in cells)] for name in names]
    _print(console, f"{scenario}: useful answers that were degraded", head, less)
    if NOTHING in names and len(names) > 1:
        saved = [
            [name, *(estimate(reduction_in(groups, cell, name), percent) for cell in cells)]
            for name in names
            if name != NOTHING
        ]
        _print(console, f"{scenario}: {REDUCTION}", head, saved)


def _family(groups: Groups, family: str, members: Sequence[str], console: Console) -> None:
    """The error rates of scenarios that belong together, one below the other, with the configurations across."""
    cells = [cell for member in members for cell in groups.cells(member) if groups.within(cell)]
    names = [name for name in groups.configurations if any(groups.runs(cell, name) for cell in cells)]
    for title, of in (("user-facing errors", error_rate), ("useful answers that were degraded", degraded)):
        rows = [
            [member_name(cell), *(estimate(of(groups.runs(cell, name)), percent) for name in names)] for cell in cells
        ]
        _print(console, f"{family}: {title}", [family, *names], rows)
    longest = {(each.cell, each.configuration): each for each in recoveries(groups)}
    rows = [[member_name(cell), *(_recovered(longest.get((cell, name))) for name in names)] for cell in cells]
    if longest:
        _print(console, f"{family}: longest recovery from the end of a fault", [family, *names], rows)


def _recovered(found: Recovery | None) -> str:
    if found is None:
        return MISSING
    return "none" if found.unrecovered else seconds(found.recovery_longest)


def _measures(groups: Groups, cell: Cell, console: Console, *, brief: bool) -> None:
    """All measures of a few configurations, side by side; of many the main ones, one below the other."""
    names = groups.within(cell)
    few = len(names) <= _FEW and not brief
    rows = [
        [title, *(estimate(each, shown) for each in found)]
        for name, title, shown, found in measured(groups, cell)
        if few or name in _MAIN
    ]
    lines = [["measure", *names], *rows]
    head, *body = lines if few else [list(column) for column in zip(*lines, strict=True)]
    _print(console, cell_name(cell), head, body)


def _targets(findings: Findings, console: Console) -> None:
    names = list(dict.fromkeys(each.configuration for each in findings.targets))
    found = {(each.title, each.configuration): each for each in findings.targets}
    rows = []
    for title in dict.fromkeys(each.title for each in findings.targets):
        across = [found.get((title, name)) for name in names]
        cells = [MISSING if each is None else _verdict(each) for each in across]
        rows.append([title, *cells])
    _print(console, "Targets", ["target", *names], rows)


def _verdict(target: Target) -> str:
    around = "" if target.around is None else f" [{target.around[0]}, {target.around[1]}]"
    return f"{target.shown}{around} {'met' if target.met else 'MISSED'}"


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
        if "/" not in each.cell[0]  # what is played apart has a table of its own
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
    lines = list(rows)
    named = min(_NAME, max((len(row[0]) for row in lines), default=0))
    for place, each in enumerate(head):
        left = place < words
        made.add_column(Text(each), justify="left" if left else "right", min_width=0 if place else named)
    for row in lines:
        made.add_row(*(Text(cell) for cell in row))
    if made.rows:
        console.print(Text(title, style="bold"))
        console.print(made)
