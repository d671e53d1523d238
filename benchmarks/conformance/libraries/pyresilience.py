"""pyresilience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import (
    FAILURES_TO_OPEN,
    PeerBreaker,
    PeerBreakers,
    PeerBudget,
    PeerBulkhead,
    PeerLibrary,
    PeerLimiter,
    PeerLimiters,
    PeerRetrier,
    PeerRetries,
    UnsupportedError,
    always_failing,
    load,
)
from holdfast.testing.policies.adapters import RealTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.testing.policies.adapters import Fn

__all__ = ["PyResilience"]


class _Decorated:
    """Its decorator makes state for each function; to share it, functions of one sort go through one decorated one."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        self._decorate = load("pyresilience").resilient(**options)

        async def call_async(fn: Fn, *args: Any) -> Any:  # noqa: ANN401
            return await fn(*args)

        def call(fn: Fn, *args: Any) -> Any:  # noqa: ANN401
            return fn(*args)

        self._sync, self._async = self._decorate(call), self._decorate(call_async)

    def guard(self, fn: Fn) -> Fn:
        def guarded(*args: Any) -> Any:  # noqa: ANN401
            return self._sync(fn, *args)

        return guarded

    def guard_async(self, fn: Fn) -> Fn:
        def guarded(*args: Any) -> Any:  # noqa: ANN401
            return self._async(fn, *args)

        return guarded


class _Breaker(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("pyresilience")
        self._listeners: list[Callable[[], None]] = []
        config = self._lib.CircuitBreakerConfig(
            failure_threshold=FAILURES_TO_OPEN, recovery_timeout=self.recovery, success_threshold=1
        )
        self._shared = _Decorated(circuit_breaker=config, listeners=[self._heard])

    def guard(self, fn: Fn) -> Fn:
        import inspect  # noqa: PLC0415

        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise UnsupportedError("its decorator makes a breaker for each function: two streams cannot share one")
        return self._shared.guard_async(fn) if inspect.iscoroutinefunction(fn) else self._shared.guard(fn)

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitOpenError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _heard(self, event: Any) -> None:  # noqa: ANN401
        if event.event_type.value.startswith("circuit_"):
            for listener in self._listeners:
                listener()


class _Retries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        lib = load("pyresilience")
        timeout = None if deadline is None else lib.TimeoutConfig(seconds=deadline, per_attempt=False)
        config = lib.RetryConfig(max_attempts=attempts, delay=delay, backoff_factor=1.0, jitter=False)
        return PeerRetrier(lib.resilient(retry=config, timeout=timeout))

    def jittered(self, attempts: int, cap: float) -> Fn:
        lib = load("pyresilience")
        config = lib.RetryConfig(max_attempts=attempts, delay=cap / 4, max_delay=cap)
        guarded: Fn = lib.resilient(retry=config)(always_failing)
        return guarded


class _Budget(PeerBudget):
    def __init__(self, floor: float, window: float) -> None:
        lib = load("pyresilience")
        self._budget = lib.RetryBudget(
            lib.RetryBudgetConfig(max_retries=max(1, round(floor * window)), refill_rate=floor)
        )

    def spend(self) -> object | None:
        return True if self._budget.acquire() else None


class _Budgets:
    time = RealTime()

    def budget(self, *, share: float, floor: float, window: float) -> _Budget:
        del share
        return _Budget(floor, window)


class _Limiter(_Decorated, PeerLimiter):
    def refused(self, error: object) -> bool:
        return isinstance(error, load("pyresilience").RateLimitExceededError)


class _Limiters(PeerLimiters):
    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> PeerLimiter:
        del name
        return _Limiter(
            rate_limiter=load("pyresilience").RateLimiterConfig(max_calls=10, period=1.0, max_wait=max_wait)
        )


class _Bulkhead(_Decorated, PeerBulkhead):
    def refused(self, error: object) -> bool:
        return isinstance(error, load("pyresilience").BulkheadFullError)


class _Bulkheads:
    def bulkhead(self, *, slots: int, waiting: int) -> _Bulkhead:
        return _Bulkhead(
            bulkhead=load("pyresilience").BulkheadConfig(max_concurrent=slots, max_wait=30.0 if waiting else 0.0)
        )


class PyResilience(PeerLibrary):
    """pyresilience: ``@resilient``."""

    name = "pyresilience"
    usage = (
        "`@resilient(...)`. Its decorator makes a state for each function, so one decorated function stands for the "
        "dependency. A total timeout (`per_attempt=False`) for the deadline."
    )

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_Breaker)
        self.retry = _Retries()
        self.budget = _Budgets()
        self.limiter = _Limiters()
        self.bulkhead = _Bulkheads()
