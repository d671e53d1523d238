"""Holdfast itself as a library under test, on a fake clock; a model for adapters of other libraries."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from holdfast.core.adaptive_limit import AdaptiveLimit, LimitPermit
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import Deadline
from holdfast.core.events import BreakerTransition, Event, Events
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import Charge, RetryBudget
from holdfast.errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConcurrencyLimitError,
    RateLimitedError,
    RetriesExhaustedError,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.policies.adapters import FAILURES_TO_OPEN, FakeTime, Fn, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = ["Holdfast"]

PolicyT = TypeVar("PolicyT", CircuitBreaker, RateLimiter, Bulkhead)


class _Guard:
    """A policy that is used alone: it decorates, and it admits blocks."""

    refusal: ClassVar[type[Exception]]

    def __init__(self, policy: Any) -> None:  # noqa: ANN401  one of the policies
        self._policy = policy

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._policy(fn)
        return guarded

    guard_async = guard

    def block(self) -> AbstractAsyncContextManager[Any]:
        admission: AbstractAsyncContextManager[Any] = self._policy.admit()
        return admission

    def refused(self, error: object) -> bool:
        return isinstance(error, self.refusal)


class _Breaker(_Guard):
    refusal = CircuitOpenError
    recovery = 15.0
    patience = 60.0

    def __init__(self, clock: FakeClock) -> None:
        self._events = Events()
        super().__init__(
            CircuitBreaker(
                failure_threshold=FAILURES_TO_OPEN,
                recovery_timeout=self.recovery,
                probe_lease=self.patience,
                success_threshold=1,
                clock=clock,
                events=self._events,
            )
        )

    def on_transition(self, listener: Callable[[], None]) -> None:
        def heard(event: Event) -> None:
            del event
            listener()

        self._events.listen(heard, BreakerTransition)


class _Breakers:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.time = FakeTime(self._clock)

    def breaker(self) -> _Breaker:
        return _Breaker(self._clock)

    def fleet(self, replicas: int, store_seconds: float) -> Sequence[_Breaker]:
        del replicas, store_seconds
        raise UnsupportedError("it shares no state between processes yet")


class _Retrier:
    def __init__(self, retry: Retry, deadline: float | None, clock: FakeClock) -> None:
        policies = (retry,) if deadline is None else (Deadline(seconds=deadline), retry)
        self._pipeline = Pipeline(*policies, clock=clock)
        self._loop = retry.loop(clock=clock)

    def guard(self, fn: Fn) -> Fn:
        return self._pipeline(fn)

    async def loop(self, fn: Fn) -> Any:  # noqa: ANN401
        result = None
        async for attempt in self._loop:
            with attempt:
                result = await fn()
        return result


class _Retries:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.time = FakeTime(self._clock)

    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> _Retrier:
        retry = Retry(max_retries=attempts - 1, initial_delay=delay, base=1, jitter="none")
        return _Retrier(retry, deadline, self._clock)

    def delays(self, count: int, *, cap: float) -> Sequence[float]:
        ramp = 8  # after so many the backoff is at the cap
        clock = FakeClock()
        retry = Retry(max_retries=count + ramp, initial_delay=cap / 4, max_delay=cap)

        def call() -> None:
            raise ConnectionError("the dependency is down")

        with contextlib.suppress(RetriesExhaustedError):
            Pipeline(retry, clock=clock, rng=random.Random(7)).call(call)  # noqa: S311  a test
        return [ns / NS_PER_SECOND for ns in clock.sleeps_ns[ramp:]]


class _Budget:
    def __init__(self, budget: RetryBudget, clock: FakeClock) -> None:
        self._budget = budget
        self._clock = clock

    def request(self) -> None:
        self._budget.request()

    def spend(self) -> Charge | None:
        return self._budget.try_spend("retry")

    def refund(self, spent: Any) -> None:  # noqa: ANN401
        self._budget.refund(spent)

    def hedge(self, fn: Fn, *, delay: float) -> Fn:
        return Hedge(delay=delay, max_share=None, budget=self._budget, clock=self._clock)(fn)


class _Budgets:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.time = FakeTime(self._clock)

    def budget(self, *, share: float, floor: float, window: float) -> _Budget:
        budget = RetryBudget(share=share, floor=floor, window=window, off_above=None, clock=self._clock)
        return _Budget(budget, self._clock)


class _Limiter(_Guard):
    refusal = RateLimitedError


class _ConcurrencyLimit:
    def __init__(self, max_limit: int) -> None:
        self._clock = FakeClock()
        self._limit = AdaptiveLimit(max_limit=max_limit, clock=self._clock)

    def enter(self) -> LimitPermit | None:
        try:
            return self._limit.enter()
        except ConcurrencyLimitError:
            return None

    def leave(self, entered: Any) -> None:  # noqa: ANN401
        self._limit.leave(entered)

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)


class _Limiters:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.time = FakeTime(self._clock)

    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> _Limiter:
        return _Limiter(RateLimiter(requests_per_minute=600, burst=10, max_wait=max_wait, clock=self._clock, name=name))

    def adaptive_limit(self, *, max_limit: int) -> _ConcurrencyLimit:
        return _ConcurrencyLimit(max_limit)


class _Bulkhead(_Guard):
    refusal = BulkheadFullError


class _Bulkheads:
    def bulkhead(self, *, slots: int, waiting: int) -> _Bulkhead:
        return _Bulkhead(Bulkhead(max_concurrent=slots, max_waiting=waiting))


class Holdfast:
    """This library."""

    name: ClassVar[str] = "holdfast"

    def __init__(self) -> None:
        self.breaker = _Breakers()
        self.retry = _Retries()
        self.budget = _Budgets()
        self.limiter = _Limiters()
        self.bulkhead = _Bulkheads()
