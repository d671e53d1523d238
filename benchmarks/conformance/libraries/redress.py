"""redress."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import (
    FAILURES_TO_OPEN,
    PeerBreaker,
    PeerBreakers,
    PeerBudget,
    PeerLibrary,
    PeerRetrier,
    PeerRetries,
    UnsupportedError,
    always_failing,
    load,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.policies.adapters import FakeTime, RealTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.testing.policies.adapters import Fn

__all__ = ["Redress"]


class _Breaker(PeerBreaker):
    recovery = 15.0
    patience = 3600.0

    def __init__(self, time: FakeTime) -> None:
        self._lib = load("redress")
        self._listeners: list[Callable[[], None]] = []
        breaker = self._lib.CircuitBreaker(
            failure_threshold=FAILURES_TO_OPEN, recovery_timeout_s=self.recovery, clock=time.now
        )
        self._sync = self._lib.Policy(circuit_breaker=breaker)
        self._async = self._lib.AsyncPolicy(circuit_breaker=breaker)

    def guard(self, fn: Fn) -> Fn:
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise UnsupportedError("its policies call functions; it has no form for streams")
        policy = self._async if inspect.iscoroutinefunction(fn) else self._sync
        return lambda: policy.call(fn, on_metric=self._heard)

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitOpenError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _heard(self, event: str, attempt: int, sleep_s: float, tags: Any) -> None:  # noqa: ANN401
        del attempt, sleep_s, tags
        if event in {"circuit_opened", "circuit_half_open", "circuit_closed"}:
            for listener in self._listeners:
                listener()


class _Breakers(PeerBreakers):
    def __init__(self) -> None:
        time = FakeTime(FakeClock())
        super().__init__(lambda: _Breaker(time))
        self.time = time


class _Retries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        return PeerRetrier(
            load("redress").retry(
                strategy=lambda ctx: delay,  # noqa: ARG005  its signature is looked at
                max_attempts=attempts,
                deadline_s=60.0 if deadline is None else deadline,
            )
        )

    def jittered(self, attempts: int, cap: float) -> Fn:
        lib = load("redress")
        guarded: Fn = lib.retry(
            strategy=lib.equal_jitter(base_s=cap / 4, max_s=cap), max_attempts=attempts, deadline_s=1e9
        )(always_failing)
        return guarded


class _Budget(PeerBudget):
    def __init__(self, floor: float, window: float) -> None:
        self._budget = load("redress").Budget(max_retries=round(floor * window), window_s=window)

    def spend(self) -> object | None:
        return True if self._budget.consume() else None


class _Budgets:
    time = RealTime()

    def budget(self, *, share: float, floor: float, window: float) -> _Budget:
        del share
        return _Budget(floor, window)


class Redress(PeerLibrary):
    """redress: ``Policy.call``, ``AsyncPolicy.call`` and ``@retry``."""

    name = "redress"
    usage = (
        "`Policy.call` and `AsyncPolicy.call` around one breaker, on a fake clock; `@retry` with `deadline_s`, and "
        "`equal_jitter`."
    )

    def __init__(self) -> None:
        self.breaker = _Breakers()
        self.retry = _Retries()
        self.budget = _Budgets()
