"""The fake clock keeps order without waiting."""

import asyncio

from holdfast.core.clock import Clock
from holdfast.testing.clock import FakeClock

S = 10**9


def test_is_a_clock() -> None:
    """The fake clock fulfils the protocol; sync sleeps advance it at once, both times alike."""
    clock = FakeClock(start_ns=7, wall_ns=1000)
    assert isinstance(clock, Clock)
    clock.sleep_ns(5)
    clock.sleep_ns(-5)
    assert (clock.now_ns(), clock.wall_ns()) == (12, 1005)
    assert clock.sleeps_ns == [5, -5]


async def test_a_sleep_takes_exactly_its_time() -> None:
    """An async sleep advances the clock by its length, a negative one by nothing."""
    clock = FakeClock()
    await clock.asleep_ns(3 * S)
    await clock.asleep_ns(-1)
    assert clock.now_ns() == 3 * S


async def test_tasks_wake_in_the_order_of_their_times() -> None:
    """Sleeps of several tasks interleave as real ones would; ties wake in the order of going to sleep."""
    clock = FakeClock()
    log: list[tuple[str, int]] = []

    async def worker(name: str, seconds: int, times: int) -> None:
        for _ in range(times):
            await clock.asleep_ns(seconds * S)
            log.append((name, clock.now_ns() // S))

    await asyncio.gather(worker("a", 3, 2), worker("b", 2, 3), worker("c", 2, 1))
    assert log == [("b", 2), ("c", 2), ("a", 3), ("b", 4), ("a", 6), ("b", 6)]


async def test_timers_fire_on_the_way_and_not_by_themselves() -> None:
    """A timer fires when the clock passes it, at its own time; without a sleeper nothing moves."""
    clock = FakeClock()
    fired: list[int] = []
    clock.call_later_ns(2 * S, lambda: fired.append(clock.now_ns()))
    clock.call_later_ns(1 * S, lambda: fired.append(-1)).cancel()
    for _ in range(50):
        await asyncio.sleep(0)
    assert fired == []
    await clock.asleep_ns(5 * S)
    assert fired == [2 * S]


async def test_a_timer_never_fires_inside_the_call_that_advances() -> None:
    """Callbacks run on the loop afterwards, as a real loop's do."""
    clock = FakeClock()
    fired: list[int] = []
    clock.call_later_ns(S, lambda: fired.append(1))
    clock.advance(2)
    assert fired == []
    await asyncio.sleep(0)
    assert fired == [1]


async def test_a_timer_cancelled_after_its_time_does_not_fire() -> None:
    """Cancelling between the advance and the callback is in time."""
    clock = FakeClock()
    fired: list[int] = []
    timer = clock.call_later_ns(S, lambda: fired.append(1))
    clock.advance(2)
    timer.cancel()
    await asyncio.sleep(0)
    assert fired == []


async def test_a_clock_that_only_advance_moves() -> None:
    """With ``auto=False`` sleepers wait for ``advance``, and a cancelled one is forgotten."""
    clock = FakeClock(auto=False)
    sleeper = asyncio.create_task(clock.asleep_ns(5 * S))
    other = asyncio.create_task(clock.asleep_ns(5 * S))
    await asyncio.sleep(0)
    assert clock.sleepers == 2
    other.cancel()
    clock.advance(4)
    await asyncio.sleep(0)
    assert not sleeper.done()
    assert clock.sleepers == 1
    clock.advance(1)
    await sleeper
    assert other.cancelled()
    assert clock.now_ns() == 5 * S


async def test_a_sleeper_that_is_woken_and_cancelled_at_once() -> None:
    """A sleep whose task is cancelled in the turn in which it wakes does no harm."""
    clock = FakeClock(auto=False)
    sleeper = asyncio.create_task(clock.asleep_ns(S))
    await asyncio.sleep(0)
    clock.advance(1)
    sleeper.cancel()
    await asyncio.wait([sleeper])
    assert sleeper.cancelled()


async def test_a_cancelled_sleeper_does_not_hold_the_clock() -> None:
    """The clock jumps to the next sleeper that is left."""
    clock = FakeClock()
    doomed = asyncio.create_task(clock.asleep_ns(S))
    await asyncio.sleep(0)
    doomed.cancel()
    await clock.asleep_ns(3 * S)
    assert clock.now_ns() == 3 * S
    assert clock.sleeps_ns == [S, 3 * S]


def test_sleepers_of_a_loop_that_is_gone() -> None:
    """What a closed loop left behind is swept away."""
    clock = FakeClock()

    async def leave_one() -> None:
        sleeper = asyncio.create_task(clock.asleep_ns(S))
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.call_later_ns(S, lambda: None)

    asyncio.run(leave_one())
    asyncio.run(clock.asleep_ns(2 * S))
    assert clock.now_ns() == 2 * S
