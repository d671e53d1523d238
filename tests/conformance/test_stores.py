"""The embedded store keeps the contracts of stores and of job stores."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.testing.job_conformance import JobStoreConformance
from holdfast.testing.store_conformance import StoreConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def _open_store(place: Path) -> AsyncIterator[SqliteStore]:
    blocking = ThreadBlocking(max_workers=4)
    store = SqliteStore(place, blocking=blocking, clock=SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await blocking.close()


class TestSqliteStore(StoreConformance):
    """``SqliteStore`` as a store."""

    make_store = staticmethod(_open_store)


class TestSqliteJobs(JobStoreConformance):
    """``SqliteStore`` as a job store."""

    make_jobs = staticmethod(_open_store)
