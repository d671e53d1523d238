"""What the adapters share: everything that a library lacks, said in one place.

What the methods are for is said by the protocols in :mod:`holdfast.testing.policies.adapters`.
"""

# ruff: noqa: ARG002, D102  what a library lacks has no use for its arguments

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import time
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

from holdfast.testing.policies.adapters import FAILURES_TO_OPEN, Fn, RealTime, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "FAILURES_TO_OPEN",
    "RAMP",
    "PeerBreaker",
    "PeerBreakers",
    "PeerBudget",
    "PeerBulkhead",
    "PeerLibrary",
    "PeerLimiter",
    "PeerLimiters",
    "PeerRetrier",
    "PeerRetries",
    "UnsupportedError",
    "always_failing",
    "always_failing_async",
    "load",
    "only",
    "recorded_sleeps",
]

RAMP = 8
"""Failures after which an exponential backoff from a quarter of the cap has certainly reached it."""


def load(module: str) -> Any:  # noqa: ANN401  a library that the project does not depend on
    """The module of a peer."""
    return importlib.import_module(module)


def only(sort: str, fn: Fn) -> None:
    """Refuse what a library of one sort does not do: ``"async"`` or ``"sync"``."""
    is_async = inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)
    if is_async != (sort == "async"):
        raise UnsupportedError(f"it is for {sort} code only")


def always_failing() -> None:
    """A call that fails."""
    raise ConnectionError("the dependency is down")


async def always_failing_async() -> None:
    """A call that fails."""
    raise ConnectionError("the dependency is down")


@contextlib.contextmanager
def recorded_sleeps() -> Iterator[list[float]]:
    """Record what is asked of ``time.sleep`` and ``asyncio.sleep`` in place of sleeping."""
    asked: list[float] = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)

    async def async_sleep(seconds: float, result: object = None) -> object:
        asked.append(seconds)
        return result

    with mock.patch.object(time, "sleep", sleep), mock.patch.object(asyncio, "sleep", async_sleep):
        yield asked


class PeerBreaker:
    """A breaker that goes by real time: open for a fifth of a second."""

    recovery = 0.2

    @property
    def patience(self) -> float:
        """No library that goes by real time has an option for it; five times the recovery time is much for a probe."""
        return 5 * self.recovery

    def guard(self, fn: Fn) -> Fn:
        raise NotImplementedError

    def guard_async(self, fn: Fn) -> Fn:
        return self.guard(fn)

    def block(self) -> AbstractAsyncContextManager[Any]:
        raise UnsupportedError("it has no form for blocks")

    def refused(self, error: object) -> bool:
        raise NotImplementedError

    def on_transition(self, listener: Callable[[], None]) -> None:
        raise UnsupportedError("it has no listeners")


class PeerBreakers:
    """Breakers of one class."""

    def __init__(self, make: Callable[[], PeerBreaker], shared: str = "it shares no state between processes") -> None:
        self.time: Any = RealTime()
        self._make = make
        self._shared = shared

    def breaker(self) -> PeerBreaker:
        return self._make()

    def fleet(self, replicas: int, store_seconds: float) -> Sequence[PeerBreaker]:
        raise UnsupportedError(self._shared)


REDIS = "its shared state needs a Redis, which is not part of this run"


class PeerRetrier:
    """A retry without a loop form."""

    def __init__(self, decorate: Callable[[Fn], Fn]) -> None:
        self._decorate = decorate

    def guard(self, fn: Fn) -> Fn:
        return self._decorate(fn)

    async def loop(self, fn: Fn) -> Any:  # noqa: ANN401
        raise UnsupportedError("it has no loop form")


class PeerRetries:
    """Retries by real time."""

    time = RealTime()

    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        raise NotImplementedError

    def delays(self, count: int, *, cap: float) -> Sequence[float]:
        """The waits of ``count`` failures at the cap; see :meth:`jittered`."""
        with recorded_sleeps() as asked:
            guarded = self.jittered(count + RAMP + 1, cap)
            with contextlib.suppress(Exception):
                result = guarded()
                if inspect.iscoroutine(result):
                    asyncio.run(result)
        return asked[RAMP:]

    def jittered(self, attempts: int, cap: float) -> Fn:
        """A failing call, retried with exponential backoff from a quarter of the cap, and the documented jitter."""
        raise NotImplementedError


class PeerBudget:
    """A budget that knows retries only."""

    def request(self) -> None:
        raise UnsupportedError("it counts retries and no requests: no share of the traffic")

    def spend(self) -> object | None:
        raise NotImplementedError

    def refund(self, spent: object) -> None:
        raise UnsupportedError("it takes nothing back")

    def hedge(self, fn: Fn, *, delay: float) -> Fn:
        raise UnsupportedError("it has no hedging")


class PeerLimiter:
    """A limiter for one sort of code."""

    def guard(self, fn: Fn) -> Fn:
        raise UnsupportedError("it is for async code only")

    def guard_async(self, fn: Fn) -> Fn:
        raise NotImplementedError

    def refused(self, error: object) -> bool:
        raise NotImplementedError


class PeerLimiters:
    """Limiters by real time."""

    time = RealTime()

    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> PeerLimiter:
        raise UnsupportedError("it has no rate limiter")

    def adaptive_limit(self, *, max_limit: int) -> Any:  # noqa: ANN401
        raise UnsupportedError("it has no adaptive limit")


class PeerBulkhead:
    """A bulkhead for async code, without blocks."""

    def guard(self, fn: Fn) -> Fn:
        raise UnsupportedError("it is for async code only")

    def guard_async(self, fn: Fn) -> Fn:
        raise NotImplementedError

    def block(self) -> AbstractAsyncContextManager[Any]:
        raise UnsupportedError("it has no form for blocks")

    def refused(self, error: object) -> bool:
        raise NotImplementedError


class PeerLibrary:
    """A library; what an adapter does not set, it lacks."""

    name: ClassVar[str]
    usage: ClassVar[str]
    """How it is set up here, and what to know of it."""

    breaker: Any = None
    retry: Any = None
    budget: Any = None
    limiter: Any = None
    bulkhead: Any = None
