"""One store, grown in steps and asked at each: run in a process of its own, so that its memory is its own.

python -m benchmarks.growth.measure STORE FOLDER RESULT SIZES QUESTIONS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.growth.corpus import CHUNKS, EMBEDDER, Corpus
from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import Scored, Store

__all__ = ["INDEXED", "STORES"]

STORES = ("sqlite", "lancedb")
INDEXED = "lancedb-index"
"""LanceDB with an index of the vectors, which is approximate: made at each size, measured, and taken away again."""

Row: TypeAlias = "dict[str, Any]"
Question: TypeAlias = "tuple[str, Vectors]"

K = 50
FETCHED = 10
_WARM_UP = 20
_OPENINGS = 5
_KEEP_SECONDS = 2.0  # for which LanceDB's replaced files stay


def make(name: str, folder: Path, blocking: Blocking) -> Store:
    """A store, not opened."""
    if name == "sqlite":
        return SqliteStore(folder, blocking=blocking, clock=SYSTEM_CLOCK)
    from holdfast.rag.store.lance import LanceStore  # noqa: PLC0415 - its memory is not SQLite's
    from holdfast.rag.store.lance.upkeep import UpkeepOptions  # noqa: PLC0415

    return LanceStore(
        folder,
        blocking=blocking,
        clock=SYSTEM_CLOCK,
        approximate=name == INDEXED,
        approximate_above=1_000,
        upkeep=UpkeepOptions(keep_versions=_KEEP_SECONDS),
    )


async def measure(name: str, folder: Path, sizes: Sequence[int], questions: int) -> list[Row]:
    """The figures at each size."""
    corpus = Corpus()
    blocking = ThreadBlocking(max_workers=4)
    store = make(name, folder, blocking)
    await store.open()
    rows: list[Row] = []
    documents = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for size in sizes:
            task = progress.add_task(f"{name}: ingest", total=size, completed=documents * CHUNKS)
            ingest = 0.0
            added = size // CHUNKS - documents
            while documents < size // CHUNKS:
                document, chunks = corpus.document(documents)
                began = time.perf_counter()
                await store.put(document, chunks, embedder_id=EMBEDDER)
                ingest += time.perf_counter() - began
                documents += 1
                progress.update(task, completed=documents * CHUNKS)
            grown: Row = {"chunks": documents * CHUNKS, "ingest_chunks_per_second": round(added * CHUNKS / ingest)}
            grown["settle_seconds"] = round(await settled(store), 1)
            asked = [corpus.question(n, documents) for n in range(questions + _WARM_UP)]
            rows.append({"store": name, **grown, **await _asked(store, name, folder, blocking, asked, progress)})
            if name == "lancedb":
                rows.append(await _with_index(folder, blocking, asked, progress, rows[-1]))
    await store.close()
    await blocking.close()
    return rows


async def _asked(
    store: Store, name: str, folder: Path, blocking: Blocking, asked: Sequence[Question], progress: Progress
) -> Row:
    """What questions cost, and what the store holds."""
    row: Row = {}
    task = progress.add_task(f"{name}: questions", total=3 * (len(asked) - _WARM_UP))
    for kind, ask in _kinds(store).items():
        times = []
        for n, (words, vector) in enumerate(asked):
            began = time.perf_counter()
            await ask(words, vector)
            if n >= _WARM_UP:
                times.append((time.perf_counter() - began) * 1e3)
                progress.advance(task)
        row[kind] = {"p50": _percentile(times, 50), "p99": _percentile(times, 99)}
    row["recall_of_10"] = await _recall(store, name, folder, blocking, [vector for _, vector in asked])
    row["rss_mb"] = _rss_mb()
    row["disk_mb"] = round((await store.status()).bytes_on_disk / 1e6)
    row["open_ms"] = await _opened(name, folder, blocking, *asked[0])
    return row


async def _with_index(
    folder: Path, blocking: Blocking, asked: Sequence[Question], progress: Progress, without: Row
) -> Row:
    """The same table with an index of its vectors."""
    import lancedb  # noqa: PLC0415 - its memory is not SQLite's

    from holdfast.rag.store.lance.layout import TABLE, vector_column  # noqa: PLC0415

    store = make(INDEXED, folder, blocking)
    worked = await settled(store)
    row: Row = {
        "store": INDEXED,
        "chunks": without["chunks"],
        "ingest_chunks_per_second": None,
        "settle_seconds": round(worked, 1),
        **await _asked(store, INDEXED, folder, blocking, asked, progress),
    }
    await store.close()
    table = lancedb.connect(folder / "lance").open_table(TABLE)
    table.drop_index(vector_column(EMBEDDER))
    return row


def _kinds(store: Store) -> dict[str, Callable[[str, Vectors], Awaitable[object]]]:
    async def lexical(words: str, _: Vectors) -> Sequence[Scored]:
        return await store.lexical(words, k=K, scope=Scope())

    async def dense(_: str, vector: Vectors) -> Sequence[Scored]:
        return await store.dense(vector, embedder_id=EMBEDDER, k=K, scope=Scope())

    async def hybrid(words: str, vector: Vectors) -> object:
        """What a question asks of a store: both searches and the words' frequencies at a time, then the best chunks."""
        by_words, by_vector, _ = await asyncio.gather(
            lexical(words, vector), dense(words, vector), store.document_frequency(words.split())
        )
        best = [hit.chunk_id for hit in (*by_words[: FETCHED // 2], *by_vector[: FETCHED // 2])]
        return await store.fetch(list(dict.fromkeys(best)), sentence_vectors=True)

    return {"lexical_ms": lexical, "dense_ms": dense, "hybrid_ms": hybrid}


async def settled(store: Store) -> float:
    """Let the upkeep finish what the ingest left, as it does by itself when it is quiet; the seconds that it worked."""
    maintain = getattr(store, "maintain", None)
    worked = 0.0
    goes_on = True
    while goes_on and maintain is not None:
        began = time.perf_counter()
        goes_on = await maintain()
        worked += time.perf_counter() - began
        await asyncio.sleep(_KEEP_SECONDS + 0.1)  # the files that it replaced may go then
    return worked


async def _recall(
    store: Store, name: str, folder: Path, blocking: Blocking, vectors: Sequence[Vectors]
) -> float | None:
    """The share of the ten nearest that an approximate search finds; None for exact stores."""
    if name != INDEXED:
        return None
    exact = make("lancedb", folder, blocking)
    found = 0
    for vector in vectors:
        near = [await each.dense(vector, embedder_id=EMBEDDER, k=10, scope=Scope()) for each in (store, exact)]
        found += len({hit.chunk_id for hit in near[0]} & {hit.chunk_id for hit in near[1]})
    await exact.close()
    return round(found / (10 * len(vectors)), 3)


async def _opened(name: str, folder: Path, blocking: Blocking, words: str, vector: Vectors) -> float:
    """Milliseconds from a new object to the first answer of both searches; the packages are loaded already."""
    times = []
    for _ in range(_OPENINGS):
        began = time.perf_counter()
        store = make(name, folder, blocking)
        await store.open()
        await store.lexical(words, k=K, scope=Scope())
        await store.dense(vector, embedder_id=EMBEDDER, k=K, scope=Scope())
        times.append((time.perf_counter() - began) * 1e3)
        await store.close()
    return _percentile(times, 50)


def _percentile(times: Sequence[float], percent: int) -> float:
    return round(float(np.percentile(times, percent)), 1)


def _rss_mb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024)
    return 0


if __name__ == "__main__":
    _name, _folder, _result, _sizes, _questions = sys.argv[1:]
    _rows = asyncio.run(measure(_name, Path(_folder), [int(each) for each in _sizes.split(",")], int(_questions)))
    Path(_result).write_text(json.dumps(_rows))
