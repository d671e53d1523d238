"""A process that writes to a LanceDB store until it is killed; says what was acknowledged. See ``test_process.py``."""

# ruff: noqa: T201 - the test reads what it prints

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.lance import LanceStore
from holdfast.rag.store.lance.upkeep import UpkeepOptions
from holdfast.testing.store_samples import EMBEDDER, sample_document


async def main(folder: Path, name: str) -> None:
    """Put, replace and delete documents, tidy up all the time, and report each change after its acknowledgement."""
    upkeep = UpkeepOptions(after_commits=6, every=1.0, keep_versions=1.0)
    store = LanceStore(folder, blocking=ThreadBlocking(), clock=SystemClock(), upkeep=upkeep)
    await store.open()
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
