"""Sync functions under a pipeline."""

import contextlib
import gc
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.deadline import Deadline, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.demand import current_demand, demand_scope
from holdfast.core.events import (
    AttemptFailed,
    AttemptTimedOut,
    BreakerTransition,
    CallFailed,
    CallSucceeded,
    DeadlineExceeded,
    Events,
    FallbackUsed,
    RetriesExhausted,
    RetryScheduled,
    RetrySucceeded,
    correlation_scope,
)
from holdfast.core.fallback import Fallback
from holdfast.core.faults import FaultKind
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    AttemptTimeoutError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    RetriesExhaustedError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9


class Script:
    """A function that does one scripted thing a call: raise it, or give it."""

    def __init__(self, clock: FakeClock, *steps: object, takes: float = 0) -> None:
        self.clock, self.steps, self.takes, self.calls = clock, list(steps), takes, 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        self.clock.advance(self.takes)
        step = self.steps[min(self.calls, len(self.steps)) - 1]
        if isinstance(step, BaseException):
            raise step
        return step


class HttpError(Exception):
    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status, self.headers = status, {k.replace("_", "-"): v for k, v in headers.items()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def build(clock: FakeClock, *policies: Policy) -> tuple[Pipeline, EventRecorder]:
    events = Events()
    return Pipeline(*policies, name="dep", clock=clock, events=events, rng=seeded_rng(0)), EventRecorder(events)


PLAIN = Retry(jitter="none")


def test_a_passing_failure_is_repeated(clock: FakeClock) -> None:
    """Two failures, two waits, one result; every step is told."""
    guard, recorder = build(clock, PLAIN)
    script = Script(clock, ConnectionResetError(), TimeoutError(), "ok", takes=1)
    with correlation_scope("req-1"):
        assert guard.call(script, 1, a=2) == "ok"
    assert clock.sleeps_ns == [1 * S, 2 * S]
    assert recorder.names == [
        *("AttemptFailed", "RetryScheduled", "AttemptFailed", "RetryScheduled"),
        *("RetrySucceeded", "CallSucceeded"),
    ]
    first, second = recorder.of(RetryScheduled)
    assert (first.retry, first.max_retries, first.delay_ns, first.kind, first.error_type) == (
        *(1, 3, S, "connect"),
        "ConnectionResetError",
    )
    assert (second.retry, second.attempt, second.kind) == (2, 2, "timeout")
    (retried,) = recorder.of(RetrySucceeded)
    assert (retried.attempts, retried.waited_ns) == (3, 3 * S)
    (done,) = recorder.of(CallSucceeded)
    assert (done.attempts, done.duration_ns, done.attempt) == (3, 6 * S, 3)
    assert {(e.call_id, e.correlation_id, e.pipeline, e.dependency) for e in recorder.events} == {
        ("1", "req-1", "dep", "dep")
    }
    assert [e.attempt for e in recorder.of(AttemptFailed)] == [1, 2]
    assert recorder.events[-1].time_ns == clock.wall_ns()


def test_an_error_that_will_not_pass_is_raised_unchanged(clock: FakeClock) -> None:
    """An auth error fails at once: one call, no wait, the same object, no cause added."""
    guard, recorder = build(clock, PLAIN, CircuitBreaker())
    error = HttpError(401)
    script = Script(clock, error)
    with pytest.raises(HttpError) as raised:
        guard.call(script)
    assert raised.value is error
    assert error.__cause__ is None
    assert not hasattr(error, "__notes__")
    assert (script.calls, clock.sleeps_ns) == (1, [])
    assert recorder.names == ["AttemptFailed", "CallFailed"]
    (failed,) = recorder.of(CallFailed)
    assert (failed.kind, failed.attempts) == ("auth", 1)
    assert failed.error_type.endswith("test_drive_sync.HttpError")


def test_the_traceback_of_an_unchanged_error_shows_each_frame_once(clock: FakeClock) -> None:
    """Readers find the way of the error, and not the drivers' handling of it."""
    guard, _ = build(clock, PLAIN, CircuitBreaker())
    with pytest.raises(HttpError) as raised:
        guard.call(Script(clock, HttpError(401)))
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert len(set(frames)) == len(frames)


def test_an_error_that_will_not_pass_ends_the_retrying(clock: FakeClock) -> None:
    """A second error that is not worth a retry is raised as it is."""
    guard, _ = build(clock, PLAIN)
    error = HttpError(400)
    with pytest.raises(HttpError) as raised:
        guard.call(Script(clock, TimeoutError(), error))
    assert raised.value is error


def test_exhausted_retries_say_what_happened(clock: FakeClock) -> None:
    """The final error has the attempts, the delays and the last cause."""
    guard, recorder = build(clock, PLAIN)
    last = ConnectionResetError("last")
    script = Script(clock, TimeoutError(), TimeoutError(), TimeoutError(), last)
    with pytest.raises(RetriesExhaustedError) as raised:
        guard.call(script)
    assert str(raised.value) == "The call to dep failed on all its attempts (4), last with ConnectionResetError."
    assert (raised.value.attempts, raised.value.delays, raised.value.__cause__) == (4, (1.0, 2.0, 4.0), last)
    (given_up,) = recorder.of(RetriesExhausted)
    assert (given_up.attempts, given_up.reason, given_up.kind) == (4, "attempts_used", "connect")
    assert recorder.of(CallFailed)[0].kind == "connect"


def test_a_rate_limit_is_asked_again_once_when_it_says(clock: FakeClock) -> None:
    """429 with Retry-After 7: one more call after 7 s, then no more."""
    guard, _ = build(clock, PLAIN)
    with pytest.raises(RetriesExhaustedError) as raised:
        guard.call(Script(clock, HttpError(429, retry_after="7")))
    assert (raised.value.attempts, raised.value.delays) == (2, (7.0,))


def test_a_refusal_from_below_keeps_its_own_cause(clock: FakeClock) -> None:
    """Only a refusal without a cause is given one: what failed before."""
    guard, _ = build(clock, PLAIN)
    cause, bare, refused = LookupError(), CircuitOpenError("open"), CircuitOpenError("open")
    refused.__cause__ = cause
    for error, expected in ((refused, cause), (bare, lost := ConnectionResetError())):
        with pytest.raises(CircuitOpenError) as raised:
            guard.call(Script(clock, lost if error is bare else TimeoutError(), error))
        assert raised.value.__cause__ is expected


def test_how_long_a_call_took_is_told() -> None:
    """From its beginning to its end, whenever that was, with the waits between attempts."""
    clock = FakeClock(start_ns=70 * S)
    guard, recorder = build(clock, PLAIN)
    guard.call(Script(clock, TimeoutError(), "ok", takes=2))
    assert recorder.of(CallSucceeded)[0].duration_ns == 5 * S


def test_a_timeout_from_below_is_none_of_ours(clock: FakeClock) -> None:
    """A pipeline without a timeout tells of no attempt that its own timeout ended."""
    guard, recorder = build(clock, CircuitBreaker())
    with pytest.raises(AttemptTimeoutError):
        guard.call(Script(clock, AttemptTimeoutError()))
    assert recorder.names == ["AttemptFailed", "CallFailed"]


def test_what_fails_within_the_deadline_is_not_told_as_late(clock: FakeClock) -> None:
    """``DeadlineExceeded`` is told of calls that end by it, and of no others."""
    guard, recorder = build(clock, Deadline(seconds=9))
    with pytest.raises(KeyError):
        guard.call(Script(clock, KeyError()))
    assert recorder.of(DeadlineExceeded) == []


def test_a_call_that_fell_back_has_not_been_retried_with_success(clock: FakeClock) -> None:
    """The answer of an alternative is told as such."""
    guard, recorder = build(clock, Fallback(lambda: "other"), Retry(max_retries=1, jitter="none"))
    assert guard.call(Script(clock, TimeoutError())) == "other"
    assert recorder.of(RetrySucceeded) == []
    assert recorder.names[-2:] == ["FallbackUsed", "CallSucceeded"]


def test_only_what_the_deadline_cut_is_weighed_by_its_time(clock: FakeClock) -> None:
    """A lost connection counts whole, however late; an attempt that overruns both limits, as one timeout."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Deadline(seconds=3), breaker, Timeout(seconds=2))
    with pytest.raises(ConnectionResetError):
        guard.call(Script(clock, ConnectionResetError(), takes=3))
    assert breaker.snapshot().failures == 1
    with pytest.raises(DeadlineExceededError):
        guard.call(Script(clock, DeadlineExceededError(), takes=9))
    assert breaker.snapshot().failures == 1.5


def test_each_kind_of_fault_is_repeated_as_often_as_it_may_be(clock: FakeClock) -> None:
    """A limit for one kind counts the repetitions that failures of this kind caused, and no others."""
    guard, _ = build(clock, Retry(max_retries=9, jitter="none", limits={FaultKind.THROTTLED: 2}))
    script = Script(clock, HttpError(429), TimeoutError(), HttpError(429), HttpError(429))
    with pytest.raises(RetriesExhaustedError):
        guard.call(script)
    assert script.calls == 4


def test_delays_that_are_decorrelated_follow_from_each_other(clock: FakeClock) -> None:
    """Each is at most three times the one before it, the first three times the initial one, and they grow."""
    guard, _ = build(clock, Retry(max_retries=9, jitter="decorrelated", initial_delay=1, max_delay=10**6))
    with pytest.raises(RetriesExhaustedError):
        guard.call(Script(clock, TimeoutError()))
    delays = clock.sleeps_ns
    assert all(S <= delay <= 3 * before for before, delay in zip([S, *delays], delays, strict=False))
    assert max(delays) > 3 * S


def test_a_wait_that_is_too_long_is_named(clock: FakeClock) -> None:
    """A Retry-After beyond the limit ends the retrying at once, and the error says so."""
    guard, _ = build(clock, PLAIN)
    with pytest.raises(RetriesExhaustedError, match="asked to wait 3600 s, longer than max_retry_after=60") as raised:
        guard.call(Script(clock, HttpError(503, retry_after="3600")))
    assert raised.value.attempts == 1


def test_no_delay_no_sleep(clock: FakeClock) -> None:
    """A delay of zero does not sleep at all."""
    guard, _ = build(clock, Retry(initial_delay=0, max_delay=0))
    assert guard.call(Script(clock, TimeoutError(), "ok")) == "ok"
    assert clock.sleeps_ns == []


def test_the_breaker_sees_each_attempt(clock: FakeClock) -> None:
    """Five failed attempts open it; the next attempt is refused, and not retried; the last failure is the cause."""
    breaker = CircuitBreaker()
    guard, recorder = build(clock, Retry(max_retries=9, max_delay=1, jitter="none"), breaker)
    error = ConnectionResetError()
    script = Script(clock, error)
    with pytest.raises(CircuitOpenError) as raised:
        guard.call(script)
    assert raised.value.__cause__ is error
    assert script.calls == 5
    (moved,) = recorder.of(BreakerTransition)
    assert (moved.call_id, moved.attempt, moved.pipeline) == ("1", 5, "dep")
    with pytest.raises(CircuitOpenError) as again:
        guard.call(script)
    assert again.value.__cause__ is None
    assert script.calls == 5


def test_keyboard_interrupt_passes_through(clock: FakeClock) -> None:
    """An interrupt is not retried, not counted, not replaced, and gives its probe back."""
    breaker = CircuitBreaker(failure_threshold=1)
    guard, recorder = build(clock, Fallback(lambda: "no"), PLAIN, breaker, Timeout(seconds=1))
    with pytest.raises(KeyboardInterrupt):
        guard.call(Script(clock, KeyboardInterrupt()))
    assert breaker.state is BreakerState.CLOSED
    assert [e.kind for e in recorder.of(CallFailed)] == ["cancelled"]
    assert recorder.of(AttemptFailed) == []


def test_an_attempt_sees_its_own_limit(clock: FakeClock) -> None:
    """During a sync attempt the context's deadline is the attempt's; afterwards it is what it was."""
    guard, _ = build(clock, Deadline(seconds=30), Timeout(seconds=10))
    seen = []

    def look() -> None:
        seen.append(remaining_ns(clock))

    guard.call(look)
    with deadline_scope(4, clock=clock):
        guard.call(look)
        assert remaining_ns(clock) == 4 * S
    assert seen == [10 * S, 4 * S]
    assert deadline_ns() is None


def test_an_attempt_that_gives_up_at_its_own_limit_timed_out(clock: FakeClock) -> None:
    """A deadline error below, while the real deadline is far, is a timeout of the attempt, and is retried."""
    guard, recorder = build(clock, Deadline(seconds=30), PLAIN, CircuitBreaker(), Timeout(seconds=2))
    late = DeadlineExceededError("below")
    script = Script(clock, late, "ok", takes=2)
    assert guard.call(script) == "ok"
    assert recorder.of(AttemptTimedOut)[0].limit_ns == 2 * S
    with pytest.raises(RetriesExhaustedError) as raised:
        build(clock, Retry(max_retries=0), Timeout(seconds=2))[0].call(Script(clock, late, takes=2))
    assert isinstance(raised.value.__cause__, AttemptTimeoutError)
    assert raised.value.__cause__.__cause__ is late


def test_what_is_late_below_is_unchanged_where_nothing_limits_it_here(clock: FakeClock) -> None:
    """Without a timeout no attempt has timed out, whatever the function says of deadlines of its own."""
    late = DeadlineExceededError("below")
    with pytest.raises(DeadlineExceededError) as raised:
        build(clock, PLAIN, CircuitBreaker())[0].call(Script(clock, late, takes=2))
    assert raised.value is late


def test_an_attempt_that_sees_the_deadline_pass(clock: FakeClock) -> None:
    """A deadline error below, when the real deadline has passed, is what it says."""
    guard, _ = build(clock, Deadline(seconds=2), PLAIN, Timeout(seconds=2))
    late = DeadlineExceededError("below")
    with pytest.raises(DeadlineExceededError) as raised:
        guard.call(Script(clock, late, takes=2))
    assert raised.value is late


def test_no_attempt_after_the_deadline(clock: FakeClock) -> None:
    """When attempts use the deadline up, there is no further one, and no fallback either."""
    guard, recorder = build(
        clock, Deadline(seconds=3), Fallback(lambda: "no"), PLAIN, CircuitBreaker(), Timeout(seconds=9)
    )
    script = Script(clock, TimeoutError(), takes=3)
    with pytest.raises(DeadlineExceededError, match="no time is left") as raised:
        guard.call(script)
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert (script.calls, clock.sleeps_ns) == (1, [])
    assert recorder.of(RetriesExhausted)[0].reason == "no_time"
    assert recorder.of(DeadlineExceeded)[0].limit_ns == 3 * S
    assert deadline_ns() is None


@pytest.mark.parametrize("policies", [[], [Timeout(seconds=1)], [Retry(), Timeout(seconds=1)]])
def test_a_call_after_the_deadline_is_not_made(clock: FakeClock, policies: list[Policy]) -> None:
    """With no time left nothing is called, whatever the policies."""
    breaker = CircuitBreaker(failure_threshold=0.1)
    guard, _ = build(clock, *policies, breaker) if policies == [] else build(clock, *policies)
    script = Script(clock, "no")
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError, match="used up"):
        guard.call(script)
    assert script.calls == 0
    assert breaker.state is BreakerState.CLOSED


def test_deadlines_nest(clock: FakeClock) -> None:
    """Of two deadlines the one that ends earlier holds."""
    guard, _ = build(clock, Deadline(seconds=30))
    for outside, left in ((1, S), (60, 30 * S)):
        with deadline_scope(outside, clock=clock):
            assert guard.call(remaining_ns, clock) == left
    assert guard.call(remaining_ns, clock) == 30 * S


def test_nobody_listens(clock: FakeClock) -> None:
    """Everything works the same when nobody listens, and a listener may come in the middle of a call."""
    guard, recorder = build(clock, Deadline(seconds=9), Fallback(lambda *_: "other"), PLAIN, CircuitBreaker())
    recorder.stop()
    assert guard.call(Script(clock, TimeoutError(), "ok")) == "ok"
    assert guard.call(Script(clock, HttpError(500))) == "other"
    assert guard.call(Script(clock, HttpError(401))) == "other"
    with pytest.raises(KeyError):
        guard.call(Script(clock, KeyError()))

    broken, unheard = build(clock, Deadline(seconds=1), Fallback(Script(clock, LookupError())))
    unheard.stop()
    with pytest.raises(HttpError):
        broken.call(Script(clock, HttpError(500)))
    with pytest.raises(DeadlineExceededError):
        broken.call(Script(clock, DeadlineExceededError(), takes=1))

    def comes_late() -> str:
        guard.events.listen(recorder.events.append)
        raise HttpError(401)

    assert guard.call(comes_late) == "other"
    assert recorder.names == ["AttemptFailed", "FallbackUsed", "CallSucceeded"]


def test_fallback_answers_with_the_same_arguments(clock: FakeClock) -> None:
    """The first alternative that answers wins; the ones before it leave a note."""
    seen: list[object] = []

    def broken(*args: object, **kwargs: object) -> object:
        raise LookupError("empty")

    def cached(*args: object, **kwargs: object) -> object:
        seen.append((args, kwargs))
        return "cached"

    guard, recorder = build(clock, Fallback([broken, cached]), Retry(max_retries=1, jitter="none"))
    error = ConnectionResetError()
    assert guard.call(Script(clock, error), 1, a=2) == "cached"
    assert guard(Script(clock, error))(3) == "cached"
    assert seen == [((1,), {"a": 2}), ((3,), {})]
    used = recorder.of(FallbackUsed)[0]
    assert (used.index, used.kind, used.attempt) == (1, "connect", 2)
    assert used.alternative.endswith("cached")
    assert [e.policy for e in recorder.of(AttemptFailed)][:3] == ["pipeline", "pipeline", "fallback"]
    assert recorder.of(CallFailed) == []
    assert len(recorder.of(CallSucceeded)) == 2


def test_all_alternatives_fail(clock: FakeClock) -> None:
    """The caller gets the error of the call itself, with a note for each alternative."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Fallback([Script(clock, LookupError("empty"))]), breaker)
    error = HttpError(500)
    with pytest.raises(HttpError) as raised:
        guard.call(Script(clock, error))
    assert raised.value is error
    assert error.__notes__ == ["The fallback Script failed too: LookupError: empty"]
    assert breaker.snapshot().failures == 1


def test_an_alternative_that_returns_a_coroutine_failed(clock: FakeClock) -> None:
    """An async alternative in disguise is no answer for a sync caller."""

    async def other() -> str:
        return "no"

    def disguised() -> object:
        return other()

    guard, _ = build(clock, Fallback(disguised))
    with pytest.raises(HttpError) as raised:
        guard.call(Script(clock, HttpError(500)))
    assert "returns a coroutine" in raised.value.__notes__[0]


@pytest.mark.parametrize("policies", [(Retry(),), (Retry(), Timeout(seconds=1))], ids=["quick", "whole"])
def test_a_plain_function_that_returns_a_coroutine_is_refused(clock: FakeClock, policies: tuple[Any, ...]) -> None:
    """Its failures could not be seen: the caller is told to pass the async function itself."""

    async def other() -> str:
        return "no"

    def disguised() -> object:
        return other()

    guard, _ = build(clock, *policies)
    with pytest.raises(ConfigError, match="coroutine"):
        guard.call(disguised)


def test_a_bug_is_not_papered_over(clock: FakeClock) -> None:
    """Programming errors are neither retried nor replaced by an alternative."""
    guard, _ = build(clock, Fallback(lambda: "no"), PLAIN)
    script = Script(clock, TypeError())
    with pytest.raises(TypeError):
        guard.call(script)
    assert script.calls == 1


def test_open_breaker_falls_back(clock: FakeClock) -> None:
    """A refused call is answered by the alternative, and the dependency is left alone."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Fallback(lambda: "cached"), PLAIN, breaker)
    breaker.force_open()
    script = Script(clock, "no")
    assert guard.call(script) == "cached"
    assert script.calls == 0


def test_one_pipeline_in_many_threads(clock: FakeClock) -> None:
    """Each call has its own attempts: eight threads that fail twice each get their result (tenacity: shared state)."""
    guard, _ = build(clock, Retry(initial_delay=0, max_delay=0, max_retries=2))
    results: list[object] = []

    def work() -> None:
        results.extend(guard.call(Script(clock, TimeoutError(), TimeoutError(), "ok")) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == ["ok"] * 400


@pytest.mark.parametrize(
    "make", [lambda: HttpError(401), lambda: HttpError(500)], ids=["raised unchanged", "retries exhausted"]
)
def test_an_error_does_not_outlive_its_handler(clock: FakeClock, make: Callable[[], Exception]) -> None:
    """Errors are freed without the cycle collector, with what their frames hold."""
    guard, _ = build(clock, Fallback(_empty), Retry(max_retries=1), CircuitBreaker(), Timeout(seconds=1))
    gone: list[weakref.ref[Any]] = []

    def fails() -> None:
        error = make()
        gone.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(HttpError, RetriesExhaustedError):
            guard.call(fails)
        assert [each() for each in gone] == [None] * len(gone)
    finally:
        gc.enable()


def _empty(*_: object) -> object:
    raise LookupError


def test_what_attempts_used_adds_up_without_a_limiter(clock: FakeClock) -> None:
    """Whoever asks how much a call used hears of all its attempts; each says its own, and may correct it."""
    guard, _ = build(clock, PLAIN)
    left = [5, 7]

    def call() -> None:
        current_demand().used(1)
        current_demand().used(left.pop())
        if left:
            raise ConnectionResetError

    with demand_scope() as demand:
        guard.call(call)
    assert demand.actual == 12
