"""Waiting until a queue is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._options import duration
from holdfast.core._turns import DROPPED, HELD, LEFT, WAITING, Turn, TurnState, Waker
from holdfast.core.clock import Clock, to_ns

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from holdfast.core._place import Place

__all__ = ["Drains"]


class Drains:
    """Those who wait for one queue to be empty. A turn that is held means that it is.

    Args:
        lock: the queue's.
        place: where the queue stands.

    Attributes:
        waiting: who waits.
    """

    __slots__ = ("_lock", "_place", "waiting")

    def __init__(self, lock: threading.Lock, place: Place) -> None:
        self._lock = lock
        self._place = place
        self.waiting: set[Turn] = set()

    @property
    def clock(self) -> Clock:
        """The clock that waits are timed by."""
        return self._place.clock

    def begin(self, seconds: float | None, stop: Callable[[], bool]) -> Turn:
        """Something to wait on, for ``seconds`` at most; then it raises ``TimeoutError``.

        Args:
            seconds: 0 or above; None is for ever.
            stop: lets nothing in any more, and says whether the queue is empty; called under the lock.
        """
        due = None if seconds is None else self.clock.now_ns() + to_ns(duration("seconds", seconds, or_zero=True))
        turn = Turn(self, due_ns=due)
        with self._lock:
            if stop():
                turn.state = HELD
            else:
                self.waiting.add(turn)
        return turn

    def check(self, idle: Callable[[], bool]) -> None:
        """Wake all who wait, when the queue is empty."""
        with self._lock:
            done = list(self.waiting) if idle() else []
            for turn in done:
                turn.state = HELD
                self.waiting.discard(turn)
        for turn in done:
            if turn.waker is not None:
                turn.waker.wake()

    def watch(self, turn: Turn, waker: Waker) -> None:
        """Wake ``turn`` by ``waker``."""
        with self._lock:
            turn.waker = waker

    def give_up(self, turn: Turn) -> None:
        """Nobody waits for ``turn`` any more."""
        self._end(turn, LEFT)

    def time_is_up(self, turn: Turn) -> None:
        """End the wait of ``turn``."""
        self._end(turn, DROPPED)

    def alarm(self, turn: Turn) -> None:
        """Nothing: a drain sets no alarms."""

    def refusal(self, turn: Turn) -> Exception:  # noqa: ARG002
        """The error for a wait that ended too early."""
        return TimeoutError("The queue was not empty in time.")

    def _end(self, turn: Turn, state: TurnState) -> None:
        with self._lock:
            if turn.state is WAITING:
                self.waiting.discard(turn)
                turn.state = state
