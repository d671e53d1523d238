"""How long it stays open, and how the calls come back."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core._breaker_recovery import OpenTimes, Ramp
from holdfast.core._breaker_windows import ONE
from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.events import BreakerRejected, Events
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.policy import Site
from holdfast.errors import CircuitOpenError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def trip(breaker: CircuitBreaker) -> float:
    """Let it fail once; how long it is open."""
    breaker.leave(breaker.enter(), FAILURE)
    wait = breaker.snapshot().retry_after
    assert wait is not None
    return wait


def test_openings_grow_up_to_the_cap() -> None:
    """Each failed probe makes the next opening longer, up to the longest."""
    clock = FakeClock()
    breaker = CircuitBreaker(
        clock=clock, failure_threshold=1, recovery_timeout=2, recovery_multiplier=3, max_recovery_timeout=20
    )
    waits = []
    for _ in range(5):
        waits.append(trip(breaker))
        clock.advance(waits[-1])
    assert waits == [2, 6, 18, 20, 20]


@pytest.mark.parametrize(("closed_for", "expected"), [(59.9, 30), (60, 15)])
def test_a_healthy_period_sets_the_opening_back(closed_for: float, expected: float) -> None:
    """One that was closed for long enough begins with the first length; one that relapses goes on growing."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, failure_threshold=1, success_threshold=1, recovery_multiplier=2)
    clock.advance(trip(breaker))
    breaker.leave(breaker.enter())
    clock.advance(closed_for)
    assert trip(breaker) == expected


def test_a_reset_sets_the_opening_back() -> None:
    """Who resets it believes that all is well."""
    breaker = CircuitBreaker(clock=FakeClock(), failure_threshold=1, recovery_multiplier=2)
    assert trip(breaker) == 15
    breaker.reset()
    assert trip(breaker) == 15


def test_jitter_works_at_the_cap() -> None:
    """Two hundred replicas that wait the longest come back at two hundred times, none after it (peers: at one)."""
    times = OpenTimes(BreakerOptions(recovery_timeout=10, max_recovery_timeout=10, recovery_jitter=0.5))
    rng = random.Random(1)
    drawn = [times.take(rng) for _ in range(200)]
    assert len(set(drawn)) == 200
    assert min(drawn) >= 5 * S
    assert max(drawn) <= 10 * S
    assert sum(drawn) / 200 == pytest.approx(7.5 * S, rel=0.05)


def test_jitter_comes_from_the_pipeline_or_from_the_breaker() -> None:
    """The source of chance is the breaker's own where it was given one, else the pipeline's."""
    clock = FakeClock()
    site = Site(pipeline="p", dependency="p", clock=clock, rng=seeded_rng(1), events=Events())
    waits = []
    for own in (None, seeded_rng(2)):
        breaker = CircuitBreaker(clock=clock, rng=own, failure_threshold=1, recovery_jitter=0.2)
        breaker.attach(site)
        waits.append(trip(breaker))
    assert waits == [round(15 * S * (1 - 0.2 * seeded_rng(seed).random())) / S for seed in (1, 2)]


def recovered(**options: float) -> tuple[CircuitBreaker, FakeClock, EventRecorder]:
    """A breaker that has just closed again."""
    clock, events = FakeClock(), Events()
    breaker = CircuitBreaker(
        clock=clock,
        events=events,
        name="m",
        failure_threshold=1,
        success_threshold=1,
        ramp_seconds=10,
        ramp_start=options.get("ramp_start", 0.1),
        window="consecutive",
    )
    clock.advance(trip(breaker))
    breaker.leave(breaker.enter())
    assert breaker.state is BreakerState.CLOSED
    return breaker, clock, EventRecorder(events)


def admitted(breaker: CircuitBreaker) -> bool:
    try:
        breaker.leave(breaker.enter())
    except CircuitOpenError:
        return False
    return True


def test_calls_come_back_step_by_step() -> None:
    """After closing, one call in ten is let in, evenly spread; the share grows to all of them, and stays there."""
    breaker, clock, _ = recovered()
    assert [admitted(breaker) for _ in range(20)] == ([True] + [False] * 9) * 2
    clock.advance(5)
    assert breaker.snapshot().admitted_share == 0.55
    assert sum(admitted(breaker) for _ in range(1000)) == 550
    clock.advance(5)
    assert breaker.snapshot().admitted_share == 1
    assert all(admitted(breaker) for _ in range(100))
    assert breaker._shortcut.permit is not None


def test_who_is_refused_on_the_ramp_hears_when_it_ends() -> None:
    """The refusal names the end of the ramp, and the event the state."""
    breaker, clock, recorder = recovered()
    breaker.enter()
    clock.advance(4)
    with pytest.raises(CircuitOpenError, match=r"m is coming back .* admits all in 6\.0 s\.$") as refused:
        breaker.enter()
    assert refused.value.retry_after == 6
    assert [(event.state, event.retry_after) for event in recorder.of(BreakerRejected)] == [("closed", 6.0)]


def test_failures_on_the_ramp_open_it_again() -> None:
    """What was let in counts, and the next recovery has a ramp of its own; a reset has none."""
    breaker, clock, _ = recovered()
    breaker.leave(breaker.enter(), FAILURE)
    assert breaker.state is BreakerState.OPEN
    clock.advance(15)
    breaker.leave(breaker.enter())
    assert [admitted(breaker) for _ in range(3)] == [True, False, False]
    breaker.reset()
    assert breaker.snapshot().admitted_share == 1
    assert all(admitted(breaker) for _ in range(20))


def test_a_ramp_measures_calls_too() -> None:
    """Durations are known on the ramp as everywhere."""
    clock = FakeClock()
    breaker = CircuitBreaker(
        clock=clock,
        window="count",
        window_calls=2,
        minimum_calls=1,
        failure_rate=1,
        slow_call_duration=1,
        success_threshold=1,
        ramp_seconds=10,
    )
    breaker.leave(breaker.enter(), FAILURE)
    clock.advance(15)
    breaker.leave(breaker.enter())
    permit = breaker.enter()
    clock.advance(1)
    breaker.leave(permit)
    assert breaker.state is BreakerState.OPEN


@given(st.lists(st.integers(0, 400_000_000), min_size=1, max_size=200), st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_the_ramp_lets_in_what_it_promises(waits: list[int], start: float) -> None:
    """At every moment it has let in the sum of the shares so far, to less than one call."""
    ramp: Any = Ramp(BreakerOptions(ramp_seconds=10, ramp_start=start))
    assert (ramp.running, ramp.share(0), ramp.left_ns(0)) == (False, ONE, 0)
    ramp.begin(0)
    now = let_in = promised = 0
    last = 0
    for wait in waits:
        now += wait
        if not ramp.running:
            break
        share = ramp.share(now)
        assert last <= share <= ONE
        last = share
        promised += share
        let_in += ramp.admits(now)
        assert -ONE < let_in * ONE - promised < ONE
        assert ramp.left_ns(now) == (max(0, 10 * S - now) if ramp.running else 0)


def test_no_ramp_by_default() -> None:
    """Without a length there is none."""
    ramp = Ramp(BreakerOptions())
    ramp.begin(5)
    assert not ramp.running


def test_nothing_is_left_of_a_ramp_whose_time_is_over() -> None:
    """Also before a call has noticed that."""
    ramp = Ramp(BreakerOptions(ramp_seconds=10))
    ramp.begin(0)
    assert [ramp.left_ns(now) for now in (0, 10 * S - 1, 10 * S, 11 * S)] == [10 * S, 1, 0, 0]
