"""A process that writes to a store until it is killed; says what was acknowledged. Started by ``test_process.py``."""

# ruff: noqa: T201 - the test reads what it prints

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.testing.job_conformance import sample_items
from holdfast.testing.store_samples import EMBEDDER, sample_document


async def main(folder: Path, name: str) -> None:
    """Put, replace and delete documents, and report each change after its acknowledgement."""
    store = SqliteStore(folder, blocking=ThreadBlocking(), clock=SystemClock())
    await store.open()
    job = await store.create_job(sample_items(3), collection="default")
    print(f"job {job.id}", flush=True)
    started = await store.next_job()
    print(f"started {started.id if started else '-'}", flush=True)
    n = 0
    while True:
        document_id = f"{name}{n % 7}"
        if n % 5 == 4:
            await store.delete(document_id)
            print(f"deleted {document_id}", flush=True)
        else:
            passages = [f"Apple {n} {part}. Of {name}. " + "filler words here " * 20 for part in range(1 + n % 6)]
            document, chunks = sample_document(document_id, *passages, title=f"version {n}")
            await store.put(document, chunks, embedder_id=EMBEDDER)
            print(f"put {document_id} {n}", flush=True)
        n += 1


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
