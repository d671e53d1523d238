"""A conformance suite for resilience policies: what must be true of any circuit breaker, retry, limiter or bulkhead.

Each case is a piece of data: an id, one sentence, and a function that tries it on an adapter. It needs no test
framework::

    from holdfast.testing.policies import CASES, Verdict

    for case in CASES:
        outcome = case.run(library)
        assert outcome.verdict is not Verdict.FAILED, outcome

A library is described by :class:`Library`: adapters that build its policies with given options and use them the way its
documentation says. :class:`~holdfast.testing.policies.ours.Holdfast` is one, and a model for others.
"""

from __future__ import annotations

from holdfast.testing.policies import (
    breaker_outcomes,
    breaker_probes,
    breaker_threads,
    budgets,
    bulkheads,
    limiters,
    retries,
    streams,
)
from holdfast.testing.policies.adapters import (
    Breaker,
    BreakerAdapter,
    Budget,
    BudgetAdapter,
    Bulkhead,
    BulkheadAdapter,
    ConcurrencyLimit,
    FakeTime,
    Library,
    Limiter,
    LimiterAdapter,
    RealTime,
    Retrier,
    RetryAdapter,
    Time,
    UnsupportedError,
)
from holdfast.testing.policies.case import Case, Outcome, Verdict

__all__ = [
    "CASES",
    "Breaker",
    "BreakerAdapter",
    "Budget",
    "BudgetAdapter",
    "Bulkhead",
    "BulkheadAdapter",
    "Case",
    "ConcurrencyLimit",
    "FakeTime",
    "Library",
    "Limiter",
    "LimiterAdapter",
    "Outcome",
    "RealTime",
    "Retrier",
    "RetryAdapter",
    "Time",
    "UnsupportedError",
    "Verdict",
]

CASES: tuple[Case, ...] = (
    *breaker_outcomes.CASES,
    *breaker_probes.CASES,
    *breaker_threads.CASES,
    *retries.CASES,
    *streams.CASES,
    *budgets.CASES,
    *limiters.CASES,
    *bulkheads.CASES,
)
"""Every case; the ids are unique."""
