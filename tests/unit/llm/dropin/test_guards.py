"""Pipelines for single calls, with the numbers of their operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import holdfast as hf
from holdfast.core.breaker_options import MODEL
from holdfast.errors import ConfigError, RetriesExhaustedError
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.pipeline import Pipeline


class RateLimitError(Exception):
    """Looks like an SDK's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.status_code = 429
        self.body = {"error": {"code": code}}


@pytest.mark.parametrize(
    ("guard", "calls", "longest"),
    [(hf.guard_embeddings, 4, 10.0), (hf.guard_completions, 3, 30.0), (hf.guard_agent, 3, 30.0)],
)
def test_the_numbers_of_an_operation(guard: Callable[..., Pipeline], calls: int, longest: float) -> None:
    """Embeddings are tried four times, completions and steps of an agent three times, with their own delays."""
    clock = FakeClock()
    made = 0

    @guard(clock=clock, name="model:x")
    def call() -> None:
        nonlocal made
        made += 1
        raise ConnectionError("down")

    with pytest.raises(RetriesExhaustedError):
        call()
    assert made == calls
    assert max(clock.sleeps_ns) <= longest * 1e9
    assert guard().describe().max_calls == calls


def test_the_first_delays() -> None:
    """An agent's step waits a tenth of a second at most before its second attempt, a completion a second."""
    for guard, first in ((hf.guard_agent, 0.1), (hf.guard_embeddings, 0.5), (hf.guard_completions, 1.0)):
        (retry,) = (each for each in guard().policies if isinstance(each, hf.Retry))
        assert retry.initial_delay == first


async def test_codes_are_the_providers() -> None:
    """A permanent quota error is not repeated, by the codes of the provider that is named."""
    made = 0

    async def call() -> None:
        nonlocal made
        made += 1
        raise RateLimitError("insufficient_quota")

    guard = hf.guard_completions(provider="openai", clock=FakeClock())
    with pytest.raises(RateLimitError):
        await guard.call(call)
    assert made == 1
    breaker = guard.snapshot().policies["circuit_breaker"]
    assert MODEL.failure_threshold == 5
    assert breaker.state == "closed"  # type: ignore[attr-defined]


def test_an_unknown_option() -> None:
    """What is not an option is refused."""
    with pytest.raises(ConfigError):
        hf.guard_agent(seconds=0)
