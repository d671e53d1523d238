"""Recommended thresholds: what the runs and the closed forms say a breaker, a budget and a time limit should be.

Each recommendation says why in a sentence, and takes nothing but what was measured: how often calls are made, how often
they fail, and how long answers take.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, lgamma, log
from statistics import fmean
from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import DEFAULT, NOTHING
from holdfast.lab.report.figures import percent, seconds

if TYPE_CHECKING:
    from holdfast.lab.report.groups import Cell, Groups

__all__ = [
    "Recommendation",
    "attempt_timeout",
    "breaker_threshold",
    "calls_until_open",
    "false_openings_a_day",
    "recommend",
    "retry_budget",
]

_DAY = 86_400.0
_LEAST_THRESHOLD = 5
_MOST_THRESHOLD = 50
_WINDOW = 10.0
_USUAL_BUDGET = 0.2
_RETRIES = 2
_OFTEN_ENOUGH = 0.3
"""A dependency that fails more often is not well: a breaker that opens is right, and no threshold is recommended."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One threshold.

    Attributes:
        name: what to set.
        dependency: of what; empty for all.
        value: to what.
        unit: what it is counted in.
        reason: why, in a sentence.
    """

    name: str
    dependency: str
    value: float
    unit: str
    reason: str

    def as_json(self) -> dict[str, object]:
        """As data."""
        return {
            "name": self.name,
            "dependency": self.dependency,
            "value": self.value,
            "unit": self.unit,
            "reason": self.reason,
        }


def calls_until_open(failing: float, threshold: int) -> float:
    """Calls until so many have failed in a row, in the mean, where each fails independently.

    ``(1 - p**k) / (p**k * (1 - p))``: Feller, An Introduction to Probability Theory, volume 1, XIII.7.

    Args:
        failing: the share of calls that fail, 0 to 1.
        threshold: how many in a row, 1 or more.
    """
    if failing <= 0:
        return inf
    if failing >= 1:
        return float(threshold)
    power = failing**threshold
    return inf if power == 0 else (1 - power) / (power * (1 - failing))


def false_openings_a_day(failing: float, calls: float, threshold: int) -> float:
    """How often a day a breaker of consecutive failures opens, though its dependency fails no more than usual.

    Args:
        failing: the share of calls that fail, 0 to 1.
        calls: a second.
        threshold: failures in a row.
    """
    return _DAY * calls / calls_until_open(failing, threshold)


def breaker_threshold(failing: float, calls: float, *, a_day: float = 1.0) -> int | None:
    """The smallest threshold, 5 or more, with fewer false openings a day; None when there is none up to 50."""
    tried = range(_LEAST_THRESHOLD, _MOST_THRESHOLD + 1)
    return next((each for each in tried if false_openings_a_day(failing, calls, each) < a_day), None)


def retry_budget(failing: float, requests: float, *, retries: int = _RETRIES) -> float:
    """The smallest budget, in retries a request, that refuses a retry in fewer than one window of ten seconds a day.

    Retries are p(1 - p**n)/(1 - p) a request in the mean, and come as independent events do (Poisson).

    Args:
        failing: the share of calls that fail, 0 to 1.
        requests: a second, above 0.
        retries: after the first call, at most.
    """
    needed = sum(failing**each for each in range(1, retries + 1))
    window = max(requests * _WINDOW, 1.0)
    most = _poisson_bound(needed * window, _WINDOW / _DAY)
    return ceil(100 * most / window) / 100


def attempt_timeout(p95: float, p99: float) -> float:
    """The time that one call in a thousand exceeds, where the tail of the latencies is log-normal.

    Args:
        p95, p99: seconds, above 0; between them the tail is measured, and beyond it is extended.
    """
    longer: float = max(p99 / p95, 1.0) ** ((3.0902 - 2.3263) / (2.3263 - 1.6449))
    return p99 * longer


def recommend(groups: Groups, *, configuration: str | None = None, deadline: float = 30.0) -> list[Recommendation]:
    """What to set, for the dependencies and the traffic of the runs.

    Args:
        groups: the runs. The failure rate is that of the lowest rate of faults above 0.
        configuration: whose calls count; None: the default one's, or those of the first that is not ``nothing``.
        deadline: seconds of a whole request.

    Returns:
        Recommendations; none where the runs have no rate of faults, or asked nothing.
    """
    named = [name for name in groups.configurations if name != NOTHING] or groups.configurations
    if not named:
        return []
    name = configuration or (DEFAULT if DEFAULT in named else named[0])
    found: list[Recommendation] = []
    usual = _usual(groups, name)
    if usual is not None:
        found += _breakers(groups, usual, name)
        found += _budget(groups, usual, name)
    return found + _timeout(groups, deadline)


def _usual(groups: Groups, name: str) -> Cell | None:
    """The cell of an ordinary bad day: the lowest rate of faults that is not 0."""
    cells = [cell for cell in groups.cells() if 0 < (cell[1] or 0.0) <= _OFTEN_ENOUGH and groups.runs(cell, name)]
    return min(cells, key=lambda cell: cell[1] or 0.0, default=None)


def _breakers(groups: Groups, cell: Cell, name: str) -> list[Recommendation]:
    failing = cell[1] or 0.0
    runs = [run for run in groups.runs(cell, name) if run.seconds > 0]
    found = []
    for dependency in sorted({name for run in runs for name in run.measures.calls}):
        calls = fmean(run.measures.calls.get(dependency, 0) / run.seconds for run in runs)
        if calls <= 0:
            continue
        threshold = breaker_threshold(failing, calls)
        if threshold is None:
            continue
        usual = _often(false_openings_a_day(failing, calls, _LEAST_THRESHOLD))
        reason = (
            f"At {_rate(calls)} calls a second of which {percent(failing)} fail by themselves, {threshold} failures in "
            f"a row come {_often(false_openings_a_day(failing, calls, threshold))}"
        )
        if threshold > _LEAST_THRESHOLD:
            reason += f"; with {_LEAST_THRESHOLD} a healthy dependency's breaker would open {usual}"
        found.append(Recommendation("failure_threshold", dependency, threshold, "failures in a row", f"{reason}."))
    return found


def _budget(groups: Groups, cell: Cell, name: str) -> list[Recommendation]:
    failing = cell[1] or 0.0
    asked = [run.measures.asked / run.seconds for run in groups.runs(cell, name) if run.seconds > 0]
    requests = fmean(asked) if asked else 0.0
    if requests <= 0:
        return []
    needed = retry_budget(failing, requests)
    where = f"At {_rate(requests)} requests a second and {percent(failing)} failing calls"
    if needed <= _USUAL_BUDGET:
        reason = (
            f"{where}, retries exceed {percent(needed)} of the requests in fewer than one window of ten seconds a day, "
            f"and in an outage a target gets at most {1 + needed:.2f} calls a request."
        )
        return [Recommendation("retry budget", "", needed, "retries a request", reason)]
    reason = (
        f"{where}, retries would want {percent(needed)} of the requests now and then; more than "
        f"{percent(_USUAL_BUDGET)} would feed an overload, so let the rest fail over."
    )
    return [Recommendation("retry budget", "", _USUAL_BUDGET, "retries a request", reason)]


def _timeout(groups: Groups, deadline: float) -> list[Recommendation]:
    """From the runs with the fewest errors, of ``nothing`` where there are any: no retry lengthens its answers."""
    played = [(cell, within) for cell in groups.cells() if (within := groups.within(cell))]
    every = [groups.runs(cell, NOTHING if NOTHING in within else within[0]) for cell, within in played]
    runs = min(every, key=lambda runs: fmean(run.measures.error_rate for run in runs), default=())
    if not runs:
        return []
    p95, p99 = (fmean(getattr(run.measures, field) for run in runs) for field in ("p95", "p99"))
    if not 0 < p95 <= p99 < inf:
        return []
    tail = attempt_timeout(p95, p99)
    limit = deadline / 3
    value = min(limit, ceil(10 * tail) / 10)
    reason = (
        f"In the calmest runs p95 is {seconds(p95)} and p99 {seconds(p99)}, so one answer in a thousand takes "
        f"{seconds(tail)}"
    )
    reason += (
        f"; that is more than a third of the deadline of {deadline:g} s, and three attempts have to fit into it."
        if tail > limit
        else ": a shorter limit would cut off calls that are well, and a longer one would wait for those that are lost."
    )
    return [Recommendation("attempt timeout", "", round(value, 3), "seconds", reason)]


def _poisson_bound(expected: float, chance: float) -> int:
    """The smallest count that independent events exceed with a lower chance, where so many are expected."""
    if expected <= 0:
        return 0
    below: float = exp(-expected)
    count = 0
    while below < 1 - chance and count < 1_000_000:
        count += 1
        below += exp(count * log(expected) - expected - lgamma(count + 1))
    return count


def _rate(value: float) -> str:
    return f"{value:.3g}"


def _often(a_day: float) -> str:
    """How often something happens, in the unit in which one sees it."""
    if a_day >= 1:
        return f"{a_day:,.0f} times a day" if a_day >= 1.5 else "once a day"
    days = 1 / a_day if a_day > 0 else inf
    if days >= 365_000:
        return "less than once in a thousand years"
    if days >= 730:
        return f"once in {days / 365:,.0f} years"
    return f"once in {days:.1f} days" if days < 10 else f"once in {days:,.0f} days"
