"""The cache in memory: its bounds, its clock, and what it remembers of invalidations."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.state.memory import MemoryCache
from holdfast.testing.clock import FakeClock


async def test_the_least_recently_used_goes_first() -> None:
    """Above max_entries the value goes that was neither kept nor given for the longest time."""
    cache = MemoryCache(max_entries=2, clock=FakeClock())
    await cache.set("a", b"1", ttl=60)
    await cache.set("b", b"2", ttl=60)
    await cache.get("a")
    await cache.set("c", b"3", ttl=60)
    assert await cache.get_many(["a", "b", "c"]) == [b"1", None, b"3"]
    assert cache.snapshot().evicted == 1


async def test_bytes_are_bounded() -> None:
    """Values together, with keys and bookkeeping, stay within max_bytes, whatever their sizes."""
    cache = MemoryCache(max_bytes=50_000, clock=FakeClock())
    for number in range(100):
        await cache.set(f"k{number}", bytes(100 * number), ttl=60)
        assert (cache.snapshot().size_bytes or 0) <= 50_000
    assert await cache.get("k99") == bytes(9_900)


async def test_one_that_can_never_fit() -> None:
    """A value that alone takes more than max_bytes pushes nothing out."""
    cache = MemoryCache(max_bytes=5_000, clock=FakeClock())
    await cache.set("small", b"1", ttl=60)
    await cache.set("large", bytes(5_000), ttl=60)
    assert await cache.get_many(["small", "large"]) == [b"1", None]
    assert cache.snapshot().refused == 1


async def test_sizes_are_what_they_take() -> None:
    """The bytes it counts are those that Python's allocator holds for it, within a fifth."""
    values = {f"key number {n}": bytes(500) + str(n).encode() for n in range(5_000)}
    cache = MemoryCache(clock=FakeClock())
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for key in list(values):
            await cache.set(key + "!", values[key] + b"!", ttl=60, tags=("t",))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    counted = cache.snapshot().size_bytes or 0
    assert 0.8 < held / counted < 1.2


async def test_what_is_gone_takes_no_bytes() -> None:
    """Replacing, deleting, expiring and clearing give the counted bytes back."""
    clock = FakeClock()
    cache = MemoryCache(clock=clock)
    await cache.set("a", b"1", ttl=60)
    one = cache.snapshot().size_bytes
    await cache.set("a", b"2", ttl=1)
    assert cache.snapshot().size_bytes == one
    clock.advance(1)
    assert await cache.get("a") is None
    assert cache.snapshot().size_bytes == 0
    await cache.set("a", b"3", ttl=1)
    await cache.delete("a")
    assert (cache.snapshot().size_bytes, cache.snapshot().entries) == (0, 0)
    await cache.set("a", b"4", ttl=1)
    await cache.clear()
    assert cache.snapshot().size_bytes == 0


async def test_forgotten_invalidations_forget_too_much_never_too_little() -> None:
    """Of more tags than it remembers, values with tags from before the oldest one go, and later ones stay."""
    cache = MemoryCache(max_tags=3, clock=FakeClock())
    await cache.set("old", b"1", ttl=60, tags=["t0"])
    await cache.set("free", b"2", ttl=60)
    for number in range(4):
        await cache.invalidate(f"t{number}")
    await cache.set("new", b"3", ttl=60, tags=["t0", "t3"])
    assert await cache.get_many(["old", "free", "new"]) == [None, b"2", b"3"]


@given(steps=st.lists(st.tuples(st.sampled_from(["set", "invalidate", "wait"]), st.integers(0, 3)), max_size=40))
async def test_never_what_was_invalidated_or_expired(steps: list[tuple[str, int]]) -> None:
    """Through any order of writes, invalidations and time, a value is given exactly when it should be, or never."""
    clock = FakeClock()
    cache = MemoryCache(max_tags=2, clock=clock)
    model: dict[int, float] = {}
    now = 0.0
    for step, number in steps:
        if step == "set":
            await cache.set(f"k{number}", b"v", ttl=5, tags=[f"t{number}"])
            model[number] = now + 5
        elif step == "invalidate":
            await cache.invalidate(f"t{number}")
            model.pop(number, None)
        else:
            clock.advance(number)
            now += number
        for each in range(4):
            if await cache.get(f"k{each}") is not None:
                assert model.get(each, 0) > now


@pytest.mark.parametrize("field", ["max_entries", "max_bytes", "max_value_bytes", "max_tags"])
def test_impossible_bounds(field: str) -> None:
    """A bound below 1 is a ConfigError that names it."""
    options: dict[str, Any] = {field: 0}
    with pytest.raises(ConfigError, match=field):
        MemoryCache(**options)


def test_repr_shows_no_values() -> None:
    """Its text tells how much it holds, and nothing of what."""
    assert repr(MemoryCache()) == "<MemoryCache 0 entries, 0 bytes>"
