"""Async generator functions under a pipeline."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from holdfast.core._afterwards import drain
from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.demand import Demand, current_demand, demand_scope
from holdfast.core.events import CallFailed, CallSucceeded, Events, FallbackUsed, RetrySucceeded
from holdfast.core.fallback import Fallback
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.quota import Quota
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import AttemptTimeoutError, CircuitOpenError, DeadlineExceededError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
PLAIN = Retry(jitter="none")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def build(clock: FakeClock, *policies: Policy) -> tuple[Pipeline, EventRecorder]:
    events = Events()
    return Pipeline(*policies, name="dep", clock=clock, events=events, rng=seeded_rng(0)), EventRecorder(events)


class Stream:
    """A stream that does scripted things: gives an item, waits, or raises; one script a call, the last for ever."""

    def __init__(self, clock: FakeClock, *scripts: list[object]) -> None:
        self.clock, self.scripts = clock, scripts
        self.calls = self.closed = 0
        self.sent: list[object] = []

    async def __call__(self, *_: object) -> AsyncGenerator[Any, Any]:
        script = self.scripts[min(self.calls, len(self.scripts) - 1)]
        self.calls += 1
        try:
            for step in script:
                match step:
                    case BaseException():
                        raise step
                    case float():
                        await self.clock.asleep_ns(round(step * S))
                    case _:
                        self.sent.append((yield step))
        finally:
            self.closed += 1
            await asyncio.sleep(0)


async def collect(source: Any) -> list[Any]:
    return [item async for item in source]


async def read(source: Any, into: list[Any]) -> None:
    async for item in source:
        into.append(item)  # noqa: PERF401  what was read before an error counts


async def test_a_stream_goes_through(clock: FakeClock) -> None:
    """Items pass unchanged, the call succeeds at the end, and the permit is held until then."""
    breaker = CircuitBreaker()
    guard, recorder = build(clock, Deadline(seconds=60), PLAIN, breaker, Timeout(seconds=5))
    breaker.force_open()
    breaker.reset()
    stream = Stream(clock, ["a", 1.0, "b"])
    source = guard.call(stream, 1)
    assert await anext(source) == "a"
    assert recorder.of(CallSucceeded) == []
    assert await collect(source) == ["b"]
    assert recorder.of(CallSucceeded)[0].duration_ns == S
    assert stream.closed == 1


async def test_the_permit_is_held_to_the_end(clock: FakeClock) -> None:
    """A probe that streams keeps its place while it streams, and counts when it ends."""
    breaker = CircuitBreaker(failure_threshold=1, success_threshold=1)
    guard, _ = build(clock, breaker)
    with pytest.raises(ConnectionResetError):
        await collect(guard.call(Stream(clock, [ConnectionResetError()])))
    clock.advance(15)
    source = guard.call(Stream(clock, ["a", "b"]))
    await anext(source)
    assert breaker.snapshot().probes == 1
    with pytest.raises(CircuitOpenError):
        await collect(guard.call(Stream(clock, ["x"])))
    assert await collect(source) == ["b"]
    assert breaker.state is BreakerState.CLOSED


async def test_failures_before_the_first_item_are_repeated(clock: FakeClock) -> None:
    """Until something was given out a stream fails like any other call, and is made again."""
    guard, recorder = build(clock, PLAIN, Timeout(seconds=2))
    stream = Stream(clock, [TimeoutError()], [9.0, "late"], ["a", "b"])
    assert await collect(guard.call(stream)) == ["a", "b"]
    assert (stream.calls, stream.closed) == (3, 3)
    assert recorder.of(RetrySucceeded)[0].attempts == 3


async def test_failures_after_the_first_item_go_to_the_consumer(clock: FakeClock) -> None:
    """What was given out cannot be taken back: no repetition, no alternative, the error unchanged, and it counts."""
    breaker = CircuitBreaker()
    guard, recorder = build(clock, Fallback(Stream(clock, ["no"])), PLAIN, breaker)
    error, got = ConnectionResetError(), list[Any]()
    stream = Stream(clock, ["a", error])
    with pytest.raises(ConnectionResetError) as raised:
        await read(guard.call(stream), got)
    assert raised.value is error
    assert (got, stream.calls) == (["a"], 1)
    assert breaker.snapshot().failures == 1
    assert [event.kind for event in recorder.of(CallFailed)] == ["connect"]


async def test_exhausted_retries(clock: FakeClock) -> None:
    """A stream that never begins ends as every call does."""
    guard, _ = build(clock, Retry(max_retries=1, jitter="none"))
    with pytest.raises(RetriesExhaustedError) as raised:
        await collect(guard.call(Stream(clock, [TimeoutError()])))
    assert raised.value.attempts == 2


async def test_the_timeout_bounds_each_wait_and_not_the_consumer(clock: FakeClock) -> None:
    """A slow consumer is no timeout; a stall between two items is."""
    breaker = CircuitBreaker()
    guard, _ = build(clock, breaker, Timeout(seconds=2))
    got = []
    async for item in guard.call(Stream(clock, ["a", 1.0, "b", 1.5, "c"])):
        got.append(item)
        clock.advance(60)
    assert got == ["a", "b", "c"]
    stalls = Stream(clock, ["a", 3.0, "b"])
    got = []
    with pytest.raises(AttemptTimeoutError):
        await read(guard.call(stalls), got)
    assert (got, stalls.closed) == (["a"], 1)
    assert breaker.snapshot().failures == 0.5


async def test_the_deadline_bounds_the_whole_stream(clock: FakeClock) -> None:
    """The consumer's time counts: after the deadline there is no further item, and the stream is closed."""
    guard, _ = build(clock, Deadline(seconds=5), CircuitBreaker())
    stream = Stream(clock, ["a", "b"])
    source = guard.call(stream)
    await anext(source)
    clock.advance(5)
    with pytest.raises(DeadlineExceededError):
        await anext(source)
    assert stream.closed == 1
    hangs = Stream(clock, ["a", 60.0])
    begun = clock.now_ns()
    with pytest.raises(DeadlineExceededError):
        await collect(guard.call(hangs))
    assert clock.now_ns() - begun == 5 * S
    assert deadline_ns() is None


async def test_the_nearest_limit_cuts_a_stream(clock: FakeClock) -> None:
    """Be it the timeout, the stream's own deadline, or the one around it."""
    for timeout, own, outer in ((2, 30, 60), (30, 2, 60), (30, 60, 2)):
        guard, _ = build(clock, Deadline(seconds=own), Timeout(seconds=timeout))
        begun = clock.now_ns()
        with (
            deadline_scope(outer, clock=clock),
            pytest.raises(AttemptTimeoutError if timeout == 2 else DeadlineExceededError),
        ):
            await collect(guard.call(Stream(clock, ["a", 300.0])))
        assert clock.now_ns() - begun == 2 * S


async def test_an_error_of_a_timed_step_does_not_outlive_its_handler(clock: FakeClock) -> None:
    """It is freed without the cycle collector, as the timeout's own error is."""
    guard, _ = build(clock, Timeout(seconds=1))
    gone: list[weakref.ref[BaseException]] = []

    class BrokenError(Exception):
        pass

    async def broken() -> AsyncGenerator[int]:
        yield 1
        raise BrokenError

    async def caller() -> None:
        for stream in (broken, Stream(clock, ["a", 9.0])):
            try:
                await collect(guard.call(stream))
            except (BrokenError, AttemptTimeoutError) as error:
                gone.append(weakref.ref(error))

    gc.collect()
    gc.disable()
    try:
        await caller()
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


def test_a_stream_whose_loop_is_gone_keeps_what_it_cost(clock: FakeClock) -> None:
    """Its place goes back when it goes, but it was made: what a limiter charged for it stays charged."""
    limiter, bulkhead = RateLimiter(requests_per_minute=60, burst=10), Bulkhead(max_concurrent=1)
    guard, _ = build(clock, limiter, bulkhead)

    async def begin() -> list[Any]:
        source = guard.call(Stream(clock, ["a", "b"]))
        await anext(source)
        return [source]

    loop = asyncio.new_event_loop()
    kept = loop.run_until_complete(begin())
    loop.close()
    kept.clear()
    assert drain()
    assert bulkhead.snapshot().inflight == 0
    assert limiter.snapshot().requests.available == 9


async def test_a_stream_is_closed_under_its_own_demand(clock: FakeClock) -> None:
    """At once, and what it says then is not its consumer's, whose own demand holds again afterwards."""
    guard, _ = build(clock, Quota(limit=1000))
    seen: list[Demand] = []

    async def source() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            seen.append(current_demand())

    with demand_scope(cost=1) as demand:
        stream = guard.call(source)
        assert await anext(stream) == 1
        await stream.aclose()
        assert current_demand() is demand
        assert [each.outer for each in seen] == [demand]


async def test_an_outer_deadline_cuts_a_stream(clock: FakeClock) -> None:
    """A deadline of the context bounds each wait, with and without a Deadline in the pipeline."""
    for policies in ([Timeout(seconds=10)], [Deadline(seconds=30), Timeout(seconds=10)]):
        guard, _ = build(clock, *policies)
        with deadline_scope(3, clock=clock), pytest.raises(DeadlineExceededError):
            await collect(guard.call(Stream(clock, ["a", 60.0])))
    plain, _ = build(clock)
    stream = Stream(clock, ["a"])
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        await collect(plain.call(stream))
    assert stream.calls == 0


async def test_the_deadline_is_the_streams_and_not_the_consumers(clock: FakeClock) -> None:
    """Inside the stream the context has its deadline; between items the consumer has its own."""
    guard, _ = build(clock, Deadline(seconds=5))

    @guard
    async def looks() -> AsyncGenerator[int | None]:
        yield remaining_ns(clock)
        yield remaining_ns(clock)

    seen = []
    async for left in looks():
        seen.append((left, deadline_ns()))
        clock.advance(1)
    assert seen == [(5 * S, None), (4 * S, None)]


async def test_a_consumer_that_leaves(clock: FakeClock) -> None:
    """Closing the stream closes the source at once, and says nothing of the dependency."""
    for policies in ([], [Deadline(seconds=9)]):
        breaker = CircuitBreaker(failure_threshold=0.1)
        guard, recorder = build(clock, *policies, breaker)
        stream = Stream(clock, ["a", "b"])
        async with contextlib.aclosing(guard.call(stream)) as source:
            await anext(source)
        assert stream.closed == 1
        assert breaker.state is BreakerState.CLOSED
        assert [event.kind for event in recorder.of(CallFailed)] == ["cancelled"]


async def test_a_consumer_that_leaves_unheard(clock: FakeClock) -> None:
    """The same without listeners and without gates."""
    guard, recorder = build(clock)
    recorder.stop()
    stream = Stream(clock, ["a", "b"])
    async with contextlib.aclosing(guard.call(stream)) as source:
        await anext(source)
    assert stream.closed == 1
    assert await collect(guard.call(stream)) == ["a", "b"]


async def test_what_a_consumer_throws_in_is_its_own(clock: FakeClock) -> None:
    """An error that the consumer throws in comes back to it; the dependency is not blamed, the source is closed."""
    breaker = CircuitBreaker(failure_threshold=0.1)
    guard, recorder = build(clock, PLAIN, breaker)
    stream = Stream(clock, ["a", "b"])
    source = guard.call(stream)
    await anext(source)
    with pytest.raises(ConnectionResetError):
        await source.athrow(ConnectionResetError())
    assert (stream.calls, stream.closed) == (1, 1)
    assert breaker.state is BreakerState.CLOSED
    assert recorder.names == ["CallFailed"]
    assert recorder.of(CallFailed)[0].kind == "cancelled"


async def test_values_sent_in_arrive(clock: FakeClock) -> None:
    """``asend`` reaches the source through every layer."""
    guard, _ = build(clock, Deadline(seconds=9), Timeout(seconds=5))
    stream = Stream(clock, ["a", "b", "c"])
    source = guard.call(stream)
    await anext(source)
    await source.asend("x")
    assert await collect(source) == ["c"]
    assert stream.sent == ["x", None, None]


async def test_an_empty_stream(clock: FakeClock) -> None:
    """A stream without an item is a success that gives nothing."""
    guard, recorder = build(clock, PLAIN, Timeout(seconds=1))
    assert await collect(guard.call(Stream(clock, []))) == []
    assert recorder.names == ["CallSucceeded"]


async def test_alternatives_stream_too(clock: FakeClock) -> None:
    """Before the first item an alternative may take over; one that fails at its start is passed over."""
    broken, other = Stream(clock, [LookupError("empty")]), Stream(clock, ["x", "y"])
    guard, recorder = build(clock, Fallback([broken, other]), Retry(max_retries=1, jitter="none"))
    assert await collect(guard.call(Stream(clock, [ConnectionResetError()]))) == ["x", "y"]
    assert recorder.of(FallbackUsed)[0].index == 1
    both, _ = build(clock, Fallback([broken]))
    with pytest.raises(ConnectionResetError) as raised:
        await collect(both.call(Stream(clock, [ConnectionResetError()])))
    assert raised.value.__notes__[0].endswith("failed too: LookupError: empty")


async def test_an_alternative_that_breaks_off(clock: FakeClock) -> None:
    """An alternative that fails after its first item ends the stream with its error."""
    breaks = Stream(clock, ["x", EOFError()])
    guard, _ = build(clock, Fallback([breaks, Stream(clock, ["no"])]))
    got: list[Any] = []
    with pytest.raises(EOFError):
        await read(guard.call(Stream(clock, [ConnectionResetError()])), got)
    assert got == ["x"]


async def test_the_timeout_is_not_for_alternatives(clock: FakeClock) -> None:
    """What bounds an attempt does not bound an alternative, which takes the time that the deadline leaves."""
    guard, _ = build(clock, Deadline(seconds=9), Fallback(Stream(clock, [5.0, "x"])), Timeout(seconds=2))
    assert await collect(guard.call(Stream(clock, [ConnectionResetError()]))) == ["x"]


async def test_a_consumer_that_leaves_an_alternative(clock: FakeClock) -> None:
    """The alternative is closed with the stream."""
    other = Stream(clock, ["x", "y"])
    guard, _ = build(clock, Fallback(other))
    async with contextlib.aclosing(guard.call(Stream(clock, [ConnectionResetError()]))) as source:
        assert await anext(source) == "x"
    assert other.closed == 1


async def test_a_stubborn_stream(clock: FakeClock) -> None:
    """A source that swallows the cancellation and goes on has answered, and no cancellation stays behind."""

    async def stubborn() -> AsyncGenerator[str]:
        with contextlib.suppress(asyncio.CancelledError):
            await clock.asleep_ns(9 * S)
        await asyncio.sleep(0)
        yield "anyway"

    for policy in (Timeout(seconds=1), Deadline(seconds=1)):
        guard, _ = build(clock, policy)
        source = guard.call(stubborn)
        assert await anext(source) == "anyway"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await source.aclose()


@pytest.mark.parametrize("steps", [["a", "b"], [1.0, "a", 1.0, "b"], [TimeoutError()]])
async def test_cancellation_at_every_point(steps: list[object]) -> None:
    """Whoever reads a stream may be cancelled after any number of turns: nothing leaks, nothing is counted."""
    for after in range(400):
        clock = FakeClock()
        breaker = CircuitBreaker(failure_threshold=1, expected=["malformed"])  # type: ignore[list-item]
        guard, _ = build(clock, Deadline(seconds=60), Retry(max_retries=1, jitter="none"), breaker, Timeout(seconds=9))
        for _ in range(1):
            breaker.leave(breaker.enter(), _malformed())
        clock.advance(15)
        stream = Stream(clock, steps)

        async def reader(guard: Pipeline = guard, stream: Callable[..., Any] = stream) -> None:
            async with contextlib.aclosing(guard.call(stream)) as source:
                async for _ in source:
                    await asyncio.sleep(0)

        task = asyncio.create_task(reader())
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert breaker.snapshot().probes == 0
        assert stream.closed == stream.calls
        if not task.cancelled():
            break
        assert breaker.snapshot().successes == 0
    else:
        pytest.fail("the reader never came to its end")


def _malformed() -> Any:
    from holdfast.core.classify import classify

    return classify(EOFError()).__class__(kind="malformed", transient=True, weight=1.0)  # type: ignore[arg-type]
