"""Where the tests of the MongoDB store run: on the server of ``MONGODB_URI``, or on our own."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.rag.store.mongo import MongoStore
from holdfast.rag.store.mongo.client import Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.mongo.server import MongoServer

REAL = os.environ.get("MONGODB_URI", "")
SOCKETS = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""The driver leaves a socket to the garbage collector when it is closed while one of its monitors connects."""
FAST = Timeouts(select=2.0, connect=2.0, reply=5.0, queue=2.0)


@dataclass
class MongoPlace:
    """One server and one database for one test.

    Attributes:
        fake: our own server, or None on a real one.
    """

    uri: str
    database: str
    fake: MongoServer | None
    blocking: ThreadBlocking

    def store(self, **options: Any) -> MongoStore:
        """A store that is not opened."""
        options = {"clock": SystemClock(), "timeouts": FAST, "search": "exact", **options}
        return MongoStore(self.uri, blocking=self.blocking, database=self.database, **options)

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[MongoStore]:
        """A store for a block."""
        store = self.store(**options)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
        """The driver's own client, to look at rows and to set fail points."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self.uri)
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def failing(self, *commands: str, mode: object = "alwaysOn", **how: Any) -> AsyncIterator[None]:
        """MongoDB's own fail point for a block."""
        async with self.client() as client:
            data = {"failCommands": list(commands), "appName": "holdfast", **how}
            await client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
            try:
                yield
            finally:
                await client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    async def rows(self, collection: str) -> list[dict[str, Any]]:
        """All rows of a collection."""
        async with self.client() as client:
            return await client[self.database][collection].find().to_list()

    async def until_writing(self) -> None:
        """Return when a put is registered: the server tells nobody, so it is asked again and again."""
        for _ in range(500):
            if any(row.get("writing") for row in await self.rows("documents")):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no put began")


@asynccontextmanager
async def mongo_place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    """A server, and a database of its own that is dropped at the end."""
    fake = None if REAL else await _started()
    blocking = ThreadBlocking(max_workers=4)
    name = f"holdfast_test_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    place = MongoPlace(fake.uri if fake else REAL, name, fake, blocking)
    try:
        yield place
    finally:
        async with place.client() as client:
            await client.drop_database(name)
        if fake is not None:
            await fake.stop()
        await blocking.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()  # see SOCKETS: not in another test


async def _started() -> MongoServer:
    pytest.importorskip("mongomock", reason="mongomock is not installed: it is among the packages for development")
    from tests.mongo.server import MongoServer

    server = MongoServer()
    await server.start()
    return server


async def audit(place: MongoPlace, *, tidy: bool = False) -> dict[str, int]:
    """Check what must be true after any kill: the number of visible chunks by document.

    Every visible version has all of its chunks, and every chunk's version is registered in its document's row.

    Args:
        tidy: nothing is left over either: no other version's chunks, no marks, no rows of deleted documents.
    """
    documents, chunks = await place.rows("documents"), await place.rows("chunks")
    found: dict[tuple[str, str], int] = {}
    for row in chunks:
        found[row["document"], row["version"]] = found.get((row["document"], row["version"]), 0) + 1
    registered: set[tuple[str, str]] = set()
    for row in documents:
        versions = [*row["garbage"], *row.get("writing", {}), *([row["version"]] if row["live"] else [])]
        registered |= {(row["id"], version) for version in versions}
        if row["live"]:
            assert found.get((row["id"], row["version"]), 0) == row["chunks"], row["id"]
        if tidy:
            assert row["live"]
            assert not row["garbage"]
            assert not row["writing"]
            assert not {"untidy", "unannounced"} & row.keys()
    assert found.keys() <= registered
    return {row["id"]: row["chunks"] for row in documents if row["live"]}
