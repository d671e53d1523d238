"""The clock of a virtual loop: whole nanoseconds that pass when nothing else is to be done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from holdfast.lab.virtual.handles import Callback
    from holdfast.lab.virtual.loop import VirtualLoop

__all__ = ["Instant", "VirtualClock"]


class Instant:
    """The time of a loop, in nanoseconds since its start."""

    __slots__ = ("ns",)

    def __init__(self) -> None:
        self.ns = 0


class VirtualClock:
    """Reads and waits in virtual time; a ``Clock`` like any other.

    Args:
        loop: whose time it is.
        instant: where the loop keeps it.
        wall_ns: the Unix time at the loop's start.
    """

    __slots__ = ("_instant", "_loop", "_wall_ns")

    def __init__(self, loop: VirtualLoop, instant: Instant, wall_ns: int) -> None:
        self._loop = loop
        self._instant = instant
        self._wall_ns = wall_ns

    def now_ns(self) -> int:
        """Nanoseconds since the loop's start."""
        return self._instant.ns

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        return self._instant.ns + self._wall_ns

    def sleep_ns(self, ns: int) -> None:
        """Let ``ns`` pass in the middle of a callback: as on a real loop, everybody is late by that."""
        if ns > 0:
            self._instant.ns += ns

    async def asleep_ns(self, ns: int) -> None:
        """Let the running task wait for ``ns`` nanoseconds."""
        if ns <= 0:
            await asyncio.sleep(0)
            return
        woken = self._loop.create_future()
        timer = self._loop.call_after_ns(ns, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def call_later_ns(self, ns: int, callback: Callable[[], object]) -> Callback:
        """Call ``callback`` after ``ns`` nanoseconds."""
        return self._loop.call_after_ns(ns, callback)

    def call_later_ns_in(self, context: Context, ns: int, callback: Callable[..., object], *args: object) -> Callback:
        """The same in a given context, with arguments."""
        return self._loop.call_after_ns(ns, callback, *args, context=context)

    def back_to(self, ns: int) -> int:
        """Set the time back to an earlier one: what slept since then did it beside the loop, as a thread does.

        Gives the nanoseconds that had passed.
        """
        passed = self._instant.ns - ns
        self._instant.ns = ns
        return passed


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
