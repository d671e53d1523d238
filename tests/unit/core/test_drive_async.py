"""Async functions under a pipeline: results, time limits, and cancellation at every point."""

import asyncio
import gc
import sys
import traceback
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.core._watch import Watch, Watchdog
from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.classify import classify
from holdfast.core.deadline import Deadline, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.events import AttemptTimedOut, CallFailed, CallSucceeded, DeadlineExceeded, Events, FallbackUsed
from holdfast.core.fallback import Fallback
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    AttemptTimeoutError,
    CircuitOpenError,
    DeadlineExceededError,
    RejectedError,
    RetriesExhaustedError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
PLAIN = Retry(jitter="none")


class LostError(ConnectionResetError):
    """Can be weakly referenced, as the built-in cannot."""


class ThrottledError(Exception):
    status = 429


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def build(clock: FakeClock, *policies: Policy) -> tuple[Pipeline, EventRecorder]:
    events = Events()
    return Pipeline(*policies, name="dep", clock=clock, events=events, rng=seeded_rng(0)), EventRecorder(events)


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_passing_failure_is_repeated(clock: FakeClock) -> None:
    """The same policies serve async functions: wait, repeat, tell."""
    guard, recorder = build(clock, PLAIN, CircuitBreaker(), Timeout(seconds=9))
    calls = 0

    @guard
    async def flaky(a: int, *, b: int) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls < 3:
            raise ConnectionResetError
        return a + b

    assert await flaky(1, b=2) == 3
    assert clock.sleeps_ns == [S, 2 * S]
    assert recorder.names[-2:] == ["RetrySucceeded", "CallSucceeded"]


async def test_the_traceback_of_an_unchanged_error_shows_each_frame_once(clock: FakeClock) -> None:
    """Readers find the way of the error, and not the drivers' handling of it."""
    guard, _ = build(clock, PLAIN, CircuitBreaker(), Timeout(seconds=1))
    with pytest.raises(PermissionError) as raised:
        await guard.call(_raise, PermissionError())
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert len(set(frames)) == len(frames)


async def test_a_failure_is_the_breakers_business(clock: FakeClock) -> None:
    """Failures of an async function are seen where they happen, at the await (pybreaker: never)."""
    breaker = CircuitBreaker(failure_threshold=2)
    guard, _ = build(clock, breaker)

    async def down() -> None:
        await asyncio.sleep(0)
        raise ConnectionResetError

    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await guard.call(down)
    with pytest.raises(CircuitOpenError):
        await guard.call(down)


async def test_a_timeout_stops_the_attempt(clock: FakeClock) -> None:
    """A hanging attempt is cancelled at its limit, to the nanosecond, and repeated (tenacity: it runs on)."""
    guard, recorder = build(clock, PLAIN, CircuitBreaker(), Timeout(seconds=0.5))
    ended: list[int] = []

    async def slow() -> None:
        try:
            await clock.asleep_ns(2 * S)
        finally:
            ended.append(clock.now_ns())

    with pytest.raises(RetriesExhaustedError) as raised:
        await guard.call(slow)
    assert ended == [S // 2, 2 * S, 9 * S // 2, 9 * S]
    cause = raised.value.__cause__
    assert isinstance(cause, AttemptTimeoutError)
    assert str(cause) == "The call to dep took longer than its 0.5 s."
    assert isinstance(cause.__cause__, asyncio.CancelledError)
    assert [event.limit_ns for event in recorder.of(AttemptTimedOut)] == [S // 2] * 4
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_timeouts_weigh_half_in_the_breaker(clock: FakeClock) -> None:
    """Four timed-out attempts are two failures."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, PLAIN, breaker, Timeout(seconds=0.5))
    with pytest.raises(RetriesExhaustedError):
        await guard.call(clock.asleep_ns, S)
    assert breaker.snapshot().failures == 2


async def test_a_deadline_stops_everything(clock: FakeClock) -> None:
    """The whole call ends at the deadline; it is no cancellation for the caller."""
    guard, recorder = build(clock, Deadline(seconds=3), Fallback(lambda: "no"), PLAIN)
    with pytest.raises(DeadlineExceededError, match="used up") as raised:
        await guard.call(clock.asleep_ns, 10 * S)
    assert clock.now_ns() == 3 * S
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert recorder.of(DeadlineExceeded)[0].limit_ns == 3 * S
    assert deadline_ns() is None


async def test_a_deadline_that_is_not_needed(clock: FakeClock) -> None:
    """A call in time is left alone, and its errors are too; the context is restored."""
    guard, _ = build(clock, Deadline(seconds=3))
    assert await guard.call(_give, remaining_ns, clock) == 3 * S
    with pytest.raises(KeyError):
        await guard.call(_raise, KeyError())
    assert deadline_ns() is None
    for outside, left in ((1, S), (60, 3 * S)):  # whichever ends earlier
        with deadline_scope(outside, clock=clock):
            assert await guard.call(_give, remaining_ns, clock) == left


async def _give(fn: Callable[..., object], *args: object) -> object:
    return fn(*args)


async def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("policies", [[], [Timeout(seconds=1)], [Deadline(seconds=1)]])
async def test_a_call_after_the_deadline_is_not_made(clock: FakeClock, policies: list[Policy]) -> None:
    """With no time left nothing is called, whatever the policies."""
    guard, _ = build(clock, *policies)
    called: list[int] = []
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError, match="used up"):
        await guard.call(_give, called.append, 1)
    assert called == []


async def test_the_deadline_cuts_an_attempt_short(clock: FakeClock) -> None:
    """An attempt whose timeout is later than the deadline ends at the deadline, and says so; nothing is repeated."""
    breaker = CircuitBreaker()
    guard, recorder = build(clock, PLAIN, breaker, Timeout(seconds=10))
    with deadline_scope(4, clock=clock), pytest.raises(DeadlineExceededError, match="used up"):
        await guard.call(clock.asleep_ns, 60 * S)
    assert clock.now_ns() == 4 * S
    assert breaker.snapshot().failures == pytest.approx(0.5 * 4 / 10)
    assert recorder.of(AttemptTimedOut) == []


async def test_a_short_deadline_is_weak_evidence(clock: FakeClock) -> None:
    """Callers in a hurry do not open a breaker; a dependency that hangs does, behind any deadline."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Deadline(seconds=0.01), PLAIN, breaker, Timeout(seconds=10))
    for _ in range(100):
        with pytest.raises(DeadlineExceededError):
            await guard.call(clock.asleep_ns, 60 * S)
    assert breaker.snapshot().failures == pytest.approx(100 * 0.5 * 0.001)
    hangs, _ = build(clock, Deadline(seconds=5), CircuitBreaker(failure_threshold=1))
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            await hangs.call(clock.asleep_ns, 60 * S)
    with pytest.raises(CircuitOpenError):
        await hangs.call(clock.asleep_ns, 60 * S)


async def test_a_deadline_around_the_pipeline_is_evidence_too(clock: FakeClock) -> None:
    """An attempt that somebody else's deadline cancels counts for the time that it had; one left in time not at all."""
    breaker = CircuitBreaker()
    inner, _ = build(clock, breaker, Timeout(seconds=10))
    outer, _ = build(clock, Deadline(seconds=5))
    with pytest.raises(DeadlineExceededError):
        await outer.call(inner(forever_on), clock)
    assert breaker.snapshot().failures == 0.25
    task = asyncio.create_task(outer.call(inner(forever)))
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert breaker.snapshot().failures == 0.25
    with pytest.raises(DeadlineExceededError):
        await outer.call(inner(_raise), DeadlineExceededError("its own"))
    assert breaker.snapshot().failures == 0.75


async def test_a_call_that_is_closed_is_a_cancelled_one(clock: FakeClock) -> None:
    """Nobody waits for it any more: that says nothing of the dependency, whatever one's own classification says."""
    events = Events()
    recorder = EventRecorder(events)
    guard = Pipeline(clock=clock, events=events, classify=lambda _: classify(ConnectionResetError()))
    call = guard.call(forever)
    call.send(None)
    call.close()
    assert [each.kind for each in recorder.of(CallFailed)] == ["cancelled"]


async def test_attempts_of_different_lengths_end_in_their_own_time(clock: FakeClock) -> None:
    """Calls that overlap under one policy, some shortened by a deadline, each end when they are due."""
    guard, _ = build(clock, Timeout(seconds=10))
    ends: dict[str, tuple[int, str]] = {}

    async def call(name: str, start: int, deadline: float | None) -> None:
        await clock.asleep_ns(start * S)
        try:
            if deadline is None:
                await guard.call(forever)
            else:
                with deadline_scope(deadline, clock=clock):
                    await guard.call(forever)
        except TimeoutError as error:
            ends[name] = clock.now_ns() // S, type(error).__name__

    async with asyncio.TaskGroup() as group:
        group.create_task(call("a", 1, None))
        group.create_task(call("b", 2, 3))
        group.create_task(call("c", 2, None))
        group.create_task(call("d", 2, None))
        group.create_task(call("e", 4, 4))
        await clock.asleep_ns(30 * S)
    assert ends == {
        "a": (11, "AttemptTimeoutError"),
        "b": (5, "DeadlineExceededError"),
        "c": (12, "AttemptTimeoutError"),
        "d": (12, "AttemptTimeoutError"),
        "e": (8, "DeadlineExceededError"),
    }


async def test_a_shortened_attempt_that_is_in_time(clock: FakeClock) -> None:
    """An attempt under a deadline that ends in time leaves no timer behind that could hit a later one."""
    guard, _ = build(clock, Timeout(seconds=10))
    await guard.call(asyncio.sleep, 0)
    with deadline_scope(5, clock=clock):
        await guard.call(clock.asleep_ns, S)
    assert await guard.call(_give, int) == 0
    await clock.asleep_ns(20 * S)


async def test_work_that_ends_although_its_time_is_up(clock: FakeClock) -> None:
    """A function that swallows the cancellation and answers has answered; no cancellation stays behind."""
    for policy in (Timeout(seconds=1), Deadline(seconds=1)):
        guard, _ = build(clock, policy)

        async def stubborn() -> str:
            try:
                await clock.asleep_ns(5 * S)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                return "anyway"
            return "never"

        assert await guard.call(stubborn) == "anyway"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


@pytest.mark.parametrize("policy", [Timeout(seconds=1), Deadline(seconds=1)])
async def test_an_error_while_being_cancelled_is_a_timeout(clock: FakeClock, policy: Policy) -> None:
    """A client that turns our cancellation into an error of its own has timed out all the same."""
    guard, _ = build(clock, policy)

    async def client() -> None:
        try:
            await clock.asleep_ns(5 * S)
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None

    with pytest.raises(TimeoutError) as raised:
        await guard.call(client)
    assert isinstance(raised.value, AttemptTimeoutError | DeadlineExceededError)
    assert isinstance(raised.value.__cause__, ConnectionError)


async def test_an_interrupt_while_being_cancelled_goes_on(clock: FakeClock) -> None:
    """What is neither an error nor a cancellation is never replaced."""
    guard, _ = build(clock, Timeout(seconds=1))

    class Stop(BaseException):
        """Like KeyboardInterrupt, which asyncio itself would re-raise in the loop."""

    async def client() -> None:
        try:
            await clock.asleep_ns(5 * S)
        except asyncio.CancelledError:
            raise Stop from None

    with pytest.raises(Stop):
        await guard.call(client)


# --- cancellation from outside --------------------------------------------------------------------------------------


async def test_cancellation_from_outside_stays_a_cancellation(clock: FakeClock) -> None:
    """A cancelled caller is cancelled: no retry, no fallback, no count, and the task knows who asked."""
    breaker = CircuitBreaker(failure_threshold=0.1)
    guard, recorder = build(clock, Deadline(seconds=30), Fallback(lambda: "no"), PLAIN, breaker, Timeout(seconds=10))
    task = asyncio.create_task(guard.call(forever))
    await turns()
    task.cancel("outside")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert breaker.state is BreakerState.CLOSED
    assert [event.kind for event in recorder.of(CallFailed)] == ["cancelled"]
    assert recorder.of(FallbackUsed) == []


@pytest.mark.parametrize("policy", [Timeout(seconds=5), Deadline(seconds=5)])
@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_both_cancel_at_once(clock: FakeClock, policy: Policy, first: str) -> None:
    """When the time is up and the caller cancels in the same turn, whoever is first, the caller is cancelled."""
    guard, _ = build(clock, PLAIN, policy) if isinstance(policy, Timeout) else build(clock, policy, PLAIN)
    task = asyncio.create_task(guard.call(forever))
    await turns()
    if first == "ours":
        clock.advance(5)
        task.cancel()
    else:
        task.cancel()
        clock.advance(5)
    await asyncio.wait([task])
    assert task.cancelled()


async def test_both_cancel_and_the_function_makes_an_error_of_it(clock: FakeClock) -> None:
    """Even when the function hides both cancellations behind an error, the caller's is honoured: no retry."""
    guard, _ = build(clock, Fallback(lambda: "no"), PLAIN, Timeout(seconds=5))
    calls = 0

    async def hides() -> None:
        nonlocal calls
        calls += 1
        try:
            await forever()
        except asyncio.CancelledError:
            raise ConnectionError from None

    for advance in (5, 0):
        task = asyncio.create_task(guard.call(hides))
        await turns()
        task.cancel()
        clock.advance(advance)
        await asyncio.wait([task])
        assert task.cancelled()
    assert calls == 2


async def test_timeout_and_deadline_at_once(clock: FakeClock) -> None:
    """When both limits are the same moment the deadline has the last word, and no cancellation is left over."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Deadline(seconds=5), PLAIN, breaker, Timeout(seconds=5))

    async def caller() -> int:
        with pytest.raises(DeadlineExceededError):
            await guard.call(forever)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    task = asyncio.create_task(caller())
    await turns()
    clock.advance(5)
    assert await task == 0
    assert breaker.snapshot().failures == 0.5


async def test_cleaning_up_after_a_cancellation_can_use_a_pipeline(clock: FakeClock) -> None:
    """A task that was cancelled and cleans up has time limits that work: earlier requests are not mistaken for new."""
    guard, _ = build(clock, Timeout(seconds=1))
    seen: list[BaseException] = []

    async def worker() -> None:
        try:
            await forever()
        finally:
            try:
                await guard.call(clock.asleep_ns, 5 * S)
            except AttemptTimeoutError as error:
                seen.append(error)

    task = asyncio.create_task(worker())
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(seen) == 1


async def test_a_cancelled_future_below_is_a_cancellation(clock: FakeClock) -> None:
    """Somebody cancelled what the function waits for: it goes on as a cancellation, and counts neither way."""
    breaker = CircuitBreaker(failure_threshold=0.1)
    guard, _ = build(clock, PLAIN, breaker, Timeout(seconds=5))
    future = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await future

    asyncio.get_running_loop().call_soon(future.cancel)
    with pytest.raises(asyncio.CancelledError):
        await guard.call(waits)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("listening", [True, False])
async def test_cancellation_at_every_point(listening: bool) -> None:
    """Cancelled after any number of turns, in an attempt, a backoff or a fallback: no probe, watch or context leaks."""
    finished = False
    for after in range(200):
        clock = FakeClock()
        breaker = CircuitBreaker()
        guard, recorder = build(
            clock,
            Deadline(seconds=30),
            Fallback([_alternative]),
            Retry(max_retries=1, jitter="none"),
            breaker,
            Timeout(seconds=10),
        )
        if not listening:
            recorder.stop()
        for _ in range(5):
            breaker.leave(breaker.enter(), _failure())
        clock.advance(15)
        calls = 0

        async def fn() -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0)
            try:
                await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
            raise ThrottledError

        async def outer(guard: Pipeline = guard, fn: Callable[[], Awaitable[None]] = fn) -> object:
            try:
                return await guard.call(fn)
            finally:
                assert deadline_ns() is None

        task = asyncio.create_task(outer())
        await turns(after)
        task.cancel()
        await asyncio.wait([task])
        assert breaker.snapshot().probes == 0
        assert breaker.state is (BreakerState.HALF_OPEN if calls else BreakerState.OPEN)
        assert breaker.snapshot().successes == 0
        if not task.cancelled():
            assert task.result() == "alternative"
            finished = True
            break
    assert finished
    assert after > 20


async def _alternative() -> str:
    await asyncio.sleep(0)
    return "alternative"


def _failure() -> Any:
    from holdfast.core.classify import classify

    return classify(ConnectionResetError())


async def test_cancelled_probes_do_not_block_the_breaker(clock: FakeClock) -> None:
    """Callers that give up on a probe, one after the other, never keep the next one out."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, breaker)
    breaker.force_open()
    breaker.reset()
    for _ in range(5):
        breaker.leave(breaker.enter(), _failure())
    clock.advance(15)
    for _ in range(20):
        task = asyncio.create_task(guard.call(forever))
        await turns(3)
        assert breaker.snapshot().probes == 1
        task.cancel()
        await asyncio.wait([task])
    assert breaker.snapshot().probes == 0


async def test_fifty_tasks_at_a_half_open_breaker(clock: FakeClock) -> None:
    """Fifty concurrent calls: one probe goes through, 49 are refused."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, breaker)
    for _ in range(5):
        breaker.leave(breaker.enter(), _failure())
    clock.advance(15)
    calls = 0

    async def slow() -> None:
        nonlocal calls
        calls += 1
        await clock.asleep_ns(S)

    results = await asyncio.gather(*(guard.call(slow) for _ in range(50)), return_exceptions=True)
    assert calls == 1
    assert sum(isinstance(each, CircuitOpenError) for each in results) == 49


async def test_tasks_do_not_share_their_attempts(clock: FakeClock) -> None:
    """Five tasks on one pipeline make three attempts each (tenacity: 1 or 2)."""
    guard, _ = build(clock, Retry(max_retries=2))
    calls: dict[int, int] = {}

    async def down(task: int) -> None:
        calls[task] = calls.get(task, 0) + 1
        await asyncio.sleep(0)
        raise TimeoutError

    results = await asyncio.gather(*(guard.call(down, n) for n in range(5)), return_exceptions=True)
    assert calls == dict.fromkeys(range(5), 3)
    assert [each.attempts for each in results if isinstance(each, RetriesExhaustedError)] == [3] * 5


# --- fallbacks ------------------------------------------------------------------------------------------------------


async def test_fallback_takes_sync_and_async_alternatives(clock: FakeClock) -> None:
    """Alternatives are asked in order; one that fails leaves a note; one that gives an awaitable is awaited."""

    async def broken(a: int) -> str:
        raise LookupError("cold cache")

    guard, recorder = build(clock, Fallback([broken, lambda a: _give(str, a)]))
    assert await guard.call(_raise_for, 7) == "7"
    assert recorder.of(FallbackUsed)[0].index == 1
    plain, _ = build(clock, Fallback(lambda a: a))
    assert await plain(_raise_for)(8) == 8
    failing, _ = build(clock, Fallback([broken]))
    with pytest.raises(ConnectionResetError) as raised:
        await failing.call(_raise_for, 7)
    assert raised.value.__notes__[0].endswith("broken failed too: LookupError: cold cache")


async def _raise_for(_: object) -> object:
    raise ConnectionResetError


async def test_a_cancelled_alternative_is_a_cancellation(clock: FakeClock) -> None:
    """The caller who gives up during an alternative is cancelled, and no further one is asked."""
    asked: list[int] = []
    guard, _ = build(clock, Fallback([lambda _: forever(), lambda _: asked.append(1)]))
    task = asyncio.create_task(guard.call(_raise_for, 1))
    await turns()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asked == []


async def test_an_alternative_is_cut_by_the_deadline(clock: FakeClock) -> None:
    """Alternatives share the deadline of the whole call."""
    guard, _ = build(clock, Deadline(seconds=5), Fallback(lambda _: clock.asleep_ns(60 * S)))
    with pytest.raises(DeadlineExceededError):
        await guard.call(_raise_for, 1)
    assert clock.now_ns() == 5 * S


# --- odds and ends --------------------------------------------------------------------------------------------------


async def test_nested_pipelines(clock: FakeClock) -> None:
    """Time limits of pipelines inside pipelines hit their own call only."""
    inner, _ = build(clock, Timeout(seconds=1))
    outer, _ = build(clock, Deadline(seconds=10), Retry(max_retries=1, jitter="none"), Timeout(seconds=5))

    async def work() -> str:
        with pytest.raises(AttemptTimeoutError):
            await inner.call(forever_on, clock)
        return "went on"

    assert await outer.call(work) == "went on"


async def forever_on(clock: FakeClock) -> None:
    await clock.asleep_ns(100 * S)


def test_one_pipeline_on_several_loops(clock: FakeClock) -> None:
    """A pipeline works on every loop, one after the other; what belonged to a closed one is dropped."""
    guard, _ = build(clock, Deadline(seconds=5), Timeout(seconds=1))
    for _ in range(3):
        with pytest.raises(AttemptTimeoutError):
            asyncio.run(guard(forever_on)(clock))
    bound = guard(forever_on)
    for _ in range(3):
        with pytest.raises(AttemptTimeoutError):
            asyncio.run(bound(clock))
    with asyncio.Runner() as one, asyncio.Runner() as two:
        for runner in (one, two, one, two):
            with pytest.raises(AttemptTimeoutError):
                runner.run(bound(clock))


@pytest.mark.parametrize("policies", [(), (Timeout(seconds=5),)])
async def test_a_call_lasts_from_its_beginning(policies: tuple[Policy, ...]) -> None:
    """Whoever listens hears the call's own time, on a clock that has run for a while, with a limit and without."""
    clock = FakeClock(start_ns=7 * S)
    guard, recorder = build(clock, *policies)
    await guard.call(clock.asleep_ns, 2 * S)
    (told,) = recorder.of(CallSucceeded)
    assert told.duration_ns == 2 * S


async def test_an_unheard_limit_counts_from_now() -> None:
    """Nobody listens, and a limit is as long as it says, on a clock that has run for a while."""
    clock = FakeClock(start_ns=7 * S)
    guard = Pipeline(Timeout(seconds=5), clock=clock)
    await guard.call(clock.asleep_ns, 4 * S)
    with pytest.raises(AttemptTimeoutError):
        await guard.call(clock.asleep_ns, 6 * S)


async def test_an_unheard_call_without_a_limit_of_its_own_heeds_the_deadline() -> None:
    """It is not made when the deadline around it has passed."""
    clock = FakeClock(start_ns=7 * S)
    guard = Pipeline(clock=clock)
    with deadline_scope(1, clock=clock):
        assert await guard.call(_give, int) == 0
        clock.advance(1)
        with pytest.raises(DeadlineExceededError):
            await guard.call(_give, int)


async def test_an_unheard_refusal_says_when_to_come_back() -> None:
    """An open breaker in front of a call without limits counts the seconds from now."""
    clock = FakeClock(start_ns=7 * S)
    breaker = CircuitBreaker(recovery_timeout=10)
    guard = Pipeline(breaker, clock=clock)
    for _ in range(5):
        with pytest.raises(ConnectionResetError):
            await guard.call(_raise, ConnectionResetError())
    clock.advance(4)
    with pytest.raises(CircuitOpenError) as refused:
        await guard.call(_give, int)
    assert refused.value.retry_after == 6


async def test_a_watch_needs_a_task(clock: FakeClock) -> None:
    """Outside a task there is nothing to cancel, and a sentence says so."""
    guard, _ = build(clock, Timeout(seconds=1))
    coroutine = guard.call(_give, int)
    caught: list[BaseException] = []

    def step() -> None:
        try:
            coroutine.send(None)
        except RuntimeError as error:
            caught.append(error)

    asyncio.get_running_loop().call_soon(step)
    await turns(2)
    assert "needs a task" in str(caught[0])


async def test_the_watch_holds_nothing_afterwards(clock: FakeClock) -> None:
    """After ten thousand calls no task is watched, and one timer at most is set."""
    dog = Watchdog(clock)
    watch = dog.here()
    for _ in range(10_000):
        watch.stop(watch.start(clock.now_ns() + S))
    assert watch._tasks == {}
    assert len(clock._entries) == 1
    assert dog.here() is watch


async def test_timers_that_come_early(clock: FakeClock) -> None:
    """A timer that fires before the time is set again; nobody is cancelled too early, nor is what has fired."""
    watch = Watchdog(clock).here()
    key = watch.start(clock.now_ns() + 2 * S)
    clock.advance(1)
    watch._fire()
    assert len(_pending(clock)) == 2
    assert not watch.close(key).fired
    assert _cancelling() == 0


async def test_a_shortened_watch_that_fires_after_its_end(clock: FakeClock) -> None:
    """Its timer may already be on the loop when the call ends in time: nothing is cancelled."""
    watch = Watchdog(clock).here()
    watch.start(clock.now_ns() + 10 * S)
    key = watch.start(clock.now_ns() + 1 * S)
    before = _pending(clock)
    watch._fire()  # it comes early: the second has a timer to itself from now on
    own = min(entry for entry in _pending(clock) if entry not in before)
    assert not watch.close(key).fired
    assert own.cancelled
    own._callback()
    assert _cancelling() == 0


async def test_short_limits_beside_a_long_one_share_a_timer(clock: FakeClock) -> None:
    """The armed timer is set forward for the first of them, and serves the others, too."""
    watch = Watchdog(clock).here()
    long = watch.start(clock.now_ns() + 10 * S)
    for _ in range(100):
        watch.stop(watch.start(clock.now_ns() + 1 * S))
    assert len(_pending(clock)) == 1
    assert not watch.close(long).fired


async def test_short_limits_after_a_long_one_are_in_order_again(clock: FakeClock) -> None:
    """When nobody is watched any more, limits that end earlier than the last are like any others: none is alone."""
    watch = Watchdog(clock).here()
    watch.stop(watch.start(clock.now_ns() + 10 * S))
    for seconds in (1, 2, 2):
        watch.start(clock.now_ns() + seconds * S)
    watch._fire()
    assert len(watch._tasks) == 3


async def test_one_timer_for_all_who_are_left(clock: FakeClock) -> None:
    """When the time of the first is up, the timer is set once more, for the next."""
    watch = Watchdog(clock).here()
    tasks = [asyncio.create_task(forever()) for _ in range(3)]
    for seconds, task in enumerate(tasks):

        async def begin(seconds: int = seconds) -> None:
            watch.start(clock.now_ns() + (seconds + 1) * S)
            await forever()

        task.cancel()
        tasks[seconds] = asyncio.create_task(begin())
        await turns(2)
    before = len(clock._entries)
    clock.advance(1)
    await turns(2)
    assert [task.done() for task in tasks] == [True, False, False]
    assert len(clock._entries) == before
    for task in tasks:
        task.cancel()


def test_each_loop_has_its_own_watch(clock: FakeClock) -> None:
    """It keeps it while it is open, with hooks and without, and neither outlives it for long."""
    dog = Watchdog(clock)

    async def here(*, hooks: bool) -> Watch:
        before = sys.get_asyncgen_hooks()
        if not hooks:
            sys.set_asyncgen_hooks(None, None)
        try:
            return dog.here()
        finally:
            sys.set_asyncgen_hooks(*before)

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        for hooks in (True, False):
            found = [loop.run_until_complete(here(hooks=hooks)) for loop in (first, second, first, second)]
            assert [watch.loop for watch in found] == [first, second, first, second]
            assert (found[0], found[1]) == (found[2], found[3])
    finally:
        first.close()
        second.close()
    asyncio.run(here(hooks=True))
    assert first not in dog._watches
    assert second not in dog._watches


async def test_a_loop_that_sets_no_hooks(clock: FakeClock) -> None:
    """Where the event loop cannot be told by its hook for async generators it is asked for, each time."""
    dog = Watchdog(clock)
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        watch = dog.here()
        assert dog.here() is watch
        assert watch.loop is asyncio.get_running_loop()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _pending(clock: FakeClock) -> list[Any]:
    return [entry for entry in clock._entries if not entry.cancelled]


def _cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_an_error_does_not_outlive_its_handler(clock: FakeClock) -> None:
    """Errors are freed without the cycle collector, timeouts included."""
    guard, _ = build(
        clock, Deadline(seconds=60), Fallback(_empty), Retry(max_retries=1), CircuitBreaker(), Timeout(seconds=1)
    )
    gone: list[weakref.ref[BaseException]] = []

    async def fails(hang: bool) -> None:
        if hang:
            await clock.asleep_ns(9 * S)
        error = LostError()
        gone.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def caller() -> None:
        for hang in (False, True):
            try:
                await guard.call(fails, hang)
            except RetriesExhaustedError as error:
                gone.append(weakref.ref(error))

    gc.collect()
    gc.disable()
    try:
        await caller()
        assert [each() for each in gone] == [None] * len(gone)
        assert len(gone) >= 3
    finally:
        gc.enable()


async def test_a_rejection_of_another_kind_is_not_retried(clock: FakeClock) -> None:
    """Whatever refused the call, it is not asked again."""
    guard, _ = build(clock, PLAIN)
    with pytest.raises(RejectedError):
        await guard.call(_raise, RejectedError("full"))
    assert clock.sleeps_ns == []


def _empty(*_: object) -> object:
    raise LookupError
