"""Caches of values of one type."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.errors import ConfigError
from holdfast.state.embeddings import EmbeddingCache, VectorCodec
from holdfast.state.memory import MemoryCache
from holdfast.state.typed import JsonCodec, TypedCache, key_of
from holdfast.testing.clock import FakeClock


def vector(*numbers: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    given = np.array(numbers, np.float32)
    length: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = given / np.linalg.norm(given)
    return length


async def test_values_come_back() -> None:
    """Values are kept by key, given in order, and forgotten by key or by tag."""
    backend = MemoryCache(clock=FakeClock())
    cache: TypedCache[list[int]] = TypedCache(backend, JsonCodec("1"), kind="list", ttl=60)
    await cache.put("a", [1, 2], tags=["t"])
    await cache.put_many({"b": [3], "c": []})
    assert await cache.get_many(["c", "a", "x", "b"]) == [[], [1, 2], None, [3]]
    await cache.forget("b")
    await backend.invalidate("t")
    assert await cache.get_many(["a", "b", "c"]) == [None, None, []]
    assert cache.name == "cache:memory"


async def test_values_expire() -> None:
    """A value is there for the cache's ttl."""
    clock = FakeClock()
    cache: TypedCache[int] = TypedCache(MemoryCache(clock=clock), JsonCodec("1"), kind="n", ttl=60)
    await cache.put("a", 1)
    clock.advance(60)
    assert await cache.get("a") is None


async def test_another_version_and_another_kind_are_not_found() -> None:
    """After an upgrade of the codec old values are misses; two kinds in one backend do not meet."""
    backend = MemoryCache(clock=FakeClock())
    old: TypedCache[int] = TypedCache(backend, JsonCodec("1"), kind="n", ttl=60)
    new: TypedCache[int] = TypedCache(backend, JsonCodec("2"), kind="n", ttl=60)
    other: TypedCache[int] = TypedCache(backend, JsonCodec("1"), kind="m", ttl=60)
    await old.put("a", 1)
    assert (await old.get("a"), await new.get("a"), await other.get("a")) == (1, None, None)


async def test_what_cannot_be_read_is_a_miss_and_counted() -> None:
    """A value that its codec cannot decode is a miss, and one more of the unreadable."""
    backend = MemoryCache(clock=FakeClock())
    cache: TypedCache[int] = TypedCache(backend, JsonCodec("1"), kind="n", ttl=60)
    await backend.set("n:1:a", b"{", ttl=60)
    assert await cache.get("a") is None
    assert cache.unreadable == 1


@pytest.mark.parametrize("ttl", [0.0, 31 * 86_400.0])
def test_impossible_times(ttl: float) -> None:
    """A ttl of 0, or of more than 30 days, is a ConfigError."""
    with pytest.raises(ConfigError, match="ttl"):
        TypedCache(MemoryCache(), JsonCodec("1"), kind="n", ttl=ttl)


def test_keys_tell_apart() -> None:
    """Parts that would read the same when put together have different keys; half surrogates are no error."""
    keys = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("\ud800",), (1,), ("1",)]
    assert len({key_of(*parts) for parts in keys}) == len(keys)


async def test_embeddings_come_back_as_they_were() -> None:
    """A vector comes back bit for bit, for its text, its kind and its embedder, and for no other."""
    backend = MemoryCache(clock=FakeClock())
    cache = EmbeddingCache(backend, embedder_id="a", dimension=3)
    other = EmbeddingCache(backend, embedder_id="b", dimension=3)
    one = vector(1, 2, 3)
    await cache.put_many({"text": one}, kind="query")
    (back, missing) = await cache.get_many(["text", "Text"], kind="query")
    assert back is not None
    assert back.dtype == np.float32
    assert (back == one).all()
    assert back.flags.writeable
    assert missing is None
    assert await cache.get_many(["text"], kind="document") == [None]
    assert await other.get_many(["text"], kind="query") == [None]
    assert (cache.name, cache.unreadable) == ("cache:memory", 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"123", np.ones(3, "<f4").tobytes(), np.zeros(3, "<f4").tobytes(), np.full(3, np.nan, "<f4").tobytes()],
    ids=["empty", "odd", "long", "zero", "nan"],
)
def test_no_vector_that_would_poison_a_comparison(data: bytes) -> None:
    """Bytes of another length, and vectors not of length 1, are refused."""
    with pytest.raises(ValueError, match=r"unit vector|buffer size"):
        VectorCodec(3).decode(data)


def test_a_vector_of_another_dimension() -> None:
    """A vector of another dimension is not kept."""
    with pytest.raises(ValueError, match="shape"):
        VectorCodec(3).encode(vector(1, 2))
