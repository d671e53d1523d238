"""The circuit breaker: its rules, its races, its events."""

import threading
from typing import Any

import pytest

from holdfast.core.breaker import BreakerSnapshot, BreakerState, CircuitBreaker, Permit, RedFlag
from holdfast.core.events import BreakerRejected, BreakerTransition, Events
from holdfast.core.faults import WEIGHTS, Fault, FaultKind, hand_back
from holdfast.core.policy import Gate, Site
from holdfast.errors import CircuitOpenError, ConfigError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)
TIMEOUT = Fault(kind=FaultKind.TIMEOUT, transient=True, weight=0.5)
CANCELLED = hand_back(KeyboardInterrupt())


def make(**options: Any) -> tuple[CircuitBreaker, FakeClock, EventRecorder]:
    clock, events = FakeClock(), Events()
    return CircuitBreaker(clock=clock, events=events, name="store:x", **options), clock, EventRecorder(events)


def fail(breaker: CircuitBreaker, times: int = 1, fault: Fault = FAILURE) -> None:
    for _ in range(times):
        breaker.leave(breaker.enter(), fault)


def opened(**options: Any) -> tuple[CircuitBreaker, FakeClock, EventRecorder]:
    breaker, clock, recorder = make(**options)
    fail(breaker, 5)
    assert breaker.snapshot().state is BreakerState.OPEN
    return breaker, clock, recorder


def half_open(**options: Any) -> tuple[CircuitBreaker, FakeClock, Permit]:
    breaker, clock, _ = opened(**options)
    clock.advance(15)
    return breaker, clock, breaker.enter()


def test_is_a_gate() -> None:
    """A breaker has the shape of a gate."""
    assert isinstance(CircuitBreaker(), Gate)


def test_opens_at_the_threshold() -> None:
    """Five failures in a row open it, four do not."""
    breaker, _, _ = make()
    fail(breaker, 4)
    assert breaker.snapshot().state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.snapshot().state is BreakerState.OPEN


def test_a_success_sets_the_count_back() -> None:
    """Failures count in a row only."""
    breaker, _, _ = make()
    fail(breaker, 4)
    breaker.leave(breaker.enter())
    fail(breaker, 4)
    assert breaker.snapshot().state is BreakerState.CLOSED


def test_timeouts_weigh_half() -> None:
    """Ten timeouts in a row open it; a spike of nine does not."""
    breaker, _, _ = make()
    fail(breaker, 9, TIMEOUT)
    assert breaker.snapshot().state is BreakerState.CLOSED
    fail(breaker, 1, TIMEOUT)
    assert breaker.snapshot().state is BreakerState.OPEN


@pytest.mark.parametrize("kind", [kind for kind, weight in WEIGHTS.items() if weight == 0])
def test_what_says_nothing_counts_neither_way(kind: FaultKind) -> None:
    """Throttling, client errors, cancellations and bugs neither open it nor set the count back."""
    breaker, _, _ = make()
    neutral = Fault(kind=kind, transient=False, weight=0.0)
    fail(breaker, 4)
    fail(breaker, 100, neutral)
    assert breaker.snapshot().failures == 4
    assert breaker.snapshot().state is BreakerState.CLOSED


def test_weights_that_are_no_exact_floats() -> None:
    """Ten times a tenth is one."""
    breaker, _, _ = make(failure_threshold=1)
    fail(breaker, 10, Fault(kind=FaultKind.TIMEOUT, transient=True, weight=0.1))
    assert breaker.snapshot().state is BreakerState.OPEN


def test_expected_kinds() -> None:
    """``expected`` names the kinds that count: with their weight, or 1 where that is 0; a cancellation never does."""
    breaker, _, _ = make(expected=[FaultKind.THROTTLED, FaultKind.TIMEOUT, FaultKind.CANCELLED])
    fail(breaker, 9, FAILURE)
    fail(breaker, 9, CANCELLED)
    assert breaker.snapshot().failures == 0
    fail(breaker, 2, TIMEOUT)
    fail(breaker, 2, Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0))
    assert breaker.snapshot().failures == 3


def test_open_refuses_and_says_until_when() -> None:
    """An open breaker refuses with the dependency's name and the time until its first probe; the error is fresh."""
    breaker, clock, _ = opened()
    clock.advance(5)
    errors = []
    for _ in range(2):
        with pytest.raises(CircuitOpenError, match=r"store:x .* is open; it lets a probe through in 10.0 s") as refused:
            breaker.enter()
        errors.append(refused.value)
    assert errors[0] is not errors[1]
    assert errors[0].dependency == "store:x"
    assert errors[0].retry_after == 10


def test_half_open_after_the_recovery_timeout() -> None:
    """Not a nanosecond earlier."""
    breaker, clock, _ = opened()
    clock.advance_ns(15 * 10**9 - 1)
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    clock.advance_ns(1)
    breaker.enter()
    assert breaker.snapshot().state is BreakerState.HALF_OPEN


def test_half_open_lets_exactly_its_probes_through() -> None:
    """One probe at once by default, with no time named to those refused."""
    breaker, _, probe = half_open()
    with pytest.raises(CircuitOpenError, match="half-open") as refused:
        breaker.enter()
    assert refused.value.retry_after is None
    breaker.leave(probe)
    breaker.enter()


def test_closes_after_enough_successes() -> None:
    """Two successful probes close it, and the count begins at 0."""
    breaker, _, probe = half_open()
    breaker.leave(probe)
    assert breaker.snapshot().state is BreakerState.HALF_OPEN
    breaker.leave(breaker.enter())
    assert breaker.snapshot().state is BreakerState.CLOSED
    assert breaker.snapshot().failures == 0


@pytest.mark.parametrize("fault", [FAILURE, TIMEOUT])
def test_a_failed_probe_opens_again(fault: Fault) -> None:
    """One failed probe, a timeout too, opens it for another full recovery timeout."""
    breaker, clock, probe = half_open()
    clock.advance(1)
    breaker.leave(probe, fault)
    assert breaker.snapshot().state is BreakerState.OPEN
    assert breaker.snapshot().retry_after == 15


def test_a_neutral_probe_gives_its_place_back() -> None:
    """A probe that is throttled or cancelled counts neither way, and the next one may come."""
    breaker, _, probe = half_open()
    for fault in (CANCELLED, Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0)):
        breaker.leave(probe, fault)
        assert breaker.snapshot().state is BreakerState.HALF_OPEN
        assert breaker.snapshot().successes == 0
        probe = breaker.enter()


def test_a_lost_probe_does_not_block_for_ever() -> None:
    """A probe that is never settled frees its place when its lease ends, and its late outcome is dropped."""
    breaker, clock, lost = half_open(probe_lease=60)
    clock.advance(60)
    probe = breaker.enter()
    breaker.leave(lost, FAILURE)
    assert breaker.snapshot().state is BreakerState.HALF_OPEN
    breaker.leave(probe)
    breaker.leave(lost)
    assert breaker.snapshot().successes == 1


def test_a_permit_counts_once() -> None:
    """Settling a probe twice counts once."""
    breaker, _, probe = half_open()
    breaker.leave(probe)
    breaker.leave(probe)
    assert breaker.snapshot().successes == 1


def test_late_outcomes_from_before_a_transition_are_dropped() -> None:
    """A success that started before the breaker opened does not close it, nor a failure re-open or count."""
    breaker, clock, _ = make()
    early = [breaker.enter() for _ in range(20)]
    fail(breaker, 5)
    breaker.leave(early.pop())
    assert breaker.snapshot().state is BreakerState.OPEN
    clock.advance(15)
    probe = breaker.enter()
    breaker.leave(early.pop())
    breaker.leave(early.pop(), FAILURE)
    assert breaker.snapshot().state is BreakerState.HALF_OPEN
    assert breaker.snapshot().successes == 0
    breaker.leave(probe)
    breaker.leave(breaker.enter())
    fail(breaker, 4)
    breaker.leave(early.pop())
    for permit in early:
        breaker.leave(permit, FAILURE)
    assert breaker.snapshot().state is BreakerState.CLOSED
    assert breaker.snapshot().failures == 4


def test_a_late_success_does_not_set_the_count_back() -> None:
    """A success from an earlier closed generation leaves the present count alone."""
    breaker, _, _ = make()
    early = breaker.enter()
    breaker.reset()
    fail(breaker, 2)
    breaker.leave(early)
    assert breaker.snapshot().failures == 2


def test_reset_closes_and_forgets() -> None:
    """``reset`` closes it at once, and probes under way no longer matter."""
    breaker, _, probe = half_open()
    breaker.reset()
    assert breaker.snapshot().state is BreakerState.CLOSED
    breaker.leave(probe, FAILURE)
    assert breaker.snapshot().state is BreakerState.CLOSED
    assert breaker.snapshot().failures == 0


def test_forced_open_stays_open() -> None:
    """``force_open`` refuses until ``reset``, however long."""
    breaker, clock, _ = make()
    breaker.force_open()
    clock.advance(10_000)
    with pytest.raises(CircuitOpenError, match=r"is open\.$") as refused:
        breaker.enter()
    assert refused.value.retry_after is None
    assert breaker.snapshot().forced
    assert breaker.snapshot().retry_after is None
    breaker.reset()
    breaker.enter()
    assert not breaker.snapshot().forced


def test_snapshot_says_everything() -> None:
    """State, counts, times and openings are readable at every point."""
    breaker, clock, _ = make(half_open_max_calls=2)
    clock.advance(3)
    fail(breaker, 2)
    clock.advance(1)
    assert breaker.snapshot() == BreakerSnapshot(
        state=BreakerState.CLOSED,
        failures=2,
        calls=0,
        slow_calls=0,
        successes=0,
        probes=0,
        time_in_state=4,
        retry_after=None,
        admitted_share=1,
        forced=False,
        isolated=False,
        shadow=False,
        would_reject=0,
        last_failure_at=(clock.wall_ns() - 10**9) / 10**9,
        openings=0,
        openings_last_hour=0,
        outages_last_hour=0,
        open_seconds=0,
        mean_open_seconds=0,
        generation=1,
    )
    fail(breaker, 3)
    clock.advance(5)
    assert breaker.snapshot() == BreakerSnapshot(
        state=BreakerState.OPEN,
        failures=0,
        calls=0,
        slow_calls=0,
        successes=0,
        probes=0,
        time_in_state=5,
        retry_after=10,
        admitted_share=0,
        forced=False,
        isolated=False,
        shadow=False,
        would_reject=0,
        last_failure_at=(clock.wall_ns() - 5 * 10**9) / 10**9,
        openings=1,
        openings_last_hour=1,
        outages_last_hour=1,
        open_seconds=5,
        mean_open_seconds=5,
        generation=2,
    )
    clock.advance(11)
    assert breaker.snapshot().retry_after == 0
    first, second = breaker.enter(), breaker.enter()
    breaker.leave(first)
    assert (breaker.snapshot().probes, breaker.snapshot().successes) == (1, 1)
    assert breaker.snapshot().open_seconds == 16
    breaker.leave(second, FAILURE)
    clock.advance(3600)
    assert (breaker.snapshot().openings, breaker.snapshot().openings_last_hour) == (2, 0)
    breaker.reset()
    clock.advance(100)
    assert breaker.snapshot().open_seconds == 3616
    assert breaker.snapshot().generation == 5


def test_no_failure_no_time_of_it() -> None:
    """A breaker that never failed has no time of a failure."""
    assert make()[0].snapshot().last_failure_at is None


def test_an_expired_lease_is_no_probe_under_way() -> None:
    """The snapshot does not count probes whose lease has run out."""
    breaker, clock, _ = half_open()
    assert breaker.snapshot().probes == 1
    clock.advance(60)
    assert breaker.snapshot().probes == 0


def test_events_of_a_life() -> None:
    """Every transition is told with its reason and generation, every rejection with its state."""
    breaker, clock, recorder = opened()
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    clock.advance(15)
    probe = breaker.enter()
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    breaker.leave(probe, FAILURE)
    clock.advance(15)
    breaker.leave(breaker.enter())
    breaker.leave(breaker.enter())
    breaker.force_open()
    breaker.reset()
    moves = [(e.from_state, e.to_state, e.reason, e.generation) for e in recorder.of(BreakerTransition)]
    assert moves == [
        ("closed", "open", "failures", 2),
        ("open", "half_open", "recovery_timeout", 3),
        ("half_open", "open", "probe_failed", 4),
        ("open", "half_open", "recovery_timeout", 5),
        ("half_open", "closed", "probes_succeeded", 6),
        ("closed", "open", "forced", 7),
        ("open", "closed", "reset", 8),
    ]
    assert [(e.state, e.retry_after) for e in recorder.of(BreakerRejected)] == [("open", 15.0), ("half_open", None)]
    event = recorder.events[0]
    assert (event.policy, event.dependency, event.pipeline, event.call_id, event.attempt) == (
        "circuit_breaker",
        "store:x",
        "",
        "",
        0,
    )


def test_listeners_are_called_outside_the_lock() -> None:
    """A listener may use the breaker itself, from another thread too (gobreaker calls back under its lock)."""
    breaker, _, _ = make()
    seen: list[object] = []

    def look(event: object) -> None:
        thread = threading.Thread(target=lambda: seen.append(breaker.snapshot().state))
        thread.start()
        thread.join(5)
        assert not thread.is_alive()

    assert breaker._events is not None
    breaker._events.listen(look)
    fail(breaker, 5)
    assert seen == [BreakerState.OPEN]


def test_no_lock_during_the_call() -> None:
    """Eight callers are inside at once: nothing is held between entering and leaving (pybreaker: one at a time)."""
    breaker, _, _ = make()
    inside = threading.Barrier(8)

    def work() -> None:
        permit = breaker.enter()
        inside.wait(5)
        breaker.leave(permit)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not inside.broken


@pytest.mark.parametrize("cap", [1, 3])
def test_real_threads_get_exactly_the_probe_cap(cap: int) -> None:
    """Fifty threads rush a half-open breaker at once: exactly the cap goes through (six peers let 50 through)."""
    for _ in range(20):
        breaker, clock, _ = opened(half_open_max_calls=cap)
        clock.advance(15)
        start = threading.Barrier(50)
        granted: list[Permit] = []
        refused: list[CircuitOpenError] = []

        def rush(
            breaker: CircuitBreaker = breaker,
            start: threading.Barrier = start,
            granted: list[Permit] = granted,
            refused: list[CircuitOpenError] = refused,
        ) -> None:
            start.wait(10)
            try:
                granted.append(breaker.enter())
            except CircuitOpenError as error:
                refused.append(error)

        threads = [threading.Thread(target=rush) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (len(granted), len(refused)) == (cap, 50 - cap)
        assert len(set(granted)) == cap


def test_real_threads_lose_no_failure() -> None:
    """Eight threads count 1,000 failures each, and none is lost."""
    breaker, _, _ = make(failure_threshold=8001)
    threads = [threading.Thread(target=fail, args=(breaker, 1000)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert breaker.snapshot().failures == 8000


def test_another_thread_may_close_it_meanwhile() -> None:
    """A caller that finds it closed only after waiting for the lock gets an ordinary permit."""
    breaker, _, _ = opened()

    class Contended:
        """A lock that is got only after another thread has closed the breaker."""

        def __enter__(self) -> None:
            breaker._machine.close("reset", 0, ramp=False)

        def __exit__(self, *_: object) -> None:
            breaker._lock = threading.Lock()

    breaker._lock = Contended()  # type: ignore[assignment]
    assert breaker.enter().generation == breaker.snapshot().generation


def site(clock: FakeClock, events: Events, name: str = "p") -> Site:
    return Site(pipeline=name, dependency=name, clock=clock, rng=seeded_rng(0), events=events)


def test_a_pipeline_brings_clock_events_and_name() -> None:
    """What was not given at construction comes from the first pipeline; what was given stays."""
    clock, events = FakeClock(start_ns=5 * 10**9), Events()
    recorder, breaker = EventRecorder(events), CircuitBreaker(failure_threshold=1)
    breaker.attach(site(clock, events))
    breaker.attach(site(clock, Events(), "other"))
    assert breaker.snapshot().time_in_state == 0
    fail(breaker)
    assert [(e.pipeline, e.dependency) for e in recorder.events] == [("p", "p")]

    own, mine = FakeClock(), Events()
    heard = EventRecorder(mine)
    named = CircuitBreaker(failure_threshold=1, clock=own, events=mine, name="mine")
    named.attach(site(clock, events))
    named.attach(site(FakeClock(), events))
    own.advance(3)
    assert named.snapshot().time_in_state == 3
    fail(named)
    assert [e.dependency for e in heard.events] == ["mine"]


def test_two_clocks_are_one_too_many() -> None:
    """A breaker shared by pipelines with different clocks cannot tell the time, and is refused."""
    breaker = CircuitBreaker()
    breaker.attach(site(FakeClock(), Events()))
    with pytest.raises(ConfigError, match="clock"):
        breaker.attach(site(FakeClock(), Events()))


def test_alone_without_events_or_name() -> None:
    """A breaker works outside every pipeline, on the system's clock, and says nothing to nobody."""
    breaker = CircuitBreaker(failure_threshold=1)
    fail(breaker)
    with pytest.raises(CircuitOpenError, match=r"^The dependency keeps failing"):
        breaker.enter()


def test_isolated_is_on_purpose() -> None:
    """``isolate`` refuses until ``reset``, says so, and counts as no opening and no outage."""
    breaker, clock, recorder = make()
    breaker.isolate()
    with pytest.raises(CircuitOpenError, match=r"^store:x is not called: its circuit breaker was isolated") as refused:
        breaker.enter()
    assert refused.value.retry_after is None
    assert recorder.of(BreakerRejected)[0].state == "open"
    assert not breaker.allow_probe()
    clock.advance(100)
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.isolated, snapshot.forced) == (BreakerState.OPEN, True, False)
    assert (snapshot.openings, snapshot.open_seconds, snapshot.outages_last_hour) == (0, 0, 0)
    breaker.reset()
    breaker.enter()
    assert [event.reason for event in recorder.of(BreakerTransition)] == ["isolated", "reset"]


def test_holding_it_open_in_an_outage() -> None:
    """Isolating ends the outage; forcing an open breaker is the same opening, forcing an isolated one another."""
    breaker, clock, _ = opened()
    clock.advance(2)
    breaker.force_open()
    clock.advance(3)
    assert (breaker.snapshot().openings, breaker.snapshot().open_seconds) == (1, 5)
    breaker.isolate()
    clock.advance(10)
    assert (breaker.snapshot().openings, breaker.snapshot().open_seconds) == (1, 5)
    breaker.force_open()
    clock.advance(1)
    assert (breaker.snapshot().openings, breaker.snapshot().open_seconds) == (2, 6)


def test_a_background_check_brings_the_probe_forward() -> None:
    """``allow_probe`` makes an open breaker half-open before its time, and nothing else."""
    breaker, _, recorder = make()
    assert not breaker.allow_probe()
    fail(breaker, 5)
    assert breaker.allow_probe()
    assert breaker.allow_probe()
    breaker.leave(breaker.enter())
    breaker.leave(breaker.enter())
    assert breaker.snapshot().state is BreakerState.CLOSED
    reasons = [event.reason for event in recorder.of(BreakerTransition)]
    assert reasons == ["failures", "probe_allowed", "probes_succeeded"]
    breaker.force_open()
    assert not breaker.allow_probe()
    assert breaker.snapshot().state is BreakerState.OPEN


def test_red_flags() -> None:
    """More than one outage an hour, or outages longer than 30 s in the mean, are flagged; failed probes are not."""
    breaker, clock, _ = opened()
    clock.advance(15)
    breaker.leave(breaker.enter(), FAILURE)  # the same outage
    clock.advance(15)
    assert breaker.snapshot().red_flags == ()
    clock.advance(1)
    assert breaker.snapshot().red_flags == (RedFlag.LONG_OPEN,)
    breaker.reset()
    fail(breaker, 5)
    assert breaker.snapshot().red_flags == (RedFlag.OPENS_OFTEN,)
    assert breaker.snapshot().mean_open_seconds == 15.5
    breaker.reset()
    clock.advance(3599 - 31)
    assert breaker.snapshot().red_flags == (RedFlag.OPENS_OFTEN,)
    clock.advance(1)
    assert breaker.snapshot().red_flags == ()
    assert breaker.snapshot().mean_open_seconds == 15.5
    clock.advance(31)
    assert breaker.snapshot().mean_open_seconds == 0


def test_the_cheap_ways_past_a_breaker_take_no_lock() -> None:
    """A closed breaker's success, and an open one's refusal that nobody hears of, never touch the lock."""
    breaker = CircuitBreaker(clock=FakeClock(), failure_threshold=1)

    class Untouchable:
        def __enter__(self) -> None:
            raise AssertionError("the lock was taken")

        def __exit__(self, *_: object) -> None: ...

    lock = breaker._lock
    breaker._lock = Untouchable()  # type: ignore[assignment]
    breaker.leave(breaker.enter())
    breaker._lock = lock
    fail(breaker)
    breaker._lock = Untouchable()  # type: ignore[assignment]
    with pytest.raises(CircuitOpenError):
        breaker.enter()


def test_slow_probes_are_failures() -> None:
    """Where slow calls count, a probe that succeeds too late opens it again."""
    breaker, clock, recorder = make(window="count", window_calls=2, minimum_calls=2, slow_call_duration=1)
    fail(breaker, 2)
    clock.advance(15)
    probe = breaker.enter()
    clock.advance(1)
    breaker.leave(probe)
    assert recorder.of(BreakerTransition)[-1].reason == "probe_slow"
    clock.advance(15)
    for _ in range(2):
        breaker.leave(breaker.enter())
    assert breaker.state is BreakerState.CLOSED


def test_slow_calls_open_it() -> None:
    """Calls that take long enough, and are enough of all, open it though they succeed."""
    breaker, clock, recorder = make(
        window="time", window_seconds=60, minimum_calls=4, slow_call_duration=2, slow_call_rate=0.75
    )
    for duration in (1.9, 2, 3):
        permit = breaker.enter()
        clock.advance(duration)
        breaker.leave(permit)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.slow_calls, snapshot.failures) == (3, 2, 0)
    assert snapshot.slow_call_rate == pytest.approx(2 / 3)
    assert snapshot.failure_rate == 0
    permit = breaker.enter()
    clock.advance(2)
    breaker.leave(permit, FAILURE)  # a failure may be slow too
    assert recorder.of(BreakerTransition)[0].reason == "slow_call_rate"


def test_neutral_outcomes_are_not_in_the_window() -> None:
    """A call that says nothing is neither a success nor a failure of a rate."""
    breaker, _, _ = make(window="count", window_calls=4, minimum_calls=4)
    fail(breaker, 9, CANCELLED)
    fail(breaker, 1, TIMEOUT)
    assert (breaker.snapshot().calls, breaker.snapshot().failure_rate) == (1, 0.5)
    assert CircuitBreaker().snapshot().failure_rate == 0
    assert CircuitBreaker().snapshot().slow_call_rate == 0
