"""Calls that nobody listens to: the drivers take shorter ways, and what is true stays true."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline, remaining_ns
from holdfast.core.events import Events
from holdfast.core.fallback import Fallback
from holdfast.core.faults import Fault
from holdfast.core.pipeline import Pipeline, Policy
from holdfast.core.policy import CallRef, Site
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import BulkheadFullError, UnacceptableResultError
from holdfast.testing.clock import FakeClock
from holdfast.testing.rng import seeded_rng

S = 10**9
PLAIN = Retry(jitter="none")

pytestmark = pytest.mark.parametrize("kind", ["sync", "async"])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def quiet(clock: FakeClock, *policies: Policy) -> Pipeline:
    return Pipeline(*policies, name="dep", clock=clock, events=Events(), rng=seeded_rng(0))


def outcome(kind: str, guard: Pipeline, fn: Callable[[], object]) -> object:
    """What a guarded call of ``fn``, as a function of this kind, gives."""

    async def coroutine() -> object:
        return fn()

    async def call() -> object:
        return await guard.call(coroutine)

    return guard.call(fn) if kind == "sync" else asyncio.run(call())


def test_a_sync_attempt_finds_its_limit(clock: FakeClock, kind: str) -> None:
    """Only a sync attempt needs it in the context: an async one is cut."""
    guard = quiet(clock, CircuitBreaker(), Timeout(seconds=10))
    assert outcome(kind, guard, lambda: remaining_ns(clock)) == (10 * S if kind == "sync" else None)


def test_every_attempt_finds_the_deadline(clock: FakeClock, kind: str) -> None:
    """What the call hands on to others is what is left of its time."""
    assert outcome(kind, quiet(clock, Deadline(seconds=10)), lambda: remaining_ns(clock)) == 10 * S


def test_results_are_looked_at(clock: FakeClock, kind: str) -> None:
    """A result that ``on_result`` refuses is repeated, and raised when it stays."""
    answers = iter(["bad", "good", "bad"])
    guard = quiet(clock, Retry(max_retries=1, jitter="none", on_result=lambda answer: answer == "bad"))
    assert outcome(kind, guard, lambda: next(answers)) == "good"
    assert clock.sleeps_ns == [S]
    once = quiet(clock, Retry(on_result=lambda _: "content_filtered"))  # type: ignore[arg-type,return-value]
    with pytest.raises(UnacceptableResultError):
        outcome(kind, once, lambda: "bad")


def test_requests_are_counted(clock: FakeClock, kind: str) -> None:
    """Each call is one request of the retry budget, whether it succeeds or not."""
    budget = RetryBudget()
    guard = quiet(clock, Retry(budget=budget, jitter="none"))
    assert outcome(kind, guard, lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        outcome(kind, guard, lambda: 1 // 0)
    assert budget.snapshot().requests == 2


def test_a_refusal_that_the_function_itself_raises_gives_the_place_back(clock: FakeClock, kind: str) -> None:
    """It comes from further inside: the gates outside of it have let the call in."""
    bulkhead = Bulkhead(max_concurrent=1)

    def refused() -> None:
        raise BulkheadFullError("elsewhere")

    with pytest.raises(BulkheadFullError, match="elsewhere"):
        outcome(kind, quiet(clock, PLAIN, bulkhead), refused)
    assert bulkhead.snapshot().inflight == 0


def test_a_refusal_has_its_fallback(clock: FakeClock, kind: str) -> None:
    """A refusal that is not repeated goes to the alternatives."""
    full = Bulkhead(max_concurrent=1)
    full.enter()
    assert outcome(kind, quiet(clock, Fallback(lambda: "other"), PLAIN, full), lambda: "own") == "other"
    assert clock.sleeps_ns == []


class Remote:
    """A gate that asks somebody else, who does not answer at first."""

    label = "remote"

    def __init__(self) -> None:
        self.asked = self.inside = 0

    def attach(self, site: Site) -> None:
        """Nothing."""

    def enter(self, call: CallRef | None = None) -> str:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionResetError
        self.inside += 1
        return "permit"

    def leave(self, permit: str, fault: Fault | None = None, call: CallRef | None = None) -> None:
        assert permit == "permit"
        self.inside -= 1

    def snapshot(self) -> object:
        return None


def test_a_gate_that_fails_has_not_refused(clock: FakeClock, kind: str) -> None:
    """What a gate raises that is no refusal is a failure like any other: repeated when it may pass."""
    gate = Remote()
    calls: list[Any] = []
    assert outcome(kind, quiet(clock, PLAIN, gate), lambda: calls.append(1)) is None
    assert (gate.asked, gate.inside, calls, clock.sleeps_ns) == (2, 0, [1], [S])
