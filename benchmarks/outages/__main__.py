"""Play every outage, and ten minutes of failures everywhere.

    python -m benchmarks.outages            two tables; about a minute
    python -m benchmarks.outages --write    docs/reference/outages.md, benchmarks/results/outages.json
    python -m benchmarks.outages --seeds 3  the ten minutes with three seeds (default)

It runs on a virtual clock: what else the machine does changes nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.outages import mixed, rows
from benchmarks.outages.page import page

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "reference" / "outages.md"
_RESULTS = _ROOT / "benchmarks" / "results" / "outages.json"
_SEED = 7


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page and the file of results")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the ten minutes (default 3)")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    cells = [(dependency, fault) for dependency in rows.DEPENDENCIES for fault in rows.FAULTS]
    played = [rows.play(*cell, seed=_SEED) for cell in track(cells, "Outages", console=console)]
    seeds = range(_SEED, _SEED + arguments.seeds)
    minutes = [mixed.play(seed=seed) for seed in track(seeds, "Ten minutes", console=console)]
    text = page(played, minutes)
    print(text)
    if arguments.write:
        data = {"outages": [each.as_json() for each in played], "mixed": [each.as_json() for each in minutes]}
        _RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        _PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
