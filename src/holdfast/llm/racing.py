"""Two targets asked at once: the first answer is taken, and whoever else was asked is seen to its end.

A race has one of two reasons. A **hedge**: the first target takes long, and a share of the questions may ask a second
one. A **trial**: the first target was dead a while ago, and somebody's call has to find out whether it is back; the
caller is not to pay for that, so a target that is well is asked, too, as soon as it would have answered by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from holdfast.llm.outcomes import Failed, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from holdfast.core.clock import Clock
    from holdfast.llm.routing.background import Background

__all__ = ["Outcome", "race"]

Outcome: TypeAlias = Opened | Failed


async def race(
    first: Coroutine[Any, Any, Outcome],
    second: Callable[[], Coroutine[Any, Any, Outcome] | None],
    *,
    after_ns: int,
    clock: Clock,
    background: Background,
    end: Callable[[asyncio.Task[Outcome]], Coroutine[Any, Any, None]],
    wait_for_losers: bool,
    again_ns: int | None = None,
) -> list[Outcome]:
    """What ``first`` gives, and what ``second`` gives where ``first`` has not ended after ``after_ns``.

    Args:
        first: asks the first target.
        second: asks another one; gives None when there is none, or it is not allowed.
        after_ns: the head start of the first.
        clock: the source of time.
        background: where losers come to their end, whatever becomes of the caller.
        end: brings a task that was not needed to its end.
        wait_for_losers: whether their ends are waited for.
        again_ns: after how long ``second`` is asked again, until it gives one or ``first`` ends; None: never.

    Returns:
        Failures, and an answer at their end if there was one.

    Raises:
        DeadlineExceededError: time was up for both.
    """
    tasks = [asyncio.ensure_future(first)]
    taken: asyncio.Task[Outcome] | None = None
    try:
        wait_ns: int | None = after_ns
        while wait_ns is not None and not await _ends_within(tasks[0], wait_ns, clock):
            wait_ns = again_ns
            if (other := second()) is not None:
                tasks.append(asyncio.ensure_future(other))
                break
        while (taken := _answer(tasks)) is None and (running := [task for task in tasks if not task.done()]):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if taken is None:
            return [task.result() for task in tasks]  # raises where it was the deadline that ended one
        return [*(task.result() for task in tasks if _has_failed(task)), taken.result()]
    finally:
        losers = [task for task in tasks if task is not taken and not _has_failed(task)]
        try:
            if losers:
                await _see_off(losers, end, background, wait=wait_for_losers)
        except BaseException:
            if taken is not None:
                await _see_off([taken], end, background, wait=False)
            raise


async def _ends_within(task: asyncio.Task[Outcome], ns: int, clock: Clock) -> bool:
    # A task that sleeps, and `asyncio.wait` for the two, would cost several times this.
    woken = asyncio.get_running_loop().create_future()

    def wake(_: object = None) -> None:
        if not woken.done():
            woken.set_result(None)

    timer = clock.call_later_ns(ns, wake)
    task.add_done_callback(wake)
    try:
        await woken
    finally:
        timer.cancel()
        task.remove_done_callback(wake)
    return task.done()


def _answer(tasks: Sequence[asyncio.Task[Outcome]]) -> asyncio.Task[Outcome] | None:
    return next((task for task in tasks if _has_ended_well(task) and isinstance(task.result(), Opened)), None)


def _has_failed(task: asyncio.Task[Outcome]) -> bool:
    return _has_ended_well(task) and isinstance(task.result(), Failed)


def _has_ended_well(task: asyncio.Task[Outcome]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _see_off(
    tasks: Sequence[asyncio.Task[Outcome]],
    end: Callable[[asyncio.Task[Outcome]], Coroutine[Any, Any, None]],
    background: Background,
    *,
    wait: bool,
) -> None:
    ends = [background.start(end(task)) for task in tasks]
    if wait:
        await asyncio.shield(asyncio.gather(*ends))
