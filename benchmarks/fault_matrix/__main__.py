"""Play the fault matrix, and write what it gives.

    python -m benchmarks.fault_matrix           how many cells have which outcome
    python -m benchmarks.fault_matrix --write   docs/reference/fault-matrix.md, benchmarks/results/fault_matrix.json

It runs on a clock of its own and takes some seconds.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from benchmarks.fault_matrix.page import every_cell, page

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "reference" / "fault-matrix.md"
_RESULTS = _ROOT / "benchmarks" / "results" / "fault_matrix.json"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page and the file of results")
    write = parser.parse_args().write
    cells = list(every_cell())
    counts = Counter((str(cell.setup), str(cell.outcome)) for cell in cells)
    for (setup, outcome), count in sorted(counts.items()):
        print(f"{setup:42} {outcome:50} {count:4}")
    if write:
        rows = ",\n".join(json.dumps(cell.as_json()) for cell in cells)  # a line each, for the sake of diffs
        _RESULTS.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
