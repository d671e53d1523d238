"""What a run found: figures for each file, the table of them, and the list of survivors."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.mutation.equivalents import Equivalents
    from benchmarks.mutation.mutants import Program
    from benchmarks.mutation.results import Results

__all__ = ["figures", "survivors", "table", "total"]

_SURVIVED = {"survived", "uncovered"}


def figures(source: str, program: Program, results: Results, explained: Equivalents) -> dict[str, Any] | None:
    """The figures of a file, None while a mutant has no result for its present code."""
    counts: Counter[str] = Counter()
    reasons = 0
    seconds = 0.0
    for mutant in program.mutants:
        result = results.get(source, mutant.key)
        if result is None or result.digest != program.digest:
            return None
        counts[result.status] += 1
        seconds += result.seconds
        reasons += result.status in _SURVIVED and explained.reason(source, mutant.key) is not None
    total = len(program.mutants)
    noticed = counts["killed"] + counts["timeout"]
    return {
        "mutants": total,
        "killed": counts["killed"],
        "timeout": counts["timeout"],
        "survived": total - noticed - reasons,
        "explained": reasons,
        "raw_score": _percent(noticed, total),
        "score": _percent(noticed, total - reasons),
        "seconds": round(seconds, 1),
    }


def survivors(source: str, program: Program, results: Results, explained: Equivalents) -> list[str]:
    """The mutants of a file that no test noticed and nobody explained, ready to be dealt with."""
    lines: list[str] = []
    for mutant in program.mutants:
        result = results.get(source, mutant.key)
        if result is None or result.digest != program.digest or result.status not in _SURVIVED:
            continue
        if explained.reason(source, mutant.key) is None:
            key = mutant.key
            place = f"{source}:{mutant.lines.start} {key.function or '(module)'}"
            notes = [key.operator, *(["no test runs it"] if result.status == "uncovered" else [])]
            notes += [f"nth = {key.nth}"] if key.nth else []
            lines += [f"{place}  [{', '.join(notes)}]", f"    - {key.was}", f"    + {key.now}"]
    return lines


def table(files: dict[str, dict[str, Any]]) -> list[str]:
    """The figures as a table of Markdown, and their sum."""
    lines = [
        "| file | mutants | killed | timeout | survived | explained | raw score | with explained |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_row(name, each) for name, each in sorted(files.items())]
    lines.append(_row("**all**", total(files.values())))
    return lines


def total(files: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of the files' figures, with its scores."""
    names = ("mutants", "killed", "timeout", "survived", "explained", "seconds")
    held = list(files)
    summed: dict[str, Any] = {name: sum(each[name] for each in held) for name in names}
    noticed = summed["killed"] + summed["timeout"]
    summed["raw_score"] = _percent(noticed, summed["mutants"])
    summed["score"] = _percent(noticed, summed["mutants"] - summed["explained"])
    summed["seconds"] = round(summed["seconds"], 1)
    return summed


def _row(name: str, each: dict[str, Any]) -> str:
    counts = " | ".join(f"{each[field]:,}" for field in ("mutants", "killed", "timeout", "survived", "explained"))
    return f"| {name} | {counts} | {each['raw_score']:.1f}% | {each['score']:.1f}% |"


def _percent(part: int, whole: int) -> float:
    """Rounded down, so that 100 is every one of them."""
    return int(1000 * part / whole) / 10 if whole else 100.0
