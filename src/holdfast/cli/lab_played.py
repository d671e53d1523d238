"""Plays the runs of ``holdfast lab``, and shows and writes what came of them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import typer

from holdfast.cli.output import complain, note, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.runs.play import Run
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["check_files", "finish", "write"]

_MOST_TRACES = 12
_WIDE = 160


def check_files(*files: tuple[Path | None, str]) -> None:
    """See that there are folders for the files, each with its option: rather now than after all runs.

    Raises:
        InvalidInputError: one is missing.
    """
    for path, option in files:
        if path is not None and not path.absolute().parent.is_dir():
            raise InvalidInputError(option, f"there is no folder {path.absolute().parent}")


def finish(
    runs: Sequence[Run],
    scenarios: Sequence[Scenario],
    *,
    json_file: Path | None,
    html_file: Path | None,
    jobs: int | None,
    verify: bool,
) -> None:
    """Play the runs, print the report, and write the files.

    Args:
        verify: whether the shortest run is played once more, and its trace compared.

    Raises:
        InvalidInputError: a file cannot be written.
        typer.Exit: with 1, when the traces differ.
    """
    from rich.console import Console

    from holdfast.lab.report.terminal import print_report

    outcomes = _played(runs, jobs)
    print_report(outcomes, Console(width=_width()), scenarios)
    _tell_traces(outcomes)
    crashes = sum(each.measures.crashes for each in outcomes)
    if crashes:
        warn(f"{crashes:,} questions ended with an error that the service does not raise on purpose: a defect.")
    if json_file is not None:
        from holdfast.lab.report.summary import summary

        content = {"summary": summary(outcomes, scenarios), "outcomes": [each.as_json() for each in outcomes]}
        write(json_file, json.dumps(content, ensure_ascii=False, indent=1) + "\n", "--json")
    if html_file is not None:
        from holdfast.lab.report.html import page

        write(html_file, page(outcomes, scenarios), "--html")
    if verify:
        _verify(runs, outcomes)


def write(file: Path, content: str, option: str) -> None:
    """Write a file, and say so.

    Raises:
        InvalidInputError: it cannot be written; names the option.
    """
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(option, f"{file} cannot be written: {error.strerror or error}") from error
    note(f"Written to {file}")


def _width() -> int | None:
    """A terminal's own width; a file has no edge that tables would have to be folded at."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE


def _played(runs: Sequence[Run], jobs: int | None) -> list[Outcome]:
    from holdfast.cli.progress import counting
    from holdfast.lab.runs.workers import play_all

    total = round(sum(run.scenario.seconds for run in runs))
    done: dict[int, float] = {}
    with counting("Playing", unit="virtual seconds") as report:

        def progress(run: Run, seconds: float) -> None:
            done[id(run)] = seconds
            report("play", round(sum(done.values())), total, run.title)

        return play_all(runs, jobs=jobs, progress=progress)


def _tell_traces(outcomes: Sequence[Outcome]) -> None:
    """The trace of each run; of very many only the one of all of them, which the files tell one by one."""
    from holdfast.lab.report.traces import trace_of

    if len(outcomes) <= _MOST_TRACES:
        for each in outcomes:
            rate = "" if each.rate is None else f", {each.rate:.4g} failing"
            note(f"trace {each.trace}: {each.scenario}, {each.configuration}, seed {each.seed}{rate}")
    if len(outcomes) > 1:
        note(f"trace {trace_of(outcomes)}: all {len(outcomes)} runs together")


def _verify(runs: Sequence[Run], outcomes: Sequence[Outcome]) -> None:
    """Play a run of what is under test again, the one with the fewest calls; in this process, whoever played it."""
    first = outcomes[0].configuration
    pairs = [pair for pair in zip(runs, outcomes, strict=True) if pair[1].configuration == first]
    run, before = min(pairs, key=lambda pair: sum(pair[1].measures.calls.values()))
    (after,) = _played([run], 1)
    if after.trace != before.trace:
        complain(f"played twice, {run.title} had the traces {before.trace} and {after.trace}: a defect.")
        raise typer.Exit(1)
    note(f"Played twice, {run.title} had the same trace: {before.trace}")
