"""Play what shows what the resilience is worth: the suite, outages under every profile, one part left out, the matrix.

    python -m benchmarks.lab_results --write        docs/reference/lab-results.md, its picture, results/lab_results.json
    python -m benchmarks.lab_results --part suite   that part alone, printed; with --write the others stay as they are
    python -m benchmarks.lab_results --seconds 20   the beginning of each run, printed

It runs on a virtual clock: what else the machine does changes nothing but how long it takes. tenacity and pybreaker
come from build/peers, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.lab_results.page import page
from benchmarks.lab_results.parts import PARTS, kept, written
from benchmarks.lab_results.picture import draw
from holdfast.errors import HoldfastError
from holdfast.lab.runs.workers import play_all

if TYPE_CHECKING:
    from holdfast.lab.runs.play import Run

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "reference" / "lab-results.md"
_PICTURE = _ROOT / "docs" / "images" / "lab-suite.png"
_RESULTS = _ROOT / "benchmarks" / "results" / "lab_results.json"


def played(part: str, seconds: float | None, bar: Progress) -> dict[str, Any]:
    """The summary of one part."""
    runs = PARTS[part]()
    if seconds is not None:
        runs = [
            replace(run, scenario=replace(run.scenario, seconds=min(run.scenario.seconds, seconds))) for run in runs
        ]
    task = bar.add_task(part, total=sum(run.scenario.seconds for run in runs))
    done: dict[int, float] = {}

    def progress(run: Run, at: float) -> None:
        done[id(run)] = at
        bar.update(task, completed=sum(done.values()))

    return kept(runs, play_all(runs, progress=progress))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page, its picture and the file of results")
    parser.add_argument("--part", choices=list(PARTS), action="append", help="only this part; may be repeated")
    parser.add_argument("--seconds", type=float, help="virtual seconds of each run at most")
    arguments = parser.parse_args()
    if arguments.write and arguments.seconds:
        parser.error("--write is for runs of their whole length")
    sys.path += map(str, sorted((_ROOT / "build" / "peers" / "lib").glob("python*/site-packages")))
    with Progress(console=Console(stderr=True)) as bar:
        results = {part: played(part, arguments.seconds, bar) for part in arguments.part or PARTS}
    if arguments.write and arguments.part:
        results = {**json.loads(_RESULTS.read_text(encoding="utf-8")), **results}
    text = page(results)
    print(text)
    if arguments.write:
        _RESULTS.write_text(written(results), encoding="utf-8")
        _PAGE.write_text(text, encoding="utf-8")
        draw(results["suite"], _PICTURE)


if __name__ == "__main__":
    try:
        main()
    except HoldfastError as error:
        sys.exit(f"lab_results: {error}")
