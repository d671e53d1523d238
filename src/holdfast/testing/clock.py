"""A clock for tests: nobody waits, and everything happens in order."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FakeClock"]

_SETTLE_TURNS = 10


class _Entry:
    """A callback that is due at a time; a timer, or the waking of a sleeper."""

    __slots__ = ("_callback", "cancelled", "due_ns", "loop", "number", "sleeper")

    def __init__(
        self,
        due_ns: int,
        number: int,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[], object],
        *,
        sleeper: bool,
    ) -> None:
        self.due_ns = due_ns
        self.number = number
        self.loop = loop
        self.sleeper = sleeper
        self.cancelled = False
        self._callback = callback

    def __lt__(self, other: _Entry) -> bool:
        return (self.due_ns, self.number) < (other.due_ns, other.number)

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if not self.cancelled:
            self._callback()


class FakeClock:
    """A clock whose sleeps advance it at once.

    A sync sleep just advances the clock. An async sleep lets every other task run until it sleeps too (or waits for
    something else); then the clock jumps to whatever is due first, so that several tasks wake in the order of their
    times, and in the order in which they went to sleep when the times are equal. Timers (a ``Timeout``, a ``Deadline``)
    fire when the clock passes them; they do not make it advance by themselves: a test of something that hangs calls
    :meth:`advance`. Work on real threads is not seen: while a task waits for it, another's sleep still takes no time.

    Args:
        start_ns: the monotonic time to begin with.
        wall_ns: the Unix time to begin with; 2026-01-01 by default.
        auto: False for a clock that only :meth:`advance` moves.
    """

    def __init__(self, start_ns: int = 0, *, wall_ns: int = 1_767_225_600_000_000_000, auto: bool = True) -> None:
        self._now = start_ns
        self._offset = wall_ns - start_ns
        self._auto = auto
        self._lock = threading.RLock()
        self._entries: list[_Entry] = []
        self._numbers = itertools.count()
        self._settling: set[asyncio.AbstractEventLoop] = set()
        self.sleeps_ns: list[int] = []
        """Every sleep that was asked for, in order."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds."""
        return self._now

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        return self._now + self._offset

    def sleep_ns(self, ns: int) -> None:
        """Advance by ``ns``."""
        self.sleeps_ns.append(ns)
        self.advance_ns(ns)

    async def asleep_ns(self, ns: int) -> None:
        """Wait until the clock has advanced by ``ns``."""
        self.sleeps_ns.append(ns)
        if ns <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        entry = self._push(ns, loop, wake, sleeper=True)
        if self._auto:
            self._settle(loop)
        try:
            await woken
        finally:
            entry.cancel()

    def call_later_ns(self, ns: int, callback: Callable[[], object]) -> _Entry:
        """Call ``callback`` on the running loop once the clock has advanced by ``ns``."""
        return self._push(max(ns, 0), asyncio.get_running_loop(), callback, sleeper=False)

    def advance(self, seconds: float) -> None:
        """Advance by ``seconds``: everything that is due on the way happens, in order, as soon as its loop runs."""
        self.advance_ns(to_ns(seconds))

    def advance_ns(self, ns: int) -> None:
        """Advance by ``ns`` nanoseconds."""
        with self._lock:
            target = self._now + max(ns, 0)
            while self._entries and self._entries[0].due_ns <= target:
                entry = heapq.heappop(self._entries)
                self._now = max(self._now, entry.due_ns)
                if not entry.cancelled and not entry.loop.is_closed():
                    entry.loop.call_soon_threadsafe(entry.run)
            self._now = target

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep."""
        return sum(entry.sleeper and not entry.cancelled for entry in self._entries)

    def _push(
        self, ns: int, loop: asyncio.AbstractEventLoop, callback: Callable[[], object], *, sleeper: bool
    ) -> _Entry:
        with self._lock:
            entry = _Entry(self._now + ns, next(self._numbers), loop, callback, sleeper=sleeper)
            heapq.heappush(self._entries, entry)
            return entry

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the other tasks some turns of the loop, then jump; again, as long as anybody sleeps."""
        if loop not in self._settling:
            self._settling.add(loop)
            loop.call_soon(self._turn, loop, _SETTLE_TURNS)

    def _turn(self, loop: asyncio.AbstractEventLoop, left: int) -> None:
        if left > 0:
            loop.call_soon(self._turn, loop, left - 1)
            return
        self._settling.discard(loop)
        with self._lock:
            self._entries = [entry for entry in self._entries if not entry.cancelled and not entry.loop.is_closed()]
            heapq.heapify(self._entries)
            if self.sleepers:
                self.advance_ns(self._entries[0].due_ns - self._now)
            again = self.sleepers > 0
        if again:
            self._settle(loop)
