"""Runs a program in virtual time, from its start to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast.core._options import duration, not_negative, whole
from holdfast.core.clock import to_ns
from holdfast.lab.virtual.loop import VirtualLoop
from holdfast.lab.virtual.pending import tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.lab.virtual.clock import VirtualClock

__all__ = ["NEW_YEAR_2026", "Ran", "run"]

T = TypeVar("T")

NEW_YEAR_2026 = 1_767_225_600.0
"""2026-01-01 00:00 UTC in Unix seconds: when virtual time begins unless something else is said."""

_A_MONTH = 31 * 86_400.0
_STEPS = 1_000_000_000
_STEPS_TO_END = 10_000_000
_TIME_TO_END = 86_400.0


@dataclass(frozen=True, slots=True)
class Ran(Generic[T]):
    """How a run went.

    Attributes:
        value: what the program gave.
        trace: the hash of everything that happened; equal for equal runs.
        seconds: virtual time that passed.
        steps: callbacks that ran.
        left: tasks that were still going on when the program was done; they were cancelled.
    """

    value: T
    trace: str
    seconds: float
    steps: int
    left: int


def run(
    main: Callable[[VirtualClock], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    start: float = NEW_YEAR_2026,
    shuffle: bool = False,
    max_steps: int = _STEPS,
    max_seconds: float = _A_MONTH,
) -> Ran[T]:
    """Run ``main(clock)`` on a loop of its own, without waiting.

    Args:
        main: an async function; its clock is the one to hand to everything that takes one.
        seed: for the order of what is ready at once, with ``shuffle``; draws of the program have seeds of their own.
        start: the Unix time at the beginning, in seconds.
        shuffle: whether the order between tasks that are ready at the same time is drawn.
        max_steps: callbacks that may run, 1 or more; 1,000,000,000 by default.
        max_seconds: virtual time that may pass, above 0; 31 days by default.

    Raises:
        ConfigError: an option is out of its range.
        DeadlockError: the program waits for what nobody will bring; says what is pending.
        RunawayError: it passed a bound.
        OutsideWorldError: it reached for a thread or a socket; also when it caught that error itself.
        VirtualTimeError: a callback raised, which nobody would have noticed.
        BaseException: what the program raises.
    """
    loop = VirtualLoop(
        seed=whole("seed", seed, least=0),
        wall_ns=to_ns(not_negative("start", start)),
        shuffle=shuffle,
        max_steps=whole("max_steps", max_steps, least=1),
        max_seconds=duration("max_seconds", max_seconds),
    )
    left = 0
    try:
        try:
            value = loop.run_until_complete(main(loop.clock))
        finally:
            left = _end(loop)
    finally:
        loop.close()
    if loop.reached:
        raise loop.reached[0]
    return Ran(value, loop.trace.digest(), loop.time(), loop.steps, left)


def _end(loop: VirtualLoop) -> int:
    """Cancel what still runs, wait for its end, and close the generators that were left."""
    tasks = tasks_of(loop)
    loop.grant(_STEPS_TO_END, _TIME_TO_END)
    loop.failures.clear()  # the first was raised; a second one would hide it
    for task in tasks:
        task.cancel()
    loop.run_until_complete(_gathered(tasks))
    return len(tasks)


async def _gathered(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
