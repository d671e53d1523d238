"""What is compared: the same policies in Holdfast and in each peer, with limits that are never reached.

Each peer is used the way its documentation says for a function that is called again and again: decorated once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import holdfast as hf
from benchmarks.policies.measure import Candidate, Group
from holdfast.core.rate_limiter import RateLimiter

__all__ = ["FIVE", "groups", "holdfast_five"]

Fn: TypeAlias = Callable[..., Any]

_LONG = 3_600.0  # seconds that breakers stay open
_PER_MINUTE = 600_000_000
_BURST = 1_000_000_000


def answer() -> int:
    """The bare sync call."""
    return 1


async def answer_async() -> int:
    """The bare async call, which does not suspend."""
    return 1


async def answer_suspended() -> int:
    """The bare async call that waits once for the event loop."""
    await asyncio.sleep(0)
    return 1


async def other_async(*args: object) -> int:
    """What is fallen back on."""
    del args
    return 2


def fail() -> int:
    """A call that fails."""
    raise ConnectionError("down")


async def fail_async() -> int:
    """A call that fails."""
    raise ConnectionError("down")


def _lib(name: str) -> Any:  # noqa: ANN401
    return importlib.import_module(name)


# --- breakers -------------------------------------------------------------------------------------------------------


def _circuitbreaker() -> Fn:
    guard: Fn = _lib("circuitbreaker").CircuitBreaker(failure_threshold=5, recovery_timeout=_LONG, name="cost")
    return guard


def _purgatory_sync() -> Fn:
    guard: Fn = _lib("purgatory").SyncCircuitBreakerFactory(default_threshold=5, default_ttl=_LONG)("cost")
    return guard


def _purgatory_async() -> Fn:
    guard: Fn = _lib("purgatory").AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=_LONG)("cost")
    return guard


def _pybreaker() -> Fn:
    guard: Fn = _lib("pybreaker").CircuitBreaker(fail_max=5, reset_timeout=_LONG)
    return guard


def _aiobreaker() -> Fn:
    guard: Fn = _lib("aiobreaker").CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=_LONG))
    return guard


def _hyx_breaker() -> Fn:
    guard: Fn = _lib("hyx.circuitbreaker").consecutive_breaker(failure_threshold=5, recovery_time_secs=_LONG)
    return guard


def _pyresilience_breaker(**options: Any) -> Fn:  # noqa: ANN401
    lib = _lib("pyresilience")
    guard: Fn = lib.resilient(circuit_breaker=lib.CircuitBreakerConfig(recovery_timeout=_LONG, **options))
    return guard


def _interlock_breaker(**options: Any) -> Fn:  # noqa: ANN401
    lib = _lib("interlock")
    guard: Fn = lib.CircuitBreaker(name="cost", config=lib.Config(wait_duration_in_open=_LONG, **options))
    return guard


def _redress_breaker(*, sync: bool) -> Fn:
    lib = _lib("redress")
    breaker = lib.CircuitBreaker(failure_threshold=5, recovery_timeout_s=_LONG)
    policy = (lib.Policy if sync else lib.AsyncPolicy)(circuit_breaker=breaker)
    return lambda fn: lambda: policy.call(fn)


def _aioresilience_breaker() -> Fn:
    lib = _lib("aioresilience.circuit_breaker")
    config = lib.CircuitConfig(failure_threshold=5, recovery_timeout=_LONG)
    guard: Fn = lib.with_circuit_breaker(lib.CircuitBreaker(name="cost", config=config))
    return guard


_SYNC_BREAKERS: dict[str, Callable[[], Fn]] = {
    "holdfast": lambda: hf.CircuitBreaker(recovery_timeout=_LONG),
    "circuitbreaker": _circuitbreaker,
    "purgatory": _purgatory_sync,
    "pybreaker": _pybreaker,
    "pyresilience": _pyresilience_breaker,
    "aiobreaker": _aiobreaker,
    "redress": lambda: _redress_breaker(sync=True),
    "interlock": _interlock_breaker,
}

_ASYNC_BREAKERS: dict[str, Callable[[], Fn]] = {
    "holdfast": lambda: hf.CircuitBreaker(recovery_timeout=_LONG),
    "circuitbreaker": _circuitbreaker,
    "purgatory": _purgatory_async,
    "hyx": _hyx_breaker,
    "pyresilience": _pyresilience_breaker,
    "aiobreaker": _aiobreaker,
    "redress": lambda: _redress_breaker(sync=False),
    "interlock": _interlock_breaker,
    "aioresilience": _aioresilience_breaker,
}

_WINDOWS: dict[str, Callable[[], Fn]] = {
    "holdfast, consecutive": lambda: hf.CircuitBreaker(recovery_timeout=_LONG),
    "holdfast, last 100 calls": lambda: hf.CircuitBreaker(window="count", recovery_timeout=_LONG),
    "holdfast, last 30 s": lambda: hf.CircuitBreaker(window="time", recovery_timeout=_LONG),
    "holdfast, last 100 calls, slow calls": lambda: hf.CircuitBreaker(
        window="count", slow_call_duration=1.0, recovery_timeout=_LONG
    ),
    "holdfast, last 30 s, slow calls": lambda: hf.CircuitBreaker(
        window="time", slow_call_duration=1.0, recovery_timeout=_LONG
    ),
    "pyresilience, last 100 calls": lambda: _pyresilience_breaker(sliding_window_size=100, minimum_calls=20),
    "interlock, last 100 calls, slow calls": _interlock_breaker,
    "interlock, last 30 s, slow calls": lambda: _interlock_breaker(
        window_type=_lib("interlock").WindowType.TIME_BASED, window_size=30
    ),
}


# --- retries --------------------------------------------------------------------------------------------------------


def _tenacity_retry() -> Fn:
    lib = _lib("tenacity")
    guard: Fn = lib.retry(stop=lib.stop_after_attempt(3), wait=lib.wait_exponential_jitter())
    return guard


def _stamina_retry() -> Fn:
    guard: Fn = _lib("stamina").retry(on=ConnectionError, attempts=3)
    return guard


def _backoff_retry() -> Fn:
    lib = _lib("backoff")
    guard: Fn = lib.on_exception(lib.expo, ConnectionError, max_tries=3)
    return guard


def _hyx_retry() -> Fn:
    guard: Fn = _lib("hyx.retry").retry(on=ConnectionError, attempts=2)
    return guard


def _pyresilience_retry() -> Fn:
    lib = _lib("pyresilience")
    guard: Fn = lib.resilient(retry=lib.RetryConfig(max_attempts=3))
    return guard


def _redress_retry() -> Fn:
    guard: Fn = _lib("redress").retry(max_attempts=3)
    return guard


def _aioresilience_retry() -> Fn:
    lib = _lib("aioresilience.retry")
    guard: Fn = lib.with_retry(lib.RetryPolicy(config=lib.RetryConfig(max_attempts=3)))
    return guard


_SYNC_RETRIES: dict[str, Callable[[], Fn]] = {
    "holdfast": lambda: hf.Retry(max_retries=2),
    "backoff": _backoff_retry,
    "pyresilience": _pyresilience_retry,
    "redress": _redress_retry,
    "stamina": _stamina_retry,
    "tenacity": _tenacity_retry,
}

_ASYNC_RETRIES: dict[str, Callable[[], Fn]] = {
    **_SYNC_RETRIES,
    "hyx": _hyx_retry,
    "aioresilience": _aioresilience_retry,
}


# --- five policies: fallback, retry, token bucket, breaker, timeout --------------------------------------------------


def holdfast_five() -> Fn:
    """Ours, as one pipeline."""
    return hf.Pipeline(
        hf.Fallback([other_async]),
        hf.Retry(max_retries=2),
        RateLimiter(requests_per_minute=_PER_MINUTE, burst=_BURST),
        hf.CircuitBreaker(recovery_timeout=_LONG),
        hf.Timeout(seconds=10),
        name="cost",
    )


def _pyresilience_five() -> Fn:
    lib = _lib("pyresilience")
    guard: Fn = lib.resilient(
        fallback=lib.FallbackConfig(handler=2),
        retry=lib.RetryConfig(max_attempts=3),
        rate_limiter=lib.RateLimiterConfig(max_calls=10_000_000, period=1.0),
        circuit_breaker=lib.CircuitBreakerConfig(recovery_timeout=_LONG),
        timeout=lib.TimeoutConfig(seconds=10.0),
    )
    return guard


def _hyx_five() -> Fn:
    fallback, retry = _lib("hyx.fallback").fallback(other_async, on=ConnectionError), _hyx_retry()
    bucket = _lib("hyx.ratelimit").tokenbucket(max_executions=10_000_000, per_time_secs=1)
    breaker, timeout = _hyx_breaker(), _lib("hyx.timeout").timeout(10)

    def guard(fn: Fn) -> Fn:
        guarded: Fn = fallback(retry(bucket(breaker(timeout(fn)))))
        return guarded

    return guard


def _by_hand(retry: Callable[[], Fn], breaker: Callable[[], Fn]) -> Callable[[], Fn]:
    """A library's retry and another's breaker, with asyncio's timeout, aiolimiter's bucket and an except clause."""

    def make() -> Fn:
        limiter = _lib("aiolimiter").AsyncLimiter(1_000_000_000, 1)

        def guard(fn: Fn) -> Fn:
            @retry()
            @breaker()
            async def attempt() -> Any:  # noqa: ANN401
                async with limiter, asyncio.timeout(10):
                    return await fn()

            async def guarded() -> Any:  # noqa: ANN401
                try:
                    return await attempt()
                except ConnectionError:
                    return await other_async()

            return guarded

        return guard

    return make


def _interlock_five() -> Fn:
    """It has no token bucket: aiolimiter's; its retry strategy is made of tenacity."""
    lib = _lib("interlock")
    limiter = _lib("aiolimiter").AsyncLimiter(1_000_000_000, 1)
    glue = _lib("interlock.integrations.tenacity")
    pipeline = lib.Pipeline(
        lib.FallbackStrategy(lambda error: 2, on=(ConnectionError,)),  # noqa: ARG005
        glue.RetryStrategy(attempts=3, retry=glue.retry_unless_open(ConnectionError)),
        lib.CircuitBreakerStrategy(lib.CircuitBreaker(name="cost")),
        lib.TimeoutStrategy(10.0),
    )

    def guard(fn: Fn) -> Fn:
        async def limited() -> Any:  # noqa: ANN401
            async with limiter:
                return await fn()

        guarded: Fn = pipeline(limited)
        return guarded

    return guard


FIVE: dict[str, Callable[[], Fn]] = {
    "holdfast": holdfast_five,
    "fastest of each (hyx retry, circuitbreaker, asyncio.timeout, aiolimiter)": _by_hand(_hyx_retry, _circuitbreaker),
    "pyresilience": _pyresilience_five,
    "hyx": _hyx_five,
    "stamina, circuitbreaker, asyncio.timeout, aiolimiter": _by_hand(_stamina_retry, _circuitbreaker),
    "tenacity, purgatory, asyncio.timeout, aiolimiter": _by_hand(_tenacity_retry, _purgatory_async),
    "interlock, tenacity, aiolimiter": _interlock_five,
}


# --- the groups -----------------------------------------------------------------------------------------------------


def _guarded(guard: Callable[[], Fn], fn: Fn) -> Callable[[], Fn]:
    def make() -> Fn:
        guarded: Fn = guard()(fn)
        return guarded

    return make


def _open_sync(guard: Callable[[], Fn]) -> Callable[[], Fn]:
    """A guarded function whose breaker is open."""

    def make() -> Fn:
        guarded: Fn = guard()(fail)
        _trip(guarded)
        return guarded

    return make


def _trip(guarded: Fn) -> None:
    for _ in range(150):  # enough for a window of a hundred
        with contextlib.suppress(Exception):  # it is meant to fail
            guarded()


def _candidates(guards: dict[str, Callable[[], Fn]], fn: Fn) -> list[Candidate]:
    return [Candidate(name, _guarded(guard, fn)) for name, guard in guards.items()]


def groups() -> list[Group]:
    """Everything that is measured."""
    opened = [Candidate(name, _open_sync(guard), refuses=True) for name, guard in _SYNC_BREAKERS.items()]
    opened_async = [Candidate(name, _open_async(guard), refuses=True) for name, guard in _ASYNC_BREAKERS.items()]
    return [
        Group(
            "breaker_sync",
            "Breaker alone, closed, sync",
            answer,
            is_async=False,
            candidates=_candidates(_SYNC_BREAKERS, answer),
        ),
        Group(
            "breaker_async",
            "Breaker alone, closed, async",
            answer_async,
            is_async=True,
            candidates=_candidates(_ASYNC_BREAKERS, answer_async),
        ),
        Group(
            "retry_sync",
            "Retry alone, no failure, sync",
            answer,
            is_async=False,
            candidates=_candidates(_SYNC_RETRIES, answer),
        ),
        Group(
            "retry_async",
            "Retry alone, no failure, async",
            answer_async,
            is_async=True,
            candidates=_candidates(_ASYNC_RETRIES, answer_async),
        ),
        Group("five", "Five policies, async", answer_async, is_async=True, candidates=_candidates(FIVE, answer_async)),
        Group(
            "five_suspended",
            "Five policies, async, one suspension",
            answer_suspended,
            is_async=True,
            candidates=_candidates(FIVE, answer_suspended),
        ),
        Group("open_sync", "Refusal by an open breaker, sync, caught", answer, is_async=False, candidates=opened),
        Group(
            "open_async",
            "Refusal by an open breaker, async, caught",
            answer_async,
            is_async=True,
            candidates=opened_async,
        ),
        Group(
            "windows",
            "Windowed breakers, closed, sync",
            answer,
            is_async=False,
            candidates=_candidates(_WINDOWS, answer),
        ),
    ]


def _open_async(guard: Callable[[], Fn]) -> Callable[[], Fn]:
    """The same for an async function."""

    def make() -> Fn:
        guarded: Fn = guard()(fail_async)
        for _ in range(150):
            _drive(guarded())
        return guarded

    return make


def _drive(coroutine: Any) -> None:  # noqa: ANN401
    """Run a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001  it is meant to fail
        return
    coroutine.close()
