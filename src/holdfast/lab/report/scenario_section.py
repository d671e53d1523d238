"""The section of one scenario: error rates, all measures, and the course of the runs, configurations side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from holdfast.lab.report.elements import Element, Part, element, table
from holdfast.lab.report.figures import MISSING, dollars, percent
from holdfast.lab.report.groups import IDEAL, cell_name, member_name, rate_name
from holdfast.lab.report.intervals import Estimate
from holdfast.lab.report.lines import Dot, Series, line_plot
from holdfast.lab.report.rows import (
    causes,
    costs_by_cause,
    costs_by_model,
    degraded,
    error_rate,
    measured,
    reduction_in,
    tier_shares,
)
from holdfast.lab.report.sections import figure_cell
from holdfast.lab.report.timeline import busiest, timeline_plot
from holdfast.lab.scenarios.failing import interruptions
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from holdfast.lab.report.findings import Findings
    from holdfast.lab.report.groups import Cell
    from holdfast.lab.runs.outcome import Outcome

__all__ = ["family_section", "scenario_section"]

T = TypeVar("T")


def scenario_section(findings: Findings, scenario: str, name: str) -> Element:
    """All of it.

    Args:
        findings: everything.
        scenario: which one.
        name: unique in the page; ids of the section begin with it.
    """
    groups = findings.groups
    cells = [cell for cell in groups.cells(scenario) if groups.within(cell)]
    parts: list[Part] = [element("h2", scenario, id=name)]
    known = findings.scenarios.get(scenario)
    if known is not None and known.about:
        parts.append(element("p", known.about))
    if len(cells) > 1:
        parts += [_error_plot(findings, cells, name), *_across(findings, cells)]
    if len(cells) == 1:
        parts += [_measures(findings, cells[0]), *_course(findings, cells[0], f"{name}-0")]
    else:
        parts += _folded(findings, cells, name, cell_name)
    return element("section", *parts, aria_labelledby=name)


def family_section(findings: Findings, family: str, members: Sequence[str], name: str) -> Element:
    """Scenarios that belong together: their error rates in one table, and each of them folded away.

    Args:
        findings: everything.
        family: what they are called together.
        members: which ones.
        name: unique in the page; ids of the section begin with it.
    """
    groups = findings.groups
    cells = [cell for member in members for cell in groups.cells(member) if groups.within(cell)]
    names = [each for each in groups.configurations if any(groups.runs(cell, each) for cell in cells)]
    parts: list[Part] = [element("h2", family, id=name)]
    about = next((findings.scenarios[each].about for each in members if each in findings.scenarios), "")
    if about:
        parts.append(element("p", about))
    for title, of in (("User-facing errors", error_rate), ("Useful answers that were degraded", degraded)):
        rows: list[list[Part]] = [
            [member_name(cell), *(figure_cell(of(groups.runs(cell, each)), percent) for each in names)]
            for cell in cells
        ]
        parts.append(table(f"{title}, with 95% intervals", [family, *names], rows))
    parts += _folded(findings, cells, name, member_name)
    return element("section", *parts, aria_labelledby=name)


def _folded(findings: Findings, cells: Sequence[Cell], name: str, called: Callable[[Cell], str]) -> list[Element]:
    """All measures and the course of each cell, to be opened one by one."""
    return [
        element(
            "details",
            element("summary", called(cell)),
            _measures(findings, cell),
            *_course(findings, cell, f"{name}-{place}"),
        )
        for place, cell in enumerate(cells)
    ]


def _error_plot(findings: Findings, cells: Sequence[Cell], name: str) -> Element:
    groups = findings.groups
    names = [each for each in groups.configurations if any(groups.runs(cell, each) for cell in cells)]
    if any(groups.runs(cell, IDEAL) for cell in cells):
        names.append(IDEAL)
    series = []
    for configuration in names:
        dots = []
        for cell in cells:
            found = error_rate(groups.runs(cell, configuration))
            if found is not None and configuration == IDEAL:
                dots.append(Dot(cell[1] or 0.0, found.value))  # an expected value: it has no error of its own
            elif found is not None:
                dots.append(Dot(cell[1] or 0.0, found.value, found.low, found.high))
        series.append(Series(configuration, dots))
    title = "User-facing errors against the share of failing calls; bars are 95% intervals, and both axes show 0"
    return line_plot(
        title, series, x_label="failing calls of each dependency", y_label="user-facing errors", name=f"{name}-errors"
    )


def _across(findings: Findings, cells: Sequence[Cell]) -> list[Element]:
    """Error rates, what is saved of those of nothing, and degraded answers, with the rates across."""
    groups = findings.groups
    head = ["configuration", *(rate_name(cell[1]) for cell in cells)]
    rates: list[list[Part]] = []
    saved: list[list[Part]] = []
    less: list[list[Part]] = []
    for configuration in groups.configurations:
        found = [error_rate(groups.runs(cell, configuration)) for cell in cells]
        if any(each is not None for each in found):
            rates.append([configuration, *(figure_cell(each, percent) for each in found)])
            lessened = [degraded(groups.runs(cell, configuration)) for cell in cells]
            less.append([configuration, *(figure_cell(each, percent) for each in lessened)])
        cut = [reduction_in(groups, cell, configuration) for cell in cells]
        if any(each is not None for each in cut):
            saved.append([configuration, *(figure_cell(each, percent) for each in cut)])
    tables = [table("User-facing errors by share of failing calls, with 95% intervals", head, rates)]
    if saved:
        tables.append(table("Errors saved, of those of “nothing” on the same faults", head, saved))
    return [*tables, table("Useful answers that were degraded, of all questions", head, less)]


def _measures(findings: Findings, cell: Cell) -> Element:
    """Every measure that was taken, with the configurations across."""
    groups = findings.groups
    names = groups.within(cell)
    runs = {name: groups.runs(cell, name) for name in names}
    rows: list[list[Part]] = [
        [title, *(figure_cell(each, shown) for each in found)] for _, title, shown, found in measured(groups, cell)
    ]
    for prefix, of in (("cost of 1,000 questions: ", costs_by_cause), ("cost of 1,000 questions: ", costs_by_model)):
        rows += _shares(runs, of, prefix, sorted, lambda each: figure_cell(each, dollars), nothing=Estimate(0.0))
    rows += _shares(runs, causes, "errors: ", sorted, percent, nothing=0.0)
    rows += _shares(runs, tier_shares, "time in tier ", _from_the_best, percent, nothing=0.0)
    seeds = len({run.seed for each in runs.values() for run in each})
    counted = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return table(f"{cell_name(cell)}: all measures, {counted}; intervals are 95%", ["measure", *names], rows)


def _from_the_best(tiers: set[str]) -> list[str]:
    return [tier.value for tier in Tier if tier.value in tiers]


def _shares(
    runs: Mapping[str, Sequence[Outcome]],
    of: Callable[[Sequence[Outcome]], Mapping[str, T]],
    prefix: str,
    ordered: Callable[[set[str]], list[str]],
    shown: Callable[[T], Part],
    *,
    nothing: T,
) -> list[list[Part]]:
    """A row for each part of a measure; a configuration of which no part was measured has a dash."""
    found = {name: of(each) for name, each in runs.items()}
    keys = ordered({key for each in found.values() for key in each})
    return [
        [f"{prefix}{key}", *(shown(found[name].get(key, nothing)) if found[name] else MISSING for name in runs)]
        for key in keys
    ]


def _course(findings: Findings, cell: Cell, name: str) -> list[Element]:
    """A timeline of each configuration, of the first seed that there is: one below the other, on the same axes."""
    groups = findings.groups
    shown = [groups.runs(cell, each)[0] for each in groups.within(cell)]
    shown = [run for run in shown if run.timeline]
    if not shown:
        return []
    most = busiest(run.timeline for run in shown)
    parts = [element("h3", f"Course, {cell_name(cell)}"), _keys()]
    for place, run in enumerate(shown):
        title = f"{run.configuration}, seed {run.seed}"
        plot = timeline_plot(
            f"Course of {cell_name(cell)}, {title}",
            run.timeline,
            most=most,
            name=f"{name}-{place}",
            faults=_faults(findings, run),
        )
        parts.append(element("figure", element("figcaption", title), plot))
    return parts


def _faults(findings: Findings, run: Outcome) -> list[tuple[float, float, str]]:
    scenario = findings.scenarios.get(run.scenario)
    if scenario is None:
        return []
    spans = interruptions(scenario.plan(run.seed, run.rate), run.seconds)
    return [(begin, end, "something fails") for begin, end in spans]


def _keys() -> Element:
    """What the colours of a timeline are."""
    keys = (
        ("offered", "questions a second"),
        ("useful", "useful answers"),
        ("degraded", "of them degraded"),
        ("errors", "errors"),
        ("fault", "a fault"),
        *((f"tier {tier.value}", f"tier {tier.value}") for tier in Tier),
        ("open", "breaker open"),
    )
    boxes = (
        element("li", element("span", class_=f"box {style}", aria_hidden="true"), f" {said}") for style, said in keys
    )
    return element("ul", *boxes, class_="legend")
