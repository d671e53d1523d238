"""Everything that outcomes say, worked out once for the page, the terminal and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.report.clairvoyant import with_clairvoyants
from holdfast.lab.report.groups import Groups
from holdfast.lab.report.leave_one_out import components
from holdfast.lab.report.score import scores
from holdfast.lab.report.targets import targets
from holdfast.lab.report.thresholds import recommend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from holdfast.lab.report.leave_one_out import Component
    from holdfast.lab.report.score import Score
    from holdfast.lab.report.targets import Target
    from holdfast.lab.report.thresholds import Recommendation
    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["Findings", "find"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found.

    Attributes:
        groups: the outcomes, the clairvoyant's included.
        scenarios: those that are known, by name.
        scores: the resilience score of each configuration, the best first.
        components: what each component that was left out is worth, the least first.
        targets: what was to be reached, and what was.
        recommendations: thresholds.
    """

    groups: Groups
    scenarios: Mapping[str, Scenario]
    scores: Sequence[Score]
    components: Sequence[Component]
    targets: Sequence[Target]
    recommendations: Sequence[Recommendation]


def find(outcomes: Iterable[Outcome], scenarios: Iterable[Scenario] = ()) -> Findings:
    """Work it out.

    Args:
        outcomes: of any number of scenarios, configurations, rates and seeds.
        scenarios: those that were played. With them the score has its clairvoyant, and plots show when things failed.
    """
    scenarios = list(scenarios)
    groups = Groups(with_clairvoyants(outcomes, scenarios))
    return Findings(
        groups=groups,
        scenarios={scenario.name: scenario for scenario in scenarios},
        scores=scores(groups),
        components=components(groups),
        targets=targets(groups),
        recommendations=recommend(groups, deadline=min((each.deadline for each in scenarios), default=30.0)),
    )
