"""A retry budget with a clock of its own, in a pipeline with another."""

from __future__ import annotations

from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder


async def test_a_budget_goes_by_its_own_clock_while_somebody_listens() -> None:
    """Requests are dated by the budget's clock, and not by the pipeline's, which may be far behind."""
    own = FakeClock(start_ns=10**15)
    budget = RetryBudget(clock=own)
    events = Events()
    EventRecorder(events)
    pipeline = Pipeline(Retry(budget=budget), clock=FakeClock(start_ns=5), events=events, name="p")

    async def answer() -> int:
        return 1

    for _ in range(20):
        await pipeline.call(answer)
    own.advance(1_000)
    await pipeline.call(answer)
    own.advance(1_000)
    await pipeline.call(answer)
    assert budget.snapshot().requests == 1
