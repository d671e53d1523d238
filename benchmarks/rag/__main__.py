"""Measure the RAG service in process: ingest rate, search and answer latency, start-up, memory.

    .venv/bin/python -m benchmarks.rag --chunks 20000 --json benchmarks/results/rag.json

Makes a corpus from the sample help centre (the same for a seed), ingests it with the local embedding model into a
fresh folder, and asks the sample questions. Nothing is asserted: the figures are printed, and written where asked.
The corpus and its store are kept in --folder, so that a second run measures the queries without a new ingest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.rag.corpus import write_corpus
from holdfast.rag.app import build_engine
from holdfast.rag.query import Query
from holdfast.rag.settings import Settings, load_settings
from holdfast.sample import questions_path, unanswerable_path

if TYPE_CHECKING:
    from holdfast.rag.engine import Engine

CHUNKS_AN_ARTICLE = 5.04  # measured on this corpus; only decides how many articles are written
CONSOLE = Console(stderr=True)


def percentile(values: list[float], q: float) -> float:
    """The value below which a share ``q`` of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def questions() -> list[str]:
    """The sample questions, answerable and not."""
    lines = [*questions_path().read_text("utf-8").splitlines(), *unanswerable_path().read_text("utf-8").splitlines()]
    return [json.loads(line)["question"] for line in lines]


async def ingest(engine: Engine, corpus: Path) -> dict[str, Any]:
    """Ingest the corpus; the rate, and where the time goes."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task("ingest", total=None)

        def progress(stage: str, done: int, total: int, detail: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{stage} {detail[-40:]}")

        report = await engine.ingestor.ingest_paths([corpus], progress=progress)
    return {
        "documents": report.added,
        "chunks": report.chunks,
        "sentences": report.sentences,
        "seconds": round(report.seconds, 1),
        "chunks_per_second": round(report.chunks / report.seconds, 1) if report.chunks else None,
        "seconds_by_stage": {stage: round(seconds, 1) for stage, seconds in report.timings_s.items()},
    }


async def latencies(engine: Engine, rounds: int) -> dict[str, Any]:
    """Ask every question ``rounds`` times, one after the other, in random order; milliseconds."""
    rng = random.Random(7)
    asked = questions() * rounds
    rng.shuffle(asked)
    for question in asked[:20]:
        await engine.ask(Query(question=question))
    search: list[float] = []
    answer: list[float] = []
    stages: dict[str, list[float]] = {}
    for question in asked:
        started = time.perf_counter()
        await engine.search(Query(question=question))
        search.append((time.perf_counter() - started) * 1e3)
    for question in asked:
        started = time.perf_counter()
        result = await engine.ask(Query(question=question))
        answer.append((time.perf_counter() - started) * 1e3)
        for stage, ms in result.timings_ms.items():
            stages.setdefault(stage, []).append(ms)
    return {
        "questions": len(asked),
        "search_ms": {"p50": round(percentile(search, 0.5), 2), "p99": round(percentile(search, 0.99), 2)},
        "answer_ms": {"p50": round(percentile(answer, 0.5), 2), "p99": round(percentile(answer, 0.99), 2)},
        "stage_p50_ms": {stage: round(percentile(values, 0.5), 2) for stage, values in stages.items()},
    }


def service_ready(settings: Settings) -> dict[str, Any]:
    """Start ``holdfast serve`` on this store, twice; seconds until /health/ready answers, and its resident memory."""
    seconds, resident = [], 0.0
    for _ in range(2):
        environment = {
            **os.environ,
            "HOLDFAST_DATA_DIR": str(settings.data_dir),
            "HOLDFAST_PORT": "18765",
            "HOLDFAST_LOG_LEVEL": "ERROR",
        }
        started = time.perf_counter()
        command = [str(Path(sys.executable).with_name("holdfast")), "serve"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_ready("http://127.0.0.1:18765/health/ready", process)
            seconds.append(time.perf_counter() - started)
            _ask("http://127.0.0.1:18765/v1/query")
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
        finally:
            process.terminate()
            process.wait(20)
    return {"ready_seconds_warm": round(seconds[-1], 2), "resident_mb_after_a_question": round(resident)}


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.perf_counter() + 60
    while time.perf_counter() < give_up:
        if process.poll() is not None:
            raise SystemExit(f"holdfast serve ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise SystemExit("holdfast serve was not ready within 60 s")


def _ask(url: str) -> None:
    body = json.dumps({"question": questions()[0]}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    folder: Path = arguments.folder
    corpus = folder / "corpus"
    if not corpus.exists():
        CONSOLE.print("writing the corpus ...")
        write_corpus(corpus, articles=round(arguments.chunks / CHUNKS_AN_ARTICLE))
    settings = load_settings(data_dir=folder / "data", cache_size=0)
    engine = build_engine(settings)
    try:
        await engine.open()
        ingested = await ingest(engine, corpus)
        status = await engine.store.status()
        queries = await latencies(engine, arguments.rounds)
    finally:
        await engine.close()
    result = {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
        "command": "python -m benchmarks.rag " + " ".join(sys.argv[1:]),
        "store": {
            "documents": status.documents,
            "chunks": status.chunks,
            "sentences": status.sentences,
            "mb_on_disk": round(status.bytes_on_disk / 1e6),
        },
        "ingest": ingested,
        "queries": queries,
        "peak_resident_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    result["service"] = service_ready(settings)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"RAG service, {result['store']['chunks']:,} chunks, {result['machine']['cpus']} cores")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for part in ("store", "ingest", "queries", "service"):
        for name, value in result[part].items():
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else f"{value}"
            table.add_row(f"{part}: {name.replace('_', ' ')}", text)
    table.add_row("peak resident MB, in process", str(result["peak_resident_mb"]))
    Console().print(table)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=20_000, help="about how many chunks (default 20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each question is asked (default 3)")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/benchmark-rag"), help="where corpus and store are kept"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments))
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
