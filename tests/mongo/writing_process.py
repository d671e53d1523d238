"""A process that writes to a MongoDB store until it is killed; says what was acknowledged."""

# ruff: noqa: T201 - the test reads what it prints

from __future__ import annotations

import asyncio
import sys

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.mongo import MongoStore
from holdfast.testing.job_conformance import sample_items
from holdfast.testing.store_samples import EMBEDDER, sample_document


async def main(uri: str, database: str, name: str) -> None:
    """Put, replace and delete documents, and report each change after its acknowledgement."""
    store = MongoStore(uri, database=database, blocking=ThreadBlocking(), clock=SystemClock(), search="exact")
    await store.open()
    job = await store.create_job(sample_items(3), collection="default")
    print(f"job {job.id}", flush=True)
    n = 0
    while True:
        document_id = f"{name}{n % 4}"
        if n % 5 == 4:
            await store.delete(document_id)
            print(f"deleted {document_id}", flush=True)
        else:
            passages = [f"Apple {n} {part}. Of {name}." for part in range(1 + n % 6)]
            document, chunks = sample_document(document_id, *passages, title=f"version {n}")
            await store.put(document, chunks, embedder_id=EMBEDDER)
            print(f"put {document_id} {n}", flush=True)
        n += 1


asyncio.run(main(*sys.argv[1:]))
