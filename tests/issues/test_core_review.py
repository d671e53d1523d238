"""Defects of the policies that a review found, each with what is true now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline
from holdfast.core.events import correlation_id, correlation_scope
from holdfast.core.faults import Fault, FaultKind
from holdfast.core.hedge import Hedge, HedgeRefusal
from holdfast.core.pipeline import Pipeline
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def guarded(clock: FakeClock) -> tuple[Pipeline, Bulkhead]:
    bulkhead = Bulkhead(max_concurrent=1)
    return Pipeline(Deadline(seconds=1), bulkhead, name="model:x", clock=clock), bulkhead


async def test_an_async_stream_that_cannot_close_keeps_no_slot() -> None:
    """When closing the source raises after the deadline has passed, the slot is free again."""
    clock = FakeClock()
    guard, bulkhead = guarded(clock)

    @guard
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise OSError("cleanup")

    items: Any = stream()
    assert await anext(items) == 1
    clock.advance(2.0)
    with pytest.raises(OSError, match="cleanup"):
        await anext(items)
    assert bulkhead.snapshot().inflight == 0


def test_a_stream_that_cannot_close_keeps_no_slot() -> None:
    """The same for a plain generator."""
    clock = FakeClock()
    guard, bulkhead = guarded(clock)

    @guard
    def stream() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise OSError("cleanup")

    items = stream()
    assert next(items) == 1
    clock.advance(2.0)
    with pytest.raises(OSError, match="cleanup"):
        next(items)
    assert bulkhead.snapshot().inflight == 0


def test_a_correlation_scope_may_stand_inside_itself() -> None:
    """Leaving the inner one restores the outer one, and leaving that restores what was before."""
    scope = correlation_scope("req-1")
    with scope:
        with scope:
            assert correlation_id() == "req-1"
        assert correlation_id() == "req-1"
    assert correlation_id() == ""


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=FaultKind.THROTTLED, transient=True, weight=0.0, retry_after=None, safe_to_replay=True, cause=None),
        Fault(kind=FaultKind.OVERLOADED, transient=True, weight=1.0, retry_after=None, safe_to_replay=True, cause=None),
        Fault(kind=FaultKind.TRANSIENT, transient=True, weight=1.0, retry_after=30.0, safe_to_replay=True, cause=None),
    ],
)
def test_a_target_that_asks_to_wait_is_not_hedged(fault: Fault) -> None:
    """A rate limit, an overload or a Retry-After is no reason for one call more at once."""
    hedge = Hedge(delay="on_failure", max_hedges=3, max_share=None)
    assert hedge.decide(0, fault, None) is HedgeRefusal.ASKED_TO_WAIT
