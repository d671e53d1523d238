"""The MongoDB store keeps the contracts of stores and of job stores, over real sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.mongo.place import SOCKETS, MongoPlace, mongo_place

from holdfast.rag.store.mongo import MongoStore
from holdfast.testing.job_conformance import JobStoreConformance
from holdfast.testing.store_conformance import StoreConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.rag.store.jobs import JobStore

pytestmark = SOCKETS


class _OnMongo:
    @pytest.fixture(autouse=True)
    async def _place(self, tmp_path: Path) -> AsyncIterator[None]:
        async with mongo_place(tmp_path) as self.place:
            yield

    place: MongoPlace

    @asynccontextmanager
    async def _open(self, place: Path) -> AsyncIterator[MongoStore]:
        async with self.place.opened() as store:
            yield store


class TestMongoStore(_OnMongo, StoreConformance):
    """``MongoStore`` as a store, with its own searches."""

    make_store = _OnMongo._open


class TestMongoJobs(_OnMongo, JobStoreConformance):
    """``MongoStore`` as a job store."""

    make_jobs = _OnMongo._open

    async def released(self, jobs: JobStore) -> None:
        """A release is a message to the server: wait until it is answered."""
        assert isinstance(jobs, MongoStore)
        await jobs.releases_written()
