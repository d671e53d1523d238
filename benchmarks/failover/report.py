"""What the figures say, as tables and as the page of the documentation."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.failover.drive import LIMIT_SECONDS
from benchmarks.failover.scenarios import HEALTHY, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["page", "summary", "tables"]

_PROMISED = ("retry_after", "server_error", "overloaded_529", "stall")
_RULE = "|---|---|---|---|---|"
_PROMISE = """## One dead primary

Holdfast's median when settled, against the median of a primary that is healthy, asked in the same way in the same
run; and the longest answer of all, which may take one attempt's time more (30 s whole, 15 s to the first token)."""
_TIMES = """## Time to the answer

Seconds: the first request / the median when settled / the longest of all. What is not the whole answer is told in the
last table."""
_CALLS = """## Calls to the dead provider

By the first request / by the settled ones, a request. At a closed port nobody counts."""
_OUTCOMES = """## What the caller gets instead of the answer

Of all requests, those that did not end in the whole answer. A *silent truncation* is a part of it without an error,
an *empty success* nothing without an error. An *error* came before any token, *interrupted* is one after some."""
_BAD = ("silent truncation", "empty success", "wrong text", "error", "interrupted", "hung")


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one scenario."""
    requests = row["requests"]
    settled_after = row["settled_after"]
    settled = requests[settled_after:]
    outcomes = Counter(each["outcome"] for each in requests)
    before = requests[settled_after - 1]["dead_calls"] if settled else None
    return {
        "scenario": row["scenario"],
        "mode": row["mode"],
        "requests": len(requests),
        "first_seconds": requests[0]["seconds"],
        "median_seconds": round(median(each["seconds"] for each in requests), 4),
        "max_seconds": max(each["seconds"] for each in requests),
        "settled": None
        if not settled
        else {
            "requests": len(settled),
            "median_seconds": round(median(each["seconds"] for each in settled), 4),
            "max_seconds": max(each["seconds"] for each in settled),
            "dead_calls": None if before is None else settled[-1]["dead_calls"] - before,
            "not_answered": sum(each["outcome"] != "answer" for each in settled),
        },
        "dead_calls": requests[-1]["dead_calls"],
        "dead_calls_first": requests[0]["dead_calls"],
        "outcomes": dict(sorted(outcomes.items())),
        "errors": sorted({each["error"] for each in requests if each["error"]}),
    }


def page(record: Mapping[str, Any]) -> str:
    """The page."""
    machine, versions = record["machine"], record["versions"]
    configurations = "\n".join(f"- **{name}**: {config}." for name, config in record["configurations"].items())
    return f"""# Failing over, measured

<!-- Generated: python -m benchmarks.failover. -->

A primary that is dead in one of many ways, and a healthy second provider, over real sockets: Holdfast beside LiteLLM's
Router {versions["litellm"]}. {record["date"]}, {machine["cpu"]}, {machine["cpus"]} CPUs, {machine["python"]}. Both
providers are [simulated](simulator.md); the first token takes 0.2 s and the whole answer about 0.3 s, without spread.
`python -m benchmarks.failover` measures it anew. Why it is so: [failing over](../explanation/failing-over.md).

{configurations}

In each scenario the same question is asked six times, one after the other; where the primary hangs, once and then ten
times at once. "Settled" are the {record["limits"]["requests"]} requests after those, when a breaker or a cooldown has
had its chance. After {record["limits"]["seconds"]:g} s no new request is begun, and what has no end after
{LIMIT_SECONDS:g} s counts as hung.

{tables(record)}"""


def tables(record: Mapping[str, Any]) -> str:
    """All tables."""
    results = {
        name: {(row["scenario"], row["mode"]): row for row in rows} for name, rows in record["results"].items() if rows
    }
    parts = [_TIMES, *_table(results, _times), _CALLS, *_table(results, _calls, but=(HEALTHY, "refused"))]
    parts += [_OUTCOMES, *_table(results, _outcomes, but=(HEALTHY,))]
    return "\n\n".join([*_promise(results.get("holdfast", {})), *parts]) + "\n"


def _promise(rows: Mapping[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    """How much longer than the healthy provider's own time an answer takes."""
    lines = []
    for scenario in SCENARIOS:
        for mode in ("whole", "stream"):
            row, healthy = rows.get((scenario.name, mode)), rows.get((HEALTHY, mode))
            if scenario.name not in _PROMISED or row is None or healthy is None or row["settled"] is None:
                continue
            own = healthy["settled"]["median_seconds"]
            more = (row["settled"]["median_seconds"] - own) * 1_000
            lines.append(f"| {scenario.says} | {mode} | {own:.3f} | {more:+.0f} ms | {row['max_seconds']:.2f} |")
    if lines:
        yield _PROMISE
        yield "\n".join(["| primary | | healthy, s | settled: more than that | longest of all, s |", _RULE, *lines])


def _table(
    results: Mapping[str, Mapping[tuple[str, str], dict[str, Any]]],
    shown: Callable[[Mapping[str, Any]], str],
    *,
    but: Sequence[str] = (),
) -> Iterator[str]:
    lines = [f"| primary | | {' | '.join(results)} |", "|---|---|" + "---|" * len(results)]
    for scenario in SCENARIOS:
        for mode in ("whole", "stream"):
            key = (scenario.name, mode)
            if scenario.name in but or not any(key in rows for rows in results.values()):
                continue
            cells = [shown(rows[key]) if key in rows else "" for rows in results.values()]
            lines.append(f"| {scenario.says} | {mode} | {' | '.join(cells)} |")
    yield "\n".join(lines)


def _times(row: Mapping[str, Any]) -> str:
    settled = row["settled"]
    middle = "-" if settled is None else f"{settled['median_seconds']:.2f}"
    return f"{row['first_seconds']:.2f} / {middle} / {row['max_seconds']:.2f}"


def _calls(row: Mapping[str, Any]) -> str:
    settled = row["settled"]
    each = "-" if settled is None else f"{settled['dead_calls'] / settled['requests']:.1f}".removesuffix(".0")
    return f"{row['dead_calls_first']} / {each}"


def _outcomes(row: Mapping[str, Any]) -> str:
    bad = [f"{row['outcomes'][name]} {name}" for name in _BAD if name in row["outcomes"]]
    return f"{', '.join(bad)} of {row['requests']}" if bad else "none"
