"""Measure what a run of the lab costs: CPU for each question of the suite, by the rate of failures, and memory.

    python -m benchmarks.lab                        the whole suite; some minutes
    python -m benchmarks.lab --seconds 60           the first minute of each rate
    python -m benchmarks.lab --seconds 60 --write   to benchmarks/results/lab.json, too

Each rate has a process of its own, one after the other. CPU time is the process's, without what it takes to start;
other work on the machine disturbs it less than the clock on the wall, though not little.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from holdfast.lab.configurations.registry import configuration_of
from holdfast.lab.runs.play import Run, play
from holdfast.lab.scenarios.loader import shipped

_RESULTS = Path(__file__).parent / "results" / "lab.json"
_SCENARIO = "suite"
_WARM_UP_SECONDS = 2.0
_BYTES = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run cost.

    Attributes:
        cpu: seconds of CPU.
        early_mb, end_mb: resident memory after a tenth of the run, and at its end.
    """

    rate: float
    questions: int
    cpu: float
    early_mb: float
    end_mb: float
    trace: str

    @property
    def ms(self) -> float:
        """Milliseconds of CPU for each question."""
        return 1_000 * self.cpu / self.questions


def measured(rate: float, seconds: float, configuration: str, seed: int) -> Cost:
    """Play the suite at a rate, in this process."""
    scenario = replace(shipped(_SCENARIO), seconds=seconds)
    run = Run(scenario=scenario, configuration=configuration_of(configuration), seed=seed, rate=rate)
    play(replace(run, scenario=replace(scenario, seconds=_WARM_UP_SECONDS)))  # the library is made, modules are there
    early: list[float] = []

    def progress(played: float) -> None:
        if not early and played >= seconds / 10:
            early.append(_resident_mb())

    begun = time.process_time()
    outcome = play(run, progress)
    cpu = time.process_time() - begun
    return Cost(
        rate=rate,
        questions=outcome.measures.asked,
        cpu=round(cpu, 3),
        early_mb=early[0],
        end_mb=_resident_mb(),
        trace=outcome.trace,
    )


def _resident_mb() -> float:
    """What this process holds of the machine's memory, where the system tells."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / _BYTES, 1)


def table(costs: list[Cost]) -> str:
    """The costs as Markdown."""
    lines = [
        "| Calls that fail | Questions | CPU a question | Memory after a tenth | at the end |",
        "|---:|---:|---:|---:|---:|",
        *(
            f"| {each.rate:.0%} | {each.questions:,} | {each.ms:.2f} ms "
            f"| {each.early_mb:.0f} MB | {each.end_mb:.0f} MB |"
            for each in costs
        ),
    ]
    total = sum(each.cpu for each in costs)
    lines.append(f"\n{total:.0f} s of CPU in all.")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="virtual seconds of each run; the suite's own by default")
    parser.add_argument("--rates", help="such as 0,0.05; the suite's own by default")
    parser.add_argument("--configuration", default="holdfast")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="write the file of results")
    arguments = parser.parse_args()
    suite = shipped(_SCENARIO)
    seconds = suite.seconds if arguments.seconds is None else arguments.seconds
    rates = suite.rates if arguments.rates is None else [float(each) for each in arguments.rates.split(",")]
    costs = []
    context = multiprocessing.get_context("spawn")
    for rate in rates:
        with context.Pool(1) as process:
            costs.append(process.apply(measured, (rate, seconds, arguments.configuration, arguments.seed)))
    print(table(costs))
    if arguments.write:
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.machine()}",
                "cpus": os.cpu_count(),
            },
            "scenario": _SCENARIO,
            "configuration": arguments.configuration,
            "seed": arguments.seed,
            "seconds": seconds,
            "rows": [{**asdict(each), "ms_per_question": round(each.ms, 3)} for each in costs],
        }
        _RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
