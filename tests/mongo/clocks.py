"""The machine's clock, moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.clock import SystemClock, to_ns

if TYPE_CHECKING:
    from collections.abc import Callable


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class MovedClock(SystemClock):
    """Both times are ahead of the machine's by ``ahead`` seconds; timers run when :meth:`ring` is called."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self.timers: list[_Timer] = []

    def wall_ns(self) -> int:
        return SystemClock.wall_ns() + to_ns(self.ahead)

    def now_ns(self) -> int:
        return SystemClock.now_ns() + to_ns(self.ahead)

    def call_later_ns(self, ns: int, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(callback)
        self.timers.append(timer)
        return timer

    def ring(self) -> int:
        """Run every timer that was not cancelled; how many."""
        due, self.timers = [timer for timer in self.timers if not timer.cancelled], []
        for timer in due:
            timer.callback()
        return len(due)
