"""The shared cache with a spare behind it, and the patience of a question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError, HoldfastError, StateUnavailableError
from holdfast.state.guard import cache_guard
from holdfast.state.memory import MemoryCache
from holdfast.state.patience import Patience, current_patience, patience_scope
from holdfast.state.shared import SharedCache
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.core.breaker_snapshot import BreakerState


class Server(MemoryCache):
    """A server that may be down, or hang for ever; owes what it could not forget, as ``RedisCache`` does."""

    name = "cache:server"

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.down = False
        self.hangs = False
        self.seconds = 0.0
        self.calls: list[str] = []
        self.owed: list[str] = []
        self.closed = False
        self._time = clock

    async def _arrive(self, call: str) -> None:
        self.calls.append(call)
        self._time.advance(self.seconds)
        if self.hangs:
            await asyncio.Event().wait()
        if self.down:
            raise StateUnavailableError("down")

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        await self._arrive("get")
        return await super().get_many(keys)

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        await self._arrive("set")
        await super().set_many(values, ttl=ttl, tags=tags)

    async def delete(self, *keys: str) -> None:
        await self._arrive("delete")
        await super().delete(*keys)

    async def invalidate(self, *tags: str, quiet: float = 0.0) -> None:
        self.owed += tags
        await self._arrive("invalidate")
        owed, self.owed = self.owed, []
        await super().invalidate(*owed, quiet=quiet)

    async def clear(self) -> None:
        await self._arrive("clear")
        await super().clear()

    async def close(self) -> None:
        self.closed = True


class Both:
    """A shared cache, what it is made of, and the failures that it told of."""

    def __init__(self) -> None:
        self.clock = FakeClock(auto=False)
        self.server = Server(self.clock)
        self.own = MemoryCache(clock=self.clock)
        self.guard = cache_guard("cache:server", clock=self.clock)
        self.failures: list[HoldfastError] = []
        self.cache = SharedCache(
            self.server, own=self.own, guard=self.guard, clock=self.clock, on_failure=self.failures.append
        )

    def breaker_state(self) -> BreakerState:
        breaker = self.guard.snapshot().breaker
        assert breaker is not None
        return breaker.state


@pytest.fixture
def both() -> Both:
    return Both()


async def test_what_is_kept_goes_to_both_and_comes_from_the_server(both: Both) -> None:
    """While the server answers, the spare is filled and not asked: it does not know what others forgot."""
    await both.cache.set("k", b"v", ttl=60)
    assert await both.own.get("k") == b"v"
    await both.server.delete("k")  # as another process would
    assert await both.cache.get("k") is None
    assert not both.cache.alone
    assert both.failures == []


async def test_without_the_server_the_process_goes_on_alone(both: Both) -> None:
    """With the server down, what this process kept is there, reading and writing never raise, and it is said."""
    await both.cache.set("k", b"v", ttl=60)
    both.server.down = True
    assert await both.cache.get_many(["k", "l"]) == [b"v", None]
    assert both.cache.alone
    await both.cache.set("l", b"w", ttl=60)
    assert await both.cache.get("l") == b"w"
    assert [str(error) for error in both.failures] == ["down"] * 3
    both.server.down = False
    assert await both.cache.get("l") is None  # the server never heard of it
    assert not both.cache.alone


async def test_a_server_that_stays_away_is_left_alone(both: Both) -> None:
    """After ten failures nothing is asked and nothing told for ten seconds; then a probe finds the server back."""
    both.server.down = True
    for _ in range(15):
        await both.cache.get("k")
    assert (len(both.server.calls), len(both.failures)) == (10, 10)
    both.server.down = False
    both.clock.advance(10)
    for _ in range(2):
        await both.cache.get("k")
    assert both.breaker_state() == "closed"
    assert not both.cache.alone


async def test_a_deletion_that_fails_is_told(both: Both) -> None:
    """Deleting raises one kind of error, whether the server failed or is left alone; the spare has it deleted."""
    await both.cache.set("k", b"v", ttl=60)
    both.server.down = True
    for _ in range(11):
        with pytest.raises(StateUnavailableError):
            await both.cache.delete("k")
    assert len(both.server.calls) == 11  # the writing, and ten of eleven deletions
    assert await both.own.get("k") is None


@pytest.mark.parametrize("what", ["tag", "everything"])
async def test_what_has_to_be_forgotten_is_tried_until_it_is_done(both: Both, what: str) -> None:
    """A server that cannot be told is told later, after 1, 2, 4, ... seconds, though nobody asks it anything."""
    await both.cache.set("k", b"v", ttl=3_600, tags=["t"])
    both.server.down = True
    for _ in range(2):
        with pytest.raises(StateUnavailableError):
            await (both.cache.invalidate("t") if what == "tag" else both.cache.clear())
    await _pass(both.clock, 0)
    assert await both.own.get("k") is None
    calls = len(both.server.calls)
    for seconds in (1, 2, 4, 8, 16, 16):
        await _pass(both.clock, seconds - 0.001)
        assert len(both.server.calls) == calls
        await _pass(both.clock, 0.001)
        calls += 1
        assert len(both.server.calls) == calls
    both.server.down = False
    await _pass(both.clock, 16)
    assert both.server.owed == []
    if what == "tag":
        assert await both.cache.get("k") is None
    calls = len(both.server.calls)
    await _pass(both.clock, 100)
    assert len(both.server.calls) == calls


async def test_forgetting_asks_a_server_whose_breaker_is_open(both: Both) -> None:
    """What has to be forgotten is no matter of whether a call is worth its time."""
    both.server.down = True
    for _ in range(10):
        await both.cache.get("k")
    both.server.down = False
    await both.cache.invalidate("t")
    assert both.server.calls[-1] == "invalidate"


async def test_closing_ends_everything(both: Both) -> None:
    """Closing ends the trying, and closes both."""
    both.server.down = True
    with pytest.raises(StateUnavailableError):
        await both.cache.invalidate("t")
    await both.cache.close()
    await both.cache.close()
    calls = len(both.server.calls)
    await _pass(both.clock, 100)
    assert len(both.server.calls) == calls
    assert both.server.closed


async def test_one_question_waits_once(both: Both) -> None:
    """After one failed call a question asks the server nothing more; the next question does."""
    both.server.down = True
    for _ in range(2):
        with patience_scope(Patience()):
            await both.cache.get("k")
            await both.cache.get("l")
            await both.cache.set("k", b"v", ttl=60)
    assert both.server.calls == ["get", "get"]
    assert len(both.failures) == 2


async def test_slow_answers_add_up(both: Both) -> None:
    """Answers of 0.1 s are waited for until 0.25 s are used up; what is left bounds the last one."""
    both.server.seconds = 0.1
    with patience_scope(Patience()):
        for _ in range(4):
            await both.cache.get("k")
    assert both.server.calls == ["get", "get", "get"]
    assert both.cache.alone


async def test_a_call_ends_with_the_patience(both: Both) -> None:
    """A server that hangs is left when the question's patience ends, and that is a failure of the server."""
    both.server.hangs = True
    with patience_scope(Patience(0.02)):
        asked = asyncio.ensure_future(both.cache.get("k"))
    await _pass(both.clock, 0)
    await _pass(both.clock, 0.019)
    assert not asked.done()
    await _pass(both.clock, 0.001)
    assert asked.done()
    assert await asked is None
    assert [str(error) for error in both.failures] == ["cache:server did not answer while this question could wait."]
    breaker = both.guard.snapshot().breaker
    assert breaker is not None
    assert breaker.failures == 1


async def test_it_counts_both(both: Both) -> None:
    """The snapshot has the values that either gave; what was kept is the server's."""
    await both.cache.set("k", b"v", ttl=60)
    await both.cache.get_many(["k", "l"])
    both.server.down = True
    await both.cache.get("k")
    snapshot = both.cache.snapshot()
    assert (snapshot.hits, snapshot.misses, snapshot.kept, snapshot.entries) == (2, 1, 1, None)
    assert "cache:server" not in repr(both.cache)
    assert repr(both.cache).startswith("<SharedCache ")


def test_patience() -> None:
    """It is spent, lost, and too little of it is none; it holds in its scope only."""
    patience = Patience(0.25)
    assert current_patience() is None
    with patience_scope(patience):
        assert current_patience() is patience
    assert current_patience() is None
    patience.spend(100_000_000)
    assert patience.left == 0.15
    patience.spend(145_000_000)
    assert patience.left == 0
    other = Patience()
    other.lose()
    assert other.left == 0
    with pytest.raises(ConfigError, match="seconds=-1"):
        Patience(-1)


async def _pass(clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)
