"""The named profiles, with the numbers that they promise."""

from typing import Any

import pytest

from holdfast.core import profiles
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.deadline import Deadline
from holdfast.core.pipeline import Pipeline
from holdfast.core.profiles import BALANCED, Profile, for_environment
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError


def policy(guard: Pipeline, kind: type) -> Any:
    (found,) = [each for each in guard.policies if isinstance(each, kind)]
    return found


@pytest.mark.parametrize(
    ("name", "retries", "delay", "threshold", "recovery", "size"),
    [
        ("conservative", 5, 2.0, 3, 120, 500),
        ("balanced", 3, 1.0, 5, 60, 1000),
        ("aggressive", 2, 0.5, 10, 30, 2000),
        ("cost_optimized", 1, 2.0, 5, 60, 500),
    ],
)
def test_the_numbers(name: str, retries: int, delay: float, threshold: float, recovery: float, size: int) -> None:
    """Each profile gives a pipeline with its numbers, that works."""
    guard = getattr(profiles, name)(name="model:x")
    retry, breaker, queue = (policy(guard, kind) for kind in (Retry, CircuitBreaker, RequestQueue))
    assert (retry.max_retries, retry.initial_delay) == (retries, delay)
    assert (breaker.options.failure_threshold, breaker.options.recovery_timeout) == (threshold, recovery)
    assert queue.options.max_size == size
    assert guard.name == "model:x"
    assert guard.call(max, 1, 2) == 2
    assert for_environment("production", name.replace("_", "-")).max_retries == retries


@pytest.mark.parametrize(
    ("name", "deadline"),
    [("conservative", 300), ("balanced", 120), ("aggressive", 60), ("cost_optimized", 120)],
)
def test_the_numbers_that_bound_a_call(name: str, deadline: float) -> None:
    """Ten calls at once, 30 seconds for an attempt, and the profile's own time for a call as a whole."""
    guard = getattr(profiles, name)()
    assert policy(guard, RequestQueue).options.max_concurrent == 10
    assert policy(guard, Timeout).seconds == 30
    assert policy(guard, Deadline).seconds == deadline


def test_a_budget_of_its_own() -> None:
    """Without a shared one, each pipeline has a retry budget to itself."""
    budgets = [policy(BALANCED.pipeline(), Retry).budget for _ in range(2)]
    assert all(isinstance(each, RetryBudget) for each in budgets)
    assert budgets[0] is not budgets[1]


async def test_a_profile_in_use() -> None:
    """Its pipeline serves async functions, falls back, and charges the budget it is given."""
    budget = RetryBudget()

    async def down() -> str:
        raise KeyError

    async def other() -> str:
        return "other"

    guard = BALANCED.pipeline(fallback=other, budget=budget, name="x")

    async def broken() -> str:
        raise PermissionError

    assert await guard.call(broken) == "other"
    assert budget.snapshot().requests == 1
    with pytest.raises(KeyError):
        await guard.call(down)


def test_environments() -> None:
    """Staging is production; development is relaxed; custom takes numbers."""
    assert for_environment("staging") == for_environment("production") == BALANCED
    relaxed = for_environment("development", "conservative")
    assert (relaxed.max_retries, relaxed.failure_threshold, relaxed.recovery_timeout) == (1, 20, 5)
    assert relaxed.initial_delay == 0.1
    assert relaxed.queue_size == 500
    assert for_environment("custom", BALANCED, max_retries=7).max_retries == 7


@pytest.mark.parametrize(
    ("args", "numbers", "match"),
    [
        (("prod",), {}, "must be one of development, staging, production, custom"),
        (("staging", "brave"), {}, "must be a Profile, or one of conservative"),
        (("staging",), {"max_retries": 1}, "only in the environment"),
        (("custom",), {"retries": 1}, "retries=1: is no option of Profile; did you mean max_retries?"),
        (("custom",), {"max_retries": -1}, "max_retries=-1"),
    ],
)
def test_what_is_refused(args: tuple[Any, ...], numbers: dict[str, Any], match: str) -> None:
    """Unknown environments, profiles and numbers name themselves."""
    with pytest.raises(ConfigError, match=match):
        for_environment(*args, **numbers)


def test_numbers_at_the_end_of_their_range() -> None:
    """A pipeline may repeat nothing, wait for nothing, let nobody wait, and do one thing at a time."""
    guard = Profile(max_retries=0, initial_delay=0, queue_size=0, max_concurrent=1).pipeline()
    assert guard.call(max, 1, 2) == 2
    assert guard.describe().max_calls == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_retries", -1),
        ("initial_delay", -1),
        ("failure_threshold", 0),
        ("recovery_timeout", 0),
        ("queue_size", -1),
        ("max_concurrent", 0),
        ("attempt_seconds", 0),
        ("deadline_seconds", 0),
    ],
)
def test_numbers_out_of_range(field: str, value: float) -> None:
    """Every number out of range names itself."""
    with pytest.raises(ConfigError, match=field):
        Profile(**{field: value})  # type: ignore[arg-type]
