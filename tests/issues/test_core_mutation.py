"""Defects of the core that mutation testing found, each with what is true now."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.breaker import BreakerState, CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.classify import classify
from holdfast.core.deadline import Deadline, deadline_scope
from holdfast.core.events import Events
from holdfast.core.fallback import Fallback
from holdfast.core.pipeline import Pipeline
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


# --- breakers ---------------------------------------------------------------------------------------------------------


def test_a_call_from_before_another_clock_says_nothing() -> None:
    """A call that began by the breaker's first clock is not counted by the pipeline's, though nothing opened before."""
    breaker = CircuitBreaker(failure_threshold=1)
    permit = breaker.enter()
    Pipeline(breaker, clock=FakeClock())
    breaker.leave(permit, classify(ConnectionResetError()))
    assert breaker.state is BreakerState.CLOSED
