"""The LanceDB store keeps the contract of stores; its jobs keep that of job stores."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.lance import LanceStore
from holdfast.testing.job_conformance import JobStoreConformance
from holdfast.testing.store_conformance import StoreConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.rag.store.jobs import JobStore


@asynccontextmanager
async def _open_store(place: Path) -> AsyncIterator[LanceStore]:
    blocking = ThreadBlocking(max_workers=4)
    store = LanceStore(place, blocking=blocking, clock=SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await blocking.close()


class TestLanceStore(StoreConformance):
    """``LanceStore`` as a store."""

    make_store = staticmethod(_open_store)


class TestLanceJobs(JobStoreConformance):
    """``LanceStore.jobs`` as a job store."""

    @asynccontextmanager
    async def make_jobs(self, place: Path) -> AsyncIterator[JobStore]:
        """The jobs beside a table."""
        async with _open_store(place) as store:
            yield store.jobs
