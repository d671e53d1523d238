"""Several gates, gates that one waits at, hedges and budgets, in the drivers."""

import asyncio
import gc
import traceback
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline, deadline_scope
from holdfast.core.events import BreakerRejected, Events, HedgeWon, RetriesExhausted, RetryScheduled
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.policy import CallRef, Site
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    AttemptTimeoutError,
    BulkheadFullError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    RateLimitedError,
    RetriesExhaustedError,
    UnacceptableResultError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
PLAIN = Retry(jitter="none")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def build(clock: FakeClock, *policies: Policy, **options: Any) -> tuple[Pipeline, EventRecorder]:
    events = Events()
    guard = Pipeline(*policies, name="dep", clock=clock, events=events, rng=seeded_rng(0), **options)
    return guard, EventRecorder(events)


async def give(value: object = 1) -> object:
    return value


async def fail(error: BaseException) -> None:
    raise error


def sync_fail(error: BaseException) -> None:
    raise error


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- several gates --------------------------------------------------------------------------------------------------


async def test_an_inner_refusal_is_not_held_against_the_outer(clock: FakeClock) -> None:
    """A limiter that has no room says nothing about the dependency: the breaker gets its permit back."""
    breaker, full = CircuitBreaker(failure_threshold=0.1), Bulkhead(max_concurrent=1)
    held = full.enter()
    falls_back, _ = build(clock, Fallback(lambda: "other"), breaker, full)
    assert await falls_back.call(give) == "other"
    assert falls_back.call(lambda: "own") == "other"
    guard, _ = build(clock, breaker, full)
    with pytest.raises(BulkheadFullError):
        await guard.call(give)
    with pytest.raises(BulkheadFullError):
        guard.call(lambda: 1)
    assert breaker.snapshot().failures == 0
    full.leave(held)
    assert await guard.call(give, 2) == 2
    assert guard.call(lambda: 3) == 3
    assert full.snapshot().inflight == 0


async def test_three_gates(clock: FakeClock) -> None:
    """Any number of gates is entered and left."""
    gates = [Bulkhead(), Bulkhead(), Bulkhead()]
    guard, _ = build(clock, *gates)
    assert await guard.call(give, 2) == 2
    assert guard.call(lambda: 3) == 3
    with pytest.raises(KeyError):
        await guard.call(fail, KeyError())
    assert [gate.snapshot().inflight for gate in gates] == [0, 0, 0]


async def test_both_of_two_gates_hear_of_a_failure(clock: FakeClock) -> None:
    """What went wrong is evidence for the outer and for the inner gate, also when it is repeated at once."""
    outer, inner = CircuitBreaker(), CircuitBreaker()
    guard, _ = build(clock, Retry(max_retries=1, initial_delay=0), outer, inner)
    with pytest.raises(RetriesExhaustedError):
        await guard.call(fail, ConnectionResetError())
    assert (outer.snapshot().failures, inner.snapshot().failures) == (2, 2)
    with pytest.raises(RetriesExhaustedError):
        guard.call(sync_fail, ConnectionResetError())
    assert (outer.snapshot().failures, inner.snapshot().failures) == (4, 4)
    assert clock.sleeps_ns == []


async def test_the_last_of_three_gates_refuses(clock: FakeClock) -> None:
    """The permits of those outside go back."""
    outside, full = [Bulkhead(), Bulkhead()], Bulkhead(max_concurrent=1)
    full.enter()
    guard, _ = build(clock, *outside, full)
    with pytest.raises(BulkheadFullError):
        await guard.call(give)
    assert [gate.snapshot().inflight for gate in outside] == [0, 0]


async def test_refusals_unheard(clock: FakeClock) -> None:
    """A refusal that nobody hears of is the refusal itself, in both forms; after the deadline that is said instead."""
    breaker = CircuitBreaker()
    breaker.force_open()
    guard = Pipeline(breaker, name="x", clock=clock)
    with pytest.raises(CircuitOpenError):
        await guard.call(give)
    with pytest.raises(CircuitOpenError):
        guard.call(lambda: 1)
    with deadline_scope(0, clock=clock):
        with pytest.raises(DeadlineExceededError):
            await guard.call(give)
        with pytest.raises(DeadlineExceededError):
            guard.call(lambda: 1)


async def test_refusals_of_other_gates_unheard(clock: FakeClock) -> None:
    """So is the refusal of a gate that does not show when it is shut, or stands behind another."""
    full = Bulkhead(max_concurrent=1)
    full.enter()
    for gates in ([full], [CircuitBreaker(), full]):
        guard = Pipeline(PLAIN, *gates, name="x", clock=clock)
        with pytest.raises(BulkheadFullError):
            await guard.call(give)
        with pytest.raises(BulkheadFullError):
            guard.call(lambda: 1)


def test_a_forgotten_await_unheard(clock: FakeClock) -> None:
    """A plain function that returns a coroutine is an error under a retry alone, too."""
    guard = Pipeline(PLAIN, clock=clock)

    def disguised() -> object:
        return give()

    with pytest.raises(ConfigError, match="returns a coroutine"):
        guard.call(disguised)
    with pytest.raises(ConfigError, match="returns a coroutine"):
        guard(disguised)()


@pytest.mark.parametrize("policies", [[PLAIN], [Timeout(seconds=1)]], ids=["quick", "whole"])
def test_a_forgotten_await_names_the_function(clock: FakeClock, policies: list[Policy]) -> None:
    """The error holds the function that was given, in both forms."""
    guard, _ = build(clock, *policies)

    def disguised() -> object:
        return give()

    for call in (guard(disguised), lambda: guard.call(disguised)):
        with pytest.raises(ConfigError) as raised:
            call()
        assert raised.value.value is disguised


class Doorman:
    """A gate that remembers which permits it got back."""

    label = "doorman"

    def __init__(self, *answers: BaseException | None) -> None:
        self.answers = iter(answers)
        self.left: list[object] = []

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> str:
        answer = next(self.answers, None)
        if answer is not None:
            raise answer
        return "permit"

    def leave(self, permit: str, fault: Fault | None = None, call: CallRef | None = None) -> None:
        self.left.append(permit)

    def snapshot(self) -> object:
        return None


async def test_a_gate_that_refuses_is_not_left(clock: FakeClock) -> None:
    """Whoever got no permit gives none back, with another gate inside, too."""
    outer, inner = Doorman(*[BulkheadFullError("full")] * 2), Doorman()
    guard, _ = build(clock, outer, inner)
    with pytest.raises(BulkheadFullError):
        await guard.call(give)
    with pytest.raises(BulkheadFullError):
        guard.call(lambda: 1)
    assert (outer.left, inner.left) == ([], [])


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_gate_that_is_late_is_not_an_attempt_that_is(clock: FakeClock, attempt: int) -> None:
    """A gate may work under a deadline of its own; when that passes no attempt has timed out."""
    late = DeadlineExceededError("the gate's own")
    guard, _ = build(clock, PLAIN, Doorman(*[None] * (attempt - 1), late), Timeout(seconds=2))
    with pytest.raises(DeadlineExceededError) as raised:
        guard.call(sync_fail, ConnectionResetError())
    assert raised.value is late


# --- the breaker that opens during a retry --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_sleep_after_the_own_breaker_opened(clock: FakeClock, kind: str) -> None:
    """When the failure opened the breaker for longer than the backoff the caller hears it at once."""
    guard, recorder = build(clock, PLAIN, CircuitBreaker(failure_threshold=2, recovery_timeout=30), Timeout(seconds=9))
    with pytest.raises(CircuitOpenError) as raised:  # noqa: PT012
        if kind == "sync":
            guard.call(sync_fail, ConnectionResetError())
        else:
            await guard.call(fail, ConnectionResetError())
    assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert clock.sleeps_ns == [S]
    assert [event.reason for event in recorder.of(RetriesExhausted)] == ["refused"]
    assert len(recorder.of(BreakerRejected)) == 1
    assert len(recorder.of(RetryScheduled)) == 1


async def test_a_breaker_that_is_back_in_time(clock: FakeClock) -> None:
    """When the backoff is longer than the breaker's time the wait is worth it: the repetition is the probe."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=1, recovery_jitter=0)
    guard, _ = build(clock, Retry(max_retries=1, initial_delay=5, jitter="none"), breaker)
    calls = 0

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionResetError
        return calls

    assert await guard.call(flaky) == 2
    assert breaker.state is BreakerState.HALF_OPEN


async def test_a_shadow_breaker_does_not_stop_retries(clock: FakeClock) -> None:
    """A breaker that only counts refuses nobody, and its permit goes back."""
    guard, _ = build(clock, PLAIN, CircuitBreaker(failure_threshold=1, shadow=True))
    with pytest.raises(RetriesExhaustedError):
        await guard.call(fail, ConnectionResetError())
    assert len(clock.sleeps_ns) == 3


# --- waiting --------------------------------------------------------------------------------------------------------


async def test_waiting_for_a_slot(clock: FakeClock) -> None:
    """Calls stand in line for a slot, the attempt's time begins when they have it, and nobody is left behind."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=5)
    breaker = CircuitBreaker()
    guard, _ = build(clock, breaker, bulkhead, Timeout(seconds=2))

    async def work(n: int) -> int:
        await clock.asleep_ns(S)
        return n

    assert await asyncio.gather(*(guard.call(work, n) for n in range(4))) == [0, 1, 2, 3]
    assert clock.now_ns() == 4 * S
    assert bulkhead.snapshot().inflight == 0
    assert guard.describe().max_seconds is None


async def test_a_wait_ends_at_the_deadline(clock: FakeClock) -> None:
    """Who waits for a slot leaves the line at the deadline, and the slot goes to the next."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=5)
    guard, _ = build(clock, Deadline(seconds=3), PLAIN, CircuitBreaker(), bulkhead)
    held = bulkhead.enter()
    task = asyncio.create_task(guard.call(give))
    await turns()
    assert bulkhead.snapshot().waiting == 1
    clock.advance(3)
    with pytest.raises(DeadlineExceededError):
        await task
    assert bulkhead.snapshot().waiting == 0
    bulkhead.leave(held)
    assert bulkhead.snapshot().inflight == 0


@pytest.mark.parametrize("granted", [True, False])
async def test_a_wait_that_is_cancelled(clock: FakeClock, granted: bool) -> None:
    """Cancelled in line, or in the very turn in which the slot came: nothing is held, nothing is counted."""
    bulkhead, breaker = Bulkhead(max_concurrent=1, max_waiting=5), CircuitBreaker(failure_threshold=0.1)
    guard, _ = build(clock, PLAIN, breaker, bulkhead)
    held = bulkhead.enter()
    task = asyncio.create_task(guard.call(give))
    await turns()
    if granted:
        bulkhead.leave(held)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    if not granted:
        bulkhead.leave(held)
    assert (bulkhead.snapshot().inflight, bulkhead.snapshot().waiting, breaker.snapshot().failures) == (0, 0, 0)


async def test_the_deadline_of_a_wait_that_is_over_cancels_nobody(clock: FakeClock) -> None:
    """What the task does after the call has all the time in the world."""
    guard, _ = build(clock, RateLimiter(requests_per_minute=60, burst=1, max_wait=5))
    with deadline_scope(3, clock=clock):
        assert [await guard.call(give), await guard.call(give)] == [1, 1]
    await clock.asleep_ns(9 * S)
    assert clock.now_ns() == 10 * S


async def test_an_error_that_ends_a_wait_goes_on_as_it_is(clock: FakeClock) -> None:
    """A refusal after a wait shows each frame once, and is freed without the cycle collector."""
    guard, _ = build(clock, Deadline(seconds=60), bulkhead := Bulkhead(max_concurrent=1, max_waiting=1, max_wait=1))
    held = bulkhead.enter()
    seen: list[weakref.ref[BaseException]] = []

    async def refused() -> None:
        try:
            await guard.call(give)
        except BulkheadFullError as error:
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            assert len(set(frames)) == len(frames)
            seen.append(weakref.ref(error))

    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(refused())
        await turns()
        clock.advance(1)
        await task
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()
    bulkhead.leave(held)


def test_waiting_for_a_rate_limit(clock: FakeClock) -> None:
    """A limiter with ``max_wait`` makes sync calls wait as long as it says, in the pipeline's time."""
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=5)
    guard, _ = build(clock, limiter, Timeout(seconds=1))
    assert [guard.call(lambda: 1) for _ in range(3)] == [1, 1, 1]
    assert clock.now_ns() == 2 * S
    assert guard.describe().max_seconds == 6
    refuses, _ = build(clock, RateLimiter(requests_per_minute=60, burst=1))
    refuses.call(lambda: 1)
    with pytest.raises(RateLimitedError):
        refuses.call(lambda: 1)


def test_an_inner_refusal_after_a_wait(clock: FakeClock) -> None:
    """When a gate further inside refuses, the place that was waited for is given back."""
    bulkhead, full = Bulkhead(max_concurrent=1, max_waiting=1), Bulkhead(max_concurrent=1)
    full.enter()
    guard, _ = build(clock, bulkhead, full)
    with pytest.raises(BulkheadFullError):
        guard.call(lambda: 1)
    with pytest.raises(BulkheadFullError):
        asyncio.run(guard(give)())
    assert bulkhead.snapshot().inflight == 0


async def test_a_stream_waits_too(clock: FakeClock) -> None:
    """An async generator waits for its slot, and holds it to the end."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=1)
    guard, _ = build(clock, Deadline(seconds=9), bulkhead)
    held = bulkhead.enter()

    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def read() -> list[int]:
        return [item async for item in guard(items)()]

    task = asyncio.create_task(read())
    await turns()
    bulkhead.leave(held)
    assert await task == [1, 2]
    assert bulkhead.snapshot().inflight == 0


async def test_the_queue_stands_in_front(clock: FakeClock) -> None:
    """A call is queued once, whatever its retries; who is refused gets the fallback outside the queue."""
    queue = RequestQueue(max_concurrent=1, requests_per_minute=None, max_size=1)
    guard, _ = build(clock, Deadline(seconds=60), Fallback(lambda: "busy"), queue, PLAIN, CircuitBreaker())
    calls = 0

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        await clock.asleep_ns(S)
        if calls == 1:
            raise ConnectionResetError
        return calls

    results = await asyncio.gather(*(guard.call(flaky) for _ in range(3)))
    assert results == [2, 3, "busy"]
    assert guard.describe().order[:3] == ("deadline", "fallback", "request_queue")
    assert "request_queue" in guard.snapshot().policies


@pytest.mark.parametrize("outer", [Retry(), Hedge(), CircuitBreaker(), Timeout(seconds=1)])
def test_nothing_that_repeats_is_outside_the_queue(outer: Policy) -> None:
    """What would put a call in line twice, or count the line's time as the dependency's, is refused."""
    with pytest.raises(ConfigError, match=f"{outer.label} must not be outside request_queue"):
        Pipeline(outer, RequestQueue())


class Bouncer:
    """A waiter of one's own, without options."""

    label = "bouncer"

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> str:
        raise AssertionError

    def ask(self, call: CallRef | None = None) -> str:
        return "permit"

    def leave(self, permit: str, fault: Fault | None = None, call: CallRef | None = None) -> None:
        assert permit == "permit"

    def snapshot(self) -> object:
        return None


async def test_a_waiter_of_ones_own(clock: FakeClock) -> None:
    """Anything with ``ask`` is asked; nobody knows how long it may take."""
    guard, _ = build(clock, Bouncer(), Timeout(seconds=1))
    assert await guard.call(give, 2) == 2
    assert guard.call(lambda: 3) == 3
    assert guard.describe().max_seconds is None


# --- hedges ---------------------------------------------------------------------------------------------------------


async def test_a_hedge_in_a_pipeline(clock: FakeClock) -> None:
    """The slow call is made again, each copy through the gates and with a timeout of its own."""
    bulkhead = Bulkhead(max_concurrent=2)
    guard, recorder = build(clock, PLAIN, Hedge(delay=1, max_share=None), bulkhead, Timeout(seconds=10))
    calls = 0

    async def slow_once() -> int:
        nonlocal calls
        calls += 1
        mine = calls
        await clock.asleep_ns((9 if mine == 1 else 1) * S)
        return mine

    task = asyncio.create_task(guard.call(slow_once))
    await turns(3)
    clock.advance(1)
    assert await task == 2
    assert recorder.of(HedgeWon)[0].hedge == 1
    await turns()
    assert bulkhead.snapshot().inflight == 0
    described = guard.describe()
    assert described.order == ("retry", "hedge", "bulkhead", "timeout")
    assert described.max_calls == 8
    assert described.max_seconds == pytest.approx(4 * 20 + 3 * 60)


def test_what_cannot_be_hedged() -> None:
    """Plain functions and streams are refused with a sentence when they are decorated."""
    guard = Pipeline(Hedge())

    def items() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="plain function"):
        guard(len)
    with pytest.raises(ConfigError, match="gives a stream"):
        guard(items)


@pytest.mark.parametrize("outer", [CircuitBreaker(), Timeout(seconds=1)])
def test_a_hedge_outside_of_what_each_copy_needs(outer: Policy) -> None:
    """Gates and timeouts are for each of the two calls."""
    with pytest.raises(ConfigError, match=f"{outer.label} must not be outside hedge"):
        Pipeline(outer, Hedge())
    with pytest.raises(ConfigError, match="hedge must not be outside retry"):
        Pipeline(Hedge(), Retry())


async def test_one_budget_for_retries_and_hedges(clock: FakeClock) -> None:
    """A call is one request of a shared budget; of two budgets, one of each."""
    shared, other = RetryBudget(), RetryBudget()
    for first, second in ((shared, shared), (shared, other)):
        guard, _ = build(clock, Retry(budget=first), Hedge(budget=second))
        assert await guard.call(give) == 1
    assert (shared.snapshot().requests, other.snapshot().requests) == (2, 1)


# --- budgets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_repetition_beyond_the_budget(clock: FakeClock, kind: str) -> None:
    """A used-up budget ends the retrying, and the error says why."""
    budget = RetryBudget(share=0, floor=0.1, window=10, off_above=None)
    guard, recorder = build(clock, Retry(budget=budget, jitter="none"))
    with pytest.raises(RetriesExhaustedError, match=r"\. Too many .*: its retry budget is used up") as raised:  # noqa: PT012
        if kind == "sync":
            guard.call(sync_fail, ConnectionResetError())
        else:
            await guard.call(fail, ConnectionResetError())
    assert raised.value.attempts == 2
    assert [event.reason for event in recorder.of(RetriesExhausted)] == ["no_budget"]
    assert budget.snapshot().requests == 1


def test_a_repetition_that_a_listener_stops_is_refunded(clock: FakeClock) -> None:
    """What a listener raises over the repetition ends the call before it, and its charge goes back."""
    budget = RetryBudget()
    guard, _ = build(clock, Retry(budget=budget, jitter="none"))

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    guard.events.listen(stop, RetryScheduled)
    with pytest.raises(KeyboardInterrupt):
        guard.call(sync_fail, ConnectionResetError())
    assert (budget.snapshot().spent, budget.snapshot().refunded["retry"]) == (0, 1)


async def test_a_repetition_that_never_starts_is_refunded(clock: FakeClock) -> None:
    """Refused by a gate after the backoff, it costs the budget nothing."""
    budget, bulkhead = RetryBudget(), Bulkhead(max_concurrent=1)
    guard, _ = build(clock, Retry(budget=budget, jitter="none"), bulkhead)

    async def fails_and_blocks() -> None:
        asyncio.get_running_loop().call_soon(bulkhead.enter)
        raise ConnectionResetError

    with pytest.raises(BulkheadFullError) as raised:
        await guard.call(fails_and_blocks)
    assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert (budget.snapshot().spent, budget.snapshot().refunded["retry"]) == (0, 1)


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (True, FaultKind.TRANSIENT),
        (FaultKind.EMPTY, FaultKind.EMPTY),
        (Fault(kind=FaultKind.THROTTLED, transient=True, weight=0), FaultKind.THROTTLED),
    ],
)
async def test_a_result_can_be_a_failure(clock: FakeClock, verdict: Any, kind: FaultKind) -> None:
    """A result that is refused is retried, counts in the breaker by its kind, and is on the final error."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, Retry(max_retries=1, jitter="none", on_result=lambda r: r == "bad" and verdict), breaker)
    answers = iter(["bad", "good", "bad", "bad"])

    async def answer() -> str:
        return next(answers)

    assert await guard.call(answer) == "good"
    with pytest.raises(RetriesExhaustedError) as raised:
        guard.call(lambda: next(answers))
    cause = raised.value.__cause__
    assert isinstance(cause, UnacceptableResultError)
    assert cause.result == "bad"
    assert isinstance(cause.fault, Fault)
    assert cause.fault.kind is kind
    assert breaker.snapshot().failures == 2 * cause.fault.weight


async def test_a_result_that_will_not_get_better(clock: FakeClock) -> None:
    """A verdict of a kind that does not pass is raised at once."""
    guard, _ = build(clock, Retry(on_result=lambda _: FaultKind.CONTENT_FILTERED))
    with pytest.raises(UnacceptableResultError):
        await guard.call(give)
    with pytest.raises(UnacceptableResultError):
        guard.call(lambda: 1)
    assert clock.sleeps_ns == []


async def test_a_final_error_that_is_not_retried_names_its_attempt(clock: FakeClock) -> None:
    """An error that ends the retrying is raised unchanged, with a note of which attempt it was."""
    guard, _ = build(clock, PLAIN)
    errors: list[Exception] = [ConnectionResetError(), PermissionError("no")]

    async def down() -> None:
        raise errors.pop(0)

    with pytest.raises(PermissionError) as raised:
        await guard.call(down)
    assert raised.value.__notes__ == ["This was attempt 2 of the call to dep."]


# --- the deadline in the same frame ---------------------------------------------------------------------------------


async def test_an_alternative_that_hangs_is_told_from_one_that_fails(clock: FakeClock) -> None:
    """After the deadline no further alternative is asked; before it the next one is."""
    asked: list[str] = []

    async def hangs() -> str:
        asked.append("hangs")
        await clock.asleep_ns(60 * S)
        return "never"

    async def breaks() -> str:
        asked.append("breaks")
        raise LookupError

    async def last() -> str:
        asked.append("last")
        return "last"

    async def down() -> str:
        raise ConnectionResetError

    guard, _ = build(clock, Deadline(seconds=5), Fallback([breaks, hangs, last]), Timeout(seconds=9))
    with pytest.raises(DeadlineExceededError) as raised:
        await guard.call(down)
    assert asked == ["breaks", "hangs"]
    assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert clock.now_ns() == 5 * S


def test_a_sync_attempt_that_sees_the_deadline(clock: FakeClock) -> None:
    """An attempt cut by the deadline says so; one that reaches its own limit before it has timed out."""
    guard, _ = build(clock, Deadline(seconds=5), Timeout(seconds=3))

    def works(seconds: int) -> None:
        clock.sleep_ns(seconds * S)
        raise DeadlineExceededError("seen")

    with pytest.raises(AttemptTimeoutError):
        guard.call(works, 3)
    with pytest.raises(DeadlineExceededError, match="seen"):
        guard.call(works, 5)
