"""What can be said of the Redis parts without a server."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from holdfast.core.faults import FaultKind
from holdfast.errors import CircuitOpenError, ConfigError, StateUnavailableError
from holdfast.state.guard import cache_guard
from holdfast.state.redis import RedisCache
from holdfast.state.redis_client import RedisClient
from holdfast.testing.clock import FakeClock


@pytest.mark.parametrize(
    "url",
    [
        "http://:hush-hush@h",
        "redis://:hush-hush@h:port/0",
        "redis://:hush-hush@h/0?db=x",
        "redis://:hush-hush@h?db=-1",
        "",
        "hush-hush",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    """An address that cannot be read is a ConfigError with the rule, and without the address: it holds the password."""
    with pytest.raises(ConfigError, match="redis_url") as caught:
        RedisClient(url)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert "hush" not in str(caught.value.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://user:hush@cache.example:7000/2", "Redis at cache.example:7000"),
        ("rediss://cache.example", "Redis at cache.example:6379"),
        ("redis://", "Redis at localhost:6379"),
        ("unix://:hush@/run/redis.sock?db=1", "Redis at /run/redis.sock"),
    ],
)
def test_texts_about_it_hold_no_password(url: str, address: str) -> None:
    """The client and the cache tell where the server is, and not the password."""
    client = RedisClient(url)
    assert client.address == address
    assert repr(RedisCache(client)) == f"<RedisCache holdfast:1:default:* on <RedisClient {address}>>"


@pytest.mark.parametrize("namespace", ["", "a:b", "a b", "ä", "x" * 65, "a\n"])
def test_an_impossible_namespace(namespace: str) -> None:
    """A namespace that could be taken for another one's keys is a ConfigError."""
    with pytest.raises(ConfigError, match="namespace"):
        RedisCache(RedisClient("redis://"), namespace=namespace)


async def test_closing_what_was_never_used() -> None:
    """A cache that nobody used can be closed."""
    await RedisCache(RedisClient("redis://")).close()


async def test_a_missing_socket(tmp_path: object) -> None:
    """A Unix socket that is not there is the typed error."""
    cache = RedisCache(RedisClient(f"unix://{tmp_path}/none.sock"))
    with pytest.raises(StateUnavailableError, match="cannot be used"):
        await cache.get("k")


@pytest.mark.parametrize("cause", [TimeoutError(), ConnectionRefusedError(), None])
async def test_every_failure_counts_whole(cause: Exception | None) -> None:
    """Ten failures in a row of whatever kind open the guard's breaker; after 10 s a call is let through."""
    clock = FakeClock()
    guard = cache_guard("cache:test", clock=clock)

    async def fail() -> None:
        raise StateUnavailableError("x") from cause

    for _ in range(10):
        with pytest.raises(StateUnavailableError):
            await guard.call(fail)
    with pytest.raises(CircuitOpenError):
        await guard.call(fail)
    clock.advance(10)
    with pytest.raises(StateUnavailableError):
        await guard.call(fail)


async def test_a_bug_is_not_a_failure_of_the_cache() -> None:
    """An error of our own keeps its meaning: it does not open the breaker."""
    guard = cache_guard("cache:test", clock=FakeClock())

    async def fail() -> None:
        raise AssertionError(FaultKind.BUG)

    for _ in range(20):
        with pytest.raises(AssertionError):
            await guard.call(fail)


def test_without_the_extra() -> None:
    """Where redis-py is not installed, the error names the extra that brings it."""
    code = """
import sys
sys.modules["redis"] = None
from holdfast.errors import MissingExtraError
try:
    import holdfast.state.redis
except MissingExtraError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "holdfast[redis]" in run.stdout
