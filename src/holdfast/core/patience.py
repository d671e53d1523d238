"""Awaiting with an end: for code that waits for many things in a row, each with a limit of its own.

A policy bounds calls (:mod:`~holdfast.core.timeout`, :mod:`~holdfast.core.deadline`). Whoever reads a stream bounds
steps, with limits that change from step to step; this is the same machine for them, at the price of a dict entry a
step instead of a timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core._limits import settled
from holdfast.core._watch import Watchdog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.core.clock import Clock

__all__ = ["Patience"]

T = TypeVar("T")


class Patience:
    """Waits until a time of the clock, and no longer.

    Share one among waits that end in about the order in which they begin (all that have one limit): they then share
    one timer. Any order is right.

    Args:
        clock: the source of time.
    """

    __slots__ = ("_dog",)

    def __init__(self, clock: Clock) -> None:
        self._dog = Watchdog(clock)

    async def until(self, due_ns: int, work: Awaitable[T], late: Callable[[], BaseException]) -> T:
        """What ``work`` gives, or ``late()`` raised when it is not done at ``due_ns`` of the clock.

        The work is cancelled and ends before this raises. A cancellation from outside stays one, even when both come
        at once.

        Args:
            due_ns: a time of the clock in nanoseconds; one that has passed gives the work one turn of the loop.
            work: awaited in the task that calls.
            late: makes the error for time that is up.
        """
        watch: Any = self._dog.here()
        key = watch.start(due_ns)
        try:
            result = await work
        except BaseException as error:  # noqa: BLE001  it is raised again
            trouble = settled(error, watch.close(key), late)
            try:
                if trouble is error:
                    raise
                raise trouble
            finally:
                del trouble
        watch.stop(key)
        return result
