"""The caches keep the contract of a cache: in memory, in a real Redis, and in Redis with memory behind it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.integration.redis_server import RedisServer, running_redis

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.state.guard import cache_guard
from holdfast.state.memory import MemoryCache
from holdfast.state.redis import RedisCache
from holdfast.state.redis_client import RedisClient
from holdfast.state.shared import SharedCache
from holdfast.testing.cache_conformance import CacheConformance
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from holdfast.state.base import CacheBackend


class TestMemoryCache(CacheConformance):
    """``MemoryCache``, on a clock that nobody waits for."""

    clock = FakeClock()

    @asynccontextmanager
    async def make_cache(self, place: Path) -> AsyncIterator[CacheBackend]:
        cache = MemoryCache(clock=self.clock)
        yield cache
        await cache.close()

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.mark.process
class TestRedisCache(CacheConformance):
    """``RedisCache`` on a real server, each test in a namespace of its own."""

    @pytest.fixture(autouse=True)
    def _use(self, server: RedisServer) -> None:
        self.url = server.url

    @asynccontextmanager
    async def make_cache(self, place: Path) -> AsyncIterator[CacheBackend]:
        cache = RedisCache(RedisClient(self.url, timeout=5), namespace=str(id(place)))
        yield cache
        await cache.close()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)  # the server goes by its own clock


@pytest.mark.process
class TestSharedCache(TestRedisCache):
    """``SharedCache`` on a real server and memory."""

    @asynccontextmanager
    async def make_cache(self, place: Path) -> AsyncIterator[CacheBackend]:
        server = RedisCache(RedisClient(self.url, timeout=5), namespace=f"shared{id(place)}")
        cache = SharedCache(server, own=MemoryCache(), guard=cache_guard(server.name), clock=SYSTEM_CLOCK)
        yield cache
        await cache.close()
