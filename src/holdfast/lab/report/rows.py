"""The measures as rows: what each is called, how it is shown, and its estimate over the seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

from holdfast.lab.configurations.registry import NOTHING
from holdfast.lab.report.figures import count, dollars, number, percent, seconds
from holdfast.lab.report.intervals import Estimate, events, mean, part_of_runs, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from holdfast.lab.report.groups import Cell, Groups
    from holdfast.lab.runs.outcome import Measures, Outcome

__all__ = [
    "REDUCTION",
    "ROWS",
    "Row",
    "causes",
    "costs_by_cause",
    "costs_by_model",
    "degraded",
    "error_rate",
    "false_openings",
    "measured",
    "reduction",
    "reduction_in",
    "tier_shares",
]

REDUCTION = "errors saved, of those of “nothing”"
_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Row:
    """One measure.

    Attributes:
        name: in data.
        title: for people.
        shown: how a value is written.
        of: the estimate, from the runs of one configuration with every seed; None where nothing was measured.
    """

    name: str
    title: str
    shown: Callable[[float | None], str]
    of: Callable[[Sequence[Outcome]], Estimate | None]


def error_rate(runs: Sequence[Outcome]) -> Estimate | None:
    """The share of questions that ended in a user-facing error."""
    if any(run.measures.errors != round(run.measures.error_rate * run.measures.asked) for run in runs):
        return mean([run.measures.error_rate for run in runs], least=0.0, most=1.0)  # an expected value, and no count
    return share([(run.measures.errors, run.measures.asked) for run in runs])


def degraded(runs: Sequence[Outcome]) -> Estimate | None:
    """The share of questions with a useful answer that was less than full."""
    return mean([run.measures.useful_degraded for run in runs], least=0.0, most=1.0)


def reduction(pairs: Sequence[tuple[Outcome, ...]]) -> Estimate | None:
    """The share of errors that a configuration saves, against another one with the same faults.

    Args:
        pairs: for each seed, the outcome of the configuration and that of the other.
    """
    rates = [(one.measures.error_rate, other.measures.error_rate) for one, other in pairs]
    return part_of_runs([other - one for one, other in rates], [other for _, other in rates], least=1e-9)


def reduction_in(groups: Groups, cell: Cell, configuration: str) -> Estimate | None:
    """The share of the errors of ``nothing`` that a configuration saves there; None of ``nothing`` itself."""
    return None if configuration == NOTHING else reduction(groups.alike(cell, configuration, NOTHING))


def false_openings(runs: Sequence[Outcome]) -> Estimate | None:
    """False openings a day: a count, whose interval goes by the time in which they could have happened."""
    counts = [run.measures.false_openings * run.seconds / _A_DAY for run in runs]
    if not all(map(isfinite, counts)):
        return None
    return events(sum(map(round, counts)), sum(run.seconds for run in runs) / _A_DAY)


def costs_by_cause(runs: Sequence[Outcome]) -> dict[str, Estimate]:
    """US dollars for 1,000 questions, by why a model was called: ``first``, ``retry``, ``hedge``, ``failover``, ...

    What was paid and not used is ``wasted``, whatever it was called for.
    """
    return _costs(runs, lambda m: m.cost_by_cause)


def costs_by_model(runs: Sequence[Outcome]) -> dict[str, Estimate]:
    """US dollars for 1,000 questions, by model."""
    return _costs(runs, lambda m: m.cost_by_model)


def measured(
    groups: Groups, cell: Cell
) -> Iterator[tuple[str, str, Callable[[float | None], str], list[Estimate | None]]]:
    """Everything that was measured there, as rows: name, title, how it is written, and an estimate a configuration.

    The errors that are saved of those of ``nothing`` follow the errors. What was measured of no configuration is left
    out; what was not measured of one is None.
    """
    names = groups.within(cell)
    for row in ROWS:
        found = [row.of(groups.runs(cell, name)) for name in names]
        if any(each is not None for each in found):
            yield row.name, row.title, row.shown, found
        if row.name == "error_rate":
            saved = [reduction_in(groups, cell, name) for name in names]
            if any(each is not None for each in saved):
                yield "reduction", REDUCTION, percent, saved


def causes(runs: Sequence[Outcome]) -> dict[str, float]:
    """User-facing errors by cause, each as a share of all questions, the most frequent first."""
    asked = sum(run.measures.asked for run in runs)
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update(run.measures.error_causes)
    return {cause: each / asked for cause, each in counts.most_common() if each} if asked else {}


def tier_shares(runs: Sequence[Outcome]) -> dict[str, float]:
    """The share of the time that the service was in each tier."""
    sums: Counter[str] = Counter()
    for run in runs:
        for tier, length in run.measures.seconds_in_tier.items():
            sums[tier] += length  # type: ignore[assignment]  # a Counter holds floats as well
    whole = sum(sums.values())
    return {tier: length / whole for tier, length in sums.items()} if whole else {}


def _costs(runs: Sequence[Outcome], of: Callable[[Measures], Mapping[str, float]]) -> dict[str, Estimate]:
    runs = [run for run in runs if run.measures.asked]
    names = sorted({name for run in runs for name in of(run.measures)})
    found = {
        name: mean([1000 * of(run.measures).get(name, 0.0) / run.measures.asked for run in runs], least=0.0)
        for name in names
    }
    return {name: each for name, each in found.items() if each is not None}


def _share(of: Callable[[Measures], int]) -> Callable[[Sequence[Outcome]], Estimate | None]:
    return lambda runs: share([(of(run.measures), run.measures.asked) for run in runs])


def _mean(of: Callable[[Measures], float], *, most: float = inf) -> Callable[[Sequence[Outcome]], Estimate | None]:
    return lambda runs: mean([of(run.measures) for run in runs], least=0.0, most=most)


def _times(of: Callable[[Measures], Sequence[float]]) -> Callable[[Sequence[Outcome]], Estimate | None]:
    """The mean over all outages of all runs."""
    return lambda runs: mean([length for run in runs for length in of(run.measures)], least=0.0)


def _longest(of: Callable[[Measures], Sequence[float]]) -> Callable[[Sequence[Outcome]], Estimate | None]:
    def found(runs: Sequence[Outcome]) -> Estimate | None:
        lengths = [length for run in runs for length in of(run.measures)]
        return Estimate(max(lengths)) if lengths else None

    return found


def _sum(of: Callable[[Measures], int]) -> Callable[[Sequence[Outcome]], Estimate | None]:
    return lambda runs: Estimate(float(sum(of(run.measures) for run in runs))) if runs else None


def _a_thousand(of: Callable[[Measures], float]) -> Callable[[Sequence[Outcome]], Estimate | None]:
    return lambda runs: mean(
        [1000 * of(run.measures) / run.measures.asked for run in runs if run.measures.asked], least=0.0
    )


def _first_text(runs: Sequence[Outcome]) -> Estimate | None:
    return mean([run.measures.first_text_p95 for run in runs if run.measures.first_text_p95 > 0], least=0.0)


ROWS: Sequence[Row] = (
    Row("asked", "questions", count, _sum(lambda m: m.asked)),
    Row("error_rate", "user-facing errors", percent, error_rate),
    Row("wrong", "of them wrong answers", percent, _share(lambda m: m.wrong)),
    Row("useful_degraded", "useful but degraded", percent, degraded),
    Row("availability", "availability", percent, _mean(lambda m: m.availability, most=1.0)),
    Row("quality", "quality", percent, _mean(lambda m: m.quality, most=1.0)),
    Row("goodput", "useful answers a second", number, _mean(lambda m: m.goodput)),
    Row("p50", "time, p50", seconds, _mean(lambda m: m.p50)),
    Row("p95", "time, p95", seconds, _mean(lambda m: m.p95)),
    Row("p99", "time, p99", seconds, _mean(lambda m: m.p99)),
    Row("first_text_p95", "first text, p95", seconds, _first_text),
    Row("mttr", "MTTR", seconds, _times(lambda m: m.mttr)),
    Row("mttr_longest", "MTTR, longest", seconds, _longest(lambda m: m.mttr)),
    Row("recovery", "recovery", seconds, _times(lambda m: m.recovery)),
    Row("recovery_longest", "recovery, longest", seconds, _longest(lambda m: m.recovery)),
    Row("full_again", "full tier again after", seconds, _times(lambda m: m.full_again)),
    Row("unrecovered", "outages without recovery", count, _sum(lambda m: m.unrecovered)),
    Row("attempts_per_request", "model calls a question", number, _mean(lambda m: m.attempts_per_request)),
    Row("attempts_per_request_max", "the same, worst 10 s", number, _mean(lambda m: m.attempts_per_request_max)),
    Row("retry_share", "retries among model calls", percent, _mean(lambda m: m.retry_share, most=1.0)),
    Row("wasted_calls", "wasted calls in 1,000 questions", number, _a_thousand(lambda m: m.wasted_calls)),
    Row("wasted_tokens", "wasted tokens in 1,000 questions", number, _a_thousand(lambda m: m.wasted_tokens)),
    Row("cost_usd", "cost of 1,000 questions", dollars, _a_thousand(lambda m: m.cost_usd)),
    Row("openings", "breaker openings", number, _mean(lambda m: m.openings)),
    Row("false_openings", "false openings a day", number, false_openings),
    Row("crashes", "crashes", count, _sum(lambda m: m.crashes)),
)
"""In the order of the tables. Estimates are means over the seeds, but counts, which are sums."""
