"""Defects of the core that mutation testing found, each with what is true now."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core._turns import TurnState
from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.classify import classify
from holdfast.core.deadline import Deadline, deadline_scope
from holdfast.core.events import Events
from holdfast.core.fallback import Fallback
from holdfast.core.faults import FaultKind, hand_back
from holdfast.core.pipeline import Pipeline
from holdfast.core.request_queue import RequestQueue, RequestQueueOptions
from holdfast.core.retry import Retry
from holdfast.errors import BulkheadFullError, DeadlineExceededError, RejectedError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from holdfast.core.faults import Fault

S = 10**9


def outcome(kind: str, guard: Pipeline, fn: Callable[[], object]) -> object:
    """What a guarded call of ``fn``, as a function of this kind, gives; of a stream its items."""

    async def call() -> object:
        return await guard.call(of_kind(kind, fn))

    async def collect() -> object:
        return [item async for item in guard.call(of_kind(kind, fn))]

    match kind:
        case "sync":
            return guard.call(fn)
        case "async":
            return asyncio.run(call())
        case "stream":
            return list(guard.call(of_kind(kind, fn)))
        case _:
            return asyncio.run(collect())


def of_kind(kind: str, fn: Callable[[], object]) -> Callable[[], Any]:
    """A function of this kind that does what ``fn`` does."""

    async def coroutine() -> object:
        return fn()

    def stream() -> Iterator[object]:
        yield fn()

    async def async_stream() -> AsyncIterator[object]:
        yield fn()

    return {"sync": fn, "async": coroutine, "stream": stream, "async stream": async_stream}[kind]


# --- refusals -------------------------------------------------------------------------------------------------------


def passing(error: BaseException) -> Fault:
    """A classification of one's own, for which a full bulkhead may have room a moment later."""
    return replace(classify(error), transient=isinstance(error, BulkheadFullError))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(
    ("retry", "options"),
    [
        ({"retry_on": (BulkheadFullError,)}, {}),
        ({"retry_on": (RejectedError,)}, {}),
        ({}, {"classify": passing}),
    ],
    ids=["by class", "by base class", "by classification"],
)
def test_a_refusal_is_repeated_where_that_is_asked_for(
    kind: str, heard: bool, retry: dict[str, Any], options: dict[str, Any]
) -> None:
    """Whether a refusal is repeated does not depend on whether anybody listens."""
    clock, events, full = FakeClock(), Events(), Bulkhead(max_concurrent=1)
    full.enter()
    if heard:
        events.listen(lambda _: None)
    guard = Pipeline(Retry(max_retries=2, jitter="none", **retry), full, clock=clock, events=events, **options)
    with pytest.raises(RetriesExhaustedError):
        outcome(kind, guard, lambda: 1)
    assert clock.sleeps_ns == [S, 2 * S]


# --- alternatives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async", "stream", "async stream"])
@pytest.mark.parametrize("whose", ["own", "outer"])
def test_no_alternative_is_asked_after_the_deadline(kind: str, whose: str) -> None:
    """When an alternative fails and the deadline has passed meanwhile, its own or one around it, that is the end."""
    clock = FakeClock()
    asked: list[str] = []

    def slow() -> None:
        asked.append("slow")
        clock.advance(5)
        raise LookupError

    def down() -> None:
        raise ConnectionResetError

    fallback = Fallback([of_kind(kind, slow), of_kind(kind, lambda: asked.append("next"))])
    guard = Pipeline(*[Deadline(seconds=5)] * (whose == "own"), fallback, clock=clock)
    with deadline_scope(5 if whose == "outer" else 60, clock=clock), pytest.raises(DeadlineExceededError) as raised:
        outcome(kind, guard, down)
    assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert asked == ["slow"]


# --- the loop form --------------------------------------------------------------------------------------------------


def test_a_loop_is_over_when_it_has_raised_the_deadlines_error() -> None:
    """Whoever goes on with its iterator gets nothing more, and is not told that an attempt was left unused."""
    clock = FakeClock()
    attempts = iter(Retry().loop(clock=clock))
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        next(attempts)
    assert next(attempts, None) is None


# --- breakers ---------------------------------------------------------------------------------------------------------


def test_a_call_from_before_another_clock_says_nothing() -> None:
    """A call that began by the breaker's first clock is not counted by the pipeline's, though nothing opened before."""
    breaker = CircuitBreaker(failure_threshold=1)
    permit = breaker.enter()
    Pipeline(breaker, clock=FakeClock())
    breaker.leave(permit, classify(ConnectionResetError()))
    assert breaker.state is BreakerState.CLOSED


# --- classification -------------------------------------------------------------------------------------------------


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class AnswerError(Exception):
    """An answer with an error, as a client of HTTP holds it once it was read."""

    def __init__(self, status: int, content: bytes = b"", **headers: str) -> None:
        super().__init__(status)
        self.response = SimpleNamespace(
            status_code=status, _content=content, headers={key.replace("_", "-"): each for key, each in headers.items()}
        )


@pytest.mark.parametrize(
    "passing",
    [caused(RuntimeError(), TimeoutError()), ExceptionGroup("inner", [TimeoutError()])],
    ids=["a wrapper", "a group"],
)
def test_a_group_is_its_gravest_member_by_what_its_members_stand_for(passing: Exception) -> None:
    """A group with a bug in it is a bug, also when another member only wraps what will pass."""
    assert classify(ExceptionGroup("g", [passing, ValueError()])).kind is FaultKind.BUG
    fault = classify(ExceptionGroup("g", [ConnectionResetError(), passing]))
    assert (fault.kind, fault.transient) == (FaultKind.CONNECT, True)


def test_a_group_is_read_by_the_clock_and_the_provider_that_are_named() -> None:
    """What a member of a group means is told by the provider's codes and the clock that the caller names."""
    body = b'{"error": {"code": "insufficient_quota"}}'
    group = ExceptionGroup("g", [AnswerError(429, body, retry_after="Thu, 01 Jan 2026 00:00:30 GMT"), ValueError()])
    assert classify(group, provider="openai").kind is FaultKind.QUOTA
    assert classify(group, provider="voyage").kind is FaultKind.BUG
    busy = ExceptionGroup("g", [AnswerError(503, retry_after="Thu, 01 Jan 2026 00:00:30 GMT")])
    assert classify(busy, clock=FakeClock()).retry_after == 30


@pytest.mark.parametrize(
    "date",
    ["Thu, 01 Jan 99999999999999999999 00:00:30 GMT", "Thu, 01 Jan 2026 00:00:30 +99999999999999999999"],
    ids=["year", "zone"],
)
def test_a_date_that_no_calendar_has(date: str) -> None:
    """A Retry-After or a Date with numbers beyond any date is ignored, and its error is classified all the same."""
    fault = classify(AnswerError(503, retry_after=date))
    assert (fault.kind, fault.retry_after) == (FaultKind.OVERLOADED, None)
    dated = AnswerError(503, retry_after="Thu, 01 Jan 2026 00:00:30 GMT", date=date)
    assert classify(dated, clock=FakeClock()).retry_after == 30


def test_a_body_that_is_nested_too_deep() -> None:
    """A body that no parser gets to the bottom of leaves the status."""
    assert classify(AnswerError(429, b"[" * 60_000)).kind is FaultKind.THROTTLED


def test_a_start_goes_back_to_the_rate_that_it_was_charged_to() -> None:
    """A queue whose rate was taken away and given anew never starts more than that because older starts were none."""
    clock = FakeClock(auto=False)
    paced = RequestQueueOptions(requests_per_minute=60, burst=1, max_concurrent=9)
    queue = RequestQueue(requests_per_minute=60, burst=1, max_concurrent=9, clock=clock)
    old = queue.ask()
    queue.reconfigure(replace(paced, requests_per_minute=None))
    free = queue.ask()
    queue.reconfigure(paced)
    assert queue.ask().state is TurnState.HELD
    for each in (old, free):
        queue.leave(each, hand_back(RejectedError("open")))
    assert queue.ask().state is TurnState.WAITING
