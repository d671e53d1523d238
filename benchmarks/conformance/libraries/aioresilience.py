"""aioresilience."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import (
    FAILURES_TO_OPEN,
    PeerBreaker,
    PeerBreakers,
    PeerBulkhead,
    PeerLibrary,
    PeerLimiter,
    PeerLimiters,
    PeerRetrier,
    PeerRetries,
    UnsupportedError,
    always_failing_async,
    load,
    only,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from holdfast.testing.policies.adapters import Fn

__all__ = ["AioResilience"]


class _Breaker(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("aioresilience.circuit_breaker")
        config = self._lib.CircuitConfig(
            failure_threshold=FAILURES_TO_OPEN,
            recovery_timeout=self.recovery,
            success_threshold=1,
            half_open_max_calls=1,
        )
        self._breaker = self._lib.CircuitBreaker(name="conformance", config=config)

    def guard(self, fn: Fn) -> Fn:
        only("async", fn)
        guarded: Fn = self._lib.with_circuit_breaker(self._breaker)(fn)
        return guarded

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitBreakerOpenError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        del listener
        raise UnsupportedError("it is for async code only")


class _Retries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        lib = load("aioresilience.retry")
        config = lib.RetryConfig(
            max_attempts=attempts,
            initial_delay=delay,
            max_delay=max(delay, 60.0),
            strategy=lib.RetryStrategy.CONSTANT,
            jitter=0.0,
        )
        policy = lib.RetryPolicy(config=config)

        def decorate(fn: Fn) -> Fn:
            only("async", fn)
            guarded: Fn = lib.with_retry(policy)(fn)
            return guarded if deadline is None else load("aioresilience.timeout").timeout(deadline)(guarded)

        return PeerRetrier(decorate)

    def jittered(self, attempts: int, cap: float) -> Fn:
        lib = load("aioresilience.retry")
        config = lib.RetryConfig(max_attempts=attempts, initial_delay=cap / 4, max_delay=cap, jitter=0.5)
        guarded: Fn = lib.with_retry(lib.RetryPolicy(config=config))(always_failing_async)
        return guarded


class _Limiter(PeerLimiter):
    def __init__(self, name: str) -> None:
        self._lib = load("aioresilience.rate_limiting.local")
        self._limiter = self._lib.LocalRateLimiter()
        self._key = name

    def guard_async(self, fn: Fn) -> Fn:
        async def guarded() -> object:
            if not await self._limiter.check_rate_limit(self._key, "10/second"):
                raise self._lib.RateLimitExceededError("no room")
            return await fn()

        return guarded

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.RateLimitExceededError)


class _ConcurrencyLimit:
    """It goes by the share of successes, and never looks at time."""

    def __init__(self, max_limit: int) -> None:
        lib = load("aioresilience.adaptive_concurrency")
        self._limit = lib.AdaptiveConcurrencyLimiter(
            config=lib.AdaptiveConcurrencyConfig(initial_limit=20, min_limit=1, max_limit=max_limit)
        )

    def enter(self) -> object | None:
        return True if _at_once(self._limit.acquire()) else None

    def leave(self, entered: object) -> None:
        del entered
        _at_once(self._limit.release(success=True))

    def advance(self, seconds: float) -> None:
        """Nothing."""


def _at_once(coroutine: Any) -> Any:  # noqa: ANN401
    """The result of a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waited")


class _Limiters(PeerLimiters):
    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> PeerLimiter:
        if max_wait:
            raise UnsupportedError("its limiter refuses and never waits within a bound")
        return _Limiter(name)

    def adaptive_limit(self, *, max_limit: int) -> _ConcurrencyLimit:
        return _ConcurrencyLimit(max_limit)


class _Bulkhead(PeerBulkhead):
    def __init__(self, slots: int, waiting: int) -> None:
        self._lib = load("aioresilience.bulkhead")
        config = self._lib.BulkheadConfig(max_concurrent=slots, max_waiting=waiting)
        self._bulkhead = self._lib.Bulkhead(name="conformance", config=config)

    def guard_async(self, fn: Fn) -> Fn:
        guarded: Fn = self._lib.with_bulkhead(self._bulkhead)(fn)
        return guarded

    def block(self) -> AbstractAsyncContextManager[Any]:
        block: AbstractAsyncContextManager[Any] = self._bulkhead
        return block

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.BulkheadFullError)


class _Bulkheads:
    def bulkhead(self, *, slots: int, waiting: int) -> _Bulkhead:
        return _Bulkhead(slots, waiting)


class AioResilience(PeerLibrary):
    """aioresilience: ``with_*`` decorators and ``async with``, for async code."""

    name = "aioresilience"
    usage = "Its `with_...` decorators and `async with bulkhead`, async only; `@timeout` outside the retry."

    def __init__(self) -> None:
        logging.getLogger("aioresilience").setLevel(logging.CRITICAL + 1)
        self.breaker = PeerBreakers(_Breaker)
        self.retry = _Retries()
        self.limiter = _Limiters()
        self.bulkhead = _Bulkheads()
