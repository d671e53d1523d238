"""Pipelines for single calls of a model, with the numbers that suit what is called.

    @holdfast.guard_completions(provider="openai")
    def ask(question: str) -> str: ...

For functions that call a model in any way, with or without an SDK. Where an SDK repeats by itself, set its own number
of retries to 0 (``max_retries=0``), or they multiply.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import MODEL
from holdfast.core.classify import classify
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.deadline import Deadline
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout

if TYPE_CHECKING:
    from holdfast.core.clock import Clock

__all__ = ["guard_agent", "guard_completions", "guard_embeddings"]


def guard_embeddings(
    *,
    provider: str | None = None,
    seconds: float = 10.0,
    deadline_seconds: float = 60.0,
    **doors: Any,  # noqa: ANN401
) -> Pipeline:
    """Short calls, many of them: 3 retries from 0.5 s, at most 10 s apart.

    Args:
        provider: whose error codes to go by, see :func:`holdfast.classify`; None goes by those of all.
        seconds: for one attempt, above 0.
        deadline_seconds: for everything, above 0.
        doors: ``name``, ``dependency``, ``clock``, ``rng``, ``events``, as for :class:`holdfast.Pipeline`.

    Raises:
        ConfigError: a value is out of its range.
    """
    return _guard(
        Retry.for_embeddings(budget=RetryBudget()),
        "embeddings",
        provider=provider,
        seconds=seconds,
        deadline_seconds=deadline_seconds,
        doors=doors,
    )


def guard_completions(
    *,
    provider: str | None = None,
    seconds: float = 60.0,
    deadline_seconds: float = 180.0,
    **doors: Any,  # noqa: ANN401
) -> Pipeline:
    """Long and costly calls: 2 retries from 1 s, at most 30 s apart. Arguments as for :func:`guard_embeddings`."""
    return _guard(
        Retry.for_completions(budget=RetryBudget()),
        "completions",
        provider=provider,
        seconds=seconds,
        deadline_seconds=deadline_seconds,
        doors=doors,
    )


def guard_agent(
    *,
    provider: str | None = None,
    seconds: float = 60.0,
    deadline_seconds: float = 120.0,
    **doors: Any,  # noqa: ANN401
) -> Pipeline:
    """One step of many: 3 attempts, from 0.1 s, doubling. Arguments as for :func:`guard_embeddings`."""
    return _guard(
        Retry.for_agents(budget=RetryBudget()),
        "agent",
        provider=provider,
        seconds=seconds,
        deadline_seconds=deadline_seconds,
        doors=doors,
    )


def _guard(
    retry: Retry, name: str, *, provider: str | None, seconds: float, deadline_seconds: float, doors: dict[str, Any]
) -> Pipeline:
    clock: Clock = doors.get("clock", SYSTEM_CLOCK)
    own = {"name": name, "classify": partial(classify, clock=clock, provider=provider)}
    return Pipeline(
        Deadline(seconds=deadline_seconds), retry, CircuitBreaker(MODEL), Timeout(seconds=seconds), **{**own, **doors}
    )
