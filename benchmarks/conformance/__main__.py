"""Run the conformance suite for policies on Holdfast and on its peers, and say who passes what.

    benchmarks/peers/setup             once: installs the peers into build/peers
    python -m benchmarks.conformance   a table, docs/reference/conformance.md, benchmarks/results/conformance.json
    python -m benchmarks.conformance --only hyx,tenacity --case retry   prints a part of it, and writes nothing

Each library has a process of its own, and each case a thread with a limit of time: a case that is failed may hang.
All of it takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import Any

from benchmarks import peers
from benchmarks.conformance import report, runner


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="libraries, separated by commas; writes no files")
    parser.add_argument("--case", default="", help="cases whose id begins so; writes no files")
    arguments = parser.parse_args()
    peers.enter("benchmarks.conformance")
    wanted = set(filter(None, arguments.only.split(",")))
    results: dict[str, Any] = {}
    usages: dict[str, str] = {}
    context = multiprocessing.get_context("spawn")  # what one library leaves behind must not reach the next
    for index, make in enumerate(runner.libraries()):
        name: str = make.name
        if wanted and name not in wanted:
            continue
        with ProcessPoolExecutor(1, mp_context=context) as process:
            results[name] = process.submit(runner.run, index, arguments.case).result()
        usages[name] = getattr(make, "usage", "")
        print(report.line(name, results[name]), flush=True)
    print()
    print(report.failures(results))
    if wanted or arguments.case:
        return
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": peers.machine(),
        "versions": peers.versions(),
        "usage": usages,
        "results": results,
    }
    folder = peers.ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "conformance.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (peers.ROOT / "docs" / "reference" / "conformance.md").write_text(report.page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
