"""What every cache must do, as tests that any ``CacheBackend`` can be run against.

    class TestMyCache(CacheConformance):
        @asynccontextmanager
        async def make_cache(self, place):
            cache = MyCache(...)
            yield cache
            await cache.close()

pytest with pytest-asyncio runs the tests of a class like this one.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.state.base import MAX_TTL, CacheBackend

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = ["CacheConformance"]

_ODD_TEXTS = ("", " ", "a:b", "{x}", "*", "?", "\n", "\x00", "ü🦊", "half of a pair: \ud800", "long " * 500)


class CacheConformance(ABC):
    """The contract of ``CacheBackend``."""

    max_value_bytes: int = 1_048_576
    """The largest value that the cache under test keeps."""

    @abstractmethod
    def make_cache(self, place: Path) -> AbstractAsyncContextManager[CacheBackend]:
        """An empty cache, closed at the end of the block."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Let the cache's time pass: advance its clock, or sleep where it has none."""

    async def test_has_the_protocol_and_a_name(self, tmp_path: Path) -> None:
        """It has every member of the protocol, and a name that begins with "cache:"."""
        async with self.make_cache(tmp_path) as cache:
            assert isinstance(cache, CacheBackend)
            assert cache.name.startswith("cache:")

    async def test_gives_what_was_kept(self, tmp_path: Path) -> None:
        """What is kept comes back byte for byte, the empty value and every other byte included; the rest is None."""
        values = {"empty": b"", "all": bytes(range(256)), "text": "ü🦊".encode()}
        async with self.make_cache(tmp_path) as cache:
            for key, value in values.items():
                await cache.set(key, value, ttl=60)
            assert {key: await cache.get(key) for key in values} == values
            assert await cache.get("nothing") is None

    @pytest.mark.parametrize("text", _ODD_TEXTS, ids=ascii)
    async def test_any_text_is_a_key_and_a_tag(self, tmp_path: Path, text: str) -> None:
        """Keys and tags are any text."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set(text, b"1", ttl=60, tags=[text])
            await cache.set(text + "!", b"2", ttl=60, tags=[text + "!"])
            assert await cache.get_many([text, text + "!"]) == [b"1", b"2"]
            await cache.invalidate(text)
            assert await cache.get_many([text, text + "!"]) == [None, b"2"]

    async def test_the_last_value_stays(self, tmp_path: Path) -> None:
        """Keeping under a key that is taken replaces the value, its time and its tags."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("k", b"old", ttl=60, tags=["t"])
            await cache.set("k", b"new", ttl=60)
            await cache.invalidate("t")
            assert await cache.get("k") == b"new"

    async def test_many_at_once(self, tmp_path: Path) -> None:
        """Many values are kept, given in the order of the keys, and forgotten, in one call each."""
        values = {f"k{n}": str(n).encode() for n in range(1_000)}
        async with self.make_cache(tmp_path) as cache:
            await cache.set_many(values, ttl=60)
            assert await cache.get_many(["x", *values, "k3"]) == [None, *values.values(), b"3"]
            await cache.delete(*list(values)[1:])
            assert await cache.get_many(list(values)) == [b"0", *[None] * 999]

    async def test_nothing_asked_nothing_done(self, tmp_path: Path) -> None:
        """No keys, no values and no tags are no error."""
        async with self.make_cache(tmp_path) as cache:
            assert await cache.get_many([]) == []
            await cache.set_many({}, ttl=60)
            await cache.delete()
            await cache.delete("nothing")
            await cache.invalidate()

    async def test_values_expire(self, tmp_path: Path) -> None:
        """A value is there for its time, and not after it."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("short", b"1", ttl=0.1)
            await cache.set("long", b"2", ttl=60)
            assert await cache.get("short") == b"1"
            await self.wait(0.15)
            assert await cache.get_many(["short", "long"]) == [None, b"2"]

    @pytest.mark.parametrize("ttl", [0, -1, math.nan, math.inf, MAX_TTL + 1])
    async def test_impossible_times(self, tmp_path: Path, ttl: float) -> None:
        """A time of 0 or less, none at all, or more than 30 days is a ConfigError that names it."""
        async with self.make_cache(tmp_path) as cache:
            with pytest.raises(ConfigError, match="ttl"):
                await cache.set("k", b"1", ttl=ttl)
            if ttl:
                with pytest.raises(ConfigError, match="quiet"):
                    await cache.invalidate("t", quiet=ttl)

    async def test_too_large_is_not_kept(self, tmp_path: Path) -> None:
        """A value above the limit is not kept, and neither is the older one in its place; the limit itself is."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("k", b"old", ttl=60)
            await cache.set_many({"k": b"x" * (self.max_value_bytes + 1), "other": b"1"}, ttl=60)
            await cache.set("limit", b"x" * self.max_value_bytes, ttl=60)
            assert await cache.get_many(["k", "other"]) == [None, b"1"]
            assert len(await cache.get("limit") or b"") == self.max_value_bytes
            assert cache.snapshot().refused == 1

    async def test_invalidating_a_tag(self, tmp_path: Path) -> None:
        """Every entry with one of the tags is forgotten, and no other; what is kept after it is given again."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set_many({"a": b"1", "b": b"2"}, ttl=60, tags=["collection:x", "document:1"])
            await cache.set("c", b"3", ttl=60, tags=["document:2"])
            await cache.set("d", b"4", ttl=60)
            await cache.invalidate("document:1", "document:nobody")
            assert await cache.get_many(["a", "b", "c", "d"]) == [None, None, b"3", b"4"]
            await cache.set("a", b"5", ttl=60, tags=["collection:x", "document:1"])
            assert await cache.get("a") == b"5"
            await cache.invalidate("collection:x")
            assert await cache.get_many(["a", "c"]) == [None, b"3"]

    async def test_quiet_tags(self, tmp_path: Path) -> None:
        """While a tag is quiet nothing is kept under it, not even in the place of something older; later it is."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("k", b"before", ttl=60)
            await cache.invalidate("t", quiet=0.1)
            await cache.invalidate("t")  # which does not end the quiet
            await cache.set("k", b"during", ttl=60, tags=["t", "u"])
            await cache.set("other", b"1", ttl=60, tags=["u"])
            assert await cache.get_many(["k", "other"]) == [None, b"1"]
            await self.wait(0.15)
            await cache.set("k", b"after", ttl=60, tags=["t"])
            assert await cache.get("k") == b"after"

    async def test_clearing(self, tmp_path: Path) -> None:
        """After clear() nothing is there, and what is kept then stays."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("a", b"1", ttl=60, tags=["t"])
            await cache.set("b", b"2", ttl=60)
            await cache.clear()
            assert await cache.get_many(["a", "b"]) == [None, None]
            await cache.set("a", b"3", ttl=60, tags=["t"])
            assert await cache.get("a") == b"3"

    async def test_counts(self, tmp_path: Path) -> None:
        """The snapshot counts what was found, what was not, and what was kept."""
        async with self.make_cache(tmp_path) as cache:
            await cache.set("a", b"1", ttl=60, tags=["t"])
            await cache.get_many(["a", "b", "a"])
            await cache.invalidate("t")
            await cache.get("a")
            counts = cache.snapshot()
            assert (counts.hits, counts.misses, counts.kept, counts.unreadable) == (2, 2, 1, 0)

    async def test_many_users_at_once(self, tmp_path: Path) -> None:
        """Tasks that write, read and invalidate at the same time never see a value that is not theirs."""
        async with self.make_cache(tmp_path) as cache:

            async def user(number: int) -> None:
                for turn in range(10):
                    value = f"{number}/{turn}".encode()
                    await cache.set(f"k{number}", value, ttl=60, tags=[f"t{number}"])
                    assert await cache.get(f"k{number}") == value
                    await cache.invalidate(f"t{number}")
                    assert await cache.get(f"k{number}") is None

            await asyncio.gather(*(user(number) for number in range(20)))
