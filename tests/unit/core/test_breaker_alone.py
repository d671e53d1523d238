"""A breaker without a pipeline, in a pipeline's shortcuts, as a shadow; its error; cancellation; memory."""

import asyncio
import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.deadline import Deadline, deadline_scope
from holdfast.core.events import BreakerRejected, BreakerTransition, CallFailed, Events
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import GateStack, HasShortcut, Shortcut
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import CircuitOpenError, DeadlineExceededError, RejectedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

FAILURE = Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0)


def make(**options: Any) -> tuple[CircuitBreaker, FakeClock]:
    clock = FakeClock()
    return CircuitBreaker(clock=clock, name="m", **{"failure_threshold": 2, **options}), clock


def broken() -> None:
    raise ConnectionError("down")


async def broken_async() -> None:
    raise ConnectionError("down")


# --- alone ----------------------------------------------------------------------------------------------------------


def test_as_a_decorator_of_a_function() -> None:
    """A decorated function keeps its name, is counted, and refused once it has failed enough."""
    breaker, _ = make()

    @breaker
    def fetch(fail: bool) -> str:
        if fail:
            raise ConnectionError("down")
        return "ok"

    assert fetch.__name__ == "fetch"
    assert fetch(False) == "ok"
    for _ in range(2):
        with pytest.raises(ConnectionError):
            fetch(True)
    with pytest.raises(CircuitOpenError, match=r"^m keeps failing"):
        fetch(False)


async def test_as_a_decorator_of_an_async_function() -> None:
    """A breaker sees the failures of a coroutine (pybreaker: never)."""
    breaker, _ = make()
    fetch = breaker(broken_async)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await fetch()
    with pytest.raises(CircuitOpenError):
        await fetch()


async def test_as_a_decorator_of_an_async_generator() -> None:
    """A stream that breaks is one failure, and one that is closed early is none."""
    breaker, _ = make()

    @breaker
    async def stream(n: int) -> AsyncGenerator[int, None]:
        for i in range(n):
            yield i
        raise ConnectionError("cut")

    async with aclosing(stream(3)) as source:
        assert await anext(source) == 0
    assert breaker.snapshot().failures == 0
    with pytest.raises(ConnectionError):
        _ = [item async for item in stream(2)]
    assert breaker.snapshot().failures == 1


async def test_as_a_call() -> None:
    """``call`` takes functions of every kind."""
    breaker, _ = make()
    assert breaker.call(max, 1, 2) == 2
    with pytest.raises(ConnectionError):
        breaker.call(broken)
    with pytest.raises(ConnectionError):
        await breaker.call(broken_async)
    with pytest.raises(CircuitOpenError):
        breaker.call(max, 1, 2)


async def test_as_a_context_manager() -> None:
    """Blocks, sync and async, side by side too, are let in, counted and refused."""
    breaker, _ = make(failure_threshold=3)
    with breaker.admit(), breaker.admit():
        pass
    for _ in range(2):
        with pytest.raises(ConnectionError), breaker.admit():
            broken()
    with pytest.raises(ConnectionError):
        async with breaker.admit():
            await broken_async()
    for _ in range(2):
        with pytest.raises(CircuitOpenError), breaker.admit():
            raise AssertionError("it was let in")


def test_alone_without_a_name() -> None:
    """A breaker that was never named speaks of the dependency."""
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(ConnectionError):
        breaker.call(broken)
    with pytest.raises(CircuitOpenError, match=r"^The dependency keeps failing"):
        breaker.call(broken)


# --- in a pipeline: what the drivers look at ------------------------------------------------------------------------


def test_has_a_shortcut() -> None:
    """A breaker shows a shortcut to pipelines on its own clock, and none to others."""
    breaker, clock = make()
    assert isinstance(breaker, HasShortcut)
    assert not isinstance(GateStack([]), HasShortcut)
    assert isinstance(breaker.shortcut(Pipeline(clock=clock)._site), Shortcut)
    assert breaker.shortcut(Pipeline()._site) is None
    assert isinstance(Shortcut().refusal(0), RejectedError)


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize("policies", [[], [Retry(max_retries=2)], [Retry(retry_on=(CircuitOpenError,), max_retries=1)]])
async def test_a_refusal_is_the_same_whoever_listens(listened: bool, policies: list[Retry]) -> None:
    """The quick way to refuse and the one that tells listeners raise the same error, sync and async."""
    clock, calls = FakeClock(), 0
    breaker = CircuitBreaker(failure_threshold=1)
    guard = Pipeline(*policies, breaker, Timeout(seconds=1), name="m", clock=clock)
    recorder = EventRecorder(guard.events) if listened else None

    def count() -> None:
        nonlocal calls
        calls += 1

    async def count_async() -> None:
        count()

    breaker.force_open()
    for _ in range(2):
        for raised in (await _raised(guard(count)), await _raised(guard(count_async))):
            refused = raised.__cause__ or raised
            assert isinstance(refused, CircuitOpenError)
            assert (str(refused), refused.dependency, refused.retry_after) == (
                "m keeps failing and is not called: its circuit breaker is open.",
                "m",
                None,
            )
    assert calls == 0
    if recorder is not None:
        retried = bool(policies and policies[0].retry_on)
        assert len(recorder.of(BreakerRejected)) == (8 if retried else 4)
        assert len(recorder.of(CallFailed)) == 4


async def _raised(fn: Any) -> BaseException:
    try:
        result = fn()
        if asyncio.iscoroutine(result):
            await result
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("listened", [False, True])
async def test_a_passed_deadline_comes_before_an_open_breaker(listened: bool) -> None:
    """Whose time is up hears that, whoever listens."""
    clock = FakeClock(start_ns=10**9)
    breaker = CircuitBreaker(failure_threshold=1)
    guard = Pipeline(breaker, clock=clock)
    if listened:
        guard.events.listen(lambda event: None)
    breaker.force_open()
    with deadline_scope(1, clock=clock):
        assert isinstance(await _raised(guard(broken)), CircuitOpenError)
        assert isinstance(await _raised(guard(broken_async)), CircuitOpenError)
        clock.advance(1)
        assert isinstance(await _raised(guard(broken)), DeadlineExceededError)
        assert isinstance(await _raised(guard(broken_async)), DeadlineExceededError)


async def test_an_open_breaker_still_asks_the_fallback() -> None:
    """A refusal goes to the alternatives, and not to the caller, where there are some."""
    breaker = CircuitBreaker()
    guard = Pipeline(Deadline(seconds=1), Fallback(lambda *_: 9), breaker, clock=FakeClock())

    async def double(number: int) -> int:
        return 2 * number

    breaker.force_open()
    assert guard(max)(1, 2) == 9
    assert await guard(double)(1) == 9


def test_an_open_breaker_lets_the_probe_through_in_time() -> None:
    """The quick refusal ends at the nanosecond at which the opening does."""
    breaker, clock = make(failure_threshold=1, success_threshold=1)
    guard = Pipeline(breaker, clock=clock)
    fetch = guard(lambda: "ok")
    breaker.leave(breaker.enter(), FAILURE)
    clock.advance_ns(15 * 10**9 - 1)
    with pytest.raises(CircuitOpenError):
        fetch()
    clock.advance_ns(1)
    assert fetch() == "ok"
    assert breaker.state is BreakerState.CLOSED


def test_a_breaker_on_another_clock_than_its_pipeline() -> None:
    """It goes by its own: its refusals end when its own time says so."""
    breaker, clock = make(failure_threshold=1)
    guard = Pipeline(breaker, clock=FakeClock(start_ns=10**15))
    fetch = guard(lambda: "ok")
    breaker.leave(breaker.enter(), FAILURE)
    with pytest.raises(CircuitOpenError):
        fetch()
    clock.advance(15)
    assert fetch() == "ok"


def test_a_success_sets_back_what_failed_before_it() -> None:
    """The drivers tell the breaker of a success when it matters, and only then."""
    breaker, clock = make(failure_threshold=3)
    guard = Pipeline(breaker, clock=clock)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            guard.call(broken)
    assert guard.call(max, 1, 2) == 2
    assert breaker.snapshot().failures == 0


# --- shadow ---------------------------------------------------------------------------------------------------------


def test_a_shadow_counts_and_never_refuses() -> None:
    """It goes through the states of a real breaker, tells what it would have refused, and lets every call in."""
    events, clock = Events(), FakeClock()
    breaker = CircuitBreaker(shadow=True, failure_threshold=2, clock=clock, events=events, name="m")
    recorder = EventRecorder(events)
    guard = Pipeline(breaker, clock=clock, events=events)
    for _ in range(5):
        with pytest.raises(ConnectionError):
            guard.call(broken)
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.would_reject, snapshot.shadow) == (BreakerState.OPEN, 3, True)
    rejected = recorder.of(BreakerRejected)
    assert [(event.state, event.shadow, event.retry_after) for event in rejected] == [("open", True, 15.0)] * 3
    assert [event.shadow for event in recorder.of(BreakerTransition)] == [True]
    clock.advance(15)
    probe, other = breaker.enter(), breaker.enter()
    breaker.leave(other, FAILURE)  # it would not have been made
    breaker.leave(probe)
    breaker.leave(breaker.enter())
    assert breaker.state is BreakerState.CLOSED
    for command in (breaker.isolate, breaker.force_open):
        command()
        assert guard.call(max, 1, 2) == 2
    assert breaker.snapshot().would_reject == 6


# --- the error ------------------------------------------------------------------------------------------------------


def test_the_error_says_the_same_after_a_copy() -> None:
    """It can be copied and pickled, with its notes; the message is the same as before."""
    breaker, _ = make(failure_threshold=1)
    breaker.leave(breaker.enter(), FAILURE)
    with pytest.raises(CircuitOpenError) as refused:
        breaker.enter()
    error = refused.value
    error.add_note("a note")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error)), pickle.loads(pickle.dumps(copy.copy(error)))):
        assert type(other) is CircuitOpenError
        assert (str(other), other.dependency, other.retry_after) == (str(error), "m", 15.0)
        assert other.__notes__ == ["a note"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = error.nonsense  # type: ignore[attr-defined]


def test_an_error_with_a_message_of_its_own() -> None:
    """Whoever raises it by hand says what it shows."""
    error = CircuitOpenError("The store is resting.", dependency="store", retry_after=7.2)
    assert (str(error), error.dependency, error.retry_after) == ("The store is resting.", "store", 7.2)
    assert str(pickle.loads(pickle.dumps(error))) == "The store is resting."
    assert not hasattr(error, "nonsense")


def test_each_refusal_is_fresh_and_leaves_nothing_behind() -> None:
    """A thousand refusals keep no error, traceback or frame alive, and grow nothing (a peer: 1.6 kB each)."""
    breaker, clock = make()
    fetch = Pipeline(breaker, clock=clock)(broken)
    breaker.force_open()
    gc.collect()
    gc.disable()
    try:
        kept = []
        for _ in range(2):
            try:
                fetch()
            except CircuitOpenError as error:
                kept.append(weakref.ref(error))
        assert [ref() for ref in kept] == [None, None]
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            with pytest.raises(CircuitOpenError):
                fetch()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
        gc.collect()
    assert grown < 200_000


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_fifty_tasks_get_exactly_the_probe_cap() -> None:
    """Of fifty concurrent calls to a half-open breaker just the cap reaches the dependency (six peers: fifty)."""
    breaker, clock = make(failure_threshold=1, half_open_max_calls=3, success_threshold=3)
    release, reached = asyncio.Event(), 0

    @Pipeline(breaker, clock=clock)
    async def fetch() -> None:
        nonlocal reached
        reached += 1
        await release.wait()

    breaker.leave(breaker.enter(), FAILURE)
    clock.advance(15)
    tasks = [asyncio.create_task(fetch()) for _ in range(50)]
    await asyncio.sleep(0)
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert reached == 3
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 47
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("half_open", [False, True])
async def test_a_cancelled_call_counts_neither_way(half_open: bool) -> None:
    """Cancelled at any of its awaits a call is no failure and no success, and a probe's place is free again."""
    for awaits in range(3):
        breaker, clock = make(failure_threshold=2, success_threshold=1)
        breaker.leave(breaker.enter(), FAILURE)
        if half_open:
            breaker.leave(breaker.enter(), FAILURE)
            clock.advance(15)

        @Pipeline(breaker, Timeout(seconds=5), clock=clock)
        async def fetch() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        task = asyncio.create_task(fetch())
        for _ in range(awaits + 1):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        snapshot = breaker.snapshot()
        assert (snapshot.probes, snapshot.successes) == (0, 0)
        assert snapshot.failures == (0 if half_open else 1)
        assert snapshot.state is (BreakerState.HALF_OPEN if half_open else BreakerState.CLOSED)
        await fetch()
        assert breaker.snapshot().failures == 0
        assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("window", ["count", "time"])
def test_real_threads_lose_no_outcome_of_a_rate(window: Any) -> None:
    """Eight threads note 500 outcomes each, and the window has them all."""
    options: dict[str, Any] = {"window_calls": 4001} if window == "count" else {"window_seconds": 1000}
    breaker = CircuitBreaker(
        clock=FakeClock(), window=window, minimum_calls=4001, failure_rate=1, slow_call_duration=1, **options
    )

    def work() -> None:
        for index in range(500):
            breaker.leave(breaker.enter(), FAILURE if index % 5 == 0 else None)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failures) == (4000, 800)


def test_real_threads_hammer_a_failing_breaker() -> None:
    """Eight threads calling, failing, resetting and forcing at once leave a breaker that is whole and still works."""
    breaker, clock = make(ramp_seconds=1, half_open_max_calls=2, success_threshold=1)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for index in range(400):
                try:
                    permit = breaker.enter()
                except CircuitOpenError:
                    clock.advance(1)
                else:
                    breaker.leave(permit, FAILURE if (index + number) % 3 else None)
                if index % 97 == 0:
                    (breaker.reset, breaker.force_open, breaker.allow_probe, breaker.reset)[index // 97 % 4]()
                breaker.snapshot()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    breaker.reset()
    assert breaker.call(max, 1, 2) == 2
    assert breaker.snapshot().probes == 0
