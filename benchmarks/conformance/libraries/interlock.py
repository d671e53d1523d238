"""interlock (interlock-cb)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import (
    FAILURES_TO_OPEN,
    REDIS,
    PeerBreaker,
    PeerBreakers,
    PeerBulkhead,
    PeerLibrary,
    load,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.policies.adapters import FakeTime, Fn

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["Interlock"]


class _Clock:
    def __init__(self, time: FakeTime) -> None:
        self.monotonic = time.now


class _Breaker(PeerBreaker):
    recovery = 15.0
    patience = 3600.0

    def __init__(self, time: FakeTime) -> None:
        self._lib = load("interlock")
        self._listeners: list[Callable[[], None]] = []
        self._breaker = self._lib.CircuitBreaker(
            name="conformance",
            config=self._lib.Config(
                failure_rate_threshold=1.0,
                minimum_number_of_calls=FAILURES_TO_OPEN,
                window_size=FAILURES_TO_OPEN,
                permitted_calls_in_half_open=1,
                max_concurrent_probes=1,
                wait_duration_in_open=self.recovery,
            ),
            clock=_Clock(time),
            listener=self,
        )

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._breaker(fn)
        return guarded

    def block(self) -> AbstractAsyncContextManager[Any]:
        block: AbstractAsyncContextManager[Any] = self._breaker
        return block

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitOpenError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def on_state_change(self, *, name: str, old: object, new: object) -> None:
        """Its listener's method."""
        del name, old, new
        for listener in self._listeners:
            listener()

    def on_call(self, *, name: str, outcome: object, duration: float) -> None:
        """Its listener's method."""

    def on_rejected(self, *, name: str) -> None:
        """Its listener's method."""

    def on_reset(self, *, name: str) -> None:
        """Its listener's method."""


class _Breakers(PeerBreakers):
    def __init__(self) -> None:
        self.time = FakeTime(FakeClock())
        super_time = self.time
        super().__init__(lambda: _Breaker(super_time), REDIS)
        self.time = super_time


class _Bulkhead(PeerBulkhead):
    def __init__(self, slots: int, *, waits: bool) -> None:
        self._lib = load("interlock")
        strategy = self._lib.BulkheadStrategy(slots, max_wait=30.0 if waits else 0.0)
        self._pipeline = self._lib.Pipeline(strategy)

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._pipeline(fn)
        return guarded

    def guard_async(self, fn: Fn) -> Fn:
        return self.guard(fn)

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.BulkheadFullError)


class _Bulkheads:
    def bulkhead(self, *, slots: int, waiting: int) -> _Bulkhead:
        return _Bulkhead(slots, waits=waiting > 0)


class Interlock(PeerLibrary):
    """interlock: ``@breaker``, ``async with breaker``, ``Pipeline(BulkheadStrategy(...))``."""

    name = "interlock"
    usage = (
        "`@breaker` and `async with breaker`, on a fake clock; it has failure rates only: all of the last three calls "
        "must fail. `@Pipeline(BulkheadStrategy(...))`. It leaves retries to tenacity."
    )

    def __init__(self) -> None:
        self.breaker = _Breakers()
        self.bulkhead = _Bulkheads()
