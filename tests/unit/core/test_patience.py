"""Awaiting with an end."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.patience import Patience
from holdfast.testing.clock import FakeClock


class LateError(Exception):
    """Time is up."""


async def value_after(clock: FakeClock, seconds: float) -> str:
    await clock.asleep_ns(int(seconds * NS_PER_SECOND))
    return "here"


async def test_what_comes_in_time_is_given() -> None:
    """Work that ends before its time gives its value."""
    clock = FakeClock()
    assert await Patience(clock).until(NS_PER_SECOND, value_after(clock, 0.5), LateError) == "here"


async def test_what_does_not_come_is_cancelled_and_the_error_says_so() -> None:
    """At the time that was set the work is cancelled, and the error is the one that was asked for."""
    clock = FakeClock()
    with pytest.raises(LateError) as caught:
        await Patience(clock).until(NS_PER_SECOND, value_after(clock, 5), LateError)
    assert clock.now_ns() == NS_PER_SECOND
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_came_in_time_is_watched_no_more() -> None:
    """The task is left alone when the time passes that bounded a wait which is over."""
    clock = FakeClock()
    patience = Patience(clock)
    assert await patience.until(2 * NS_PER_SECOND, value_after(clock, 1), LateError) == "here"
    assert await value_after(clock, 5) == "here"
    with pytest.raises(LateError):
        await patience.until(8 * NS_PER_SECOND, value_after(clock, 100), LateError)
    assert clock.now_ns() == 8 * NS_PER_SECOND


@pytest.mark.parametrize("late", [False, True])
async def test_errors_are_not_kept_alive(late: bool) -> None:
    """When the caller has dropped the error it is gone, without help from the garbage collector."""
    clock = FakeClock()
    patience = Patience(clock)

    async def work() -> None:
        if late:
            await clock.asleep_ns(5 * NS_PER_SECOND)
        raise LateError

    seen = None
    gc.collect()
    gc.disable()
    try:
        try:
            await patience.until(NS_PER_SECOND, work(), LateError)
        except LateError as error:
            seen = weakref.ref(error)
        assert seen is not None
        assert seen() is None
    finally:
        gc.enable()


async def test_an_error_of_the_work_stays_what_it_is() -> None:
    """What the work raises before its time is raised as it is."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await Patience(FakeClock()).until(NS_PER_SECOND, fail(), LateError)


async def test_a_cancellation_from_outside_stays_one() -> None:
    """A task that is cancelled while it waits ends cancelled, and not late."""
    clock = FakeClock(auto=False)
    task = asyncio.ensure_future(Patience(clock).until(NS_PER_SECOND, value_after(clock, 5), LateError))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_limits_may_end_in_any_order() -> None:
    """A wait that begins later and ends earlier is cut at its own time."""
    clock = FakeClock()
    patience = Patience(clock)
    cuts: list[tuple[str, int]] = []

    async def wait(name: str, seconds: int) -> None:
        with pytest.raises(LateError):
            await patience.until(seconds * NS_PER_SECOND, value_after(clock, 100), LateError)
        cuts.append((name, clock.now_ns() // NS_PER_SECOND))

    await asyncio.gather(wait("long", 9), wait("short", 2), wait("middle", 5))
    assert cuts == [("short", 2), ("middle", 5), ("long", 9)]


async def test_a_wait_between_two_others_is_cut_at_its_own_time() -> None:
    """A wait that ends before one that began earlier, but not before the oldest, is cut at its time, or ends unseen."""
    clock = FakeClock()
    patience = Patience(clock)
    cuts: list[tuple[str, int]] = []

    async def wait(name: str, seconds: int, needs: int = 100) -> None:
        try:
            await patience.until(seconds * NS_PER_SECOND, value_after(clock, needs), LateError)
        except LateError:
            cuts.append((name, clock.now_ns() // NS_PER_SECOND))

    waits = wait("first", 2), wait("long", 9), wait("between", 5), wait("with it", 2), wait("done", 3, 1)
    await asyncio.gather(*waits, wait("done later", 6, 4))
    assert cuts == [("first", 2), ("with it", 2), ("between", 5), ("long", 9)]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_wait_between_two_others_can_be_cancelled_and_can_fail() -> None:
    """Before and after the oldest's time, an error and a cancellation from outside are told as they are."""
    clock = FakeClock(auto=False)
    patience = Patience(clock)

    async def fail_after(seconds: int) -> None:
        await clock.asleep_ns(seconds * NS_PER_SECOND)
        raise KeyError(seconds)

    works = [value_after(clock, 100), value_after(clock, 100), fail_after(1), fail_after(3)]
    works += [value_after(clock, 100) for _ in range(2)]
    waits = [
        asyncio.ensure_future(patience.until(due * NS_PER_SECOND, work, LateError))
        for due, work in zip((2, 9, 5, 5, 5, 5), works, strict=True)
    ]
    for cancelled in (4, 5):
        clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)
        waits[cancelled].cancel()
    for _ in range(7):
        clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)
    kinds = [type(each) for each in await asyncio.gather(*waits, return_exceptions=True)]
    assert kinds == [LateError, LateError, KeyError, KeyError, asyncio.CancelledError, asyncio.CancelledError]
