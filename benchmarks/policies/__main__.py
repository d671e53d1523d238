"""What policies cost a call, in Holdfast and in its peers, in one run.

    benchmarks/peers/setup            once: installs the peers into build/peers
    python -m benchmarks.policies     three minutes; docs/reference/policy-costs.md, benchmarks/results/policies.json
    python -m benchmarks.policies --memory-calls 10000000      the long run of the memory check
    python -m benchmarks.policies --smoke                      seconds, and figures that mean nothing; writes nothing
    python -m benchmarks.policies --group breaker_sync         one table; writes nothing

Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from benchmarks import peers


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each candidate (default 60)")
    parser.add_argument("--sample", type=float, default=0.02, help="seconds of one turn (default 0.02)")
    parser.add_argument(
        "--memory-calls", type=int, default=1_000_000, help="calls of the memory check; 0 leaves it out"
    )
    parser.add_argument("--tasks", type=int, default=100_000, help="the most tasks at once; 0 leaves that out")
    parser.add_argument("--group", action="append", help="only this table, may be given again; writes no files")
    parser.add_argument("--smoke", action="store_true", help="everything, much too short; writes no files")
    arguments = parser.parse_args()
    peers.enter("benchmarks.policies")
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if arguments.smoke:
        arguments.rounds, arguments.sample, arguments.memory_calls, arguments.tasks = 3, 0.001, 20_000, 1_000
    _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    from benchmarks.policies import candidates, growth, measure, report  # noqa: PLC0415  importable among the peers

    groups = [group for group in candidates.groups() if not arguments.group or group.key in arguments.group]
    if not groups:
        raise SystemExit(f"No such table. There are: {', '.join(group.key for group in candidates.groups())}")
    begun = time.monotonic()
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python -m benchmarks.policies", *sys.argv[1:]]),
        "machine": peers.machine(),
        "versions": peers.versions(),
        "rounds": arguments.rounds,
        "sample_seconds": arguments.sample,
        "groups": {},
    }
    for group in groups:
        figures = measure.measure_group(group, rounds=arguments.rounds, sample_seconds=arguments.sample)
        record["groups"][group.key] = {
            "title": group.title,
            "figures": {name: asdict(figure) for name, figure in figures.items()},
        }
        _say(begun, group.title)
    if not arguments.group and arguments.tasks:
        calls = 2_000 if arguments.smoke else 100_000
        record["concurrency"] = growth.concurrency(arguments.tasks, calls, min(arguments.rounds, 3))
        _say(begun, "tasks at once")
    if not arguments.group and arguments.memory_calls:
        record["memory"] = growth.memory(arguments.memory_calls)
        _say(begun, "memory")
    print("\n".join(report.tables(record)))
    if arguments.group or arguments.smoke:
        return
    folder = peers.ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "policies.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (peers.ROOT / "docs" / "reference" / "policy-costs.md").write_text(report.page(record), encoding="utf-8")


def _say(begun: float, what: str) -> None:
    print(f"[{time.monotonic() - begun:4.0f} s] {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
