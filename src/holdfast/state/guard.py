"""The pipeline that stands around every call of a cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import CACHE, BreakerOptions
from holdfast.core.classify import classify
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import AttemptTimeoutError, StateUnavailableError

if TYPE_CHECKING:
    import random

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault

__all__ = ["CACHE_SECONDS", "cache_guard"]

CACHE_SECONDS = 0.25
"""What a cache may cost an answer at most."""


def cache_guard(
    name: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    rng: random.Random | None = None,
    events: Events | None = None,
    breaker: BreakerOptions = CACHE,
    recovery_timeout: float | None = None,
) -> Pipeline:
    """A new pipeline for a cache: ten failures in a row open its breaker, and no call takes longer than 250 ms.

    Nothing is repeated: what a cache does not give at once is cheaper to make than to wait for.

    Args:
        name: the cache's ``name``.
        clock, rng, events: where time, jitter and listeners come from.
        breaker: when its breaker opens, and for how long.
        recovery_timeout: seconds until an open breaker lets a probe through, where not those of ``breaker``.
    """
    if recovery_timeout is not None:
        breaker = replace(breaker, recovery_timeout=recovery_timeout)
    timeout = Timeout(seconds=CACHE_SECONDS)
    return Pipeline(
        CircuitBreaker(breaker), timeout, name=name, clock=clock, rng=rng, events=events, classify=_classify
    )


def _classify(error: BaseException) -> Fault:
    """As for anything else, but every failure is a whole one.

    Elsewhere a slow answer counts half, and a wrong password nothing, because they say little about the others. A cache
    that is slow is of no use, and one that refuses us need not be asked each time.
    """
    fault = classify(error)
    return replace(fault, weight=1.0) if isinstance(error, StateUnavailableError | AttemptTimeoutError) else fault
