"""How long outages last for users, and how long they go on after their cause is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.report.intervals import mean

if TYPE_CHECKING:
    from holdfast.lab.report.groups import Cell, Groups
    from holdfast.lab.report.intervals import Estimate

__all__ = ["Recovery", "recoveries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The outages of one configuration in one scenario at one rate, of all seeds together.

    Attributes:
        cell, configuration: whose they are.
        outages: how many.
        mttr, recovery: the means, in seconds; None where there was no outage, or none that ended within its run.
        mttr_longest, recovery_longest: the longest.
        full_longest: the longest time from an outage's end until the service was at its full tier and stayed there.
        unrecovered: after how many the service did not become good again in the time there was.
    """

    cell: Cell
    configuration: str
    outages: int
    mttr: Estimate | None
    mttr_longest: float | None
    recovery: Estimate | None
    recovery_longest: float | None
    full_longest: float | None
    unrecovered: int

    def as_json(self) -> dict[str, object]:
        """As data."""
        return {
            "scenario": self.cell[0],
            "rate": self.cell[1],
            "configuration": self.configuration,
            "outages": self.outages,
            "mttr": None if self.mttr is None else self.mttr.as_json(),
            "mttr_longest": self.mttr_longest,
            "recovery": None if self.recovery is None else self.recovery.as_json(),
            "recovery_longest": self.recovery_longest,
            "full_longest": self.full_longest,
            "unrecovered": self.unrecovered,
        }


def recoveries(groups: Groups) -> list[Recovery]:
    """One line for each configuration wherever there was an outage."""
    found = []
    for cell in groups.cells():
        for configuration in groups.within(cell):
            measures = [run.measures for run in groups.runs(cell, configuration)]
            mttr = [length for each in measures for length in each.mttr]
            recovery = [length for each in measures for length in each.recovery]
            if mttr or recovery:
                found.append(
                    Recovery(
                        cell=cell,
                        configuration=configuration,
                        outages=max(len(mttr), len(recovery)),
                        mttr=mean(mttr, least=0.0),
                        mttr_longest=max(mttr, default=None),
                        recovery=mean(recovery, least=0.0),
                        recovery_longest=max(recovery, default=None),
                        full_longest=max((length for each in measures for length in each.full_again), default=None),
                        unrecovered=sum(each.unrecovered for each in measures),
                    )
                )
    return found
