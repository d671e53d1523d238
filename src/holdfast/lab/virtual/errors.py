"""What virtual time cannot do, as errors that say what to do instead."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = ["DeadlockError", "OutsideWorldError", "RunawayError", "VirtualTimeError"]


class VirtualTimeError(HoldfastError, RuntimeError):
    """A program cannot go on in virtual time."""


class OutsideWorldError(VirtualTimeError):
    """A program reached for what lives in real time: a thread, a socket, a process, a signal."""


class DeadlockError(VirtualTimeError):
    """Nothing is ready, no timer is set, and the program is not done: it would wait for ever.

    Attributes:
        pending: what waits, and where: one line a task, in the order in which the tasks were made.
    """

    def __init__(self, pending: list[str], seconds: float) -> None:
        listed = "".join(f"\n  {line}" for line in pending) or "\n  (no task: the program waits for a bare future)"
        super().__init__(
            f"Nothing is ready and no timer is set at {seconds:g} s, and the program is not done. "
            f"It waits for something that nobody will bring. Pending:{listed}"
        )
        self.pending = pending


class RunawayError(VirtualTimeError):
    """A bound was passed: too many steps, too many of them at one instant, or too much virtual time."""
