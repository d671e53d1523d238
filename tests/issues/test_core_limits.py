"""What a review found of limiters, quotas, bulkheads and queues: dead waiters, lost charges, mixed usage, resets."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core._gcra import Gcra
from holdfast.core._line import Queued
from holdfast.core.adaptive_limit import AdaptiveLimit
from holdfast.core.adaptive_rate import AdaptiveRate
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.codel import CoDel
from holdfast.core.deadline import Deadline
from holdfast.core.demand import Demand, current_demand, demand_scope
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline
from holdfast.core.queue_worker import TaskWorker
from holdfast.core.quota import Quota
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.sliding_window import SlidingWindow
from holdfast.errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConfigError,
    QuotaExhaustedError,
    RateLimitedError,
)
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

S = 1_000_000_000
THROTTLED = Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0)
NEVER_MADE = Fault(kind=FaultKind.TIMEOUT, transient=True, weight=0.5, made=False)


def still() -> FakeClock:
    """A clock that only the test moves."""
    return FakeClock(auto=False)


def leave_waiting(*waits: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Let tasks wait on an event loop, and close it under them; nobody holds them but who they wait for."""
    loop = asyncio.new_event_loop()

    async def start() -> None:
        for wait in waits:
            asyncio.create_task(wait())  # noqa: RUF006
            await asyncio.sleep(0)

    loop.run_until_complete(start())
    loop.close()


# --- 1. waiters whose event loop was closed ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [RateLimiter, AdaptiveRate])
def test_a_dead_waiter_does_not_shut_a_limiter(make: type[RateLimiter]) -> None:
    """Whoever comes after one whose event loop was closed is let in as if that one had never come."""
    clock = still()
    limiter = make(requests_per_minute=60, burst=1, max_wait=10, clock=clock)
    limiter.enter()
    leave_waiting(limiter.acquire_async, limiter.acquire_async)
    assert limiter.snapshot().waiting == 0
    leave_waiting(limiter.acquire_async)
    clock.advance(1)
    assert limiter.enter()
    leave_waiting(limiter.acquire_async)
    clock.advance(1)
    assert limiter.reserve().cost == 1


def test_a_dead_waiter_does_not_shut_a_sliding_window() -> None:
    """A window is as full as what was let in, and nobody stands in line who cannot leave it."""
    clock = still()
    window = SlidingWindow(limit=1, window=1, slots=1, max_wait=10, clock=clock)
    window.reserve()
    leave_waiting(window.acquire_async)
    clock.advance(2)
    window.reserve()
    leave_waiting(window.acquire_async)
    assert window.snapshot().waiting == 0


async def test_who_waits_behind_a_dead_waiter_is_let_in_when_its_turn_should_have_come() -> None:
    """Nobody has to come first for those behind a closed event loop to be let in."""
    clock = still()
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=60, clock=clock)
    limiter.enter()
    place = limiter.ask()  # the next one stands behind it, as yet
    assert isinstance(place, Queued)
    await asyncio.to_thread(leave_waiting, limiter.acquire_async)
    behind = asyncio.create_task(limiter.acquire_async())
    await asyncio.sleep(0)
    await asyncio.to_thread(leave_waiting, place.wait_async)
    clock.advance(3)
    for _ in range(5):
        await asyncio.sleep(0)
    assert behind.done()
    assert (await behind).waited_ns == 3 * S


def test_a_thread_behind_a_living_one_waits_to_its_end() -> None:
    """It looks when its turn should have come, and is refused when its time is up and somebody is still before it."""
    limiter = RateLimiter(requests_per_minute=60_000, burst=1, max_wait=0.01, clock=still())
    limiter.enter()
    first, second = limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    with pytest.raises(RateLimitedError):
        second.wait()  # 2 ms and 10 ms of real time: no clock can wake a thread
    first.cancel()


def test_a_thread_that_looks_at_the_end_finds_the_line_empty() -> None:
    """Also where its time is up, it is let in when only dead ones were before it."""
    clock = still()
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=5, clock=clock)
    limiter.enter()
    first, second = limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    leave_waiting(first.wait_async)
    clock.advance(5)
    assert second.wait().waited_ns == 5 * S


async def test_a_task_that_looks_at_the_end_finds_the_line_empty() -> None:
    """The same for a task that the clock has left behind."""
    clock = still()
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=5, clock=clock)
    limiter.enter()
    first, second = limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    await asyncio.to_thread(leave_waiting, first.wait_async)
    clock.advance(5)
    assert (await second.wait_async()).waited_ns == 5 * S


def test_the_turn_goes_on_from_one_dead_front_to_the_next() -> None:
    """Where those of low priority come to the front by a closed event loop, and are on another one, they are passed."""
    clock = still()
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=60, clock=clock)
    limiter.enter()
    other = asyncio.new_event_loop()

    async def behind() -> None:
        asyncio.create_task(limiter.acquire_async())  # noqa: RUF006
        await asyncio.sleep(0)

    first = limiter.ask()
    assert isinstance(first, Queued)
    other.run_until_complete(behind())
    leave_waiting(first.wait_async)
    other.close()
    assert limiter.snapshot().waiting == 0


def test_a_front_that_is_gone_without_a_word_passes_its_turn_on() -> None:
    """A waker that says only when it is called that nobody is there hands the turn to the next."""

    class Gone:
        loop = None

        def wake(self) -> bool:
            return False

    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=60, clock=still())
    limiter.enter()
    first, second, third = limiter.ask(), limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert isinstance(third, Queued)
    limiter.watch(second, Gone())
    leave_waiting(first.wait_async)
    assert limiter.snapshot().waiting == 1
    assert third.turn


def test_whoever_is_let_in_passes_the_turn_over_those_who_are_gone() -> None:
    """The one at the front wakes the next who is there."""

    class Gone:
        loop = None

        def wake(self) -> bool:
            return False

    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=60, clock=FakeClock())
    limiter.enter()
    first, second, third = limiter.ask(), limiter.ask(), limiter.ask()
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert isinstance(third, Queued)
    limiter.watch(second, Gone())
    first.wait()
    assert third.turn


def test_dead_waiters_take_no_place_in_a_bulkheads_line() -> None:
    """A line full of tasks whose event loop was closed is empty, and their abandoning is counted."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=2, clock=still())
    slot = bulkhead.enter()
    leave_waiting(bulkhead.admitted_async, bulkhead.admitted_async)
    turn = bulkhead.ask()
    leave_waiting(bulkhead.admitted_async)
    state = bulkhead.snapshot()
    assert (state.waiting, state.abandoned) == (1, 3)
    leave_waiting(bulkhead.admitted_async)
    bulkhead.leave(slot)
    bulkhead.leave(turn)
    assert bulkhead.snapshot().inflight == 0


def test_a_slot_passes_a_row_of_dead_waiters() -> None:
    """It is free afterwards, even if the collector, under which their coroutines leave the line, comes meanwhile."""

    class Collected(OrderedDict[Any, Any]):
        def popitem(self, last: bool = True) -> tuple[Any, Any]:
            item = super().popitem(last)
            gc.collect()
            return item

    bulkhead: Any = Bulkhead(max_concurrent=1, max_waiting=4, clock=still())
    bulkhead._line = Collected()
    slot = bulkhead.enter()
    thread = threading.Thread(target=leave_waiting, args=[bulkhead.admitted_async] * 4)
    thread.start()
    thread.join()
    bulkhead.leave(slot)
    state = bulkhead.snapshot()
    assert (state.inflight, state.waiting, state.abandoned) == (0, 0, 4)


def test_dead_waiters_take_no_place_in_a_queue() -> None:
    """A queue full of tasks whose event loop was closed lets the next one wait, and counts nobody who is gone."""
    queue = RequestQueue(max_concurrent=1, requests_per_minute=None, max_size=2, clock=still())
    under_way = queue.enter()
    leave_waiting(queue.admitted_async, queue.admitted_async)
    waiting = queue.ask()
    leave_waiting(queue.admitted_async)
    state = queue.snapshot()
    assert (state.waiting, state.abandoned) == (1, 3)
    queue.leave(under_way)
    queue.leave(waiting)


def test_a_dead_waiter_does_not_hold_the_queues_alarm() -> None:
    """When the one who was to call at the next start is gone, somebody else is asked to."""
    clock = still()
    queue = RequestQueue(max_concurrent=2, requests_per_minute=60, burst=1, clock=clock)
    queue.leave(queue.enter())
    leave_waiting(queue.admitted_async)
    request = queue.ask()
    assert request.alarm_ns == S
    clock.advance(1)
    queue.alarm(request)
    queue.leave(request.wait())


def test_a_task_that_never_ran_takes_no_place_in_a_queue() -> None:
    """A worker's request is gone with its event loop, also where its task had not begun."""
    queue = RequestQueue(max_concurrent=1, requests_per_minute=None, clock=still())
    under_way = queue.enter()

    async def handle(item: int) -> int:
        return item  # pragma: no cover  it never runs

    async def submit() -> asyncio.Task[int]:
        return TaskWorker(queue, handle).submit(1)

    loop = asyncio.new_event_loop()
    loop.call_soon(loop.stop)
    submitted = loop.create_task(submit())
    loop.run_forever()
    coroutine = submitted.result().get_coro()
    assert coroutine is not None
    coroutine.close()  # that it never ran is a warning
    loop.close()
    assert queue.snapshot().waiting == 0
    queue.leave(under_way)


# --- 2. calls that were never made ------------------------------------------------------------------------------------


def charged(clock: FakeClock) -> list[tuple[Any, Callable[[], float]]]:
    """Each gate that charges, and what it has charged."""
    requests = RateLimiter(requests_per_minute=6, burst=10, clock=clock)
    tokens = RateLimiter(requests_per_minute=6, tokens_per_minute=60, token_burst=100, clock=clock)
    rate = AdaptiveRate(requests_per_minute=60, burst=10, clock=clock)
    window = SlidingWindow(limit=10, clock=clock)
    quota = Quota(limit=10, clock=clock)
    return [
        (requests, lambda: 10 - requests.snapshot().requests.available),
        (tokens, lambda: 10 - tokens.snapshot().requests.available),
        (tokens, lambda: 100 - tokens.snapshot().tokens.available),  # type: ignore[union-attr]
        (rate, lambda: 10 - rate.snapshot().requests.available),
        (window, lambda: window.snapshot().used),
        (quota, lambda: quota.snapshot().used),
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize(
    "fault", [NEVER_MADE, hand_back(asyncio.CancelledError()), hand_back(CircuitOpenError("open"))]
)
def test_a_call_that_was_never_made_costs_nothing(number: int, fault: Fault) -> None:
    """Every gate that charges gives all back for a call that was cancelled, refused or too late before it was made."""
    gate, used = charged(still())[number]
    gate.leave(gate.enter(), fault)
    assert used() == 0
    gate.leave(gate.enter(), hand_back(asyncio.CancelledError(), made=True))
    assert used() == 1


@pytest.mark.parametrize("number", range(6))
def test_cancelled_at_an_inner_gate(number: int) -> None:
    """A task that is cancelled while it waits at an inner gate gets back what the outer one charged."""

    async def main() -> None:
        clock = still()
        gate, used = charged(clock)[number]
        guard = Pipeline(gate, Bulkhead(max_concurrent=1, max_waiting=5), clock=clock, allow_order=True)

        @guard
        async def work() -> None:
            await asyncio.Event().wait()

        first, second = asyncio.create_task(work()), asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert used() == 2
        second.cancel()
        await asyncio.wait([second])
        assert used() == 1
        first.cancel()
        await asyncio.wait([first])
        assert used() == 1  # it was under way

    asyncio.run(main())


async def test_a_deadline_that_passes_at_an_inner_gate() -> None:
    """A call whose deadline passes while it waits at an inner gate costs its quota nothing."""
    clock = still()
    quota = Quota(limit=10)
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=5)
    guard = Pipeline(Deadline(seconds=1), quota, bulkhead, clock=clock, allow_order=True)
    slot = bulkhead.enter()
    task = asyncio.create_task(guard.call(asyncio.sleep, 0))
    await asyncio.sleep(0)
    clock.advance(2)
    await asyncio.wait([task])
    assert task.exception() is not None
    assert quota.snapshot().used == 0
    bulkhead.leave(slot)


def test_a_request_that_was_never_made_costs_the_queue_no_start() -> None:
    """Its place in the rate goes to the next, and its time says nothing of how long requests take."""
    queue = RequestQueue(requests_per_minute=60, burst=1, clock=still())
    queue.leave(queue.enter(), NEVER_MADE)
    queue.leave(queue.enter(), NEVER_MADE)
    assert queue.snapshot().mean_service is None


def test_a_start_that_was_none_is_not_given_back_twice() -> None:
    """What the rate has forgotten meanwhile is not taken off a later start."""
    clock = still()
    queue = RequestQueue(requests_per_minute=60, burst=1, clock=clock)
    first = queue.enter()
    clock.advance(5)
    queue.enter()
    queue.leave(first, NEVER_MADE)
    assert queue.ask().alarm_ns == 6 * S


def test_what_was_never_made_teaches_the_adaptive_policies_nothing() -> None:
    """Neither the rate nor the concurrency limit learns from calls that were not made."""
    rate = AdaptiveRate(requests_per_minute=60, min_calls=1, clock=still())
    rate.leave(rate.enter(), NEVER_MADE)
    assert (rate.snapshot().failures, rate.rate) == (0, 60)
    limit = AdaptiveLimit(initial_limit=20, clock=still())
    limit.leave(limit.enter(), NEVER_MADE)
    assert limit.snapshot().limit == 20


# --- 3. whose usage it is ---------------------------------------------------------------------------------------------


def meter(clock: FakeClock | None = None) -> Quota:
    """Counts what it is told."""
    return Quota(limit=1_000_000, clock=clock or still())


def test_every_limiter_of_an_attempt_settles_by_its_usage() -> None:
    """Two in one pipeline, and one in each of two that are nested, learn the same of one call."""
    outer, inner, innermost = meter(), meter(), meter()
    nested = Pipeline(innermost)

    @Pipeline(outer, inner, allow_order=True)
    def call() -> None:
        nested.call(use, 7)

    with demand_scope(cost=100) as demand:
        call()
        call()
    assert [each.snapshot().used for each in (outer, inner, innermost)] == [14, 14, 14]
    assert demand.actual == 14


def use(actual: float) -> None:
    """Say what was used."""
    current_demand().used(actual)


def test_an_outer_limiter_adds_up_what_was_used_inside() -> None:
    """Each inner call counts for itself; said again it is corrected."""
    outer, inner = meter(), meter()
    nested = Pipeline(inner)

    def twice() -> None:
        use(50)
        use(20)

    @Pipeline(outer)
    def call() -> None:
        nested.call(twice)
        nested.call(use, 3)

    with demand_scope(cost=100):
        call()
    assert (outer.snapshot().used, inner.snapshot().used) == (23, 23)


@pytest.mark.parametrize("form", ["pipeline", "decorator", "call", "block", "stream"])
async def test_calls_side_by_side_under_one_scope_do_not_share_their_usage(form: str) -> None:
    """What one says it used settles its own reservation, in tasks and whatever the form."""
    quota = meter()

    async def work(actual: float) -> None:
        await asyncio.sleep(0)
        use(actual)
        await asyncio.sleep(0)

    async def stream(actual: float) -> AsyncGenerator[int, None]:
        await work(actual)
        yield 1

    async def block(actual: float) -> None:
        async with quota.admit():
            await work(actual)

    async def consume(actual: float) -> None:
        async for _ in quota(stream)(actual):
            await asyncio.sleep(0)

    run: Any = {
        "pipeline": Pipeline(quota)(work),
        "decorator": quota(work),
        "call": lambda actual: quota.call(work, actual),
        "block": block,
        "stream": consume,
    }[form]
    with demand_scope(cost=1000):
        await asyncio.gather(run(1), run(20), run(300), run(0))
    assert quota.snapshot().used == 321


def test_each_attempt_of_a_retry_settles_by_its_own_usage() -> None:
    """A limiter inside the retry charges each attempt for itself, one outside the sum of them."""
    outside, inside = meter(), meter()
    usages = iter([30, None, 5])

    def flaky() -> None:
        usage = next(usages)
        if usage is not None:
            use(usage)
        if usage != 5:
            raise ConnectionError

    retry = Retry(max_retries=3, initial_delay=0.001, budget=None)
    guard = Pipeline(outside, retry, inside, clock=FakeClock(), allow_order=True)
    with demand_scope(cost=100):
        guard.call(flaky)
    assert inside.snapshot().used == 30 + 100 + 5
    assert outside.snapshot().used == 35
    usages, alone = iter([30, None, 5]), meter()
    with demand_scope(cost=100):
        Pipeline(alone, retry, clock=FakeClock(), allow_order=True).call(flaky)
    assert alone.snapshot().used == 35


async def test_each_copy_of_a_hedge_settles_by_its_own_usage() -> None:
    """Copies that run side by side do not take each other's usage for their own; outside they add up."""
    outside, inside = meter(), meter()
    clock = still()
    numbers = itertools.count(1)
    done = asyncio.Event()

    async def slow() -> int:
        number = next(numbers)
        use(number * 10)
        if number == 1:
            await done.wait()
        return number

    guard = Pipeline(outside, Hedge(delay=1), inside, clock=clock, allow_order=True)
    with demand_scope(cost=100):
        task = asyncio.create_task(guard.call(slow))
    for _ in range(3):
        await asyncio.sleep(0)
    clock.advance(1)
    assert await task == 2
    for _ in range(3):
        await asyncio.sleep(0)
    assert inside.snapshot().used == 30
    assert outside.snapshot().used == 30


@pytest.mark.parametrize("where", ["generator", "consumer"])
async def test_a_stream_settles_by_what_is_said_at_its_end(where: str) -> None:
    """The generator may say it, or the consumer before it takes the end; what else the consumer does is not counted."""
    quota, other = meter(), meter()

    @Pipeline(quota)
    async def stream() -> AsyncGenerator[int, None]:
        use(10)
        yield 1
        if where == "generator":
            use(15)
        yield 2

    @Pipeline(quota)
    async def silent() -> AsyncGenerator[int, None]:
        yield 1

    with demand_scope(cost=100) as demand:
        async for _ in stream() if where == "generator" else silent():
            assert current_demand() is demand
            if where == "consumer":
                current_demand().used(15)
            with demand_scope():
                Pipeline(other).call(use, 4000)
            assert current_demand() is demand
    assert quota.snapshot().used == 15


def test_a_plain_stream_settles_by_its_own_usage() -> None:
    """Generator functions work under a demand of their own, at every step and when they are closed."""
    quota = meter()

    @Pipeline(quota)
    def stream(actual: float) -> Generator[int, None, None]:
        try:
            yield 1
            yield 2
        finally:
            use(actual)

    with demand_scope(cost=100) as demand:
        first, second = stream(10), stream(20)
        assert (next(first), next(second)) == (1, 1)
        assert current_demand() is demand
        assert list(first) == [2]
        second.close()
    assert quota.snapshot().used in {30, 110}


async def test_an_async_stream_settles_by_its_own_usage() -> None:
    """Async generators that a consumer reads in turn work under demands of their own, too."""
    quota = meter()

    @Pipeline(quota)
    async def stream(actual: float) -> AsyncGenerator[int, None]:
        use(actual)
        yield 1

    with demand_scope(cost=100):
        first, second = stream(10), stream(20)
        assert (await anext(first), await anext(second)) == (1, 1)
        assert [[item async for item in each] for each in (first, second)] == [[], []]
    assert quota.snapshot().used == 30


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_a_call_says_of_itself_leaves_what_was_said_inside(kind: str) -> None:
    """A call has a demand of its own, also inside another: saying it again corrects nothing but what it said itself."""
    outer, inner = Pipeline(meter()), Pipeline(meter())

    def call() -> None:
        use(10)
        inner.call(use, 20)
        use(15)

    async def async_use(actual: float) -> None:
        use(actual)

    async def async_call() -> None:
        use(10)
        await inner.call(async_use, 20)
        use(15)

    with demand_scope(cost=100) as demand:
        if kind == "sync":
            outer.call(call)
        else:
            await outer.call(async_call)
        assert current_demand() is demand
    assert demand.actual == 35


async def test_a_stream_that_is_left_settles_by_its_own_usage() -> None:
    """What an async generator says while it is closed is heard where its limiter has not settled yet."""
    quota = meter()

    @Pipeline(quota)
    async def stream() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(0)
            raise ConnectionError
        finally:
            use(20)

    with demand_scope(cost=100) as demand:
        source = stream()
        await anext(source)
        with pytest.raises(ConnectionError):
            await anext(source)
        other = stream()
        await anext(other)
        await other.aclose()
        assert current_demand() is demand
    assert quota.snapshot().used in {40, 120}


def test_a_refusal_inside_settles_by_what_was_used_before_it() -> None:
    """A call that a policy further inside refused is given back, unless it says that it used something."""
    quota = meter()

    def refused(actual: float | None) -> None:
        if actual is not None:
            use(actual)
        raise CircuitOpenError("open")

    for actual in (None, 30):
        with demand_scope(cost=100), pytest.raises(CircuitOpenError):
            quota.call(refused, actual)
    assert quota.snapshot().used == 30


def test_a_block_that_is_refused_leaves_the_demand_as_it_was() -> None:
    """The demand of a call holds no longer than the call, also where it is never let in."""
    quota = Quota(limit=10, clock=still())
    with demand_scope(cost=100) as demand:
        with pytest.raises(QuotaExhaustedError), quota.admit():
            pass  # pragma: no cover
        with pytest.raises(QuotaExhaustedError):
            quota.call(use, 1)
        assert current_demand() is demand


async def test_an_async_block_that_is_refused_leaves_the_demand_as_it_was() -> None:
    """The same for tasks."""
    quota = Quota(limit=10, clock=still())
    with demand_scope(cost=100) as demand:
        with pytest.raises(QuotaExhaustedError):
            async with quota.admit():
                pass  # pragma: no cover
        assert current_demand() is demand


def test_a_call_that_ends_elsewhere_leaves_the_demand_there_alone() -> None:
    """A block that is left where another demand holds does not touch that."""
    quota = meter()
    with demand_scope(cost=5):
        admission = quota.admit()
        admission.__enter__()
        with demand_scope(cost=6) as other:
            admission.__exit__(None, None, None)
            assert current_demand() is other
    step = Demand(3).inner(stream=True)
    assert (step.cost, step.since(step.begin())) == (3, None)


def test_a_stream_that_is_closed_elsewhere_leaves_the_demand_there_alone() -> None:
    """The demand that the stream itself set is not taken for the consumer's."""
    quota = meter()

    @Pipeline(quota)
    def stream() -> Generator[int, None, None]:
        with demand_scope(cost=1):
            yield 1

    with demand_scope(cost=5):
        source = stream()
        next(source)
        inner = current_demand()
        assert inner.cost == 1  # a scope around a yield is the consumer's, too: Python gives generators no context
        source.close()


# --- 4. giving back costs the same however many are open --------------------------------------------------------------


class Counted(list[int]):
    """A list that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        Counted.looks += 1
        return super().__getitem__(key)


def looks(opened: int) -> int:
    """The steps of a give-back in the middle of so many open reservations, a refund and a close."""
    bucket = Gcra(60_000_000, 1_000_000, 0.0)
    keys = [bucket.open(now, 100, 10 * S) for now in range(opened)]
    receipt = bucket.receipt
    bucket._floors._lowest = Counted(bucket._floors._lowest)
    Counted.looks = 0
    assert bucket.give_back(opened, keys[opened // 2], 10) == 10
    bucket.refund(opened, receipt, 5)
    bucket.close(keys[opened // 2])
    return Counted.looks


def test_giving_back_takes_as_many_steps_as_the_number_of_open_reservations_has_digits() -> None:
    """A hundred times as many open reservations cost seven more levels of the tree, and not a hundred times as much."""
    few, many = looks(1_000), looks(100_000)
    assert few < 80
    assert many - few <= 7 * 8


# --- 5. what was let in before a reset --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("actual", [None, 0.5])
def test_what_was_let_in_before_a_reset_gives_nothing_back_after_it(number: int, actual: float | None) -> None:
    """No limiter lets in more because a reservation from before its reset is settled."""
    gate, used = charged(still())[number]
    reservation = gate.reserve()
    permit = gate.enter()
    gate.reset()
    gate.reserve()
    if actual is None:
        reservation.cancel()
        gate.leave(permit, NEVER_MADE)
    else:
        reservation.reconcile(actual)
    assert used() == 1


def test_a_rate_learns_nothing_from_before_its_reset() -> None:
    """A 429 for a call that was let in before the reset cuts no rate."""
    rate = AdaptiveRate(requests_per_minute=60, clock=still())
    permit = rate.enter()
    rate.reset()
    rate.leave(permit, THROTTLED)
    assert rate.rate == 60


def test_a_charge_from_before_another_clock_gives_nothing_back() -> None:
    """A retry budget that became part of a pipeline with another clock counts anew, and keeps what it counts."""
    clock = still()
    budget = RetryBudget(floor=10)
    early = budget.try_spend("retry")
    assert early is not None
    guard = Pipeline(Retry(max_retries=1, budget=budget), clock=clock)
    guard.call(still)
    charge = budget.try_spend("retry")
    assert charge is not None
    budget.refund(early._replace(slot=charge.slot))
    assert budget.snapshot().spent == 1
    budget.refund(charge)
    assert budget.snapshot().spent == 0


# --- 6. other options while they work ---------------------------------------------------------------------------------


def test_a_rate_limiter_takes_other_options() -> None:
    """What was charged stays charged in the unit of the rate, and the new burst and rate hold from then on."""
    clock = still()
    limiter = RateLimiter(requests_per_minute=60, burst=10, clock=clock)
    for _ in range(10):
        limiter.enter()
    limiter.reconfigure(replace(limiter.options, requests_per_minute=120, burst=12))
    assert limiter.snapshot().requests.available == 2
    clock.advance(1)
    assert limiter.snapshot().requests.available == 4
    limiter.reconfigure(replace(limiter.options, burst=1, default_cost=1, max_wait=3))
    assert limiter.snapshot().requests.available == -7
    assert limiter.options.max_wait == 3


def test_open_reservations_outlive_other_options() -> None:
    """A reservation from before gives back what it did not use, at the rate that holds now."""
    limiter = RateLimiter(tokens_per_minute=600, token_burst=100, clock=still())
    reservation = limiter.reserve(50)
    limiter.reconfigure(replace(limiter.options, tokens_per_minute=1200, token_burst=200))
    reservation.reconcile(10)
    state = limiter.snapshot().tokens
    assert state is not None
    assert (state.burst, state.available) == (200, 190)


@pytest.mark.parametrize(
    ("gate", "options"),
    [
        (RateLimiter(), SlidingWindow().options),
        (RateLimiter(), replace(RateLimiter().options, tokens_per_minute=5)),
        (RateLimiter(), replace(RateLimiter().options, default_cost=50)),
        (SlidingWindow(), RateLimiter().options),
        (AdaptiveRate(), RateLimiter().options),
        (Quota(limit=1), None),
        (Bulkhead(), Quota(limit=1).options),
        (RequestQueue(), Bulkhead().options),
        (AdaptiveLimit(), Bulkhead().options),
    ],
)
def test_options_of_another_kind_change_nothing(gate: Any, options: Any) -> None:
    """Options that a gate cannot take are refused, and it keeps its own."""
    before = gate.options
    with pytest.raises(ConfigError):
        gate.reconfigure(options)
    assert gate.options is before


def test_an_adaptive_rate_keeps_what_it_found() -> None:
    """Within the new floor and ceiling; tokens follow in the new proportion."""
    rate = AdaptiveRate(requests_per_minute=60, tokens_per_minute=600, clock=still())
    rate.leave(rate.enter(), THROTTLED)
    assert rate.rate == 42
    rate.reconfigure(replace(rate.options, tokens_per_minute=1200, increase=12))
    assert rate.rate == 42
    tokens = rate.snapshot().tokens
    assert tokens is not None
    assert tokens.per_minute == 840
    rate.reconfigure(replace(rate.options, min_per_minute=50))
    assert rate.rate == 50


def test_a_sliding_window_takes_other_options() -> None:
    """What counts goes on counting, for as long as the new window says and never shorter."""
    clock = still()
    window = SlidingWindow(limit=10, window=10, slots=10, clock=clock)
    window.reserve(4)
    clock.advance(5)
    late = window.reserve(3)
    window.reconfigure(replace(window.options, limit=20, window=8, slots=3))
    assert window.snapshot().available == 13
    late.cancel()
    assert window.snapshot().used == 4
    clock.advance(2)
    assert window.snapshot().used == 4
    window.reserve(1)
    clock.advance(12)
    assert window.snapshot().used == 0


def test_a_quota_takes_other_options() -> None:
    """What is used stays used; the limit that the provider named holds until the options name another one."""
    quota = Quota(limit=100, clock=still())
    quota.reserve(10)
    quota.observe(limit=200)
    before = quota.snapshot()
    quota.reconfigure(replace(quota.options, rate_window=60))
    after = quota.snapshot()
    assert (after.limit, after.used, after.resets_in) == (200, 10, before.resets_in)
    assert after.per_hour == pytest.approx(before.per_hour)
    quota.reconfigure(replace(quota.options, limit=50, period="month"))
    assert (quota.snapshot().limit, quota.snapshot().used) == (50, 10)
    assert quota.snapshot().resets_in > before.resets_in


def test_a_bulkhead_takes_other_options() -> None:
    """More slots go to those who wait at once; fewer are kept to as calls end, and none is taken away."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=5, clock=still())
    slots = [bulkhead.enter()]
    turns = [bulkhead.ask() for _ in range(3)]
    bulkhead.reconfigure(replace(bulkhead.options, max_concurrent=3, max_wait=5))
    assert (bulkhead.snapshot().inflight, bulkhead.snapshot().waiting) == (3, 1)
    slots += [turn.wait() for turn in turns[:2]]
    bulkhead.reconfigure(replace(bulkhead.options, max_concurrent=1, max_wait=None))
    bulkhead.leave(slots[0])
    bulkhead.leave(slots[1])
    assert (bulkhead.snapshot().inflight, bulkhead.snapshot().waiting) == (1, 1)
    bulkhead.leave(slots[2])
    bulkhead.leave(turns[2].wait())
    assert bulkhead.snapshot().inflight == 0
    slot = bulkhead.enter()
    bulkhead.reconfigure(replace(bulkhead.options, max_waiting=0))
    with pytest.raises(BulkheadFullError):
        bulkhead.ask()
    bulkhead.leave(slot)


def test_a_queue_takes_other_options() -> None:
    """What they allow to start starts at once, and what was charged to a rate stays charged."""
    clock = still()
    queue = RequestQueue(max_concurrent=1, requests_per_minute=60, burst=2, max_size=2, clock=clock)
    under_way, first, second = queue.enter(), queue.ask(), queue.ask()
    queue.reconfigure(replace(queue.options, max_concurrent=3, max_size=1, codel=CoDel()))
    queue.leave(first.wait())
    assert queue.snapshot().waiting == 1
    queue.reconfigure(replace(queue.options, requests_per_minute=120, codel=None))
    assert second.alarm_ns == S // 2
    queue.reconfigure(replace(queue.options, requests_per_minute=None))
    queue.leave(second.wait())
    queue.reconfigure(replace(queue.options, requests_per_minute=60, burst=1))
    queue.leave(queue.enter())
    with pytest.raises(Exception, match="wait"):
        queue.enter()
    queue.leave(under_way)


def test_an_adaptive_limit_takes_other_options() -> None:
    """The limit that was found stays within the new bounds, also while it probes."""
    limit = AdaptiveLimit(initial_limit=20, clock=still())
    limit.reconfigure(replace(limit.options, max_limit=25))
    assert limit.snapshot().limit == 20
    limit.reconfigure(replace(limit.options, initial_limit=5, max_limit=5))
    assert limit.snapshot().limit == 5
    probing = AdaptiveLimit(initial_limit=20, min_samples=1, probe_every=1, clock=still())
    while not probing.snapshot().probing:
        permits = [probing.enter() for _ in range(probing.snapshot().limit)]
        for permit in permits:
            permit.took(1)
            probing.leave(permit)
    before = probing.snapshot().limit
    probing.reconfigure(replace(probing.options, min_limit=before + 1))
    assert probing.snapshot().limit == before + 1


async def test_those_in_line_stay_there_for_as_long_as_they_were_told() -> None:
    """Other options refuse nobody who waits already, and newcomers wait by the new ones."""
    clock = FakeClock()
    limiter = RateLimiter(requests_per_minute=60, burst=1, max_wait=10, clock=clock)
    limiter.enter()
    task = asyncio.create_task(limiter.acquire_async())
    await asyncio.sleep(0)
    limiter.reconfigure(replace(limiter.options, max_wait=0))
    with pytest.raises(RateLimitedError):
        limiter.acquire()
    assert (await task).waited_ns == S
