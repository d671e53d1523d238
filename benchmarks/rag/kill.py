"""Kill an ingest with SIGKILL again and again, then let it finish, and count what is there.

    .venv/bin/python -m benchmarks.rag.kill --files 2000 --kills 5

Writes files of a paragraph or two, starts ``holdfast ingest`` as a process, kills it after a random share of the files,
starts it again, and at last lets it end. Then the store is audited: every document once, whole, with all its vectors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from rich.console import Console

from benchmarks.rag.corpus import paragraphs
from holdfast.rag.app import build_engine
from holdfast.rag.settings import load_settings

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
CONSOLE = Console()


def write_files(folder: Path, count: int, rng: random.Random) -> None:
    """``count`` different small articles."""
    texts = paragraphs()
    for number in range(count):
        path = folder / f"{number // 100:02d}" / f"{number:04d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "\n\n".join(rng.sample(texts, rng.randint(1, 2)))
        path.write_text(f"# Note {number}\n\nThis is note number {number}.\n\n{body}\n", encoding="utf-8")


def stored(data: Path) -> int:
    """Documents in the store, seen from outside while somebody writes."""
    try:
        with closing(sqlite3.connect(f"file:{data / 'holdfast.sqlite3'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def ingest_and_kill(corpus: Path, environ: dict[str, str], data: Path, at: int) -> int:
    """Run the ingest until ``at`` documents are stored, and kill it; how many are stored then."""
    process = subprocess.Popen(
        [HOLDFAST, "ingest", str(corpus)], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while stored(data) < at and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return stored(data)


async def audit(data: Path, environ: dict[str, str]) -> dict[str, object]:
    """What is in the store, by its own counts and by SQLite's."""
    settings = load_settings(environ={}, data_dir=data, embedder=environ.get("HOLDFAST_EMBEDDER", "local"))
    engine = build_engine(settings)
    try:
        await engine.open()
        status = await engine.store.status()
        ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await engine.store.list(limit=500, cursor=cursor)
            ids += [one.id for one in page.documents]
            cursor = page.next_cursor
            if cursor is None:
                break
    finally:
        await engine.close()
    with closing(sqlite3.connect(data / "holdfast.sqlite3")) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return {
        "documents": len(ids),
        "different": len(set(ids)),
        "chunks": status.chunks,
        "chunks_with_vectors": sum(status.vectors.values()),
        "integrity_check": integrity,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/benchmark-kill"))
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    shutil.rmtree(arguments.folder, ignore_errors=True)
    corpus, data = arguments.folder / "corpus", arguments.folder / "data"
    write_files(corpus, arguments.files, rng)
    environ = {**os.environ, "HOLDFAST_DATA_DIR": str(data)}
    moments = sorted(rng.sample(range(1, arguments.files), arguments.kills))
    for number, moment in enumerate(moments, 1):
        CONSOLE.print(f"kill {number}: {ingest_and_kill(corpus, environ, data, moment)} of {arguments.files} stored")
    started = time.perf_counter()
    done = subprocess.run(
        [HOLDFAST, "ingest", "--json", str(corpus)], env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    summary = json.loads(done.stdout)
    counts = {name: summary[name] for name in ("added", "changed", "unchanged") if name in summary}
    CONSOLE.print(f"the last run, {time.perf_counter() - started:.0f} s: {counts}")
    found = asyncio.run(audit(data, environ))
    CONSOLE.print(found)
    whole = (
        found["documents"] == found["different"] == arguments.files
        and found["chunks"] == found["chunks_with_vectors"]
        and found["integrity_check"] == "ok"
    )
    CONSOLE.print("nothing lost, nothing double" if whole else "[red]the store is not whole")
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
