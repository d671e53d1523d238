"""The clock that everything takes its time from.

Inside the library time is an integer number of nanoseconds: no drift, exact comparisons, and a lab that can replay it.
Two times are kept apart: the monotonic one, for durations and deadlines, and Unix time, for people and for dates that
a server sends.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NS_PER_SECOND", "SYSTEM_CLOCK", "Clock", "SystemClock", "Timer", "to_ns"]

NS_PER_SECOND = 1_000_000_000


def to_ns(seconds: float) -> int:
    """``seconds`` in whole nanoseconds."""
    return round(seconds * NS_PER_SECOND)


class Timer(Protocol):
    """A callback that is still to come."""

    def cancel(self) -> None:
        """Drop the callback; harmless once it ran."""
        ...


@runtime_checkable
class Clock(Protocol):
    """Reads time, waits, and calls back later."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds; only differences mean something."""
        ...

    def wall_ns(self) -> int:
        """Unix time in nanoseconds; may jump when the machine's clock is set."""
        ...

    def sleep_ns(self, ns: int) -> None:
        """Block the calling thread for ``ns`` nanoseconds."""
        ...

    async def asleep_ns(self, ns: int) -> None:
        """Let the running task wait for ``ns`` nanoseconds."""
        ...

    def call_later_ns(self, ns: int, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the running event loop after ``ns`` nanoseconds, never before this method returns."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    now_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)

    def sleep_ns(self, ns: int) -> None:
        """Block the calling thread for ``ns`` nanoseconds."""
        time.sleep(max(ns, 0) / NS_PER_SECOND)

    async def asleep_ns(self, ns: int) -> None:
        """Let the running task wait for ``ns`` nanoseconds."""
        await asyncio.sleep(max(ns, 0) / NS_PER_SECOND)

    def call_later_ns(self, ns: int, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the running event loop after ``ns`` nanoseconds."""
        return asyncio.get_running_loop().call_later(max(ns, 0) / NS_PER_SECOND, callback)


SYSTEM_CLOCK = SystemClock()
