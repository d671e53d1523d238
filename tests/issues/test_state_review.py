"""Caches of one's own, and what the library remembers beside a cache."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from holdfast.rag.cache import CachedAnswer
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.types import Answer, Source, Tier
from holdfast.state.embeddings import EmbeddingCache
from holdfast.state.memory import MemoryCache
from holdfast.state.typed import JsonCodec, TypedCache
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Scrambled(MemoryCache):
    """Keeps no value in the clear."""

    async def get(self, key: str) -> bytes | None:
        """The value."""
        found = await super().get(key)
        return None if found is None else found[::-1]

    async def set(self, key: str, value: bytes, *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep it, scrambled."""
        await super().set(key, value[::-1], ttl=ttl, tags=tags)


class OneByOne(MemoryCache):
    """Keeps several values one after the other."""

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep each of them."""
        for key, value in values.items():
            await self.set(key, value, ttl=ttl, tags=tags)


class Changeable(MemoryCache):
    """Gives out bytes that can be changed, as some drivers do."""

    async def get_many(self, keys: Sequence[str]) -> list[Any]:
        """The values."""
        return [None if each is None else bytearray(each) for each in await super().get_many(keys)]


class Text(str):
    """A text of which one can know whether it is still held."""

    __slots__ = ("__weakref__",)


async def test_a_cache_that_scrambles_each_value_scrambles_several() -> None:
    """What a subclass does to a value when it is kept or read, is done when several are kept or read together."""
    cache = Scrambled(clock=FakeClock())
    await cache.set_many({"a": b"secret", "b": b"hidden"}, ttl=10)
    assert await MemoryCache.get(cache, "a") == b"terces"
    assert await cache.get_many(["a", "b"]) == [b"secret", b"hidden"]
    assert await cache.get("b") == b"hidden"


async def test_a_cache_may_keep_several_values_by_keeping_each() -> None:
    """A subclass that keeps several values through ``set`` comes to an end."""
    cache = OneByOne(clock=FakeClock())
    await cache.set_many({"a": b"1", "b": b"2"}, ttl=10)
    await cache.set("c", b"3", ttl=10)
    assert await cache.get_many(["a", "b", "c"]) == [b"1", b"2", b"3"]


async def test_bytes_that_can_be_changed_are_read() -> None:
    """A backend that gives out a bytearray has hits, also where values are decoded once."""
    cache = BackedAnswerCache(Changeable(clock=FakeClock()))
    entry = CachedAnswer(answer=Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL), generation=1, stored_ns=0)
    await cache.put("k", entry)
    assert (await cache.get("k"), cache.unreadable) == (entry, 0)


async def test_a_long_text_is_not_held() -> None:
    """A text that was looked up among the embeddings is freed when its owner lets it go, however many there are."""
    cache = EmbeddingCache(MemoryCache(clock=FakeClock()), embedder_id="e", dimension=2)
    text = Text("x" * 1_000_000)
    known = weakref.ref(text)
    assert await cache.get_many([text], kind="document") == [None]
    del text
    assert known() is None


def test_a_cache_tells_its_backends_name_now() -> None:
    """A backend that learns its name when it is connected, or is another one now, is told by that name."""
    backend = MemoryCache(clock=FakeClock())
    cache: TypedCache[int] = TypedCache(backend, JsonCodec("1"), kind="number", ttl=10)
    backend.name = "cache:elsewhere"
    assert cache.name == "cache:elsewhere"
