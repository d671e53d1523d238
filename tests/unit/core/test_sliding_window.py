"""The sliding window against an exact log of calls."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.events import Events, RateLimited
from holdfast.core.policy import Gate, Waiter
from holdfast.core.sliding_window import SlidingWindow, SlidingWindowOptions
from holdfast.errors import ConfigError, InvalidInputError, RateLimitedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

S = 10**9


def make(**options: Any) -> tuple[SlidingWindow, FakeClock]:
    clock = FakeClock()
    return SlidingWindow(clock=clock, name="model:x", **options), clock


def test_is_a_gate_and_a_waiter() -> None:
    """A window has the shape of a gate that a driver may wait at."""
    assert isinstance(SlidingWindow(), Gate)
    assert isinstance(SlidingWindow(), Waiter)


def test_no_more_than_the_limit_in_a_window() -> None:
    """Sixty in a minute by default, and room again when the first sixty are out of it, a slot late at most."""
    window, clock = make()
    for _ in range(60):
        window.leave(window.enter())
    with pytest.raises(RateLimitedError, match="window limit of model:x") as refused:
        window.enter()
    assert refused.value.retry_after == 60.6
    clock.advance_ns(60_600_000_000 - 1)
    with pytest.raises(RateLimitedError):
        window.enter()
    clock.advance_ns(1)
    window.enter()
    snapshot = window.snapshot()
    assert (snapshot.used, snapshot.available, snapshot.rejected, snapshot.waiting) == (1, 59, 2, 0)
    assert snapshot.headroom_percent == pytest.approx(100 * 59 / 60)


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 4 * S), st.integers(1, 6), st.integers(0, 9)), max_size=80),
    limit=st.integers(1, 10),
    slots=st.sampled_from([1, 3, 10]),
)
def test_against_an_exact_log(arrivals: list[tuple[int, int, int]], limit: int, slots: int) -> None:
    """It never lets in what an exact log refuses, and always what the log of a window one slot longer lets in.

    The time that a refusal names is exact: not a nanosecond earlier there is room.
    """
    window, clock = make(limit=limit, window=10, slots=slots, kept_share=0.25)
    slot = -(-10 * S // slots)
    log: list[tuple[int, int]] = []
    for gap, cost, priority in arrivals:
        clock.advance_ns(gap)
        now = clock.now_ns()
        if cost > limit:
            with pytest.raises(InvalidInputError, match="limit"):
                window.reserve(cost)
            continue
        size = limit if priority >= 5 else max(limit * 0.75, cost)
        exact = sum(each for when, each in log if when > now - 10 * S)
        longer = sum(each for when, each in log if when > now - 10 * S - slot)
        refusal: RateLimitedError | None = None
        try:
            window.reserve(cost, priority=priority)
        except RateLimitedError as error:
            refusal = error
        if refusal is not None:
            assert longer + cost > size
            assert refusal.retry_after is not None
            wait = round(refusal.retry_after * S)
            counted = [(when // slot + 1) * slot + 10 * S for when, _ in log]
            free = size - cost
            assert sum(c for end, (_, c) in zip(counted, log, strict=True) if end > now + wait) <= free
            assert sum(c for end, (_, c) in zip(counted, log, strict=True) if end > now + wait - 1) > free
        else:
            assert exact + cost <= size
            log.append((now, cost))


def test_memory_is_bounded() -> None:
    """However many calls come in, there are no more slots than the window has, and one at each end."""
    window, clock = make(limit=10**6, window=10, slots=20)
    for _ in range(5000):
        window.enter()
        clock.advance(0.01)
    assert len(window._slots) <= 22
    assert window.snapshot().used <= 1051


def test_reconciling() -> None:
    """What a call really used counts from when it was let in; once it is out of the window nothing does."""
    window, clock = make(limit=100, window=10, slots=10)
    first, second, third = window.reserve(50), window.reserve(20), window.reserve(30)
    first.reconcile(10)
    second.reconcile(40)
    assert window.snapshot().used == 80
    clock.advance(5)
    window.reserve(20).cancel()
    assert window.snapshot().used == 80
    clock.advance(6)
    third.reconcile(100)
    assert window.snapshot().used == 0
    window.reserve(100).reconcile(150)
    assert window.snapshot().available == -50
    assert window.snapshot().headroom_percent == 0


def test_who_settles_late_takes_nothing_from_others() -> None:
    """A reservation that is out of the window changes nothing of what came in after it."""
    window, clock = make(limit=100, window=10, slots=10)
    late = window.reserve(50)
    clock.advance(5)
    window.reserve(20)
    clock.advance(6)
    assert window.snapshot().used == 20
    late.reconcile(90)
    assert window.snapshot().used == 20


def test_a_reset() -> None:
    """Nothing is used after it, and older reservations no longer matter."""
    window, _ = make(limit=10)
    old = window.reserve(10)
    window.reset()
    old.cancel()
    assert window.snapshot().used == 0


async def test_the_line() -> None:
    """Those that wait get in as the window moves on, in order, even when they fill more than one window."""
    window, clock = make(limit=2, window=10, slots=1, max_wait=1000)
    window.reserve(2)
    order: list[tuple[int, int]] = []

    async def one(number: int, cost: int) -> None:
        await window.acquire_async(cost)
        order.append((number, clock.now_ns() // S))

    async with asyncio.TaskGroup() as group:
        for number, cost in enumerate([2, 1, 1, 2]):
            group.create_task(one(number, cost))
    assert order == [(0, 20), (1, 40), (2, 40), (3, 60)]
    with pytest.raises(RateLimitedError):
        window.acquire(max_wait=1)


def test_threads_never_get_more_than_there_is() -> None:
    """Eight threads that take all they can get: exactly the limit."""
    window, _ = make(limit=500)
    counts: list[int] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        mine = 0
        for _ in range(200):
            try:
                window.enter()
            except RateLimitedError:
                continue
            mine += 1
        counts.append(mine)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 500


def test_defaults() -> None:
    """Sixty in a minute, in a hundred slots, a fifth of it kept for priorities from 5, a cost of 1, and no waiting."""
    options = SlidingWindow().options
    assert options == SlidingWindowOptions()
    assert (options.limit, options.window, options.slots) == (60, 60, 100)
    assert (options.kept_share, options.kept_for, options.max_wait, options.default_cost) == (0.2, 5, 0, 1)


def test_the_shortest_slots() -> None:
    """A slot may be as short as a nanosecond."""
    assert SlidingWindow(window=2e-9, slots=2).options.slots == 2


def test_rounding_leaves_nothing_over() -> None:
    """Costs that floats cannot tell exactly leave no use behind when they are gone."""
    window, clock = make(limit=1, window=10, slots=10, default_cost=0.1)
    window.reserve(0.2)
    clock.advance(1)
    window.reserve(0.7)
    clock.advance(1)
    window.reserve(0.1).cancel()
    clock.advance(9)
    window.snapshot()
    clock.advance(1)
    assert window.snapshot().headroom_percent == 100
    clock.advance(1)
    assert window.snapshot().used == 0


def test_no_headroom_beyond_the_whole() -> None:
    """What rounding takes off a use below nothing is not told as headroom."""
    window, _ = make(limit=1, default_cost=0.1)
    for reservation in [window.reserve(cost) for cost in (0.2, 0.7, 0.1)]:
        reservation.cancel()
    assert window.snapshot().headroom_percent == 100


@pytest.mark.parametrize(
    ("options", "gone_ns"),
    [({"slots": 20}, 11 * S), ({"slots": 3}, 13_333_333_334), ({"window": 8, "slots": 3}, 10_666_666_667)],
)
def test_other_slots_keep_what_counts_to_the_end_of_one(options: dict[str, Any], gone_ns: int) -> None:
    """What came in the first second counts, in other slots, as if it came at the end of the one that it falls into."""
    window, clock = make(limit=10, window=10, slots=10)
    window.reserve(4)
    window.reconfigure(replace(window.options, **options))
    clock.advance_ns(gone_ns - 1)
    assert window.snapshot().used == 4
    clock.advance_ns(1)
    assert window.snapshot().used == 0


def test_what_was_over_stays_so_in_a_longer_window() -> None:
    """A longer window does not count again what had left the shorter one, though nobody had looked since."""
    window, clock = make(limit=10, window=10, slots=10)
    window.reserve(4)
    clock.advance(11)
    window.reconfigure(replace(window.options, window=60))
    assert window.snapshot().used == 0


async def test_who_would_stand_behind_a_whole_window_is_told_one_more() -> None:
    """What waits ahead, and does not fit into the next window with the call, makes the expected wait longer by one."""
    window, clock = make(limit=2, window=10, slots=1, max_wait=100)
    window.reserve(2)
    ahead = asyncio.create_task(window.acquire_async(2))
    await asyncio.sleep(0)
    with pytest.raises(RateLimitedError) as refused:
        window.reserve(1)
    assert refused.value.retry_after == 30
    ahead.cancel()
    await asyncio.gather(ahead, return_exceptions=True)
    assert clock.now_ns() == 0


def test_its_events() -> None:
    """A refusal names the window."""
    events = Events()
    recorder = EventRecorder(events)
    window = SlidingWindow(limit=1, events=events, clock=FakeClock())
    window.enter()
    with pytest.raises(RateLimitedError):
        window.enter()
    (event,) = recorder.of(RateLimited)
    assert (event.policy, event.limit) == ("sliding_window", "window")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"window": 0}, "window"),
        ({"window": 2e9}, "window"),
        ({"window": 1e-9, "slots": 2}, "window"),
        ({"slots": 0}, "slots"),
        ({"slots": 1.5}, "slots"),
        ({"limit": 5, "default_cost": 6}, "default_cost"),
        ({"kept_share": 1}, "kept_share"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """Each is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        SlidingWindow(**options)
    assert refused.value.field == field
