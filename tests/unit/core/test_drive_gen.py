"""Generator functions, and functions that return streams, under a pipeline."""

import gc
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing, nullcontext
from typing import Any, cast

import pytest

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline, deadline_ns, deadline_scope, remaining_ns
from holdfast.core.demand import Demand, current_demand, demand_scope
from holdfast.core.events import CallFailed, DeadlineExceeded, Events
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.policy import CallRef, Site
from holdfast.core.quota import Quota
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
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
    """A stream whose openings follow a script: items, seconds to wait, and errors."""

    def __init__(self, clock: FakeClock, *openings: list[object]) -> None:
        self.clock, self.openings = clock, list(openings)
        self.opened = self.closed = 0
        self.received: list[object] = []
        self.seen: list[int | None] = []

    def __call__(self, *_: object) -> Generator[object, object, None]:
        script = self.openings[min(self.opened, len(self.openings) - 1)]
        self.opened += 1
        try:
            for step in script:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float):
                    self.seen.append(remaining_ns(self.clock))
                    self.clock.sleep_ns(int(step * S))
                    if remaining_ns(self.clock) == 0:
                        raise DeadlineExceededError("the client's own")
                else:
                    self.received.append((yield step))
        finally:
            self.closed += 1


def test_a_stream_goes_through(clock: FakeClock) -> None:
    """A generator function stays one; what is sent in arrives; the permit is held to the end."""
    bulkhead = Bulkhead(max_concurrent=1)
    guard, recorder = build(clock, Retry(), bulkhead)
    stream = Stream(clock, ["a", "b"])
    source = guard.call(stream)
    assert next(source) == "a"
    assert bulkhead.snapshot().inflight == 1
    assert source.send("x") == "b"
    assert list(source) == []
    assert stream.received == ["x", None]
    assert bulkhead.snapshot().inflight == 0
    assert recorder.names == ["CallSucceeded"]


def test_unheard(clock: FakeClock) -> None:
    """With nobody listening and no policy at all it is just the stream."""
    assert list(Pipeline(clock=clock).call(Stream(clock, ["a"]))) == ["a"]
    source = Pipeline(clock=clock).call(Stream(clock, ["a", "b"]))
    next(source)
    source.close()


def test_failures_before_the_first_item_are_repeated(clock: FakeClock) -> None:
    """Until something was given out a failure is retried, with waits; after it the consumer gets it."""
    guard, _ = build(clock, PLAIN, CircuitBreaker())
    stream = Stream(clock, [ConnectionResetError()], ["a", TimeoutError()])
    source = guard.call(stream)
    assert next(source) == "a"
    assert clock.sleeps_ns == [S]
    with pytest.raises(TimeoutError):
        next(source)
    assert (stream.opened, stream.closed) == (2, 2)


def test_a_refused_stream_is_not_opened(clock: FakeClock) -> None:
    """A gate that is closed is asked first."""
    breaker = CircuitBreaker()
    breaker.force_open()
    guard, _ = build(clock, breaker)
    stream = Stream(clock, ["a"])
    with pytest.raises(CircuitOpenError):
        list(guard.call(stream))
    assert stream.opened == 0


def test_exhausted(clock: FakeClock) -> None:
    """All openings failed: the error says so; without a delay nothing sleeps."""
    guard, recorder = build(clock, Retry(max_retries=1, initial_delay=0))
    with pytest.raises(RetriesExhaustedError):
        list(guard.call(Stream(clock, [ConnectionResetError()])))
    assert clock.sleeps_ns == []
    assert len(recorder.of(CallFailed)) == 1


def test_each_step_sees_its_limit(clock: FakeClock) -> None:
    """The timeout bounds each wait for an item, as far as the stream looks; between steps the context is ours."""
    guard, _ = build(clock, CircuitBreaker(), Timeout(seconds=2))
    stream = Stream(clock, [1.0, "a", 1.5, "b", 5.0, "c"])
    source = guard.call(stream)
    assert next(source) == "a"
    assert deadline_ns() is None
    clock.advance(60)
    assert next(source) == "b"
    with pytest.raises(AttemptTimeoutError) as raised:
        next(source)
    assert isinstance(raised.value.__cause__, DeadlineExceededError)
    assert stream.seen == [2 * S, 2 * S, 2 * S]


def test_the_deadline_is_for_the_whole_stream(clock: FakeClock) -> None:
    """Steps see what is left of the deadline, the consumer's time counts, and after it there is no item."""
    guard, recorder = build(clock, Deadline(seconds=5), Timeout(seconds=3))
    stream = Stream(clock, [1.0, "a", 1.0, "b", "c"])
    source = guard.call(stream)
    next(source)
    clock.advance(2)
    next(source)
    assert stream.seen == [3 * S, 2 * S]
    clock.advance(1)
    with pytest.raises(DeadlineExceededError):
        next(source)
    assert stream.closed == 1
    assert len(recorder.of(DeadlineExceeded)) == 1
    hangs = Stream(clock, [9.0])
    with deadline_scope(4, clock=clock), pytest.raises(DeadlineExceededError, match="own"):
        list(guard.call(hangs))


@pytest.mark.parametrize(("outer", "own"), [(30, 5), (5, 30), (None, 5)])
def test_a_gate_sees_the_nearer_deadline(clock: FakeClock, outer: int | None, own: int) -> None:
    """Of the stream's own and the one around it; so does the source."""
    seen: list[int | None] = []

    class Looks:
        label = "looks"

        def attach(self, site: Site) -> None:
            pass

        def enter(self, call: CallRef | None = None) -> object:
            seen.append(remaining_ns(clock))
            return self

        def leave(self, permit: object, fault: Fault | None = None, call: CallRef | None = None) -> None:
            pass

        def snapshot(self) -> object:
            return None

    def source() -> Iterator[int]:
        seen.append(remaining_ns(clock))
        yield 1

    guard, _ = build(clock, Deadline(seconds=own), Looks())
    with nullcontext() if outer is None else deadline_scope(outer, clock=clock):
        assert list(guard.call(source)) == [1]
    assert seen == [5 * S, 5 * S]


def test_an_error_of_a_step_does_not_outlive_its_handler(clock: FakeClock) -> None:
    """What a source says of its time is freed without the cycle collector, and what is made of it."""
    guard, _ = build(clock, Timeout(seconds=1))
    gone: list[weakref.ref[BaseException]] = []

    def source() -> Iterator[int]:
        clock.advance(9)
        yield 1
        raise DeadlineExceededError("mine")

    gc.collect()
    gc.disable()
    try:
        for limit in (9, 99):  # the deadline has passed; only the timeout has
            try:
                with deadline_scope(limit, clock=clock):
                    list(guard.call(source))
            except (DeadlineExceededError, AttemptTimeoutError) as error:
                gone.append(weakref.ref(error))
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


def test_a_stream_is_closed_under_its_own_demand(clock: FakeClock) -> None:
    """What it says at its end is not its consumer's, whose own demand holds again afterwards."""
    guard, _ = build(clock, Quota(limit=1000))
    seen: list[Demand] = []

    def source() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(current_demand())

    with demand_scope(cost=1) as demand:
        stream = cast("Generator[int]", guard.call(source))
        assert next(stream) == 1
        stream.close()
        assert current_demand() is demand
        assert [each.outer for each in seen] == [demand]


def test_a_deadline_without_a_timeout(clock: FakeClock) -> None:
    """A step that sees the deadline pass has used up the operation's time, and nothing is repeated."""
    guard, _ = build(clock, Deadline(seconds=5), PLAIN)
    stream = Stream(clock, [9.0, "a"])
    with pytest.raises(DeadlineExceededError):
        list(guard.call(stream))
    assert stream.opened == 1


@pytest.mark.parametrize("listening", [True, False])
def test_a_consumer_that_leaves(clock: FakeClock, listening: bool) -> None:
    """Closing the stream closes the source, gives the permit back, and counts neither way."""
    breaker, bulkhead = CircuitBreaker(failure_threshold=0.1), Bulkhead()
    guard, recorder = build(clock, breaker, bulkhead)
    if not listening:
        recorder.stop()
    stream = Stream(clock, ["a", "b"])
    source = guard.call(stream)
    next(source)
    source.close()
    assert (stream.closed, bulkhead.snapshot().inflight, breaker.snapshot().failures) == (1, 0, 0)
    again = guard.call(stream)
    next(again)
    with pytest.raises(KeyError):
        again.throw(KeyError())
    assert breaker.snapshot().failures == 0


def test_what_a_consumer_throws_in_is_told_as_its_own(clock: FakeClock) -> None:
    """The call ends as a cancelled one and no attempt has failed, whether the stream or an alternative was giving."""
    stream = Stream(clock, ["a", "b"])
    for fn in (stream, Stream(clock, [ConnectionResetError()])):
        guard, recorder = build(clock, Fallback(stream))
        source = guard.call(fn)
        next(source)
        recorder.events.clear()
        with pytest.raises(KeyError):
            source.throw(KeyError())
        assert recorder.names == ["CallFailed"]
        assert recorder.of(CallFailed)[0].kind == "cancelled"


def test_no_gate_is_asked_after_the_deadline(clock: FakeClock) -> None:
    """A stream that comes too late hears that it is too late, not that there is no room."""
    full = Bulkhead(max_concurrent=1)
    full.enter()
    guard, _ = build(clock, full)
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        next(guard.call(Stream(clock, ["a"])))


def test_alternatives_stream_too(clock: FakeClock) -> None:
    """While nothing was given out the alternatives are asked in turn; one that breaks off has failed."""

    def broken() -> Iterator[str]:
        yield from _empty()
        raise LookupError

    def other() -> Iterator[str]:
        yield "x"
        yield "y"

    def breaks_off() -> Iterator[str]:
        yield "x"
        raise EOFError

    down = Stream(clock, [ConnectionResetError()])
    guard, _ = build(clock, Deadline(seconds=5), Fallback([broken, other]))
    assert list(guard.call(down)) == ["x", "y"]
    cut, _ = build(clock, Fallback([breaks_off, other]))
    source = cut.call(down)
    assert next(source) == "x"
    with pytest.raises(EOFError):
        next(source)
    failing, _ = build(clock, Fallback(broken))
    with pytest.raises(ConnectionResetError) as raised:
        list(failing.call(Stream(clock, [ConnectionResetError()])))
    assert "broken failed too" in raised.value.__notes__[0]


def test_the_timeout_is_not_for_alternatives(clock: FakeClock) -> None:
    """What bounds an attempt does not bound an alternative, which takes the time that the deadline leaves."""
    other = Stream(clock, [5.0, "x"])
    guard, _ = build(clock, Deadline(seconds=9), Fallback(other), Timeout(seconds=2))
    assert list(guard.call(Stream(clock, [ConnectionResetError()]))) == ["x"]
    assert other.seen == [9 * S]


def test_requests_are_counted(clock: FakeClock) -> None:
    """A stream is one request of the budget; its repetitions are charged."""
    budget = RetryBudget()
    guard, _ = build(clock, Retry(budget=budget, jitter="none"))
    assert list(guard.call(Stream(clock, [TimeoutError()], ["a"]))) == ["a"]
    assert (budget.snapshot().requests, budget.snapshot().spent) == (1, 1)


def test_requests_are_counted_when_they_are_made(clock: FakeClock) -> None:
    """Long after the last one, too: the budget forgets that one, and not this."""
    budget = RetryBudget()
    guard, _ = build(clock, Retry(budget=budget, jitter="none"))
    assert list(guard.call(Stream(clock, ["a"]))) == ["a"]
    clock.advance(100)
    assert list(guard.call(Stream(clock, ["a"]))) == ["a"]
    assert budget.snapshot().requests == 1


def test_waiting_for_a_place(clock: FakeClock) -> None:
    """A gate that may make a stream wait gives its place back at the end."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=1)
    guard, _ = build(clock, Deadline(seconds=5), bulkhead)
    assert list(guard.call(Stream(clock, ["a"]))) == ["a"]
    assert bulkhead.snapshot().inflight == 0


def _empty() -> Iterator[str]:
    return iter(())


class SdkStream:
    """What an SDK returns: an iterator with ``close``."""

    def __init__(self, items: list[str]) -> None:
        self.items, self.closed = items, False

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    async def __aiter__(self) -> AsyncIterator[str]:
        for item in self.items:
            yield item

    def close(self) -> None:
        self.closed = True


class AsyncSdkStream(SdkStream):
    async def close(self) -> None:  # type: ignore[override]
        self.closed = True


async def test_functions_that_return_streams(clock: FakeClock) -> None:
    """``stream`` guards what a plain or an async function returns, opening and reading, and closes it."""
    guard, _ = build(clock, PLAIN, CircuitBreaker())
    opened: list[SdkStream] = []

    @guard.stream
    def create(prompt: str) -> Iterator[str]:
        opened.append(SdkStream(["a", "b"]))
        if len(opened) == 1:
            raise ConnectionResetError
        return cast("Iterator[str]", opened[-1])

    assert list(create("hi")) == ["a", "b"]
    assert opened[-1].closed
    assert create.__name__ == "create"

    @guard.stream
    async def acreate(prompt: str) -> Any:
        opened.append(AsyncSdkStream(["c"]))
        return opened[-1]

    assert [item async for item in acreate("hi")] == ["c"]
    assert opened[-1].closed


async def test_a_stream_that_is_closed_by_awaiting(clock: FakeClock) -> None:
    """What an async function returns may be an async generator, and is closed when its consumer leaves it."""
    guard, _ = build(clock)
    ended: list[int] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append(1)

    held = items()  # the collector shall not be the one that ends it

    async def create() -> AsyncIterator[int]:
        return held

    async with aclosing(cast("Any", guard.stream(create)())) as source:
        assert await anext(source) == 1
    assert ended == [1]


async def test_streams_without_close(clock: FakeClock) -> None:
    """What cannot be closed need not be; a generator function is guarded as it is."""
    guard, _ = build(clock)
    assert list(guard.stream(lambda: iter([1, 2]))()) == [1, 2]

    class Bare:
        async def __aiter__(self) -> AsyncIterator[int]:
            yield 1

    async def bare() -> Any:
        return Bare()

    assert [item async for item in guard.stream(bare)()] == [1]
    assert list(guard.stream(Stream(clock, ["a"]))()) == ["a"]
