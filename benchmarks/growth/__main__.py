"""Grow SQLite and LanceDB to 200,000 chunks and ask them at 20,000, 100,000 and 200,000.

    .venv/bin/python -m benchmarks.growth

Takes about half an hour on two CPUs and 4 GB of disk. Writes benchmarks/results/growth.json, docs/reference/growth.md
and docs/images/growth.png, unless other sizes are named. A run of one store replaces its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.growth.measure import STORES
from benchmarks.growth.report import NAMES, draw, page, tables

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/growth.json"
SIZES = (20_000, 100_000, 200_000)


def record(stores: list[str], sizes: list[int], questions: int, note: str) -> dict[str, Any]:
    """Measure each store in a process of its own, one after the other."""
    rows: list[dict[str, Any]] = []
    for store in stores:
        with tempfile.TemporaryDirectory(prefix="holdfast-growth-") as folder:
            result = Path(folder) / "result.json"
            arguments = [store, str(Path(folder) / "data"), str(result), ",".join(map(str, sizes)), str(questions)]
            subprocess.run([sys.executable, "-m", "benchmarks.growth.measure", *arguments], check=True, cwd=ROOT)
            rows += json.loads(result.read_text())
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cpus": os.cpu_count(),
        },
        "versions": {"LanceDB": version("lancedb"), "SQLite": sqlite3.sqlite_version, "NumPy": version("numpy")},
        "note": note,
        "questions": questions,
        "rows": rows,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", default=",".join(map(str, SIZES)), help="the sizes, in growing order")
    parser.add_argument("--stores", default=",".join(STORES))
    parser.add_argument("--questions", type=int, default=300, help="of each kind, at each size")
    parser.add_argument("--note", default="", help="a sentence for the page, such as what else the machine did")
    parser.add_argument("--json", type=Path, help="write the figures to this file, and no page")
    arguments = parser.parse_args()
    sizes = [int(each) for each in arguments.chunks.split(",")]
    stores = arguments.stores.split(",")
    found = record(stores, sizes, arguments.questions, arguments.note)
    whole = tuple(sizes) == SIZES and arguments.json is None
    if whole and RESULTS.exists():
        before = json.loads(RESULTS.read_text("utf-8"))["rows"]
        measured = {row["store"] for row in found["rows"]}
        found["rows"] = sorted(
            [*(row for row in before if row["store"] not in measured), *found["rows"]],
            key=lambda row: list(NAMES).index(row["store"]),
        )
    print("\n".join(tables(found)))
    if arguments.json is not None or whole:
        (arguments.json or RESULTS).write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    if whole:
        (ROOT / "docs/reference/growth.md").write_text(page(found), "utf-8")
        draw(found, ROOT / "docs/images/growth.png")


if __name__ == "__main__":
    main()
