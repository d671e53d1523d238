"""The report as one page of HTML: no other file, no script, nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import configurations
from holdfast.lab.report.document import document
from holdfast.lab.report.elements import Element, element
from holdfast.lab.report.figures import span
from holdfast.lab.report.findings import find
from holdfast.lab.report.scenario_section import family_section, scenario_section
from holdfast.lab.report.sections import (
    component_section,
    recovery_section,
    runs_section,
    score_section,
    target_section,
    threshold_section,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.lab.report.findings import Findings
    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["page"]

_NOTES = """\
A user-facing error is no useful answer within the deadline: an exception, a refusal, a static sentence, a late \
answer, or one that lacks the known fact. Useful answers that are degraded are counted apart.
Quality is the mean quality score of all answers, of that of a full one; an error counts 0. Availability is the share \
of buckets of five seconds in which errors were within the objective.
Intervals hold the true value in 95% of such experiments. With two seeds or more they come from the differences \
between seeds; with one there are intervals for shares only, as if questions were independent of each other, which \
is too narrow where errors come in clusters. Differences are between runs with the same faults.
Time is virtual, and providers are simulated: the figures compare policies, and do not predict a provider's next day.
"""


def page(outcomes: Iterable[Outcome], scenarios: Iterable[Scenario] = ()) -> str:
    """The page.

    Args:
        outcomes: of any number of scenarios, configurations, rates and seeds; of none it says that there are none.
        scenarios: those that were played, as they were played: with them the score has its clairvoyant, and the plots
            show when something failed.
    """
    findings = find(outcomes, scenarios)
    return document(_title(findings), *_body(findings))


def _title(findings: Findings) -> str:
    names = list(findings.groups.families())
    return f"Lab report: {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}" if names else "Lab report"


def _body(findings: Findings) -> list[Element]:
    groups = findings.groups
    parts = [element("h1", _title(findings))]
    runs = groups.all_runs()
    if not runs:
        return [*parts, element("p", "There are no runs to report.")]
    seconds = sum(run.seconds for run in runs)
    said = (
        f"{len(runs)} runs, {span(seconds)} of virtual time, {sum(run.measures.asked for run in runs):,} questions. "
        f"{'Seed' if len(groups.seeds) == 1 else 'Seeds'}: {', '.join(map(str, groups.seeds))}."
    )
    parts += [element("p", said), _configurations(findings)]
    general = (target_section(findings), score_section(findings), component_section(findings))
    each = [
        family_section(findings, family, members, f"scenario-{place}")
        if len(members) > 1
        else scenario_section(findings, members[0], f"scenario-{place}")
        for place, (family, members) in enumerate(groups.families().items(), 1)
    ]
    last = (recovery_section(findings), threshold_section(findings), _notes(), runs_section(findings))
    sections = [section for section in (*general, *each, *last) if section is not None]
    return [*parts, _contents(sections), element("main", *sections)]


def _configurations(findings: Findings) -> Element:
    """What was compared, with what is known of it."""
    known = configurations()
    terms: list[Element] = []
    for name in findings.groups.configurations:
        about = known[name].about if name in known else "Not one that comes with the lab."
        terms += [element("dt", name), element("dd", about)]
    return element("details", element("summary", f"{len(terms) // 2} configurations"), element("dl", *terms))


def _contents(sections: Iterable[Element]) -> Element:
    titles = ((section.get("aria-labelledby"), section.find("h2")) for section in sections)
    links = (
        element("li", element("a", title.text or "", href=f"#{name}")) for name, title in titles if title is not None
    )
    return element("nav", element("ul", *links), aria_label="Contents")


def _notes() -> Element:
    notes = (element("li", note) for note in _NOTES.splitlines())
    title = element("h2", "How to read it", id="notes")
    return element("section", title, element("ul", *notes, class_="notes"), aria_labelledby="notes")
