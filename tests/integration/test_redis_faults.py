"""What a Redis that fails costs: at most 250 ms a call, one kind of error, and nothing once it is back.

A real server, killed, stopped, slowed down, filled and restarted.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis
from tests.integration.redis_server import RedisServer, free_port, running_redis, slow_proxy

from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.errors import CircuitOpenError, HoldfastError, StateUnavailableError
from holdfast.state.guard import cache_guard
from holdfast.state.redis import RedisCache
from holdfast.state.redis_client import RedisClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from holdfast.core.pipeline import Pipeline

pytestmark = pytest.mark.process

LIMIT = 0.25
SCHEDULING = 0.1
"""What a busy machine may add until the waiting task gets its turn."""
PASSWORD = "correct-horse-battery-staple"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def open_cache(url: str) -> AsyncIterator[RedisCache]:
    cache = RedisCache(RedisClient(url), namespace=secrets.token_hex(4))
    try:
        yield cache
    finally:
        await cache.close()


def every_call(cache: RedisCache) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "get": lambda: cache.get("k"),
        "get_many": lambda: cache.get_many(["k", "l"]),
        "set": lambda: cache.set("k", b"v", ttl=60, tags=["t"]),
        "delete": lambda: cache.delete("k"),
        "invalidate": lambda: cache.invalidate("t"),
        "clear": cache.clear,
    }


async def seconds_of_failing(call: Callable[[], Awaitable[object]], error: type[HoldfastError]) -> float:
    begun = time.monotonic()
    with pytest.raises(error):
        await call()
    return time.monotonic() - begun


async def assert_each_call_fails_in_time(cache: RedisCache) -> None:
    for name, call in every_call(cache).items():
        taken = await seconds_of_failing(call, StateUnavailableError)
        assert taken < LIMIT + SCHEDULING, f"{name} took {taken:.3f} s"


async def assert_works(cache: RedisCache) -> None:
    """It keeps and gives, at once or at the next try: a connection may have to be found dead first."""
    value = secrets.token_bytes(8)
    until = time.monotonic() + 5
    while True:
        try:
            await cache.set("back", value, ttl=60, tags=["t"])
            assert await cache.get("back") == value
        except StateUnavailableError:
            assert time.monotonic() < until
        else:
            return


async def test_a_killed_server(server: RedisServer) -> None:
    """After kill -9 each call fails in time with the typed error; after a restart the cache works by itself."""
    async with open_cache(server.url) as cache:
        await asyncio.gather(*(cache.set(f"k{n}", b"v", ttl=60) for n in range(8)))
        server.kill()
        await assert_each_call_fails_in_time(cache)
        server.start()
        await assert_works(cache)
        assert await cache.get("k0") is None  # the server kept nothing


async def test_a_paused_server(server: RedisServer) -> None:
    """A server that is stopped and holds its connections costs 0.2 s a call; when it goes on, the cache works."""
    async with open_cache(server.url) as cache:
        await asyncio.gather(*(cache.set(f"k{n}", b"v", ttl=60) for n in range(8)))
        server.pause()
        await assert_each_call_fails_in_time(cache)
        server.resume()
        await assert_works(cache)


async def test_many_callers_of_a_paused_server(server: RedisServer) -> None:
    """A hundred calls at once wait at the same time, not one after the other, though there are fewer connections."""
    async with open_cache(server.url) as cache:
        await cache.set("k", b"v", ttl=60)
        server.pause()
        begun = time.monotonic()
        said = await asyncio.gather(*(cache.get("k") for _ in range(100)), return_exceptions=True)
        assert time.monotonic() - begun < LIMIT + 3 * SCHEDULING
        assert {type(each) for each in said} == {StateUnavailableError}
        server.resume()
        await assert_works(cache)


async def test_a_slow_server(server: RedisServer) -> None:
    """A server whose every answer takes 0.15 s cannot add them up: opening, reading and checking have one limit."""
    async with slow_proxy(server.port) as proxy, open_cache(proxy.url) as cache:
        await cache.set("k", b"v", ttl=60, tags=["t"])
        proxy.delay = 0.15
        begun = time.monotonic()
        with pytest.raises(StateUnavailableError, match="did not answer within"):
            await cache.get("k")  # the value, then the stamps of its tags
        assert time.monotonic() - begun < LIMIT + SCHEDULING
        proxy.delay = 0.0
        await assert_works(cache)


async def test_garbled_answers(server: RedisServer) -> None:
    """What is not the protocol is the typed error, and the connection is not used again."""
    async with slow_proxy(server.port) as proxy, open_cache(proxy.url) as cache:
        await cache.set("k", b"v", ttl=60)
        proxy.garble = True
        for _ in range(3):
            with pytest.raises(StateUnavailableError):
                await cache.get("k")
        proxy.garble = False
        await assert_works(cache)


async def test_nobody_at_the_address() -> None:
    """A port where nobody listens is the typed error at once, and it counts as a failed connection."""
    async with open_cache(f"redis://127.0.0.1:{free_port()}") as cache:
        with pytest.raises(StateUnavailableError, match=r"Redis at 127\.0\.0\.1:\d+ cannot be used") as caught:
            await cache.get("k")
        assert classify(caught.value).kind is FaultKind.CONNECT


async def test_a_full_server() -> None:
    """A server without room that evicts nothing refuses writes: counted, no error; reads go on, no old value."""
    with running_redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        async with open_cache(server.url) as cache:
            await cache.set("small", b"old", ttl=60)
            for number in range(8):
                await cache.set(f"k{number}", bytes(900_000), ttl=60, tags=["t"])
            refused = cache.snapshot().refused
            assert 0 < refused < 8
            await cache.set("small", bytes(900_000), ttl=60)
            assert cache.snapshot().refused == refused + 1
            assert await cache.get("small") is None
            await cache.delete("k0", "k1")
            await assert_works(cache)


async def test_a_server_that_evicts() -> None:
    """Under eviction values vanish, stamps too, and no value comes back that was invalidated."""
    with running_redis("--maxmemory", "6mb", "--maxmemory-policy", "allkeys-random") as server:
        async with open_cache(server.url) as cache:
            for number in range(50):
                await cache.set(f"k{number}", b"old", ttl=60, tags=[f"t{number}"])
                await cache.invalidate(f"t{number}")
            for number in range(200):
                await cache.set(f"fill{number}", bytes(100_000), ttl=60)
            assert await cache.get_many([f"k{number}" for number in range(50)]) == [None] * 50


async def test_a_restart_in_the_middle(server: RedisServer) -> None:
    """Under traffic that never stops, a kill and a restart cost typed errors for a moment, and nothing else."""
    async with open_cache(server.url) as cache:
        stop = asyncio.Event()
        wrong: list[object] = []

        async def user(number: int) -> None:
            while not stop.is_set():
                try:
                    await cache.set(f"k{number}", f"{number}".encode(), ttl=60)
                    value = await cache.get(f"k{number}")
                except StateUnavailableError:
                    await asyncio.sleep(0.01)
                else:
                    if value not in {None, f"{number}".encode()}:
                        wrong.append(value)

        async with asyncio.TaskGroup() as users:
            for number in range(10):
                users.create_task(user(number))
            await asyncio.sleep(0.1)
            server.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
            await assert_works(cache)
            stop.set()
        assert wrong == []


async def test_an_invalidation_is_owed_until_it_is_done(server: RedisServer) -> None:
    """What was invalidated while the server could not hear it is not given out when it is back."""
    async with open_cache(server.url) as cache:
        await cache.set_many({"a": b"1", "b": b"2"}, ttl=60, tags=["t"])
        await cache.set("c", b"3", ttl=60)
        server.pause()
        for quiet in (30, 0):
            with pytest.raises(StateUnavailableError):
                await cache.invalidate("t", quiet=quiet)
        server.resume()
        assert await cache.get_many(["a", "b", "c"]) == [None, None, b"3"]
        await cache.set("a", b"4", ttl=60, tags=["t"])
        assert await cache.get("a") is None  # it is quiet, too


async def test_clearing_is_owed_too(server: RedisServer) -> None:
    """A clear(), or more invalidations than are remembered one by one, is done before anything is read again."""
    async with open_cache(server.url) as cache:
        for forget in (cache.clear, lambda: cache.invalidate(*(f"t{n}" for n in range(10_001)))):
            await cache.set("a", b"1", ttl=60)
            server.pause()
            with pytest.raises(StateUnavailableError):
                await forget()
            server.resume()
            assert await cache.get("a") is None


async def test_the_same_is_forgotten_twice_at_once(server: RedisServer) -> None:
    """Of two that clear or invalidate at the same time, each is certain that it is done when its call returns."""
    async with open_cache(server.url) as cache:
        for forget in (cache.clear, lambda: cache.invalidate("t")):
            await cache.set("k", b"v", ttl=60, tags=["t"])
            await asyncio.gather(forget(), forget())
            assert await cache.get("k") is None
            assert (cache._owed, cache._owed_all) == ({}, None)


@pytest.mark.parametrize("credentials", ["", "wrong-and-secret-too", "somebody:wrong-and-secret-too"])
async def test_a_wrong_password(credentials: str) -> None:
    """A wrong password, or none, is the typed error, says what to check, counts as such, and is never repeated."""
    with running_redis("--requirepass", PASSWORD) as server:
        user, _, password = credentials.rpartition(":")
        place = f"{user}:{password}@" if credentials else ""
        async with open_cache(f"redis://{place}127.0.0.1:{server.port}/0") as cache:
            with pytest.raises(StateUnavailableError, match="check the user and the password") as caught:
                await cache.get("k")
            assert classify(caught.value).kind is FaultKind.AUTH
            told = "".join(traceback.format_exception(caught.value)) + repr(cache) + repr(cache._client)
            assert "secret" not in told
            assert PASSWORD not in told


async def test_the_right_password() -> None:
    """With the right password it works, and the password is in no text about the cache."""
    with running_redis("--requirepass", PASSWORD) as server:
        async with open_cache(f"redis://:{PASSWORD}@127.0.0.1:{server.port}/1") as cache:
            await assert_works(cache)
            server.kill()
            with pytest.raises(StateUnavailableError) as caught:
                await cache.get("k")
            told = "".join(traceback.format_exception(caught.value)) + repr(cache) + repr(cache._client)
            assert PASSWORD not in told


async def test_the_guard(server: RedisServer) -> None:
    """Ten failures open the breaker and the next calls cost nothing; the first probes after the healing close it."""
    guard: Pipeline = cache_guard("cache:redis", recovery_timeout=0.3)
    async with open_cache(server.url) as cache:
        await guard.call(cache.set, "k", b"v", ttl=60)
        server.pause()
        begun = time.monotonic()
        failed = await asyncio.gather(*(guard.call(cache.get, "k") for _ in range(10)), return_exceptions=True)
        assert time.monotonic() - begun < LIMIT + SCHEDULING
        assert {type(each) for each in failed} == {StateUnavailableError}
        begun = time.monotonic()
        for _ in range(100):
            with pytest.raises(CircuitOpenError):
                await guard.call(cache.get, "k")
        assert time.monotonic() - begun < SCHEDULING
        server.resume()
        healed = time.monotonic()
        value = None
        while value is None and time.monotonic() < healed + 5:
            try:
                value = await guard.call(cache.get, "k")
            except HoldfastError:
                await asyncio.sleep(0.02)
        assert value == b"v"


async def test_a_caller_that_leaves(server: RedisServer) -> None:
    """A call that is cancelled in the middle leaves no half-read answer behind for the next one."""
    async with slow_proxy(server.port) as proxy, open_cache(proxy.url) as cache:
        await cache.set_many({f"k{n}": f"{n}".encode() for n in range(30)}, ttl=60)
        proxy.delay = 0.02
        for number in range(30):
            task = asyncio.create_task(cache.get(f"k{number}"))
            await asyncio.sleep(0.001 * (number % 10))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        proxy.delay = 0.0
        assert await cache.get_many([f"k{n}" for n in range(30)]) == [f"{n}".encode() for n in range(30)]


def test_several_event_loops(server: RedisServer) -> None:
    """One cache serves one event loop after another; each has its own connections."""
    cache = RedisCache(RedisClient(server.url), namespace="loops")

    async def use(value: bytes) -> Any:
        before = await cache.get("k")
        await cache.set("k", value, ttl=60)
        await cache.close()
        return before

    assert asyncio.run(use(b"1")) is None
    assert asyncio.run(use(b"2")) == b"1"
    gc.collect()


async def test_damaged_values(server: RedisServer) -> None:
    """A value with a bit turned over, of another version, or of somebody else is a miss, and is counted."""
    async with open_cache(server.url) as cache, Redis.from_url(server.url) as redis:
        await cache.set("k", b"value", ttl=60)
        key = cache._key("v:", "k")
        whole: Any = await redis.get(key)
        damaged = [bytes([2]) + whole[1:], whole[:-1], whole[:5], b"", b"hello", whole + b"!"]
        damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
        for data in damaged:
            await redis.set(key, data)
            assert await cache.get("k") is None
        assert cache.snapshot().unreadable == len(damaged)
        await redis.set(key, whole)
        assert await cache.get("k") == b"value"


async def test_a_key_of_another_type(server: RedisServer) -> None:
    """Where somebody else put a list, there is no value; and it is replaced."""
    async with open_cache(server.url) as cache, Redis.from_url(server.url) as redis:
        await redis.rpush(cache._key("v:", "k"), b"x")
        assert await cache.get("k") is None
        await assert_works(cache)


async def test_a_user_who_may_do_little(server: RedisServer) -> None:
    """The commands and keys that the documentation names are all that the cache needs."""
    allowed = "+auth +select +mget +set +getex +exists +unlink +multi +exec"
    async with Redis.from_url(server.url) as redis:
        await redis.acl_setuser(
            "cache", enabled=True, passwords=[f"+{PASSWORD}"], keys=["holdfast:1:help:*"], commands=allowed.split()
        )
    client = RedisClient(f"redis://cache:{PASSWORD}@127.0.0.1:{server.port}/1")
    cache = RedisCache(client, namespace="help")
    await assert_works(cache)
    await cache.delete("back")
    await cache.invalidate("t", quiet=1)
    await cache.clear()
    with pytest.raises(StateUnavailableError, match="refuses us"):
        await RedisCache(client, namespace="other").get("k")
    await cache.close()


async def test_everything_expires(server: RedisServer) -> None:
    """Every key that the cache writes has the namespace and a time to live: a server is never filled for good."""
    async with open_cache(server.url) as cache, Redis.from_url(server.url) as redis:
        await cache.set("k", b"v", ttl=60, tags=["t"])
        await cache.invalidate("u", quiet=30)
        keys = [key async for key in redis.scan_iter()]
        assert {key.rsplit(b":", 2)[-2:][0] for key in keys if key.count(b":") == 4} == {b"v", b"t", b"q"}
        assert all(key.startswith(b"holdfast:1:") for key in keys)
        assert all([await redis.pttl(key) > 0 for key in keys])
