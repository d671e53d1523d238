"""What killed processes leave in MongoDB is removed while a service runs, without anybody asking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.mongo.place import SOCKETS, MongoPlace, mongo_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = SOCKETS


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    async with mongo_place(tmp_path) as made:
        yield made


async def test_an_open_store_sweeps_now_and_then(place: MongoPlace) -> None:
    """A row that a killed delete left is gone a moment later, with the chunks that it names."""
    async with place.opened(sweep_every=0.02), place.client() as client:
        database = client[place.database]
        await database["chunks"].insert_one({"_id": "v1/0", "version": "v1", "collection": "default", "id": "a/0"})
        await database["documents"].insert_one(
            {"_id": "left", "live": False, "version": None, "garbage": ["v1"], "untidy": True}
        )
        for _ in range(500):
            if not await place.rows("documents"):
                break
            await asyncio.sleep(0.01)
        assert await place.rows("documents") == []
        assert await place.rows("chunks") == []
