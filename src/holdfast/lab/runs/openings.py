"""Openings of breakers, and which of them the dependency did not deserve: in the lab its true failure rate is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.faults.plan import Kind

if TYPE_CHECKING:
    from holdfast.lab.faults.plan import FaultPlan

__all__ = ["PROBE_SECONDS", "Openings", "true_failure_rate"]

PROBE_SECONDS = 5.0
"""The interval of the prober: an open breaker learns within it that its dependency is back."""

_ILL = 0.5
"""From this share of failing calls on a breaker may be open: what its windows of rates open at."""
_LAG_SECONDS = 10.0
"""Calls that were hit by a fault may fail so much later: the longest time that an attempt has."""
_TOO_SLOW = {"cache": 0.2, "embedder": 1.0, "store": 2.0, "model": 10.0}
"""Calls that are slower than the time of an attempt fail; slow ones below that work."""


def true_failure_rate(plan: FaultPlan, component: str, at: float) -> float:
    """The share of a component's calls that the plan lets fail at a time."""
    works = 1.0
    limit = _TOO_SLOW.get(component.partition(":")[0], 0.0)
    for _, fault in plan.of(component):
        if fault.begin <= at < fault.end and (fault.kind is not Kind.SLOW or fault.seconds >= limit):
            works *= 1 - fault.rate
    return 1 - works


class Openings:
    """Counts openings.

    Args:
        plan: what fails.

    Attributes:
        opened: how often a breaker left the closed state because of failures.
        undeserved: of them, those at whose time the dependency was well, or that were open for more than one interval
            of the prober after it was.
    """

    def __init__(self, plan: FaultPlan) -> None:
        self.opened = 0
        self.undeserved = 0
        self._plan = plan
        self._since: dict[str, float] = {}
        self._blamed: set[str] = set()

    def moved(self, at: float, dependency: str, before: str, after: str) -> None:
        """A breaker changed its state."""
        since = self._since.pop(dependency, None)
        if since is not None:
            self._left(dependency, since, at)
        if after == "open":
            self._since[dependency] = at
            if before == "closed":
                self.opened += 1
                if not self._ill(dependency, at):
                    self._blame(dependency)
        elif after == "closed":
            self._blamed.discard(dependency)

    def finish(self, at: float) -> None:
        """The run is over: what is open now has been open until ``at``."""
        for dependency, since in self._since.items():
            self._left(dependency, since, at)
        self._since.clear()

    def _left(self, dependency: str, since: float, until: float) -> None:
        """It was open for that time: was it open for too long after its dependency was well?"""
        well = max([since, *(end for end in self._ends(dependency) if since < end <= until)])
        if until - well > PROBE_SECONDS and not self._ill(dependency, until, lag=0.0):
            self._blame(dependency)

    def _blame(self, dependency: str) -> None:
        """One outage of its own making is counted once."""
        if dependency not in self._blamed:
            self._blamed.add(dependency)
            self.undeserved += 1

    def _ill(self, dependency: str, at: float, *, lag: float = _LAG_SECONDS) -> bool:
        times = [at, *(end - 1e-6 for end in self._ends(dependency) if at - lag <= end <= at)]
        return any(true_failure_rate(self._plan, dependency, each) >= _ILL for each in times)

    def _ends(self, dependency: str) -> list[float]:
        return [fault.end for _, fault in self._plan.of(dependency)]
