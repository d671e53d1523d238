"""Fail over from a dead primary to a healthy second provider, over real sockets, beside LiteLLM's Router.

    benchmarks/peers/setup         once: installs the peers into build/peers
    python -m benchmarks.failover  docs/reference/failover.md, benchmarks/results/failover.json
    python -m benchmarks.failover --only stall,reset --candidate holdfast   prints a part of it, and writes nothing
    python -m benchmarks.failover --render          the page again, from the results that are there

Every candidate has its own simulated providers. Its scenarios run side by side, in a few processes, and begin one after
the other. All of it takes about nine minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.failover import report
from benchmarks.failover.drive import READY, Limits
from benchmarks.failover.scenarios import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.failover.scenarios import Job

_PIPE = subprocess.PIPE
_RESULTS = peers.ROOT / "benchmarks" / "results" / "failover.json"
_PAGE = peers.ROOT / "docs" / "reference" / "failover.md"
_PEERS = peers.ROOT / "build" / "peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    command: tuple[str, ...]
    config: str
    partial_only: bool = False


CANDIDATES = (
    _Candidate("holdfast", (sys.executable, "-m", "benchmarks.failover.ours"), "two targets, default options"),
    _Candidate(
        "holdfast, continuing",
        (sys.executable, "-m", "benchmarks.failover.ours", "--continue"),
        "the same with continue_streams; only where a part of the answer comes before the fault",
        partial_only=True,
    ),
    _Candidate(
        "litellm",
        (str(_PEERS), "-m", "benchmarks.failover.litellm_router"),
        "Router(model_list, fallbacks), everything else at its default",
    ),
    _Candidate(
        "litellm, tuned",
        (str(_PEERS), "-m", "benchmarks.failover.litellm_router", "--tuned"),
        "the same with num_retries=0, timeout=30, stream_timeout=15, allowed_fails=4, cooldown_time=30",
    ),
)
_TOGETHER = (("holdfast", "holdfast, continuing"), ("litellm",), ("litellm, tuned",))
"""Who runs at the same time: nobody is to be slowed down by another."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="scenarios, separated by commas; writes no files")
    parser.add_argument("--candidate", default="", help="one candidate; writes no files")
    parser.add_argument("--requests", type=int, default=Limits().requests, help="requests when a scenario has settled")
    parser.add_argument("--seconds", type=float, default=Limits().seconds, help="after which none is begun")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page from the results")
    arguments = parser.parse_args()
    if arguments.render:
        _PAGE.write_text(report.page(json.loads(_RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    if not _PEERS.exists():
        raise SystemExit("LiteLLM is not installed. Run: benchmarks/peers/setup")
    limits = Limits(arguments.requests, arguments.seconds)
    results: dict[str, list[dict[str, Any]]] = {}
    begun = time.monotonic()
    for group in _TOGETHER:
        together = [each for each in CANDIDATES if each.name in group and arguments.candidate in {"", each.name}]
        results |= _run(together, arguments.only, limits)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": peers.machine(),
        "versions": {"litellm": _version("litellm"), "openai (LiteLLM's)": _version("openai")},
        "configurations": {each.name: each.config for each in CANDIDATES},
        "limits": asdict(limits),
        "seconds": round(time.monotonic() - begun),
        "results": {name: [report.summary(row) for row in rows] for name, rows in results.items()},
    }
    print(report.tables(record))
    if arguments.only or arguments.candidate:
        return
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _PAGE.write_text(report.page(record), encoding="utf-8")


def _run(candidates: list[_Candidate], only: str, limits: Limits) -> dict[str, list[dict[str, Any]]]:
    """Run candidates at the same time, each beside providers of its own."""
    rows: dict[str, list[dict[str, Any]]] = {each.name: [] for each in candidates}
    order = [(job.scenario, job.mode) for job in jobs()]
    with ExitStack() as stack:
        lanes: list[tuple[str, subprocess.Popen[str]]] = []
        for each in candidates:
            wanted = jobs(only=only, partial_only=each.partial_only)
            addressed = stack.enter_context(_providers(wanted)) if wanted else []
            for lane in sorted({job["lane"] for job in addressed}):
                process = subprocess.Popen(each.command, stdin=_PIPE, stdout=_PIPE, text=True, env=_environment())
                mine = [job for job in addressed if job["lane"] == lane]
                _tell(process, json.dumps({"jobs": mine, "limits": asdict(limits)}))
                lanes.append((each.name, process))
        for _, process in lanes:
            while process.stdout is not None and (line := process.stdout.readline()).strip() != READY:
                if not line:
                    raise SystemExit("A candidate ended before it began: see above")
        for _, process in lanes:
            _tell(process, "go")
        for name, process in lanes:
            output, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"{name} ended with {process.returncode}")
            rows[name] += [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for name, found in rows.items():
        found.sort(key=lambda row: order.index((row["scenario"], row["mode"])))
        print(f"{name}: {len(found)} scenarios", file=sys.stderr, flush=True)
    return {name: found for name, found in rows.items() if found}


def _tell(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is None:
        raise AssertionError("it is a pipe")
    process.stdin.write(line + "\n")
    process.stdin.flush()


@contextmanager
def _providers(wanted: list[Job]) -> Iterator[list[dict[str, Any]]]:
    """The jobs with the addresses of providers that run."""
    command = (sys.executable, "-m", "benchmarks.failover.providers")
    process = subprocess.Popen(command, stdin=_PIPE, stdout=_PIPE, text=True, env=_environment())
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    try:
        _tell(process, json.dumps([asdict(job) for job in wanted]))
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{peers.ROOT / 'src'}{os.pathsep}{peers.ROOT}"}


def _version(distribution: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    return subprocess.run([_PEERS, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
