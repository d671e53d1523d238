"""The switchboard: what can be injected, for how long, and which calls meet it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from holdfast.core.events import Events
from holdfast.errors import ConfigError
from holdfast.rag.injection.kinds import KINDS, SUPPORTED, Dependency, Kind
from holdfast.rag.injection.switchboard import MOST_AT_ONCE, Injections
from holdfast.telemetry.events import FaultEnded, FaultInjected
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder


class Draws(random.Random):
    """Counts what is drawn."""

    drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return super().random()


class Board:
    """A switchboard with all that a test looks at."""

    def __init__(self) -> None:
        self.clock, self.events, self.rng = FakeClock(), Events(), Draws(7)
        self.recorder = EventRecorder(self.events)
        self.injections = Injections(clock=self.clock, rng=self.rng, events=self.events)
        for role in Dependency:
            providers = ("openai", "anthropic") if role is Dependency.MODEL else ()
            self.injections.attach(role, list(Kind), providers=providers)

    def hit(self, dependency: Dependency = Dependency.STORE, provider: str = "") -> bool:
        return self.injections.draw(dependency, provider) is not None


@pytest.fixture
def board() -> Board:
    return Board()


async def settle() -> None:
    """Let the timers that have fired run."""
    await asyncio.sleep(0)


async def test_nothing_fails_before_anything_is_injected(board: Board) -> None:
    """At the start no fault is on, and asking for one draws nothing from the generator."""
    assert board.injections.quiet
    assert board.injections.active() == ()
    assert not board.hit()
    assert board.rng.drawn == 0


async def test_a_fault_is_on_until_its_time_is_over(board: Board) -> None:
    """A fault meets every call of its dependency, and of no other, until its seconds have passed."""
    fault = board.injections.inject("store", "unavailable", seconds=30)
    assert board.injections.active() == (fault,)
    assert board.hit()
    assert not board.hit(Dependency.CACHE)
    board.clock.advance(29.9)
    assert board.hit()
    board.clock.advance(0.2)
    assert not board.hit()
    await settle()
    assert board.injections.quiet
    assert fault.hits == 2
    assert [type(event) for event in board.recorder.events] == [FaultInjected, FaultEnded]
    assert board.recorder.of(FaultEnded)[0].reason == "expired"


async def test_clearing_ends_faults_at_once(board: Board) -> None:
    """One fault is cleared by its handle, all of them without; what has ended is not ended again."""
    first = board.injections.inject("store", Kind.SLOW, seconds=30, delay=0.5)
    board.injections.inject("cache", Kind.EMPTY, seconds=30)
    assert board.injections.clear(first) == 1
    assert not board.hit()
    assert board.hit(Dependency.CACHE)
    assert board.injections.clear() == 1
    assert board.injections.clear() == 0
    assert board.injections.quiet
    board.clock.advance(60)
    await settle()
    assert [event.reason for event in board.recorder.of(FaultEnded)] == ["cleared", "cleared"]


async def test_a_rate_lets_the_other_calls_through(board: Board) -> None:
    """Of a thousand calls at a rate of 0.1 about a hundred fail, and the same seed gives the same ones."""
    board.injections.inject("store", "connection", seconds=60, rate=0.1)
    first = [board.hit() for _ in range(1_000)]
    assert 70 <= sum(first) <= 130
    again = Board()
    again.injections.inject("store", "connection", seconds=60, rate=0.1)
    assert [again.hit() for _ in range(1_000)] == first


async def test_one_provider_can_fail_alone(board: Board) -> None:
    """A fault of one provider does not meet the calls of another; one of the model meets all."""
    board.injections.inject("model:openai", "auth", seconds=60)
    assert board.hit(Dependency.MODEL, "openai")
    assert not board.hit(Dependency.MODEL, "anthropic")
    board.injections.inject("model", "auth", seconds=60)
    assert board.hit(Dependency.MODEL, "anthropic")


async def test_what_hangs_is_let_go_when_the_fault_is_cleared(board: Board) -> None:
    """A call that hangs in a fault ends with it, without waiting for the fault's time."""
    clock = FakeClock(auto=False)
    fault = board.injections.inject("store", "timeout", seconds=60)
    hanging = asyncio.create_task(fault.hang(clock))
    await settle()
    assert not hanging.done()
    board.injections.clear()
    await asyncio.wait_for(hanging, 5)
    assert clock.now_ns() == 0


async def test_a_fault_that_ends_is_mended(board: Board) -> None:
    """Who asked to be told of the end of a fault hears of each one once."""
    mended: list[Any] = []
    board.injections.when_ended(mended.append)
    fault = board.injections.inject("model", "quota", seconds=5)
    assert fault.parks_keys
    board.clock.advance(6)
    await settle()
    board.injections.clear()
    assert mended == [fault]


async def test_a_fault_says_what_it_is(board: Board) -> None:
    """As text a fault names the dependency, the kind, the share of the calls and its parameters."""
    fault = board.injections.inject("model", "throttled", seconds=5, rate=0.25, retry_after=3)
    assert str(fault) == "model: throttled in 25% of the calls, retry_after 3"
    assert repr(fault) == "<throttled of model, rate 0.25, 0 hits>"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("stor", "slow"), {"seconds": 1}, "dependency='stor': must be in use here: one of cache, embedder"),
        (("model:cohere", "slow"), {"seconds": 1}, "dependency='model:cohere'"),
        (("store", "slwo"), {"seconds": 1}, "kind='slwo': did you mean slow"),
        (("store", "quota"), {"seconds": 1}, "kind='quota': it must be one of auth, connection"),
        (("store", "slow"), {"seconds": 0}, "seconds=0: must be above 0"),
        (("store", "slow"), {"seconds": 3_601}, "seconds=3601: must be at most 3,600"),
        (("store", "slow"), {"seconds": True}, "seconds=True: must be a finite number"),
        (("store", "slow"), {"seconds": 1, "rate": 0}, "rate=0: must be above 0"),
        (("store", "slow"), {"seconds": 1, "rate": 1.1}, "rate=1.1: must be above 0 and at most 1"),
        (("store", "slow"), {"seconds": 1, "delay": -1}, "delay=-1: must be at least 0"),
        (("store", "slow"), {"seconds": 1, "delay": 601}, "delay=601: must be at most 600"),
        (("store", "slow"), {"seconds": 1, "dely": 1}, "dely=1: is no option of the fault slow; did you mean delay"),
        (("store", "auth"), {"seconds": 1, "delay": 1}, "delay=1: is no option of the fault auth, which has none"),
    ],
)
async def test_what_cannot_be_injected_is_refused(
    board: Board, arguments: tuple[str, str], options: dict[str, Any], message: str
) -> None:
    """What is not there, or out of its range, is an error that names field, value and rule; nothing is on then."""
    with pytest.raises(ConfigError) as caught:
        board.injections.inject(*arguments, **options)
    assert str(caught.value).startswith(message)
    assert board.injections.quiet


async def test_faults_at_once_are_bounded(board: Board) -> None:
    """No more than a hundred faults are on at once."""
    for _ in range(MOST_AT_ONCE):
        board.injections.inject("store", "slow", seconds=60)
    with pytest.raises(ConfigError, match="100 faults are on already: clear some first"):
        board.injections.inject("store", "slow", seconds=60)


def test_every_kind_is_described() -> None:
    """Each kind has a sentence, each default is in its range, and each role has some kinds."""
    assert set(KINDS) == set(Kind)
    assert all(traits.says.endswith(".") for traits in KINDS.values())
    for traits in KINDS.values():
        assert all(one.least <= one.default <= one.most for one in traits.parameters)
    assert set(SUPPORTED) == set(Dependency)
    assert all({Kind.TIMEOUT, Kind.UNAVAILABLE, Kind.SLOW} <= kinds for kinds in SUPPORTED.values())
