"""The request queue: its order, its bounds, its pace, and nothing that is lost on the way."""

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.core import _turns
from holdfast.core._priority_line import PriorityLine
from holdfast.core._turns import TurnState
from holdfast.core.clock import to_ns
from holdfast.core.codel import CoDel
from holdfast.core.deadline import deadline_scope
from holdfast.core.demand import demand_scope
from holdfast.core.events import Event, Events, QueueDropped, QueueEntered, QueueRefused, QueueStarted
from holdfast.core.faults import Fault, FaultKind, hand_back
from holdfast.core.policy import Site, Wait, Waiter
from holdfast.core.request_queue import Request, RequestQueue, RequestQueueOptions, max_size_for
from holdfast.errors import ConfigError, DeadlineExceededError, QueueFullError, ShedError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder
from holdfast.testing.rng import seeded_rng

S = 10**9
MS = 10**6


def make(**options: Any) -> tuple[RequestQueue, FakeClock, EventRecorder]:
    """A queue without a pace and without a limit of time, unless they are asked for."""
    clock, events = FakeClock(auto=False), Events()
    options = {"requests_per_minute": None, "max_wait": None} | options
    return RequestQueue(clock=clock, events=events, name="rag", **options), clock, EventRecorder(events)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def nothing() -> None:
    """What a call does that does nothing."""


def idle(queue: RequestQueue) -> bool:
    now = queue.snapshot()
    return now.running == now.waiting == now.waiting_bytes == 0


@pytest.fixture
def threads_tell_fake_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeClock], None]:
    """A thread's wait that nobody ends takes no real time: the fake clock jumps to its end."""

    def use(clock: FakeClock) -> None:
        def wait(self: _turns.ThreadWaker, ns: int | None) -> bool:
            woken = self._event.wait(None if ns is None else 0)
            if not woken and ns is not None:
                clock.advance_ns(ns)
            self._event.clear()
            return woken

        monkeypatch.setattr(_turns.ThreadWaker, "wait", wait)

    return use


def end_one_by_one(queue: RequestQueue, first: Request, others: list[Request]) -> list[int]:
    """The order, as indices into ``others``, in which they start when each ends as soon as it has started."""
    order: list[int] = []
    now = first
    while True:
        queue.leave(now)
        held = [each for each in others if each.state is TurnState.HELD]
        if not held:
            return order
        (now,) = held
        order.append(others.index(now))


# --- order ----------------------------------------------------------------------------------------------------------


def test_the_important_first_and_first_come_first_served_within() -> None:
    """Higher priorities start first; within one the order of arrival holds."""
    queue, _, _ = make(max_concurrent=1)
    first = queue.ask()
    waiting = [queue.ask(priority=priority) for priority in (5, 0, 9, 5, 9, 0)]
    assert queue.snapshot().depths == (2, 0, 0, 0, 0, 2, 0, 0, 0, 2)
    assert end_one_by_one(queue, first, waiting) == [2, 4, 0, 3, 1, 5]
    assert idle(queue)


def test_the_priority_comes_from_the_context() -> None:
    """A request without a priority has that of the demand in its context, else 5."""
    queue, _, _ = make()
    assert queue.ask().priority == 5
    with demand_scope(priority=8):
        assert queue.ask().priority == 8
        assert queue.ask(priority=1).priority == 1


async def test_a_free_slot_starts_the_next_at_once() -> None:
    """Whoever ends starts the next in the same breath: no timer, no poll, no turn of the loop in between."""
    queue, clock, _ = make(max_concurrent=2, max_wait=30)
    first, second = queue.ask(), queue.ask()
    third = queue.ask()
    task = asyncio.create_task(third.wait_async())
    await turns()
    queue.leave(first)
    assert third.state is TurnState.HELD
    assert await task is third
    queue.leave(second)
    queue.leave(third)
    assert [entry for entry in clock._entries if not entry.cancelled] == []
    assert idle(queue)


# --- bounds ---------------------------------------------------------------------------------------------------------


def full(*priorities: int, **options: Any) -> tuple[RequestQueue, list[Request], EventRecorder]:
    """A queue with all slots taken and these waiting, and no room for more."""
    queue, _, recorder = make(max_concurrent=1, max_size=len(priorities), **options)
    queue.ask()
    waiting = [queue.ask(priority=priority) for priority in priorities]
    recorder.clear()
    return queue, waiting, recorder


def test_full_refuses_low_priorities() -> None:
    """Below 5 nobody is let into a full queue, not even before those who are less important."""
    queue, waiting, recorder = full(0, 1)
    with pytest.raises(QueueFullError, match="rag: 2 requests wait already") as refused:
        queue.ask(priority=4)
    assert refused.value.dependency == "rag"
    assert all(each.state is TurnState.WAITING for each in waiting)
    assert [(each.priority, each.reason, each.waiting) for each in recorder.of(QueueRefused)] == [(4, "full", 2)]
    assert queue.snapshot().refused == 1


def test_full_evicts_the_oldest_low_one_for_a_higher() -> None:
    """From 5 up a request takes the place of the *oldest* below 5, which need not be the least important."""
    queue, waiting, recorder = full(7, 4, 0, 4)
    newcomers = [queue.ask(priority=5) for _ in range(3)]
    assert [each.state for each in waiting] == [TurnState.WAITING] + [TurnState.DROPPED] * 3
    assert all(each.state is TurnState.WAITING for each in newcomers)
    assert [each.priority for each in recorder.of(QueueDropped)] == [4, 0, 4]
    assert {each.reason for each in recorder.of(QueueDropped)} == {"evicted"}
    with pytest.raises(
        ShedError, match=r"^rag: the request gave way to a more important one; it was not run"
    ) as dropped:
        waiting[1].wait()
    assert dropped.value.reason == "evicted"
    with pytest.raises(QueueFullError):
        queue.ask(priority=9)  # nobody is left who would give way
    assert queue.snapshot().evicted == 3


def test_the_memory_bound() -> None:
    """Who needs more memory than is left evicts as many low ones as it needs, or none when they are too few."""
    queue, _, recorder = make(max_concurrent=1, max_bytes=1000)
    queue.ask()
    low = [queue.ask(priority=0, size=300) for _ in range(3)]
    with pytest.raises(QueueFullError, match="hold too much memory for one more of 101 bytes"):
        queue.ask(priority=0, size=101)
    with pytest.raises(QueueFullError):
        queue.ask(priority=9, size=1001)
    assert all(each.state is TurnState.WAITING for each in low)
    high = queue.ask(priority=5, size=500)
    assert [each.state for each in low] == [TurnState.DROPPED] * 2 + [TurnState.WAITING]
    assert queue.snapshot().waiting_bytes == 800
    with pytest.raises(QueueFullError):
        queue.ask(priority=9, size=501)  # the low one that is left holds 300, and 301 are needed
    assert low[2].state is TurnState.WAITING
    queue.ask(priority=9, size=500)
    assert high.state is TurnState.WAITING
    assert queue.snapshot().waiting_bytes == 1000
    assert [each.reason for each in recorder.of(QueueRefused)] == ["memory"] * 3


def test_to_the_last_byte() -> None:
    """What fits exactly waits, and evicts nobody; one byte too many evicts one more."""
    queue, _, _ = make(max_concurrent=1, max_bytes=600)
    queue.ask()
    low = [queue.ask(priority=0, size=300) for _ in range(2)]
    assert queue.snapshot().waiting_bytes == 600
    queue.ask(priority=9, size=301)
    assert [each.state for each in low] == [TurnState.DROPPED] * 2


def test_nobody_gives_way_where_nobody_may_wait() -> None:
    """Where there is no room for anybody any more, what waits already stays."""
    queue, _, _ = make(max_concurrent=1)
    queue.ask()
    low = queue.ask(priority=0)
    queue.reconfigure(replace(queue.options, max_size=0))
    with pytest.raises(QueueFullError):
        queue.ask(priority=9)
    assert low.state is TurnState.WAITING


def test_what_starts_at_once_is_not_measured() -> None:
    """The bounds are for what waits: a queue of size 0 still runs what has a slot, however large."""
    queue, _, _ = make(max_concurrent=1, max_size=0, max_bytes=0)
    first = queue.ask(size=10**9)
    for priority in (0, 9):
        with pytest.raises(QueueFullError):
            queue.ask(priority=priority)
    queue.leave(first)
    queue.ask()


def test_max_size_for() -> None:
    """Four fifths of the memory, divided by the size of a request."""
    assert max_size_for(50 * 1024 * 1024) == 8192
    assert max_size_for(1000, 100) == 8
    assert max_size_for(0, 100) == 0
    assert max_size_for(10, 1) == 8
    for wrong in ((-1, 5), (5, 0)):
        with pytest.raises(ConfigError):
            max_size_for(*wrong)


def test_no_more_wait_than_can_be_served_in_time() -> None:
    """The capacity is what the measured rate serves within ``max_wait``, once it is known, and ``max_size`` at most."""
    queue, clock, _ = make(max_concurrent=2, max_size=100, max_wait=10)
    assert queue.snapshot().capacity == 100
    assert queue.snapshot().rate is None
    for _ in range(50):
        request = queue.ask()
        clock.advance(2)
        queue.leave(request)
    now = queue.snapshot()
    assert now.rate == pytest.approx(1)  # two slots, 2 s each
    assert now.capacity == 10
    assert now.mean_service == pytest.approx(2)
    for _ in range(12):
        queue.ask()
    with pytest.raises(QueueFullError, match="as many as can be served in time") as refused:
        queue.ask()
    assert refused.value.retry_after == pytest.approx(11)  # 10 wait, 1 a second
    assert queue.snapshot().depth_percent == 100
    slow, clock, _ = make(max_concurrent=1, max_wait=1)
    request = slow.ask()
    clock.advance(100)
    slow.leave(request)
    slow.ask()
    for priority in (4, 9):
        with pytest.raises(QueueFullError):
            slow.ask(priority=priority)  # who waited would be dead before its turn
    assert slow.snapshot().depth_percent == 100


def test_the_mean_service_is_that_of_fifty() -> None:
    """The mean of all that ended, and from the fiftieth on one that moves by a fiftieth of what is new."""
    queue, clock, _ = make(max_concurrent=1)
    means: list[float | None] = []
    for seconds in (1, 3, *(2,) * 48, 52, 3):
        request = queue.ask()
        clock.advance(seconds)
        queue.leave(request)
        means.append(queue.snapshot().mean_service)
    assert means[:3] == [1, 2, 2]
    assert means[-2:] == pytest.approx([3, 3])


@pytest.mark.parametrize(("pace", "rate"), [(30, 0.5), (120, 1)])
def test_the_rate_is_the_lower_of_two(pace: float, rate: float) -> None:
    """What the slots can serve and what the pace allows both bound it."""
    queue, clock, _ = make(max_concurrent=2, requests_per_minute=pace)
    request = queue.ask()
    clock.advance(2)
    queue.leave(request)
    assert queue.snapshot().rate == rate


def test_a_service_of_a_nanosecond_is_one() -> None:
    """However short a request is, it says what a slot can serve."""
    queue, clock, _ = make(max_concurrent=1)
    request = queue.ask()
    clock.advance_ns(1)
    queue.leave(request)
    assert queue.snapshot().rate == S


def test_a_refusal_says_when_the_line_is_served() -> None:
    """At one start in two seconds the one that waits and the one that asks are served in four."""
    queue, _, _ = make(max_concurrent=1, max_size=1, requests_per_minute=30)
    queue.ask()
    queue.ask()
    with pytest.raises(QueueFullError) as refused:
        queue.ask()
    assert refused.value.retry_after == 4


def test_a_cancelled_request_says_nothing_of_the_rate() -> None:
    """The time of a request that its caller cancelled is no service time."""
    queue, clock, _ = make()
    for made in (False, True):
        request = queue.ask()
        clock.advance(1)
        queue.leave(request, hand_back(KeyboardInterrupt(), made=made))
    assert queue.snapshot().rate is None
    assert queue.snapshot().failed == 2


@pytest.mark.parametrize(("made", "rate"), [(True, 10), (False, None)])
def test_what_a_failed_request_says_of_the_rate(made: bool, rate: float | None) -> None:
    """It took its time, and says so, unless its call was never made."""
    queue, clock, _ = make()
    request = queue.ask()
    clock.advance(1)
    queue.leave(request, Fault(kind=FaultKind.TIMEOUT, transient=True, weight=1.0, made=made))
    assert queue.snapshot().rate == rate
    assert queue.snapshot().failed == 1


@pytest.mark.parametrize(("made", "state"), [(True, TurnState.WAITING), (False, TurnState.HELD)])
def test_a_failed_request_keeps_its_start_if_its_call_was_made(made: bool, state: TurnState) -> None:
    """The start of a call that failed stays charged to the pace; that of one that was never made is given back."""
    queue, _, _ = make(requests_per_minute=60, burst=1)
    first, second = queue.ask(), queue.ask()
    queue.leave(first, Fault(kind=FaultKind.TIMEOUT, transient=True, weight=1.0, made=made))
    assert second.state is state


def test_a_request_without_a_size_of_its_own() -> None:
    """It is taken to hold ``default_size`` bytes; one may also say that it holds none."""
    queue, _, _ = make(max_concurrent=1, default_size=7)
    queue.ask()
    queue.ask()
    assert queue.snapshot().waiting_bytes == 7
    assert queue.ask(size=0).size == 0
    assert queue.snapshot().waiting_bytes == 7
    fresh, _, _ = make()
    with fresh.admit(size=0) as request:
        assert request.size == 0


# --- time -----------------------------------------------------------------------------------------------------------


def test_an_expired_request_never_starts() -> None:
    """Whoever's deadline has passed is dropped before it costs anything, and the next one starts in its place."""
    queue, clock, recorder = make(max_concurrent=1)
    first = queue.ask()
    with deadline_scope(1, clock=clock):
        dead = queue.ask(priority=9)
    alive = queue.ask(priority=0)
    clock.advance(1)
    queue.leave(first)
    assert dead.state is TurnState.DROPPED
    assert alive.state is TurnState.HELD
    with pytest.raises(DeadlineExceededError, match="deadline passed before its turn came"):
        dead.wait()
    assert [(each.reason, each.waited_ns) for each in recorder.of(QueueDropped)] == [("expired", S)]
    assert queue.snapshot().expired == 1


def test_expired_requests_make_room() -> None:
    """A full queue drops what has expired before it refuses or evicts anybody."""
    queue, clock, _ = make(max_concurrent=1, max_size=2)
    queue.ask()
    low = queue.ask(priority=0)
    with deadline_scope(1, clock=clock):
        dead = queue.ask(priority=9)
    clock.advance(1)
    queue.ask(priority=5)
    assert low.state is TurnState.WAITING
    assert dead.state is TurnState.DROPPED


def test_too_late_to_ask() -> None:
    """A request whose deadline has passed is refused at the door, even when a slot is free."""
    queue, clock, recorder = make()
    with deadline_scope(1, clock=clock):
        clock.advance(1)
        with pytest.raises(DeadlineExceededError, match="had passed when it came"):
            queue.ask()
    assert [each.reason for each in recorder.of(QueueRefused)] == ["expired"]


async def test_waiting_ends_at_max_wait_and_at_the_deadline() -> None:
    """A task that waits is told when ``max_wait`` or its deadline comes, though nothing else happens."""
    queue, clock, recorder = make(max_concurrent=1, max_wait=5)
    queue.ask()
    with deadline_scope(2, clock=clock):
        hurried = asyncio.create_task(queue.call(turns))
    with deadline_scope(20, clock=clock):
        patient = asyncio.create_task(queue.call(turns))
    await turns()
    clock.advance(2)
    with pytest.raises(DeadlineExceededError):
        await hurried
    clock.advance(3)
    with pytest.raises(ShedError, match="waited as long as max_wait allows") as dropped:
        await patient
    assert dropped.value.reason == "max_wait"
    assert [each.reason for each in recorder.of(QueueDropped)] == ["expired", "max_wait"]
    assert queue.snapshot().waiting == 0


def test_a_deadline_at_the_end_of_max_wait() -> None:
    """Where both come at once it is the deadline that has passed."""
    queue, clock, _ = make(max_concurrent=1, max_wait=5)
    queue.ask()
    with deadline_scope(5, clock=clock):
        request = queue.ask()
    clock.advance(5)
    queue.time_is_up(request)
    with pytest.raises(DeadlineExceededError):
        request.wait()


def test_the_heap_of_times_does_not_grow() -> None:
    """Requests that left before their time do not pile up in memory."""
    queue, _, _ = make(max_concurrent=1, max_wait=1000)
    first = queue.ask()
    for _ in range(1000):
        queue.give_up(queue.ask())
    assert len(queue._rules.line._due) <= 65
    queue.leave(first)


# --- pace -----------------------------------------------------------------------------------------------------------


async def test_starts_are_paced() -> None:
    """After a burst one starts every second at 60 a minute, though slots are free; nothing ticks afterwards."""
    queue, clock, _ = make(requests_per_minute=60, burst=2)
    started: list[float] = []

    async def work() -> None:
        started.append(clock.now_ns() / S)

    tasks = [asyncio.create_task(queue.call(work)) for _ in range(5)]
    for _ in range(8):
        await turns(20)
        clock.advance(0.5)
    await asyncio.gather(*tasks)
    assert started == [0, 0, 1, 2, 3]
    assert [entry for entry in clock._entries if not entry.cancelled] == []
    assert queue.snapshot().rate == 1


async def test_who_keeps_the_time_may_not_have_that_much() -> None:
    """A deadline before the next start ends the wait of the one who would ring for it."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.ask()
    with deadline_scope(0.5, clock=clock):
        task = asyncio.create_task(queue.call(turns))
    await turns()
    clock.advance(0.5)
    await turns()
    assert task.done()
    with pytest.raises(DeadlineExceededError):
        await task


async def test_a_waker_wakes_once() -> None:
    """A thread, or a task by whatever thread, and also in the moment in which its time is up."""
    clock = FakeClock(auto=False)
    thread = _turns.ThreadWaker()
    thread.wake()
    assert [thread.wait(0), thread.wait(0)] == [True, False]
    task = _turns.TaskWaker(clock)
    waits = asyncio.create_task(task.wait(None))
    await turns()
    await asyncio.to_thread(task.wake)
    assert await waits is True
    waits = asyncio.create_task(task.wait(S))
    await turns()
    ring = clock._entries[-1]._callback
    task.wake()
    ring()
    assert await waits is True
    waits = asyncio.create_task(task.wait(S))
    await turns()
    clock.advance(1)
    assert await waits is False


def test_a_loop_that_was_closed_is_told_of_once() -> None:
    """And not held on to: a line looks for those who are gone as often as there is somebody to find."""
    loops, loop = _turns.Loops(), asyncio.new_event_loop()

    async def waits() -> None:
        loops.add(_turns.TaskWaker(FakeClock()))

    loop.run_until_complete(waits())
    assert loops.lost() is False
    loop.close()
    assert [loops.lost(), loops.lost()] == [True, False]


async def test_the_most_important_starts_when_the_pace_allows() -> None:
    """Who came first keeps the time for all, but who is most important starts."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.ask()
    started: list[str] = []

    async def work(name: str) -> None:
        started.append(name)

    low = asyncio.create_task(queue.admit(priority=0).call(work, "low"))
    await turns()
    high = asyncio.create_task(queue.admit(priority=9).call(work, "high"))
    for _ in range(3):
        await turns(20)
        clock.advance(1)
    await asyncio.gather(low, high)
    assert started == ["high", "low"]


async def test_another_keeps_the_time_when_one_leaves() -> None:
    """When the task that keeps the time for all is cancelled, another one does."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.ask()
    tasks = [asyncio.create_task(queue.call(turns)) for _ in range(3)]
    await turns()
    for task in tasks[:2]:
        task.cancel()
        await turns()
    clock.advance(1)
    await tasks[2]
    assert queue.snapshot().started == 2


def test_a_thread_keeps_the_time(threads_tell_fake_time: Callable[[FakeClock], None]) -> None:
    """A thread that waits starts by itself when the pace allows."""
    queue, clock, _ = make(requests_per_minute=60, burst=1, max_wait=30)
    threads_tell_fake_time(clock)
    for _ in range(3):
        queue.call(nothing)
    assert clock.now_ns() == 2 * S
    with deadline_scope(0.5, clock=clock), pytest.raises(DeadlineExceededError):
        queue.call(nothing)
    assert idle(queue)


def test_a_start_that_nobody_took_is_given_back() -> None:
    """A turn that goes to a caller who has given up costs nothing: the next one starts on its allowance."""
    queue, clock, _ = make(requests_per_minute=60, burst=1, max_concurrent=1)
    first = queue.ask()
    second, third, fourth = (queue.ask() for _ in range(3))
    clock.advance(1)
    queue.leave(first)
    assert second.state is TurnState.HELD
    queue.give_up(second)
    assert third.state is TurnState.HELD
    queue.leave(third)
    assert fourth.state is TurnState.WAITING
    assert fourth.alarm_ns == 2 * S


def test_whoever_rang_does_not_ring_again() -> None:
    """The next start is somebody else's to ring for, if somebody else comes before."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.ask()
    low, first, second = queue.ask(priority=0), queue.ask(priority=9), queue.ask(priority=9)
    assert low.alarm_ns == S
    clock.advance(1)
    queue.alarm(low)
    assert first.state is TurnState.HELD
    assert [low.alarm_ns, second.alarm_ns] == [None, 2 * S]


def test_another_rings_when_the_time_of_who_would_have_is_up() -> None:
    """Nobody waits for a start that nobody rings for."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.ask()
    with deadline_scope(0.5, clock=clock):
        first = queue.ask()
    second = queue.ask()
    assert (first.alarm_ns, second.alarm_ns) == (S, None)
    clock.advance(0.5)
    queue.time_is_up(first)
    assert second.alarm_ns == S


def test_another_rings_when_the_loop_of_who_would_have_is_closed() -> None:
    """It is found out as soon as anything else happens in the queue."""
    queue, _, _ = make(requests_per_minute=60, burst=1)
    running, first, second = queue.ask(), queue.ask(), queue.ask()

    async def abandon() -> asyncio.Task[Request]:
        task = asyncio.create_task(first.wait_async())
        await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(abandon())
    loop.close()
    queue.leave(running)
    assert second.alarm_ns == S
    assert not task.done()


def test_who_comes_when_a_start_is_due_starts_those_before_it() -> None:
    """However late their alarm is; what is allowed beyond that is for who came."""
    queue, clock, _ = make(requests_per_minute=60, burst=2)
    queue.ask()
    queue.ask()
    third = queue.ask()
    clock.advance(2)
    assert queue.enter().state is TurnState.HELD
    assert third.state is TurnState.HELD


def test_an_expired_request_is_dropped_though_nobody_may_start() -> None:
    """Whoever ends finds it, and does not wait for the pace."""
    queue, clock, _ = make(requests_per_minute=6, burst=1)
    running = queue.ask()
    with deadline_scope(1, clock=clock):
        dead = queue.ask()
    clock.advance(1)
    queue.leave(running)
    assert dead.state is TurnState.DROPPED


def test_another_burst() -> None:
    """Other options allow as many at once as they say, at the same rate."""
    queue, _, _ = make(requests_per_minute=60, burst=1)
    waiting = [queue.ask() for _ in range(4)]
    queue.reconfigure(replace(queue.options, burst=3))
    assert [each.state for each in waiting] == [TurnState.HELD] * 3 + [TurnState.WAITING]


def test_an_allowance_that_comes_back_is_used() -> None:
    """When an allowance comes back the next starts on it, whoever keeps the time."""
    queue, clock, _ = make(requests_per_minute=60, burst=2, max_concurrent=5)
    one, two = queue.ask(), queue.ask()
    third, fourth = queue.ask(), queue.ask()
    assert third.alarm_ns == S
    clock.advance(1)
    queue.alarm(third)
    assert third.state is TurnState.HELD
    assert fourth.alarm_ns == 2 * S
    queue.give_up(third)
    assert fourth.state is TurnState.HELD
    fifth = queue.ask()
    assert fifth.alarm_ns == 2 * S
    queue.leave(one)
    queue.leave(two)
    assert fifth.alarm_ns == 2 * S
    queue.alarm(fourth)  # too late to matter
    assert fifth.state is TurnState.WAITING


async def test_nobody_is_left_to_keep_the_time() -> None:
    """When all who waited for the pace have expired no alarm is set, and the next who comes sets its own."""
    queue, clock, _ = make(requests_per_minute=6, burst=1)
    queue.ask()
    with deadline_scope(1, clock=clock):
        dead = queue.ask()
    clock.advance(1)
    newcomer = queue.ask()
    assert dead.state is TurnState.DROPPED
    assert newcomer.alarm_ns == 10 * S


# --- CoDel ----------------------------------------------------------------------------------------------------------


def standing(**options: Any) -> tuple[RequestQueue, FakeClock, Request, EventRecorder]:
    """One slot and a CoDel queue that has seen an interval in which nobody waited less than 60 ms."""
    queue, clock, recorder = make(max_concurrent=1, codel=CoDel(**options))
    running = queue.ask()
    waiting = [queue.ask() for _ in range(2)]
    clock.advance(0.06)
    queue.leave(running)
    clock.advance(0.1)
    queue.leave(waiting[0])
    assert queue.snapshot().standing is False
    fresh = queue.ask()
    clock.advance(0.1)
    queue.leave(waiting[1])
    assert queue.snapshot().standing
    assert fresh.state is TurnState.DROPPED
    running = queue.ask()
    assert running.state is TurnState.HELD
    return queue, clock, running, recorder


def test_a_standing_queue_drops_what_waited_too_long() -> None:
    """While the shortest wait of the last interval is over the target, waits of over twice the target are dropped."""
    queue, clock, running, recorder = standing()
    clock.advance(0.001)
    old = queue.ask(priority=9)
    clock.advance(0.0101)
    young = queue.ask()
    clock.advance(0.005)
    queue.leave(running)
    assert old.state is TurnState.DROPPED
    assert young.state is TurnState.HELD
    with pytest.raises(ShedError, match="had waited too long while the queue did not get shorter") as dropped:
        old.wait()
    assert dropped.value.reason == "overload"
    assert dropped.value.retry_after is not None
    assert [each.reason for each in recorder.of(QueueDropped)] == ["overload"] * 2
    assert queue.snapshot().shed == 2


def test_a_burst_is_not_dropped() -> None:
    """A burst that drains within the interval is served whole, however long its last one waited."""
    queue, clock, _ = make(max_concurrent=1, codel=CoDel())
    now = queue.ask()
    waiting = [queue.ask() for _ in range(9)]
    for each in waiting:
        clock.advance(0.01)
        queue.leave(now)
        now = each
    assert queue.snapshot().started == 10


def test_an_old_interval_says_nothing_of_now() -> None:
    """After an interval in which nobody came to a turn the queue does not stand."""
    queue, clock, running, _ = standing()
    queue.leave(running)
    clock.advance(3600)
    running = queue.ask()
    assert queue.snapshot().standing is False
    waiting = queue.ask()
    clock.advance(0.05)
    queue.leave(running)
    assert waiting.state is TurnState.HELD


def test_newest_first_while_it_stands() -> None:
    """With ``newest_first`` the newest of the highest priority starts first, but only while the queue stands."""
    queue, clock, running, _ = standing(newest_first=True)
    waiting = [queue.ask(priority=priority) for priority in (5, 9, 9)]
    clock.advance(0.001)
    queue.leave(running)
    assert [each.state for each in waiting] == [TurnState.WAITING, TurnState.WAITING, TurnState.HELD]
    calm, _, _ = make(max_concurrent=1, codel=CoDel(newest_first=True))
    running = calm.ask()
    waiting = [calm.ask() for _ in range(2)]
    calm.leave(running)
    assert waiting[0].state is TurnState.HELD


def test_oldest_first_while_it_stands() -> None:
    """Without ``newest_first`` the order is the same whether the queue stands or not."""
    queue, clock, running, _ = standing()
    waiting = [queue.ask() for _ in range(2)]
    clock.advance(0.001)
    queue.leave(running)
    assert [each.state for each in waiting] == [TurnState.HELD, TurnState.WAITING]


def test_what_codel_has_seen_outlives_other_options() -> None:
    """The queue stands as long as CoDel is what it was; another CoDel, or none, begins anew."""
    queue, _, _, _ = standing()
    queue.reconfigure(replace(queue.options, max_size=5))
    assert queue.snapshot().standing
    queue.reconfigure(replace(queue.options, codel=None))
    assert not queue.snapshot().standing


def test_everybody_waited_too_long() -> None:
    """When all who wait are dropped the slot stays free for the next who comes."""
    queue, clock, running, _ = standing()
    waiting = [queue.ask() for _ in range(3)]
    clock.advance(0.02)
    queue.leave(running)
    assert all(each.state is TurnState.DROPPED for each in waiting)
    assert queue.ask().state is TurnState.HELD


# --- cancellation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("handed", [False, True])
async def test_cancelled_at_every_await_point(steps: int, *, handed: bool) -> None:
    """Cancelled after any number of steps, with the turn just given or not, a call leaves nothing behind."""
    queue, _, _ = make(max_concurrent=1)

    async def work() -> None:
        await turns(3)

    first = queue.ask()
    victim = asyncio.create_task(queue.call(work))
    other = asyncio.create_task(queue.call(work))
    await turns(steps)
    if handed:
        queue.leave(first)
    victim.cancel()
    queue.leave(first)
    with pytest.raises(asyncio.CancelledError):
        await victim
    await other
    assert idle(queue)
    assert queue.snapshot().started + queue.snapshot().abandoned == (2 if steps == 0 else 3)


async def test_a_turn_given_to_a_cancelled_waiter_goes_on() -> None:
    """A waiter that is cancelled between its turn and its run gives the turn to the next."""
    queue, _, recorder = make(max_concurrent=1)
    first = queue.ask()
    victim, heir = (asyncio.create_task(queue.ask().wait_async()) for _ in range(2))
    await turns()
    queue.leave(first)
    victim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await victim
    queue.leave(await heir)
    assert idle(queue)
    assert [each.reason for each in recorder.of(QueueDropped)] == ["abandoned"]


def test_waiters_of_a_closed_loop_are_passed_over() -> None:
    """A thousand waiters whose event loop is gone do not hold up the one who is there."""
    queue, _, recorder = make(max_concurrent=1, max_size=2000)

    class Gone:
        loop = None

        def wake(self) -> bool:
            return False

    first = queue.ask()
    for _ in range(1000):
        queue.ask(waker=Gone())
    last = queue.ask()
    queue.leave(first)
    assert last.state is TurnState.HELD
    assert queue.snapshot().abandoned == 1000
    queue.ask(waker=Gone())
    queue.close()
    assert [each.reason for each in recorder.of(QueueDropped)] == ["abandoned"] * 1000 + ["closed"]


def test_threads_and_tasks_in_one_queue() -> None:
    """Threads and tasks of another thread's loop, 400 requests: three at once at most, all served, none lost."""
    queue = RequestQueue(max_concurrent=3, requests_per_minute=None, max_wait=None)
    lock = threading.Lock()
    now = peak = done = 0

    def body() -> None:
        nonlocal now, peak, done
        with lock:
            now += 1
            peak = max(peak, now)
        with lock:
            now -= 1
            done += 1

    def thread(priority: int) -> None:
        for _ in range(25):
            queue.admit(priority=priority).call(body)

    async def task(priority: int) -> None:
        for _ in range(25):
            async with queue.admit(priority=priority):
                body()
                await asyncio.sleep(0)

    async def all_tasks() -> None:
        await asyncio.gather(*(task(priority) for priority in range(8)))

    threads = [threading.Thread(target=thread, args=(priority,)) for priority in range(8)]
    threads.append(threading.Thread(target=lambda: asyncio.run(all_tasks())))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == 400
    assert peak <= 3
    assert idle(queue)
    assert queue.snapshot().succeeded == 400


# --- the end --------------------------------------------------------------------------------------------------------


async def test_close_drops_what_waits() -> None:
    """A closed queue drops what waits and refuses what comes; what is under way goes on."""
    queue, _, recorder = make(max_concurrent=1)
    first = queue.ask()
    task = asyncio.create_task(queue.call(turns))
    await turns()
    queue.close()
    with pytest.raises(ShedError, match="the queue was closed before") as dropped:
        await task
    assert dropped.value.reason == "closed"
    with pytest.raises(QueueFullError, match=r"^rag: it is closed, and takes no more requests") as refused:
        queue.ask()
    assert refused.value.retry_after is None
    assert queue.snapshot().running == 1
    queue.leave(first)
    assert idle(queue)
    assert queue.snapshot().closed
    assert [each.reason for each in recorder.of(QueueRefused)] == ["closed"]


async def test_drain_serves_what_waits() -> None:
    """Draining lets nothing in, serves what waits, and ends with the last; an empty queue is drained at once."""
    queue, _, _ = make(max_concurrent=1)
    task = asyncio.create_task(queue.call(turns))
    waiting = asyncio.create_task(queue.call(turns))
    await turns(3)
    drains = [asyncio.create_task(queue.drain_async()) for _ in range(2)]
    await turns(3)
    with pytest.raises(QueueFullError):
        queue.ask()
    assert not drains[0].done()
    assert await asyncio.gather(*drains) == [True, True]
    assert task.done()
    assert waiting.done()
    assert queue._drains.waiting == set()
    assert queue.drain()
    assert await queue.drain_async(0)


async def test_drain_that_takes_too_long() -> None:
    """After the time for it what still waits is dropped, and the answer is False; a cancelled drain drops nothing."""
    queue, clock, _ = make(max_concurrent=1)
    running = queue.ask()
    waiting = queue.ask()
    given_up = asyncio.create_task(queue.drain_async(5))
    drain = asyncio.create_task(queue.drain_async(5))
    await turns()
    given_up.cancel()
    await turns()
    assert given_up.cancelled()
    assert queue.snapshot().waiting == 1
    clock.advance(5)
    assert await drain is False
    assert waiting.state is TurnState.DROPPED
    assert queue._drains.waiting == set()
    queue.leave(running)


def test_threads_drain(threads_tell_fake_time: Callable[[FakeClock], None]) -> None:
    """A thread drains, too."""
    queue, clock, _ = make(max_concurrent=1)
    threads_tell_fake_time(clock)
    running = queue.ask()
    assert queue.drain(3) is False
    assert clock.now_ns() == 3 * S
    ended = queue._drains.begin(None, lambda: True)
    queue._drains.time_is_up(ended)
    assert ended.state is TurnState.HELD
    queue._drains.alarm(queue._drains.begin(None, queue._idle))  # asks for nothing
    queue.leave(running)
    assert queue.drain()
    with pytest.raises(ConfigError, match="seconds"):
        queue.drain(-1)


# --- as a policy ----------------------------------------------------------------------------------------------------


def test_is_a_waiter_and_has_a_form_that_does_not_wait() -> None:
    """A pipeline may wait at it; ``enter`` starts at once or refuses; a pipeline brings clock and events."""
    queue = RequestQueue(max_concurrent=1)
    clock, events = FakeClock(), Events()
    recorder = EventRecorder(events)
    queue.attach(Site(pipeline="p", dependency="model:x", clock=clock, rng=seeded_rng(0), events=events))
    assert isinstance(queue, Waiter)
    held = queue.enter()
    assert isinstance(held, Wait)
    with pytest.raises(QueueFullError, match="model:x: the request would have to wait"):
        queue.enter()
    queue.leave(held)
    queue.leave(held)
    assert [type(each) for each in recorder.events] == [QueueStarted, QueueRefused]
    assert [each.reason for each in recorder.of(QueueRefused)] == ["busy"]
    assert recorder.events[0].pipeline == "p"
    assert queue.snapshot().running == 0


async def test_every_form() -> None:
    """Context manager, call and decorator serve sync, async and streaming work."""
    queue, _, recorder = make(max_concurrent=1)

    def plain() -> int:
        return queue.snapshot().running

    @queue
    async def task() -> int:
        return plain()

    with queue.admit(priority=3, size=10) as request:
        assert (request.priority, request.size, plain()) == (3, 10, 1)
    async with queue.admit():
        assert plain() == 1
    assert queue.call(plain) == 1
    assert await task() == 1

    async def stream() -> Any:
        yield plain()

    assert [each async for each in queue.call(stream)] == [1]
    with pytest.raises(KeyError), queue.admit():
        raise KeyError
    now = queue.snapshot()
    assert (now.started, now.succeeded, now.failed, now.mean_wait, now.longest_wait) == (6, 5, 1, 0, 0)
    assert idle(queue)
    assert {type(each) for each in recorder.events} == {QueueStarted}


async def test_a_new_limit_wakes_those_whom_it_lets_start() -> None:
    """What other options allow to start starts at once, the most important first, and is told."""
    queue, clock, recorder = make(max_concurrent=1)
    clock.advance(7)
    queue.ask()
    tasks = [asyncio.create_task(queue.ask(priority=priority).wait_async()) for priority in (5, 9)]
    await turns()
    clock.advance(2)
    queue.reconfigure(replace(queue.options, max_concurrent=3))
    await turns()
    assert all(task.done() for task in tasks)
    assert [(each.priority, each.waited_ns) for each in recorder.of(QueueStarted)] == [(5, 0), (9, 2 * S), (5, 2 * S)]


def test_what_is_told_of_those_who_leave() -> None:
    """A request that gives up says how long it waited; that another keeps the time for it is nobody's news."""
    queue, clock, recorder = make(requests_per_minute=6, burst=1)
    clock.advance(7)
    queue.ask()
    first, second = queue.ask(), queue.ask()
    clock.advance(2)
    queue.give_up(first)
    assert second.alarm_ns is not None
    assert [(each.reason, each.waited_ns) for each in recorder.of(QueueDropped)] == [("abandoned", 2 * S)]


async def test_drain_waits_for_those_whom_the_pace_holds_back() -> None:
    """A queue in which nothing runs is not done while somebody waits for its turn."""
    queue, clock, _ = make(requests_per_minute=60, burst=1)
    queue.leave(queue.ask())
    waiting = asyncio.create_task(queue.call(turns))
    await turns()
    drain = asyncio.create_task(queue.drain_async())
    await turns()
    assert not drain.done()
    clock.advance(1)
    await waiting
    assert await drain


def left_behind(request: Request) -> Any:
    """A wait for ``request`` whose event loop is closed; to be closed at the end."""

    async def begin() -> Any:
        coroutine = request.wait_async()
        coroutine.send(None)
        return coroutine

    return asyncio.run(begin())


def test_who_is_gone_with_a_loop_makes_room() -> None:
    """A full queue finds that those are gone whose event loop was closed, before it refuses anybody."""
    queue, _, recorder = make(max_concurrent=1, max_size=1)
    queue.ask()
    wait = left_behind(queue.ask())
    assert queue.ask(priority=0).state is TurnState.WAITING
    assert [each.reason for each in recorder.of(QueueDropped)] == ["abandoned"]
    wait.close()


def test_a_snapshot_tells_of_those_who_are_gone() -> None:
    """Who looks finds that the event loop of one that waits was closed, and the listeners hear of it."""
    queue, _, recorder = make(max_concurrent=1)
    queue.ask()
    wait = left_behind(queue.ask())
    assert queue.snapshot().waiting == 0
    assert [each.reason for each in recorder.of(QueueDropped)] == ["abandoned"]
    wait.close()


def test_whose_call_it_is() -> None:
    """What is told of a request that waited names the call on whose behalf it was made."""
    queue, _, recorder = make(max_concurrent=1)

    class Call:
        call_id = "c1"
        attempt = 2

    first = queue.ask()
    queue.ask(Call())
    queue.ask(Call())
    queue.leave(first)
    queue.close()
    told = recorder.of(QueueStarted)[1], *recorder.of(QueueDropped)
    assert [(each.call_id, each.attempt) for each in told] == [("c1", 2)] * 2


def test_what_is_told() -> None:
    """Entering, starting and waiting are told with priority, size and time."""
    queue, clock, recorder = make(max_concurrent=1)
    clock.advance(7)
    first = queue.ask(priority=7)
    second = queue.ask(size=100)
    clock.advance(2)
    queue.leave(first)
    queue.leave(second)

    def said(event: Event) -> tuple[Any, ...]:
        if isinstance(event, QueueEntered):
            return event.priority, event.size, event.waiting, event.waiting_bytes
        assert isinstance(event, QueueStarted)
        return event.priority, event.waited_ns

    assert [said(each) for each in recorder.events] == [(7, 0), (5, 100, 1, 100), (5, 2 * S)]
    assert queue.snapshot().mean_wait == 1
    assert queue.snapshot().longest_wait == 2


def test_without_listeners_and_name() -> None:
    """Nothing is needed but the defaults."""
    queue = RequestQueue(max_concurrent=1, max_size=0)
    queue.ask()
    with pytest.raises(QueueFullError, match="The queue: 0 requests wait already"):
        queue.ask()
    evicts = RequestQueue(max_concurrent=1, max_size=1)
    evicts.ask()
    low, _ = evicts.ask(priority=0), evicts.ask()
    with pytest.raises(ShedError, match=r"^The queue: the request gave way"):
        low.wait()
    defaults = RequestQueue().options
    assert (defaults.max_concurrent, defaults.requests_per_minute, defaults.max_size) == (10, 60, 1000)
    assert RequestQueue().snapshot().capacity == 30  # one a second, for 30 s


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"burst": 0}, "burst"),
        ({"max_size": -1}, "max_size"),
        ({"max_bytes": 0.5}, "max_bytes"),
        ({"default_size": -1}, "default_size"),
        ({"max_wait": 0}, "max_wait"),
        ({"codel": True}, "codel"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        RequestQueue(**options)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent": 1},
        {"requests_per_minute": 0.001},
        {"burst": 1},
        {"max_size": 0},
        {"max_bytes": 0},
        {"default_size": 0},
    ],
)
def test_options_at_the_end_of_their_range(options: dict[str, Any]) -> None:
    """The least that an option's page names is taken."""
    queue = RequestQueue(**options)
    for field, value in options.items():
        assert getattr(queue.options, field) == value


def test_defaults() -> None:
    """They are those of its page, of the queue as of its options."""
    assert RequestQueue().options == RequestQueueOptions()
    assert RequestQueueOptions() == RequestQueueOptions(
        max_concurrent=10,
        requests_per_minute=60,
        burst=10,
        max_size=1000,
        max_bytes=50 * 1024 * 1024,
        default_size=5 * 1024,
        max_wait=30,
        codel=None,
    )


def test_more_options_out_of_range() -> None:
    """CoDel's options and a request's own are checked, too."""
    for options, field in (({"interval": 0}, "interval"), ({"target": 0}, "target"), ({"target": 0.1}, "target")):
        with pytest.raises(ConfigError) as refused:
            CoDel(**options)
        assert refused.value.field == field
    queue, _, _ = make()
    for wrong in ({"priority": 10}, {"priority": -1}, {"priority": True}, {"size": -1}):
        with pytest.raises(ConfigError):
            queue.admit(**wrong)
        with pytest.raises(ConfigError):
            queue.ask(**wrong)
    assert idle(queue)


# --- against closed forms and a model -------------------------------------------------------------------------------


@pytest.mark.parametrize(("rho", "loss"), [(0.8, 0.023493), (1.5, 0.337232)])
def test_the_loss_of_a_single_server(rho: float, loss: float) -> None:
    """One server and room for nine who wait lose what the formula of M/M/1/10 says."""
    clock, rng = FakeClock(auto=False), seeded_rng(0)
    queue = RequestQueue(max_concurrent=1, max_size=9, requests_per_minute=None, max_wait=None, clock=clock)
    running: Request | None = None
    line: list[Request] = []
    ends = 0
    lost, arrivals = 0, 150_000
    for _ in range(arrivals):
        due = clock.now_ns() + to_ns(rng.expovariate(rho))
        while running is not None and ends <= due:
            clock.advance_ns(ends - clock.now_ns())
            queue.leave(running)
            running = line.pop(0) if line else None
            assert running is None or running.state is TurnState.HELD
            ends += to_ns(rng.expovariate(1))
        clock.advance_ns(due - clock.now_ns())
        try:
            request = queue.ask()
        except QueueFullError:
            lost += 1
            continue
        if running is None:
            running, ends = request, due + to_ns(rng.expovariate(1))
        else:
            line.append(request)
    assert lost / arrivals == pytest.approx(loss, rel=0.08)


def test_a_deep_queue_costs_no_more_than_a_shallow_one() -> None:
    """Coming, going and giving up cost about the same with 100 and with 100,000 waiting."""

    def cost(depth: int) -> float:
        queue = RequestQueue(max_concurrent=1, requests_per_minute=None, max_size=2 * depth, max_bytes=10**12)
        queue.ask()
        for number in range(depth):
            queue.ask(priority=number % 10)
        best = float("inf")
        for _ in range(5):
            begun = time.thread_time_ns()
            for number in range(200):
                queue.give_up(queue.ask(priority=number % 10))
            best = min(best, time.thread_time_ns() - begun)
        return best

    assert cost(100_000) < 20 * cost(100)


@dataclass(eq=False)
class Item:
    """A request in the model."""

    request: Request
    priority: int
    size: int
    due: int | None
    fate: str = "waiting"


class QueueMachine(RuleBasedStateMachine):
    """The queue against a plain list, scanned from end to end, and a token bucket."""

    @initialize(
        slots=st.integers(1, 3),
        size=st.integers(0, 5),
        memory=st.integers(0, 12),
        pace=st.sampled_from([None, 60]),
        burst=st.integers(1, 3),
    )
    def begin(self, slots: int, size: int, memory: int, pace: int | None, burst: int) -> None:
        self.clock = FakeClock(auto=False)
        self.slots, self.size, self.memory = slots, size, memory
        self.paced, self.most = pace is not None, burst * S
        self.charges: list[tuple[Item, int]] = []  # what is in the bucket: it runs out in the order in which it came
        self.queue = RequestQueue(
            max_concurrent=slots,
            max_size=size,
            max_bytes=memory,
            requests_per_minute=pace,
            burst=burst,
            max_wait=None,
            clock=self.clock,
        )
        self.waiting: list[Item] = []
        self.running: list[Item] = []
        self.gone: list[Item] = []

    def drop(self, item: Item, why: str) -> None:
        self.waiting.remove(item)
        self.gone.append(item)
        item.fate = why

    def may_start(self) -> bool:
        return len(self.running) < self.slots and (
            not self.paced or sum(left for _, left in self.charges) <= self.most - S
        )

    def start(self, item: Item) -> None:
        item.fate = "running"
        self.running.append(item)
        self.charges.append((item, S))

    def go_on(self) -> None:
        while self.waiting and self.may_start():
            self.expire()
            if not self.waiting:
                return
            item = max(self.waiting, key=lambda each: (each.priority, -each.request.number))
            self.waiting.remove(item)
            self.start(item)

    def expire(self) -> None:
        for item in [each for each in self.waiting if each.due is not None and each.due <= self.clock.now_ns()]:
            self.drop(item, "expired")

    @rule(
        priority=st.integers(0, 9),
        size=st.integers(0, 6),
        seconds=st.sampled_from([None, 0, 1, 2, 5]),
        may_wait=st.sampled_from([True, True, True, False]),
    )
    def ask(self, priority: int, size: int, seconds: int | None, *, may_wait: bool) -> None:
        due = None if seconds is None else self.clock.now_ns() + seconds * S
        expected = self.expected(priority, size, due, may_wait=may_wait)
        try:
            if seconds is None:
                request = self.sent(priority, size, may_wait=may_wait)
            else:
                with deadline_scope(seconds, clock=self.clock):
                    request = self.sent(priority, size, may_wait=may_wait)
        except QueueFullError:
            assert expected == "refused"
            return
        except DeadlineExceededError:
            assert expected == "too late"
            return
        item = Item(request, priority, size, due)
        if expected == "start":
            self.start(item)
        else:
            assert expected == "wait"
            self.waiting.append(item)

    def sent(self, priority: int, size: int, *, may_wait: bool) -> Request:
        if may_wait:
            return self.queue.ask(priority=priority, size=size)
        with demand_scope(priority=priority):
            return self.queue.enter()

    def expected(self, priority: int, size: int, due: int | None, *, may_wait: bool) -> str:
        if due is not None and due <= self.clock.now_ns():
            return "too late"
        if not self.waiting and self.may_start():
            return "start"
        if not may_wait:
            return "refused"
        self.expire()
        too_many = len(self.waiting) >= self.size
        missing = sum(each.size for each in self.waiting) + size - self.memory
        if not too_many and missing <= 0:
            return "wait"
        low = [each for each in self.waiting if each.priority < 5]
        victims: list[Item] = []
        for each in low:
            if victims and sum(victim.size for victim in victims) >= missing:
                break
            victims.append(each)
        enough = sum(victim.size for victim in victims) >= missing
        if priority < 5 or not victims or not enough or self.size == 0:
            return "refused"
        for victim in victims:
            self.drop(victim, "evicted")
        return "wait"

    @rule(data=st.data(), gives_up=st.booleans())
    def end(self, data: st.DataObject, *, gives_up: bool) -> None:
        everybody = [*self.running, *self.waiting]
        if not everybody:
            return
        item = data.draw(st.sampled_from(everybody))
        if item in self.waiting:
            self.drop(item, "left")
            self.queue.give_up(item.request)
        else:
            self.running.remove(item)
            self.gone.append(item)
            item.fate = "left"
            if gives_up:
                self.queue.give_up(item.request)
                self.give_back(item)
            else:
                self.queue.leave(item.request)
        self.go_on()

    def run_out(self, ns: int) -> None:
        kept = []
        for item, left in self.charges:
            gone = min(left, ns)
            ns -= gone
            if gone < left:
                kept.append((item, left - gone))
        self.charges = kept

    def give_back(self, item: Item) -> None:
        """A start that was none gives back what is left of it; the others then seem so much older than they are."""
        before = 0
        for each, left in self.charges:
            before += left
            if each is item:
                self.run_out(min(S, before))
                return

    @rule(ms=st.sampled_from([1, 500, 1000, 2500]))
    def time_passes(self, ms: int) -> None:
        self.clock.advance_ns(ms * MS)
        self.run_out(ms * MS)
        # What the waiters would do by themselves:
        now = self.clock.now_ns()
        for item in list(self.waiting):
            if item.request.due_ns is not None and item.request.due_ns <= now:
                self.queue.time_is_up(item.request)
        self.expire()
        for item in list(self.waiting):
            if item.request.alarm_ns is not None and item.request.alarm_ns <= now:
                self.queue.alarm(item.request)
        self.go_on()

    @rule()
    def nobody_minds_a_late_word(self) -> None:
        for item in self.gone[-3:]:
            self.queue.leave(item.request)
            self.queue.give_up(item.request)
            self.queue.time_is_up(item.request)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        now = self.queue.snapshot()
        assert (now.running, now.waiting) == (len(self.running), len(self.waiting))
        assert now.waiting_bytes == sum(each.size for each in self.waiting)
        assert list(now.depths) == [sum(each.priority == p for each in self.waiting) for p in range(10)]
        assert all(each.request.state is TurnState.HELD for each in self.running)
        assert all(each.request.state is TurnState.WAITING for each in self.waiting)
        for item in self.gone:
            if item.fate in {"expired", "evicted"}:
                assert item.request.state is TurnState.DROPPED
                assert item.request.why == item.fate
        # Whoever could start has started, or somebody keeps the time until one may.
        if self.waiting and len(self.running) < self.slots:
            assert any(each.request.alarm_ns is not None for each in self.waiting)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_a_line_with_nobody_in_it() -> None:
    """An empty line has no first, no oldest low one, and nobody who has expired."""
    line = PriorityLine()
    assert line.first() is None
    assert line.oldest_low() is None
    assert line.expired(0) is None
    assert list(line) == []
    assert heapq.nsmallest(1, line._due) == []


def test_who_gives_up_takes_its_own_bytes_with_it() -> None:
    """What a request of middle priority held is no room of the low ones: those can be evicted all the same."""
    queue, _, _ = make(max_concurrent=1, max_bytes=100)
    queue.ask()
    queue.give_up(queue.ask(priority=5, size=60))
    low, high = queue.ask(priority=0, size=60), queue.ask(priority=9, size=60)
    assert (low.state, high.state) == (TurnState.DROPPED, TurnState.WAITING)


def test_who_gave_up_leaves_nothing_behind() -> None:
    """However many came and went, there is no room held for them, and those who stayed expire in their order."""
    queue, _, _ = make()
    line, dues = PriorityLine(), list(range(400))
    seeded_rng(1).shuffle(dues)
    requests = [Request(queue, number=number, priority=0, size=0, asked_ns=0) for number in range(400)]
    for request, due in zip(requests, dues, strict=True):
        request.due_ns = due
        line.put(request)
    for request in requests[30:]:
        line.remove(request)
    assert len(line._due) <= 2 * 30 + 64
    expired = []
    while (late := line.expired(400)) is not None:
        expired.append(late.due_ns)
        line.remove(late)
    assert expired == sorted(dues[:30])
