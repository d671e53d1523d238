"""The sections of the page that are about all scenarios: targets, score, components, recovery, thresholds, runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.report.elements import Element, Part, element, table
from holdfast.lab.report.figures import MISSING, count, estimate, interval, number, percent, points, seconds, span
from holdfast.lab.report.groups import IDEAL, cell_name
from holdfast.lab.report.leave_one_out import harmful, most_needed, weakest
from holdfast.lab.report.recovery import recoveries
from holdfast.lab.report.traces import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.lab.report.findings import Findings
    from holdfast.lab.report.intervals import Estimate
    from holdfast.lab.report.recovery import Recovery

__all__ = [
    "component_section",
    "figure_cell",
    "recovery_section",
    "runs_section",
    "score_section",
    "target_section",
    "threshold_section",
]

_RECOVERY = 30.0


def figure_cell(value: Estimate | None, shown: Callable[[float | None], str]) -> Part:
    """A figure with its interval in small print under it."""
    around = None if value is None else interval(value, shown)
    if value is None or around is None:
        return estimate(value, shown)
    small = element("span", f"{around[0]} to {around[1]}", class_="interval")
    return element("span", shown(value.value), element("br"), small)


def target_section(findings: Findings) -> Element | None:
    """Targets down, configurations across; None where none could be measured."""
    if not findings.targets:
        return None
    names = list(dict.fromkeys(target.configuration for target in findings.targets))
    by = {(target.title, target.configuration): target for target in findings.targets}
    rows: list[list[Part]] = []
    for title in dict.fromkeys(target.title for target in findings.targets):
        cells: list[Part] = [title]
        for name in names:
            target = by.get((title, name))
            if target is None:
                cells.append(MISSING)
            else:
                verdict = element("span", "met" if target.met else "missed", class_="good" if target.met else "bad")
                cell = element("span", f"{target.shown} ", verdict)
                if target.around is not None:
                    cell.append(element("br"))
                    cell.append(element("span", f"{target.around[0]} to {target.around[1]}", class_="interval"))
                cells.append(cell)
        rows.append(cells)
    return _section("targets", "Targets", table("What was to be reached, and what was", ["target", *names], rows))


def score_section(findings: Findings) -> Element:
    """The resilience score, and what it is made of."""
    if not findings.scores:
        return _section(
            "score",
            "Resilience score",
            element("p", "There is none: it takes runs of the configuration “nothing” with the same faults."),
        )
    known = any(IDEAL in _configurations(findings, score.cells[0].cell) for score in findings.scores)
    ideal = (
        "a clairvoyant policy, which knows every fault beforehand"
        if known
        else "the quality of a calm day, as the scenarios' faults are not known here"
    )
    overview: list[list[Part]] = []
    for score in findings.scores:
        worst = score.worst
        low: Part = MISSING if worst is None else f"{worst.score.value:.3f}, {cell_name(worst.cell)}"
        overview.append([score.configuration, number(score.mean), low, count(len(score.cells))])
    parts = [
        element(
            "p",
            f"How much of what could be saved is saved: 0 is “nothing”, 1 is {ideal}; below 0 the policies harm. The "
            "mean and the minimum are over the scenarios and rates in which there was something to save.",
        ),
        table("Score of each configuration", ["configuration", "mean", "minimum", "cells"], overview),
    ]
    every = dict.fromkeys(each.cell for score in findings.scores for each in score.cells)
    by = {(score.configuration, each.cell): each for score in findings.scores for each in score.cells}
    detail: list[list[Part]] = []
    for cell in every:
        first = next(by[score.configuration, cell] for score in findings.scores if (score.configuration, cell) in by)
        row: list[Part] = [cell_name(cell), percent(first.nothing), percent(first.clairvoyant)]
        for score in findings.scores:
            found = by.get((score.configuration, cell))
            row.append(MISSING if found is None else figure_cell(found.score, number))
        detail.append(row)
    head = ["scenario", "quality of nothing", "of the clairvoyant", *(score.configuration for score in findings.scores)]
    parts.append(_folded("Score in each scenario", table("Scores with 95% intervals over the seeds", head, detail)))
    return _section("score", "Resilience score", *parts)


def component_section(findings: Findings) -> Element | None:
    """Leave one out; None where nothing was left out."""
    found = findings.components
    least, most = weakest(found), most_needed(found)
    if least is None or most is None:
        return None
    harm = harmful(found)
    said = (
        f"Weakest component: {least.name}. Leaving it out changes the error rate by "
        f"{points(least.errors.value)} percentage points, less than any other. Most needed: {most.name} "
        f"({points(most.errors.value)} points). "
    )
    said += (
        f"On these faults it is better without: {', '.join(each.name for each in harm)}."
        if harm
        else "None of them harms, as far as these runs can tell."
    )
    rows: list[list[Part]] = []
    for each in found:
        cell, worth = each.hardest
        style = {"helps": "good", "harms": "bad"}.get(each.verdict)
        rows.append(
            [
                each.name,
                element("span", each.verdict, class_=style),
                figure_cell(each.errors, points),
                figure_cell(each.quality, points),
                f"{cell_name(cell)}: {points(worth)}",
            ]
        )
    head = ["component", "verdict", "errors prevented", "quality added", "most errors prevented in"]
    return _section(
        "components",
        "What each component is worth",
        element("p", said),
        table("Leave one out, on the same faults: percentage points with 95% intervals", head, rows, words=2),
    )


def recovery_section(findings: Findings) -> Element | None:
    """MTTR and recovery, those of families of scenarios folded away; None where nothing was interrupted."""
    found = recoveries(findings.groups)
    if not found:
        return None
    head = [
        "scenario",
        "configuration",
        "outages",
        "MTTR",
        "longest",
        "recovery",
        "longest",
        "full again, longest",
        "not recovered",
    ]
    parts: list[Part] = [
        element(
            "p",
            "MTTR is from the onset of a fault to the first of three good buckets of five seconds in a row, recovery "
            "from its removal to the same point; full again is from its removal until the service was at its full tier "
            f"and stayed there. Recovery of {span(_RECOVERY)} or more is marked.",
        )
    ]
    caption = "Mean over all outages of all seeds, with 95% intervals"
    for family, members in findings.groups.families().items():
        rows = [_recovery_row(each) for each in found if each.cell[0] in members]
        if rows and len(members) > 1:
            parts.append(_folded(f"{family}: {len(rows)} lines", table(f"{family}: {caption}", head, rows, words=2)))
    single = [members[0] for members in findings.groups.families().values() if len(members) == 1]
    rows = [_recovery_row(each) for each in found if each.cell[0] in single]
    if rows:
        parts.insert(1, table(caption, head, rows, words=2))
    return _section("recovery", "Repair and recovery", *parts)


def _recovery_row(each: Recovery) -> list[Part]:
    slow = each.recovery_longest is not None and each.recovery_longest >= _RECOVERY
    return [
        cell_name(each.cell),
        each.configuration,
        count(each.outages),
        figure_cell(each.mttr, seconds),
        seconds(each.mttr_longest),
        figure_cell(each.recovery, seconds),
        element("span", seconds(each.recovery_longest), class_="bad" if slow else None),
        seconds(each.full_longest),
        element("span", count(each.unrecovered), class_="bad" if each.unrecovered else None),
    ]


def threshold_section(findings: Findings) -> Element | None:
    """Recommended thresholds with their reasons; None where the runs say nothing about them."""
    if not findings.recommendations:
        return None
    rows: list[list[Part]] = [
        [each.name, each.dependency or "all", element("strong", f"{each.value:g} {each.unit}"), each.reason]
        for each in findings.recommendations
    ]
    head = ["threshold", "of", "recommended", "because"]
    return _section(
        "thresholds",
        "Recommended thresholds",
        table("From closed forms, at the traffic and the failure rate of these runs", head, rows, words=4),
    )


def runs_section(findings: Findings) -> Element:
    """Every run with the hash of everything that happened in it."""
    rows: list[list[Part]] = [
        [
            cell_name((run.scenario, run.rate)),
            run.configuration,
            str(run.seed),
            span(run.seconds),
            element("code", run.trace),
        ]
        for run in findings.groups.all_runs()
    ]
    head = ["scenario", "configuration", "seed", "virtual time", "trace"]
    return _section(
        "runs",
        "Runs",
        element(
            "p",
            "The same scenario, configuration and seed give the same trace: the hash of everything that happened. All "
            "runs together: ",
            element("code", trace_of(findings.groups.all_runs())),
        ),
        _folded(f"{len(rows)} runs", table("Every run", head, rows, words=5)),
    )


def _configurations(findings: Findings, cell: tuple[str, float | None]) -> list[str]:
    return [IDEAL] if findings.groups.runs(cell, IDEAL) else []


def _section(name: str, title: str, *parts: Part) -> Element:
    return element("section", element("h2", title, id=name), *parts, aria_labelledby=name)


def _folded(title: str, part: Part) -> Element:
    return element("details", element("summary", title), part)
