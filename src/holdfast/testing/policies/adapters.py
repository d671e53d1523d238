"""What the conformance cases know of a library: protocols to write an adapter by.

An adapter builds policies with the options that a case names and uses them the way the library's documentation says.
What the library has no such thing for raises :class:`UnsupportedError` with the reason. Every failure in the cases is a
``ConnectionError``: each library takes that for a failure of the dependency.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from holdfast.core.clock import NS_PER_SECOND, to_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from holdfast.testing.clock import FakeClock

__all__ = [
    "FAILURES_TO_OPEN",
    "Breaker",
    "BreakerAdapter",
    "Budget",
    "BudgetAdapter",
    "Bulkhead",
    "BulkheadAdapter",
    "ConcurrencyLimit",
    "FakeTime",
    "Fn",
    "Library",
    "Limiter",
    "LimiterAdapter",
    "RealTime",
    "Retrier",
    "RetryAdapter",
    "Time",
    "UnsupportedError",
]

Fn: TypeAlias = Callable[..., Any]

FAILURES_TO_OPEN = 3
"""The failures in a row that open the breakers of the cases."""


class UnsupportedError(Exception):
    """The library has no such thing; the message says what it lacks, as the end of "it ..."."""


class Time(Protocol):
    """The time that a library's policies go by."""

    def now(self) -> float:
        """Seconds; only differences mean something."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Let more than ``seconds`` pass, while nothing else happens."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let the task wait, as the work of a call does."""
        ...


class RealTime:
    """The machine's time, for a library that takes no clock; the cases keep to fractions of a second."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def let_pass(self, seconds: float) -> None:
        """Sleep a quarter longer than that, in the thread: the event loop stands still too."""
        time.sleep(1.25 * seconds + 0.02)

    async def sleep(self, seconds: float) -> None:
        """Sleep in the task."""
        await asyncio.sleep(seconds)


class FakeTime:
    """The time of a :class:`~holdfast.testing.clock.FakeClock`, for a library that takes one."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def now(self) -> float:
        """Seconds."""
        return self.clock.now_ns() / NS_PER_SECOND

    def let_pass(self, seconds: float) -> None:
        """Advance the clock by a little more than that."""
        self.clock.advance_ns(to_ns(seconds) + 1_000_000)

    async def sleep(self, seconds: float) -> None:
        """Sleep by the clock."""
        await self.clock.asleep_ns(to_ns(seconds))


class Breaker(Protocol):
    """A circuit breaker under test."""

    @property
    def recovery(self) -> float:
        """Seconds from its opening to the first probe."""
        ...

    @property
    def patience(self) -> float:
        """Seconds after which it must have given up a probe that was never heard of again."""
        ...

    def guard(self, fn: Fn) -> Fn:
        """``fn`` decorated as it stands, whatever sort of function it is."""
        ...

    def guard_async(self, fn: Fn) -> Fn:
        """The async function ``fn``, guarded by the form that the documentation names for async functions."""
        ...

    def block(self) -> AbstractAsyncContextManager[Any]:
        """A guard for one ``async with`` block."""
        ...

    def refused(self, error: object) -> bool:
        """Whether ``error`` is this library's "the circuit is open"."""
        ...

    def on_transition(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at every change of state."""
        ...


class BreakerAdapter(Protocol):
    """Builds breakers."""

    @property
    def time(self) -> Time:
        """The time that its breakers go by."""
        ...

    def breaker(self) -> Breaker:
        """A breaker that opens at ``FAILURES_TO_OPEN`` failures in a row, and closes at the first probe's success.

        It lets one probe through at once, where that can be set.
        """
        ...

    def fleet(self, replicas: int, store_seconds: float) -> Sequence[Breaker]:
        """Breakers of several processes that share one state, in a store each access to which takes that long."""
        ...


class Retrier(Protocol):
    """A retry policy under test."""

    def guard(self, fn: Fn) -> Fn:
        """``fn`` decorated as it stands, whatever sort of function it is."""
        ...

    async def loop(self, fn: Fn) -> Any:  # noqa: ANN401
        """Await the async function ``fn`` in the policy's loop form (``async for attempt in policy``)."""
        ...


class RetryAdapter(Protocol):
    """Builds retry policies."""

    @property
    def time(self) -> Time:
        """The time that its retries go by."""
        ...

    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> Retrier:
        """A policy of so many calls in all, a constant delay between them, and a deadline for the whole."""
        ...

    def delays(self, count: int, *, cap: float) -> Sequence[float]:
        """The last ``count`` waits in seconds of a long run of failures, with exponential backoff, cap and jitter."""
        ...


class Budget(Protocol):
    """A retry budget under test."""

    def request(self) -> None:
        """Count one request."""
        ...

    def spend(self) -> object | None:
        """Ask for one retry: what to hand to :meth:`refund`, or None when it is refused."""
        ...

    def refund(self, spent: object) -> None:
        """Give back a retry that was never made."""
        ...

    def hedge(self, fn: Fn, *, delay: float) -> Fn:
        """The async function ``fn``, made a second time after ``delay`` at the budget's expense."""
        ...


class BudgetAdapter(Protocol):
    """Builds retry budgets."""

    @property
    def time(self) -> Time:
        """The time that its budgets go by."""
        ...

    def budget(self, *, share: float, floor: float, window: float) -> Budget:
        """Retries: ``share`` of the requests of the last ``window`` seconds, or ``floor`` a second if that is more."""
        ...


class Limiter(Protocol):
    """A rate limiter under test."""

    def guard(self, fn: Fn) -> Fn:
        """The sync function ``fn`` under the limit."""
        ...

    def guard_async(self, fn: Fn) -> Fn:
        """The async function ``fn`` under the limit."""
        ...

    def refused(self, error: object) -> bool:
        """Whether ``error`` is this library's "too many"."""
        ...


class ConcurrencyLimit(Protocol):
    """An adaptive limit under test."""

    def enter(self) -> object | None:
        """What to hand to :meth:`leave`, or None when the call is refused."""
        ...

    def leave(self, entered: object) -> None:
        """The call has succeeded."""
        ...

    def advance(self, seconds: float) -> None:
        """Let its time pass, without waiting."""
        ...


class LimiterAdapter(Protocol):
    """Builds limiters."""

    @property
    def time(self) -> Time:
        """The time that its limiters go by."""
        ...

    def limiter(self, name: str = "api", *, max_wait: float = 0.0) -> Limiter:
        """A token bucket of ten calls, refilled with ten a second, in which a call may wait for ``max_wait``."""
        ...

    def adaptive_limit(self, *, max_limit: int) -> ConcurrencyLimit:
        """A limit of calls at once that finds itself, up to ``max_limit``."""
        ...


class Bulkhead(Protocol):
    """A bulkhead under test."""

    def guard(self, fn: Fn) -> Fn:
        """The sync function ``fn`` in the bulkhead."""
        ...

    def guard_async(self, fn: Fn) -> Fn:
        """The async function ``fn`` in the bulkhead."""
        ...

    def block(self) -> AbstractAsyncContextManager[Any]:
        """The bulkhead around one ``async with`` block."""
        ...

    def refused(self, error: object) -> bool:
        """Whether ``error`` is this library's "it is full"."""
        ...


class BulkheadAdapter(Protocol):
    """Builds bulkheads."""

    def bulkhead(self, *, slots: int, waiting: int) -> Bulkhead:
        """At most ``slots`` calls at once; ``waiting`` more may wait, or any number where it has no such bound."""
        ...


class Library(Protocol):
    """A library under test; what it lacks is None."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def breaker(self) -> BreakerAdapter | None:
        """Its circuit breakers."""
        ...

    @property
    def retry(self) -> RetryAdapter | None:
        """Its retries."""
        ...

    @property
    def budget(self) -> BudgetAdapter | None:
        """Its retry budgets."""
        ...

    @property
    def limiter(self) -> LimiterAdapter | None:
        """Its rate limiters."""
        ...

    @property
    def bulkhead(self) -> BulkheadAdapter | None:
        """Its bulkheads."""
        ...
