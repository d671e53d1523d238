"""Change one thing in the core at a time, and see whether a test notices.

    python -m benchmarks.mutation                  every file of the core; goes on where it was stopped
    python -m benchmarks.mutation codel.py retry   some files
    python -m benchmarks.mutation --survivors      what no test noticed and nobody explained; tries nothing
    python -m benchmarks.mutation --time-limit 30  stops after 30 minutes, and goes on next time

Figures of the files that are complete go to benchmarks/results/mutation.json.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.mutation import layout, report
from benchmarks.mutation.coverage_map import CoverageMap
from benchmarks.mutation.equivalents import Equivalents
from benchmarks.mutation.results import Result, Results
from benchmarks.mutation.runner import Run, prepare, program_of

if TYPE_CHECKING:
    from benchmarks.mutation.mutants import Program


_RESULTS = "results.jsonl"
_COVERAGE = "coverage.json"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="files of the core, as retry.py or retry (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants tried at once (default: CPUs)")
    parser.add_argument("--resume", action="store_true", help="go on where the last run ended; it does so anyway")
    parser.add_argument("--fresh", action="store_true", help="forget what was recorded and found before")
    parser.add_argument("--time-limit", type=float, metavar="MIN", help="stop after so many minutes")
    parser.add_argument("--survivors", action="store_true", help="print the survivors that are known; try nothing")
    arguments = parser.parse_args()
    if arguments.jobs < 1 or (arguments.fresh and (arguments.resume or arguments.survivors)):
        parser.error("--jobs is at least 1, and --fresh goes with neither --resume nor --survivors")
    sources = _sources(arguments.files, parser)
    layout.STORE.mkdir(exist_ok=True)
    console = Console(stderr=True)
    if not arguments.survivors:
        _alone(console)
    if arguments.fresh:
        for name in (_RESULTS, _COVERAGE):
            (layout.STORE / name).unlink(missing_ok=True)
    results = Results(layout.STORE / _RESULTS, to_read=arguments.survivors)
    programs = {source: program_of(source) for source in sources}
    explained = Equivalents.read(Path(__file__).with_name("equivalents.toml"))
    left: set[str] = set()
    if not arguments.survivors:
        until = time.monotonic() + 60 * arguments.time_limit if arguments.time_limit else None
        try:
            left = _run(programs, results, console, jobs=arguments.jobs, until=until)
        except KeyboardInterrupt:
            console.print("Stopped; the same command goes on.")
            raise SystemExit(130) from None
    _tell(programs, results, explained, left)
    if not arguments.survivors:
        _save({source: each for source, each in programs.items() if source not in left}, results, explained)
    results.close()
    if left:
        console.print(f"Not all tried, the same command goes on: {', '.join(sorted(left))}", highlight=False)
        raise SystemExit(3)


def _sources(names: list[str], parser: argparse.ArgumentParser) -> list[str]:
    there = layout.sources()
    wanted = [f"{Path(name).name.removesuffix('.py')}.py" for name in names] or there
    for name in wanted:
        if name not in there:
            parser.error(f"{name} is no file of {layout.CORE}")
    return sorted(set(wanted))


def _alone(console: Console) -> None:
    """Wait for another run in this checkout to end, and keep others waiting until this process ends."""
    lock = os.open(layout.STORE / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        console.print("Another run is under way; this one begins when that one ends.")
        fcntl.flock(lock, fcntl.LOCK_EX)
    for log in layout.STORE.glob("*.log"):  # of a run that was killed
        log.unlink()


def _run(
    programs: dict[str, Program], results: Results, console: Console, *, jobs: int, until: float | None
) -> set[str]:
    """Try what has no result that holds; the files of which something is left to try."""
    known = CoverageMap(layout.STORE / _COVERAGE)
    prepare(known, list(programs), jobs, console.print)
    if failing := known.failing():
        console.print(f"[yellow]Not used, for they fail without a mutant:[/] {', '.join(failing)}", highlight=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[survived]} survived"),
        console=console,
    )
    survived = 0
    with bar:
        shown = bar.add_task("mutants", survived=0, total=None)

        def told(result: Result) -> None:
            nonlocal survived
            survived += result.status in {"survived", "uncovered"}
            bar.update(shown, advance=1, survived=survived, description=result.source)

        run = Run(known, results, jobs, told)
        total = sum(run.add(source, program) for source, program in programs.items())
        bar.update(shown, total=total)
        return run.work(until)


def _tell(programs: dict[str, Program], results: Results, explained: Equivalents, left: set[str]) -> None:
    found: dict[str, dict[str, Any]] = {}
    for source, program in programs.items():
        if source not in left and (each := report.figures(source, program, results, explained)) is not None:
            found[source] = each
        for line in report.survivors(source, program, results, explained):
            print(line)
    for source, program in programs.items():
        for entry in explained.stale(source, _alive(source, program, results)) if source in found else ():
            print(f"stale in equivalents.toml: {entry.file} {entry.function}: {entry.was} -> {entry.now}")
    if found:
        print("\n".join(["", *report.table(found)]))


def _alive(source: str, program: Program, results: Results) -> list[Any]:
    held = ((mutant.key, results.get(source, mutant.key)) for mutant in program.mutants)
    return [key for key, result in held if result is not None and result.status in {"survived", "uncovered"}]


def _save(programs: dict[str, Program], results: Results, explained: Equivalents) -> None:
    """Put the complete files into the record; the others stay as they were, as long as they exist."""
    held = json.loads(layout.RESULTS.read_text(encoding="utf-8")) if layout.RESULTS.exists() else {"files": {}}
    files = {name: each for name, each in held["files"].items() if name in layout.sources()}
    stamp = {
        "command": " ".join(["python -m benchmarks.mutation", *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    for source, program in programs.items():
        if (each := report.figures(source, program, results, explained)) is not None:
            files[source] = each | stamp
    if files:
        record = {"total": report.total(files.values()), "files": dict(sorted(files.items()))}
        layout.RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _commit() -> str:
    """The commit that is checked out, with ``+`` when the core or its tests differ from it."""
    git = ["git", "-C", str(layout.ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "src/holdfast/core", "tests"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changed else head


if __name__ == "__main__":
    main()
