"""hyx."""

from __future__ import annotations

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
    always_failing_async,
    load,
    only,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from holdfast.testing.policies.adapters import Fn

__all__ = ["Hyx"]


class _Breaker(PeerBreaker):
    def __init__(self) -> None:
        self._breaker = load("hyx.circuitbreaker").consecutive_breaker(
            exceptions=ConnectionError,
            failure_threshold=FAILURES_TO_OPEN,
            recovery_time_secs=self.recovery,
            recovery_threshold=1,
        )

    def guard(self, fn: Fn) -> Fn:
        only("async", fn)
        guarded: Fn = self._breaker(fn)
        return guarded

    def block(self) -> AbstractAsyncContextManager[Any]:
        block: AbstractAsyncContextManager[Any] = self._breaker
        return block

    def refused(self, error: object) -> bool:
        return isinstance(error, load("hyx.circuitbreaker.exceptions").BreakerFailing)


class _Retries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        retry = load("hyx.retry").retry(on=ConnectionError, attempts=attempts - 1, backoff=delay)

        def decorate(fn: Fn) -> Fn:
            only("async", fn)
            guarded: Fn = retry(fn)
            return guarded if deadline is None else load("hyx.timeout").timeout(deadline)(guarded)

        return PeerRetrier(decorate)

    def jittered(self, attempts: int, cap: float) -> Fn:
        backoff = load("hyx.retry.backoffs").expo(
            min_delay_secs=cap / 4, max_delay_secs=cap, jitter=load("hyx.retry.jitters").full
        )
        guarded: Fn = load("hyx.retry").retry(on=ConnectionError, attempts=attempts - 1, backoff=backoff)(
            always_failing_async
        )
        return guarded


class _Limiter(PeerLimiter):
    def __init__(self) -> None:
        self._limiter: Any = None

    def guard_async(self, fn: Fn) -> Fn:
        if self._limiter is None:  # it wants a running loop
            self._limiter = load("hyx.ratelimit").tokenbucket(max_executions=10, per_time_secs=1, bucket_size=10)
        guarded: Fn = self._limiter(fn)
        return guarded

    def refused(self, error: object) -> bool:
        return isinstance(error, load("hyx.ratelimit.exceptions").RateLimitExceeded)


class _Limiters(PeerLimiters):
    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> PeerLimiter:
        del name
        if max_wait:
            return super().limiter()
        return _Limiter()


class _Bulkhead(PeerBulkhead):
    def __init__(self, slots: int, waiting: int) -> None:
        self._bulkhead = load("hyx.bulkhead").bulkhead(max_concurrency=slots, max_capacity=slots + waiting)

    def guard_async(self, fn: Fn) -> Fn:
        guarded: Fn = self._bulkhead(fn)
        return guarded

    def block(self) -> AbstractAsyncContextManager[Any]:
        block: AbstractAsyncContextManager[Any] = self._bulkhead
        return block

    def refused(self, error: object) -> bool:
        return isinstance(error, load("hyx.bulkhead.exceptions").BulkheadFull)


class _Bulkheads:
    def bulkhead(self, *, slots: int, waiting: int) -> _Bulkhead:
        return _Bulkhead(slots, waiting)


class Hyx(PeerLibrary):
    """hyx: decorators and ``async with``, for async code."""

    name = "hyx"
    usage = (
        "Its decorators and `async with` forms, async only; `@timeout` outside `@retry` for the deadline; `expo` with "
        "`full` jitter."
    )

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_Breaker)
        self.retry = _Retries()
        self.limiter = _Limiters()
        self.bulkhead = _Bulkheads()
