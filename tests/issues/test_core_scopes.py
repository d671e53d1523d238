"""Scopes that several tasks share or a generator leaves open, and the worst case of very many retries."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.deadline import deadline_ns, deadline_scope
from holdfast.core.demand import current_demand, demand_scope
from holdfast.core.events import correlation_id, correlation_scope
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.testing.clock import FakeClock
from holdfast.testing.rng import seeded_rng

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

S = 10**9
STILL = FakeClock()
SCOPES: list[tuple[Callable[[int], Any], Callable[[], object], list[object]]] = [
    (lambda number: correlation_scope(f"req-{number}"), correlation_id, ["", "req-0", "req-1", "req-2"]),
    (lambda number: demand_scope(cost=number + 1), lambda: current_demand().cost, [None, 1, 2, 3]),
    (lambda number: deadline_scope(9 - number, clock=STILL), deadline_ns, [None, 9 * S, 8 * S, 7 * S]),
]
"""What makes a scope, what is seen inside, and what that is: outside, and within each."""


@pytest.mark.parametrize(("scope", "seen", "expected"), SCOPES)
async def test_one_scope_serves_several_tasks_at_once(
    scope: Callable[[int], Any], seen: Callable[[], object], expected: list[object]
) -> None:
    """Each entry counts for itself, in whatever order they are left."""
    outside, *own, _ = expected
    shared = scope(2)
    entered, left = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]

    async def hold(number: int) -> None:
        with scope(number):
            with shared:
                entered[number].set()
                await left[number].wait()
                assert seen() == expected[3]
            assert seen() == own[number]
        assert seen() == outside

    tasks = [asyncio.create_task(hold(number)) for number in range(2)]
    for each in entered:
        await each.wait()
    for each, task in zip(left, tasks, strict=True):
        each.set()
        await task


@pytest.mark.parametrize(("scope", "seen", "expected"), SCOPES)
def test_a_scope_may_stand_inside_itself(
    scope: Callable[[int], Any], seen: Callable[[], object], expected: list[object]
) -> None:
    """Leaving it gives back what was around that entry, and to leave it once too often does nothing."""
    outer, inner = scope(0), scope(1)
    with outer:
        with inner, outer:
            assert seen() in expected[1:3]  # of deadlines the nearest holds
        assert seen() == expected[1]
    assert seen() == expected[0]
    with inner:
        outer.__exit__(None, None, None)
        assert seen() == expected[2]
    inner.__exit__(None, None, None)
    assert seen() == expected[0]


@pytest.mark.parametrize(("scope", "seen", "expected"), SCOPES)
def test_a_scope_that_is_left_in_another_context_changes_nothing_there(
    scope: Callable[[int], Any], seen: Callable[[], object], expected: list[object]
) -> None:
    """Where it was never entered nothing is given back, whatever holds there."""
    scoped = scope(0)
    context = copy_context()
    context.run(scoped.__enter__)
    with scope(1):
        scoped.__exit__(None, None, None)
        assert seen() == expected[2]
    assert context.run(seen) == expected[1]


@pytest.mark.parametrize(("scope", "seen", "expected"), SCOPES)
def test_leaving_a_scope_leaves_what_a_generator_left_open_inside(
    scope: Callable[[int], Any], seen: Callable[[], object], expected: list[object]
) -> None:
    """A generator that stands in a scope of its own takes nothing with it beyond the scope around it."""

    def items() -> Generator[int]:
        with scope(1):
            yield 1

    with scope(0):
        unfinished = items()
        next(unfinished)
        assert seen() == expected[2]
    assert seen() == expected[0]
    unfinished.close()
    assert seen() == expected[0]


@pytest.mark.parametrize(("scope", "seen", "expected"), SCOPES)
def test_a_scope_that_is_left_in_a_copy_of_its_context_stays_there(
    scope: Callable[[int], Any], seen: Callable[[], object], expected: list[object]
) -> None:
    """A task that happens to close what its parent began goes on under what it began with."""
    scoped = scope(0)
    context = copy_context()
    context.run(scoped.__enter__)
    child = context.run(copy_context)
    child.run(scoped.__exit__, None, None, None)
    assert child.run(seen) == context.run(seen) == expected[1]
    context.run(scoped.__exit__, None, None, None)
    assert context.run(seen) == expected[0]


def test_each_entry_of_a_demand_scope_counts_its_own_usage() -> None:
    """What one task says it used is not said of the other's calls, though both entered the same scope."""
    scope = demand_scope(cost=5)
    with scope as first:
        current_demand().used(3)
    with scope as second:
        pass
    assert (first.actual, second.actual) == (3, None)


@pytest.mark.parametrize(
    ("retry", "seconds"),
    [
        (Retry(max_retries=10**9, initial_delay=2, base=1, jitter="none", max_retry_after=0), 3 * 10**9 + 1),
        (
            Retry(max_retries=10**9, initial_delay=1, base=2, max_delay=4, jitter="none", max_retry_after=0),
            5 * 10**9 - 4,
        ),
        (Retry(max_retries=10**9, initial_delay=0, jitter="none", max_retry_after=7), 8 * 10**9 + 1),
        (
            Retry(max_retries=1001, backoff=float, max_delay=5000, jitter="none", max_retry_after=0),
            1002 + 500500 + 5000,
        ),
    ],
)
def test_the_worst_case_of_very_many_retries_is_known_at_once(retry: Retry, seconds: float) -> None:
    """It is never less than what may come: delays that grow by the caller's own formula count as the longest."""
    described = Pipeline(retry, Timeout(seconds=1)).describe()
    assert described.max_calls == retry.max_retries + 1
    assert described.max_seconds == seconds


def test_a_whole_base_is_as_good_as_any() -> None:
    """Late delays are at the cap at once, where the power of a whole number would have a million digits."""
    retry = Retry(max_retries=10**9, initial_delay=1, base=2, max_delay=60, jitter="none")
    assert [retry.delay_ns(attempt, rng=seeded_rng(0)) // S for attempt in (1, 6, 7, 10**9)] == [1, 32, 60, 60]


def test_the_worst_case_of_a_thousand_retries_is_their_sum() -> None:
    """Up to a thousand delays are added up one by one."""
    retry = Retry(max_retries=1000, backoff=float, max_delay=5000, jitter="none", max_retry_after=0)
    assert Pipeline(retry, Timeout(seconds=1)).describe().max_seconds == 1001 + 500500
