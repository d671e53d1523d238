"""The system's clock."""

import asyncio
import time

import pytest

from holdfast.core.clock import SYSTEM_CLOCK, Clock, to_ns


def test_is_a_clock() -> None:
    """The system clock fulfils the protocol, and reads both times in nanoseconds."""
    assert isinstance(SYSTEM_CLOCK, Clock)
    assert abs(SYSTEM_CLOCK.now_ns() - time.monotonic_ns()) < 10**9
    assert abs(SYSTEM_CLOCK.wall_ns() - time.time_ns()) < 10**9


def test_seconds_become_whole_nanoseconds() -> None:
    """Seconds are rounded to the nearest nanosecond."""
    assert to_ns(0.1) == 100_000_000
    assert to_ns(1e-9) == 1
    assert to_ns(86_400) == 86_400 * 10**9


async def test_waits_and_calls_back() -> None:
    """Sleeps take at least their time, a negative one none, and a timer calls back on the loop."""
    begun = SYSTEM_CLOCK.now_ns()
    SYSTEM_CLOCK.sleep_ns(1_000_000)
    await SYSTEM_CLOCK.asleep_ns(1_000_000)
    assert SYSTEM_CLOCK.now_ns() - begun >= 2_000_000
    SYSTEM_CLOCK.sleep_ns(-1)
    await SYSTEM_CLOCK.asleep_ns(-1)
    called = asyncio.Event()
    SYSTEM_CLOCK.call_later_ns(0, called.set)
    assert not called.is_set()
    await asyncio.wait_for(called.wait(), 5)


async def test_waits_are_asked_for_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, tasks and timers wait for just the time that was asked for, and not at all where that is past."""
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(asyncio, "sleep", asleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda seconds, _: waits.append(seconds))
    for ns in (90 * 10**9, -1):
        SYSTEM_CLOCK.sleep_ns(ns)
        await SYSTEM_CLOCK.asleep_ns(ns)
        SYSTEM_CLOCK.call_later_ns(ns, waits.clear)
    assert waits == [90] * 3 + [0] * 3
