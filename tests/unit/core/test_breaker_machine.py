"""What a breaker does in the corners of its states: in the middle of a transition, held open, by another clock."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.policy import Site
from holdfast.errors import CircuitOpenError, ConfigError, RejectedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def site(clock: FakeClock) -> Site:
    return Site(pipeline="p", dependency="d", clock=clock, rng=seeded_rng(0), events=Events())


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.leave(breaker.enter(), FAILURE)


@pytest.mark.parametrize("options", [{}, {"window": "count", "slow_call_duration": 1.0}], ids=["plain", "timed"])
def test_nobody_slips_in_during_a_transition(options: dict[str, Any]) -> None:
    """Who comes while a breaker is opening, before that can be seen outside, is refused."""
    breaker: Any = CircuitBreaker(clock=FakeClock(), **options)
    breaker._lock = threading.RLock()  # so that this thread can be the one that comes in between
    answers: list[object] = []
    clear = breaker._machine._window.clear

    def interrupted() -> None:
        clear()
        try:
            answers.append(breaker.enter())
        except CircuitOpenError as error:
            answers.append(error)

    breaker._machine._window.clear = interrupted
    breaker.force_open()
    assert [type(each) for each in answers] == [CircuitOpenError]


@pytest.mark.parametrize("heard", [False, True])
def test_a_refusal_says_what_the_breaker_does(heard: bool) -> None:
    """Its facts name the dependency, and whether the breaker is open or who holds it, whoever listens."""
    events = Events()
    breaker = CircuitBreaker(clock=FakeClock(), events=events, name="store:x", failure_threshold=1)
    recorder = EventRecorder(events) if heard else None

    def why() -> object:
        with pytest.raises(CircuitOpenError) as raised:
            breaker.enter()
        return raised.value.args[:2]

    fail(breaker)
    assert why() == ("store:x", "open")
    breaker.force_open()
    assert why() == ("store:x", "forced")
    breaker.isolate()
    assert why() == ("store:x", "isolated")
    assert recorder is None or recorder.names.count("BreakerRejected") == 3


def test_entering_takes_no_lock_where_durations_count() -> None:
    """A closed breaker that measures calls lets them in without its lock, too."""
    breaker: Any = CircuitBreaker(clock=FakeClock(), window="count", slow_call_duration=1.0)
    lock, breaker._lock = breaker._lock, None
    permit = breaker.enter()
    breaker._lock = lock
    breaker.leave(permit)
    assert breaker.snapshot().calls == 1


def test_what_a_real_breaker_refuses_is_not_counted_as_a_shadows() -> None:
    """``would_reject`` counts what a shadow let in, and nothing else."""
    for shadow in (False, True):
        clock = FakeClock()
        breaker = CircuitBreaker(clock=clock, failure_threshold=1, shadow=shadow)
        fail(breaker)
        clock.advance(15)
        breaker.enter()
        try:
            breaker.enter()
        except CircuitOpenError:
            assert not shadow
        assert breaker.snapshot().would_reject == shadow


def test_a_permit_where_durations_do_not_count() -> None:
    """It carries no time."""
    assert CircuitBreaker().enter().begun_ns == 0


def test_a_failed_probe_is_the_last_failure() -> None:
    """The snapshot has the time of the probe, not of the failure that opened the breaker."""
    clock = FakeClock(wall_ns=0)
    breaker = CircuitBreaker(clock=clock, failure_threshold=1)
    fail(breaker)
    clock.advance(15)
    fail(breaker)
    assert breaker.snapshot().last_failure_at == 15


def test_another_lease_for_probes() -> None:
    """Probes that begin after the change hold their places for as long as the new lease says."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, failure_threshold=1, probe_lease=60)
    fail(breaker)
    breaker.reconfigure(probe_lease=5)
    clock.advance(15)
    breaker.enter()
    clock.advance(4.9)
    assert breaker.snapshot().probes == 1
    clock.advance(0.1)
    assert breaker.snapshot().probes == 0


def test_a_thousand_openings_are_remembered() -> None:
    """The figures of the last hour go up to 1,000; the count of all openings goes on."""
    breaker = CircuitBreaker(clock=FakeClock())
    for _ in range(1002):
        breaker.force_open()
        breaker.reset()
    snapshot = breaker.snapshot()
    assert (snapshot.openings, snapshot.openings_last_hour, snapshot.outages_last_hour) == (1002, 1000, 1000)


def test_by_another_clock_it_begins_anew() -> None:
    """A pipeline's clock starts with no history, no ramp, every call let in, and the first opening time."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=2, recovery_multiplier=3, ramp_seconds=10)
    fail(breaker)
    assert breaker.allow_probe()
    fail(breaker)
    clock = FakeClock()
    breaker.attach(site(clock))
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.admitted_share, snapshot.time_in_state) == (BreakerState.CLOSED, 1, 0)
    assert (snapshot.openings, snapshot.last_failure_at) == (0, None)
    fail(breaker)
    assert breaker.snapshot().retry_after == 2


def test_by_another_clock_its_window_moves_on() -> None:
    """What is counted by the pipeline's clock is forgotten by it, though the system's was far ahead."""
    clock = FakeClock()
    breaker = CircuitBreaker(window="time", window_seconds=10)
    fail(breaker)
    breaker.attach(site(clock))
    fail(breaker)
    assert breaker.snapshot().calls == 1
    clock.advance(10)
    assert breaker.snapshot().calls == 0


def test_what_never_counts_as_a_failure() -> None:
    """Nor does it where its kind is expected: a cancellation, a call that was not made, a refusal of ours."""
    breaker = CircuitBreaker(clock=FakeClock(), failure_threshold=1, expected=list(FaultKind))
    for fault in (
        replace(FAILURE, kind=FaultKind.CANCELLED),
        replace(FAILURE, made=False),
        replace(FAILURE, cause=RejectedError("full", dependency="d")),
    ):
        breaker.leave(breaker.enter(), fault)
        assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN


def test_it_joins_a_pipeline_by_the_same_clock_as_it_is() -> None:
    """What it counted before stays."""
    breaker = CircuitBreaker()
    fail(breaker, 4)
    breaker.attach(replace(site(FakeClock()), clock=SYSTEM_CLOCK))
    assert breaker.snapshot().failures == 4


def test_an_open_breaker_takes_its_name_from_the_pipeline() -> None:
    """Its refusals name the dependency from then on, also those that were prepared before."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock)
    breaker.force_open()
    breaker.attach(site(clock))
    with pytest.raises(CircuitOpenError) as raised:
        breaker.enter()
    assert raised.value.dependency == "d"


def test_other_options_that_do_not_exist() -> None:
    """They are refused by name, and nothing is changed."""
    breaker = CircuitBreaker(clock=FakeClock())
    with pytest.raises(ConfigError, match="failure_treshold=3: is no option of CircuitBreaker; did you mean"):
        breaker.reconfigure(failure_threshold=2, failure_treshold=3)  # type: ignore[call-arg]
    assert breaker.options.failure_threshold == 5


@pytest.mark.parametrize(("name", "pipeline"), [("m", "m"), ("", "call")])
def test_how_a_breaker_that_is_used_alone_is_called(name: str, pipeline: str) -> None:
    """Its calls are told of under the name of the dependency, or as plain calls where it has none."""
    events = Events()
    recorder = EventRecorder(events)
    CircuitBreaker(clock=FakeClock(), events=events, name=name).call(len, "")
    assert [(each.pipeline, each.dependency) for each in recorder.events] == [(pipeline, name)]


def test_its_own_source_of_chance() -> None:
    """Used by hand it draws from what it was given, and from one of its own where it was given nothing."""
    waits = []
    for rng in (seeded_rng(2), None):
        breaker = CircuitBreaker(clock=FakeClock(), rng=rng, failure_threshold=1, recovery_jitter=0.2)
        fail(breaker)
        waits.append(breaker.snapshot().retry_after or 0)
    assert waits[0] == pytest.approx(15 * (1 - 0.2 * seeded_rng(2).random()))
    assert 12 <= waits[1] <= 15
