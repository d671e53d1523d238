"""The key ring: what it answers from memory, and what while the keys cannot be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError, StoreUnavailableError
from holdfast.rag.records.keyring import KeyRing, KeyRingOptions
from holdfast.rag.records.keys import ApiKey, make_key
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Keys:
    """A key store in memory that can be broken, and counts what it is asked."""

    name = "records:fake"

    def __init__(self) -> None:
        self.kept: list[ApiKey] = []
        self.uses: list[dict[str, float]] = []
        self.readings = 0
        self.error: Exception | None = None
        self.hanging: asyncio.Event | None = None

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def add(self, key: ApiKey) -> None: ...
    async def revoke(self, digest: str, *, at: float) -> bool:
        raise NotImplementedError

    async def delete(self, digest: str) -> bool:
        raise NotImplementedError

    async def keys(self) -> Sequence[ApiKey]:
        self.readings += 1
        if self.hanging is not None:
            await self.hanging.wait()
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return list(self.kept)

    async def used(self, times: Mapping[str, float]) -> None:
        if self.error is not None:
            raise self.error
        self.uses.append(dict(times))


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Keys()
        self.ring = KeyRing(self.store, clock=self.clock)

    def make(self, name: str = "web", *, lives: float | None = None) -> str:
        now = self.clock.wall_ns() / 1e9
        key, secret = make_key(name, now=now, expires_at=None if lives is None else now + lives)
        self.store.kept.append(key)
        return secret

    async def works(self, secret: str) -> bool:
        return await self.ring.find(secret) is not None

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


DOWN = StoreUnavailableError("The disk /secret/path is gone.")


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_requests_are_answered_from_memory(bench: Bench) -> None:
    """A thousand requests with good keys and with guesses cost one reading; so do those of the next seconds."""
    secret = bench.make()
    for n in range(500):
        assert await bench.works(secret)
        assert not await bench.works(f"hf_guess{n}")
    assert bench.store.readings == 1
    bench.clock.advance(3.1)
    assert await bench.works(secret)
    assert bench.store.readings == 2


async def test_requests_at_the_same_time_share_a_reading(bench: Bench) -> None:
    """Requests that come while the keys are read wait for that reading."""
    secret = bench.make()
    assert all(await asyncio.gather(*(bench.works(secret) for _ in range(50))))
    assert bench.store.readings == 1


async def test_a_caller_who_leaves_takes_nothing_from_the_others(bench: Bench) -> None:
    """The first of several who wait for a reading may go away; the others get their answer."""
    secret = bench.make()
    bench.store.hanging = asyncio.Event()
    first, second = (asyncio.create_task(bench.works(secret)) for _ in range(2))
    await bench.settle()
    first.cancel()
    await bench.settle()
    bench.store.hanging.set()
    assert await second
    assert bench.store.readings == 1


async def test_revoked_keys_stop_within_seconds(bench: Bench) -> None:
    """A key that is revoked or removed stops working at the next reading, three seconds later at most."""
    revoked, removed, new = bench.make("a"), bench.make("b"), ""
    assert await bench.works(revoked)
    assert await bench.works(removed)
    (first, _) = bench.store.kept
    bench.store.kept = [make_revoked(first)]
    new = bench.make("c")
    bench.clock.advance(3.0)
    assert not await bench.works(revoked)
    assert not await bench.works(removed)
    assert await bench.works(new)


def make_revoked(key: ApiKey) -> ApiKey:
    return ApiKey(name=key.name, digest=key.digest, prefix=key.prefix, created_at=key.created_at, revoked_at=1.0)


async def test_keys_expire_by_themselves(bench: Bench) -> None:
    """A key stops working at the moment at which it expires, with no reading needed for it."""
    secret = bench.make(lives=1.0)
    assert await bench.works(secret)
    bench.clock.advance(0.9)
    assert await bench.works(secret)
    bench.clock.advance(0.1)
    assert not await bench.works(secret)
    assert bench.store.readings == 1


async def test_known_keys_work_while_the_store_is_down(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """For fifteen minutes known keys go on working; of others nobody can say anything; the log has it once."""
    secret = bench.make()
    assert await bench.works(secret)
    bench.store.error = DOWN
    bench.clock.advance(3.1)
    for _ in range(10):
        assert await bench.works(secret)
        with pytest.raises(StoreUnavailableError, match="try again in a moment") as caught:
            await bench.works("hf_other")
        assert "secret" not in str(caught.value)
    assert bench.store.readings == 2
    assert caplog.text.count("go on working") == 1
    bench.clock.advance(890)
    assert await bench.works(secret)
    bench.clock.advance(20)
    with pytest.raises(StoreUnavailableError):
        await bench.works(secret)


async def test_known_keys_that_expire_do_so_while_the_store_is_down(bench: Bench) -> None:
    """What is known of a key counts while the keys cannot be read: one that expires is refused."""
    secret = bench.make(lives=10.0)
    assert await bench.works(secret)
    bench.store.error = DOWN
    bench.clock.advance(9.9)
    assert await bench.works(secret)
    bench.clock.advance(0.1)
    assert not await bench.works(secret)


async def test_the_store_is_asked_again_every_two_seconds(bench: Bench) -> None:
    """While the store is down it is asked every two seconds and not at every request; when it is back all works."""
    secret = bench.make()
    bench.store.error = DOWN
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            await bench.works(secret)
    assert bench.store.readings == 1
    bench.store.error = None
    bench.clock.advance(1.9)
    with pytest.raises(StoreUnavailableError):
        await bench.works(secret)
    bench.clock.advance(0.1)
    assert await bench.works(secret)
    assert not await bench.works("hf_other")
    assert bench.store.readings == 2


async def test_a_store_that_hangs_costs_a_second(bench: Bench) -> None:
    """A request waits a second for a store that hangs; then its key is looked up among those that are known."""
    secret = bench.make()
    assert await bench.works(secret)
    bench.clock.advance(3.1)
    bench.store.hanging = asyncio.Event()
    asking = asyncio.create_task(bench.works(secret))
    await bench.settle()
    bench.clock.advance(0.9)
    await bench.settle()
    assert not asking.done()
    bench.clock.advance(0.2)
    assert await asking
    assert await bench.works(secret)  # at once: nobody waits again before the pause is over
    assert bench.store.readings == 2


async def test_whether_keys_were_made(bench: Bench) -> None:
    """Revoked keys count as made and not as usable; without a reading nobody can say."""
    assert not await bench.ring.any_made()
    assert not await bench.ring.any_usable()
    bench.make()
    bench.store.kept = [make_revoked(bench.store.kept[0])]
    bench.clock.advance(3.1)
    assert await bench.ring.any_made()
    assert not await bench.ring.any_usable()
    bench.make("b")
    bench.clock.advance(3.1)
    assert await bench.ring.any_usable()
    bench.store.error = DOWN
    bench.clock.advance(3.1)
    assert await bench.ring.any_made()
    with pytest.raises(StoreUnavailableError):
        await bench.ring.any_usable()
    fresh = KeyRing(bench.store, clock=bench.clock)
    with pytest.raises(StoreUnavailableError):
        await fresh.any_made()


async def test_uses_are_noted_once_a_minute(bench: Bench) -> None:
    """When keys were used is written at once the first time, then once a minute for all of them, and at the end."""
    one, other = bench.make("a"), bench.make("b")
    first, second = (key.digest for key in bench.store.kept)
    now = bench.clock.wall_ns() / 1e9
    assert await bench.works(one)
    await bench.settle()
    for _ in range(50):
        await bench.works(one)
        await bench.works(other)
        bench.clock.advance(1)
    await bench.settle()
    assert bench.store.uses == [{first: now}]
    bench.clock.advance(10)
    await bench.works(one)
    await bench.settle()
    assert bench.store.uses[1:] == [{first: now + 60, second: now + 49}]
    bench.clock.advance(5)
    await bench.works(other)
    await bench.ring.close()
    assert bench.store.uses[2:] == [{second: now + 65}]
    await bench.ring.close()
    assert len(bench.store.uses) == 3


async def test_uses_that_could_not_be_noted_are_noted_later(bench: Bench) -> None:
    """A failure to note uses is nobody's error, and the next note makes up for it."""
    secret = bench.make()
    now = bench.clock.wall_ns() / 1e9
    await bench.ring.any_made()
    bench.store.error = DOWN
    assert await bench.works(secret)
    await bench.settle()
    assert bench.store.uses == []
    bench.store.error = None
    await bench.ring.close()
    assert bench.store.uses == [{bench.store.kept[0].digest: now}]


@pytest.mark.parametrize("option", ["fresh_seconds", "known_seconds", "read_seconds", "pause_seconds", "used_seconds"])
def test_options_are_checked(option: str) -> None:
    """Every option is a time above 0."""
    with pytest.raises(ConfigError) as caught:
        KeyRingOptions(**{option: 0})
    assert caught.value.field == option
