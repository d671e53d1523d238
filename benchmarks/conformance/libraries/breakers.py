"""Libraries that are circuit breakers: pybreaker, aiobreaker, circuitbreaker, purgatory."""

from __future__ import annotations

import contextlib
import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import (
    FAILURES_TO_OPEN,
    REDIS,
    PeerBreaker,
    PeerBreakers,
    PeerLibrary,
    UnsupportedError,
    load,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from holdfast.testing.policies.adapters import Fn

__all__ = ["AioBreaker", "CircuitBreakerLib", "Purgatory", "PyBreaker"]


class _PyBreaker(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("pybreaker")
        self._breaker = self._lib.CircuitBreaker(
            fail_max=FAILURES_TO_OPEN, reset_timeout=self.recovery, throw_new_error_on_trip=False
        )

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._breaker(fn)
        return guarded

    def guard_async(self, fn: Fn) -> Fn:
        del fn
        raise UnsupportedError("it is for sync code (and Tornado's coroutines) only")

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitBreakerError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        class Listener(self._lib.CircuitBreakerListener):  # type: ignore[misc, name-defined]
            def state_change(self, cb: object, old_state: object, new_state: object) -> None:
                del cb, old_state, new_state
                listener()

        self._breaker.add_listener(Listener())


class PyBreaker(PeerLibrary):
    """pybreaker: ``@breaker``."""

    name = "pybreaker"
    usage = "`@breaker` on sync functions; its documentation has no asyncio form. Closes at the first success."

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_PyBreaker, REDIS)


class _AioBreaker(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("aiobreaker")
        self._breaker = self._lib.CircuitBreaker(
            fail_max=FAILURES_TO_OPEN, timeout_duration=timedelta(seconds=self.recovery)
        )

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._breaker(fn)
        return guarded

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitBreakerError)

    def on_transition(self, listener: Callable[[], None]) -> None:
        class Listener(self._lib.CircuitBreakerListener):  # type: ignore[misc, name-defined]
            def state_change(self, breaker: object, old: object, new: object) -> None:
                del breaker, old, new
                listener()

        self._breaker.add_listener(Listener())


class AioBreaker(PeerLibrary):
    """aiobreaker: ``@breaker``."""

    name = "aiobreaker"
    usage = (
        "`@breaker` on sync and async functions. The failure that opens it raises its own error in the call's place."
    )

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_AioBreaker, REDIS)


class _Circuit(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("circuitbreaker")
        self._breaker = self._lib.CircuitBreaker(
            failure_threshold=FAILURES_TO_OPEN, recovery_timeout=self.recovery, name=f"conformance-{id(self)}"
        )

    def guard(self, fn: Fn) -> Fn:
        guarded: Fn = self._breaker(fn)
        return guarded

    def block(self) -> AbstractAsyncContextManager[Any]:
        return _with(self._breaker)

    def refused(self, error: object) -> bool:
        return isinstance(error, self._lib.CircuitBreakerError)


@contextlib.asynccontextmanager
async def _with(breaker: Any) -> AsyncIterator[None]:  # noqa: ANN401
    with breaker:
        yield


class CircuitBreakerLib(PeerLibrary):
    """circuitbreaker: ``@circuit`` and ``with breaker``."""

    name = "circuitbreaker"
    usage = "`@CircuitBreaker(...)`, and `with breaker:` in async code (the block admits everybody)."

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_Circuit)


class _Purgatory(PeerBreaker):
    def __init__(self) -> None:
        self._lib = load("purgatory")
        self._opened = load("purgatory.domain.model").OpenedState
        self._sync = self._lib.SyncCircuitBreakerFactory(default_threshold=FAILURES_TO_OPEN, default_ttl=self.recovery)
        self._async = self._lib.AsyncCircuitBreakerFactory(
            default_threshold=FAILURES_TO_OPEN, default_ttl=self.recovery
        )

    def guard(self, fn: Fn) -> Fn:
        is_async = inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)
        guarded: Fn = (self._async if is_async else self._sync)("dependency")(fn)
        return guarded

    @contextlib.asynccontextmanager
    async def block(self) -> AsyncIterator[None]:
        async with await self._async.get_breaker("dependency"):
            yield

    def refused(self, error: object) -> bool:
        return isinstance(error, self._opened)

    def on_transition(self, listener: Callable[[], None]) -> None:
        def hook(name: str, kind: str, event: object) -> None:
            del name, event
            if kind == "state_changed":
                listener()

        self._sync.add_listener(hook)


class Purgatory(PeerLibrary):
    """purgatory: a factory's decorator and ``async with``."""

    name = "purgatory"
    usage = "`@factory(name)` and `async with await factory.get_breaker(name)`; a factory for sync code, one for async."

    def __init__(self) -> None:
        self.breaker = PeerBreakers(_Purgatory, REDIS)
