"""The gates of a layer as one."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from holdfast.core._door import Door
from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.events import Events
from holdfast.core.faults import Fault
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import CallRef, Shortcut, Site
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.retry import Retry
from holdfast.errors import CircuitOpenError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.rng import seeded_rng


def site(clock: FakeClock) -> Site:
    return Site(pipeline="p", dependency="d", clock=clock, rng=seeded_rng(0), events=Events())


@dataclass
class Seen:
    state: str
    retry_after: float | None = None


class Turnstile:
    """A gate that counts, and says of itself what it is told to."""

    label: ClassVar[str] = "turnstile"

    def __init__(self, state: str = "closed") -> None:
        self.state = state
        self.entered = self.left = 0

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> object:
        self.entered += 1
        return "permit"

    def leave(self, permit: object, fault: Fault | None = None, call: CallRef | None = None) -> None:
        self.left += 1

    def snapshot(self) -> object:
        return Seen(self.state)


class Waiting(Turnstile):
    """One that callers may wait at, and that shows a shortcut."""

    def ask(self, call: CallRef | None = None) -> object:
        return self.enter(call)

    def shortcut(self, site: Site) -> Shortcut:
        return Shortcut(permit="anybody")


def test_which_calls_need_a_demand_of_their_own() -> None:
    """Those that pass a gate that settles by usage, wherever it stands, and no others."""
    assert Door([CircuitBreaker(), RateLimiter()]).metered
    assert not Door([CircuitBreaker(), Turnstile()]).metered


def test_what_a_door_shows() -> None:
    """One gate shows its shortcut, of a pair each shows its own, and where callers may wait they always ask."""
    clock = FakeClock()
    here = site(clock)
    one, other = CircuitBreaker(clock=clock), CircuitBreaker(clock=clock)
    single, pair = Door([one]), Door([one, other])
    assert single.pair is None
    assert pair.pair == (one, other)
    assert single.shortcuts(here)[0] is one.shortcut(here)
    assert pair.shortcuts(here) == (one.shortcut(here), other.shortcut(here))
    waits = Door([Waiting()])
    assert waits.waits
    assert waits.shortcuts(here)[0].permit is None


def test_a_waiter_with_a_shortcut() -> None:
    """A gate that callers may wait at gives each its permit, and gets it back."""
    gate = Waiting()
    assert Pipeline(gate).call(lambda: 1) == 1
    assert (gate.entered, gate.left) == (1, 1)


async def test_the_outer_of_two_breakers_refuses() -> None:
    """An async call behind two breakers passes both."""
    outer, inner = CircuitBreaker(), CircuitBreaker()
    guard = Pipeline(outer, inner)
    outer.force_open()

    async def one() -> int:
        return 1

    with pytest.raises(CircuitOpenError):
        await guard.call(one)


def test_no_sleep_before_a_breaker_that_is_held_open() -> None:
    """Nobody waits out a backoff before a breaker that an operator isolated meanwhile."""
    clock, breaker = FakeClock(), CircuitBreaker()

    def down() -> None:
        breaker.isolate()
        raise ConnectionResetError

    with pytest.raises(CircuitOpenError, match="isolated"):
        Pipeline(Retry(max_retries=2, initial_delay=1), breaker, clock=clock).call(down)
    assert clock.sleeps_ns == []


def test_a_breaker_whose_time_ends_with_the_backoff() -> None:
    """The repetition that comes in the very nanosecond in which the breaker half-opens is the probe."""
    clock, breaker = FakeClock(), CircuitBreaker(failure_threshold=1, recovery_timeout=2)
    answers = iter([ConnectionResetError(), None])

    def flaky() -> int:
        if (error := next(answers)) is not None:
            raise error
        return 1

    assert Pipeline(Retry(max_retries=1, initial_delay=2, jitter="none"), breaker, clock=clock).call(flaky) == 1
    assert breaker.state is BreakerState.HALF_OPEN


@pytest.mark.parametrize(("state", "entered"), [("closed", 2), ("open", 3)])
def test_every_permit_goes_back(state: str, entered: int) -> None:
    """Before a repetition only a gate that says it is open is tried, and what it gives all the same goes back."""
    gate = Turnstile(state)

    def down() -> Any:
        raise ConnectionResetError

    with pytest.raises(RetriesExhaustedError):
        Pipeline(Retry(max_retries=1, initial_delay=0), gate, Bulkhead(), clock=FakeClock()).call(down)
    assert (gate.entered, gate.left) == (entered, entered)
