"""Policies without a pipeline: each is a decorator and a call."""

import asyncio
from typing import Any

import pytest

from holdfast.core.deadline import Deadline, remaining_ns
from holdfast.core.fallback import Fallback
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import AttemptTimeoutError, ConfigError, DeadlineExceededError, RetriesExhaustedError


def test_a_retry_alone() -> None:
    """A retry decorates and calls, and names the function in its errors."""
    calls = []

    @Retry(max_retries=1, initial_delay=0)
    def down() -> None:
        calls.append(1)
        raise ConnectionResetError

    with pytest.raises(RetriesExhaustedError, match="down"):
        down()
    assert len(calls) == 2
    retry = Retry(max_retries=0)
    assert retry.call(max, 1, 2) == 2
    assert retry.call(min, 1, 2) == 1


async def test_a_timeout_alone() -> None:
    """A timeout ends an async call."""
    timeout = Timeout(seconds=0.001)
    with pytest.raises(AttemptTimeoutError):
        await timeout.call(asyncio.sleep, 30)

    @timeout
    async def quick() -> int:
        return 1

    assert await quick() == 1


async def test_a_deadline_alone() -> None:
    """A deadline is seen inside, and ends the call."""

    @Deadline(seconds=60)
    def looks() -> int | None:
        return remaining_ns()

    assert 0 < (looks() or 0) <= 60 * 10**9
    with pytest.raises(DeadlineExceededError):
        await Deadline(seconds=0.001).call(asyncio.sleep, 30)


def test_a_fallback_alone() -> None:
    """A fallback answers for what it decorates."""

    @Fallback(lambda: "other")
    def down() -> str:
        raise ConnectionResetError

    assert down() == "other"


@pytest.mark.parametrize("what", [dict, 3])
def test_what_cannot_be_guarded(what: Any) -> None:
    """A class and a non-callable are refused with a sentence."""
    with pytest.raises(ConfigError, match="fn="):
        Timeout(seconds=1)(what)
