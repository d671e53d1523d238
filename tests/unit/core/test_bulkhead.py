"""The bulkhead: its limit, its line, and no slot that is lost."""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.core import _turns
from holdfast.core._turns import TaskWaker, TurnState
from holdfast.core.bulkhead import Bulkhead, BulkheadOptions, BulkheadSnapshot, BulkheadTurn
from holdfast.core.deadline import deadline_scope
from holdfast.core.events import BulkheadRejected, Events
from holdfast.core.pipeline import Pipeline
from holdfast.core.policy import Wait, Waiter
from holdfast.errors import BulkheadFullError, ConfigError, DeadlineExceededError
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder


def make(**options: Any) -> tuple[Bulkhead, FakeClock, EventRecorder]:
    clock, events = FakeClock(auto=False), Events()
    return Bulkhead(clock=clock, events=events, name="store:x", **options), clock, EventRecorder(events)


def nothing() -> None:
    """What a call does that does nothing."""


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def idle(bulkhead: Bulkhead) -> bool:
    now = bulkhead.snapshot()
    return now.inflight == 0 and now.waiting == 0


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


# --- the gate -------------------------------------------------------------------------------------------------------


def test_is_a_gate_of_a_pipeline() -> None:
    """A pipeline may wait at it; where nobody may wait it refuses at once, under the pipeline's names."""
    bulkhead, events = Bulkhead(max_concurrent=1), Events()
    assert isinstance(bulkhead, Waiter)
    assert isinstance(bulkhead.enter(), Wait)
    bulkhead = Bulkhead(max_concurrent=1)
    recorder = EventRecorder(events)
    guard = Pipeline(bulkhead, name="model:x", clock=FakeClock(), events=events)

    @guard
    def nested() -> str:
        with pytest.raises(BulkheadFullError, match="model:x has 1 calls under way") as refused:
            guard.call(nothing)
        assert refused.value.dependency == "model:x"
        return "done"

    assert nested() == "done"
    assert recorder.of(BulkheadRejected)[0].pipeline == "model:x"
    assert guard.snapshot().policies["bulkhead"] == bulkhead.snapshot()
    assert idle(bulkhead)


def test_refuses_beyond_the_limit() -> None:
    """So many calls are let in, the next is refused with a fresh error and an event, and a slot given back is free."""
    bulkhead, _, recorder = make(max_concurrent=2)
    first, _ = bulkhead.enter(), bulkhead.enter()
    errors = []
    for _ in range(2):
        with pytest.raises(BulkheadFullError, match=r"its limit, and it lets nobody wait: try again") as refused:
            bulkhead.enter()
        errors.append(refused.value)
    assert errors[0] is not errors[1]
    bulkhead.leave(first)
    assert bulkhead.enter().state is TurnState.HELD
    assert [(each.reason, each.max_concurrent, each.waiting) for each in recorder.of(BulkheadRejected)] == [
        ("full", 2, 0)
    ] * 2
    assert bulkhead.snapshot() == BulkheadSnapshot(
        max_concurrent=2, max_waiting=0, inflight=2, waiting=0, rejected=2, abandoned=0
    )


def test_leaving_twice_gives_one_slot_back() -> None:
    """A permit gives its slot back once, however often it is handed in."""
    bulkhead, _, _ = make(max_concurrent=2)
    permit, _ = bulkhead.enter(), bulkhead.enter()
    bulkhead.leave(permit)
    bulkhead.leave(permit)
    bulkhead.give_up(permit)
    assert bulkhead.snapshot().inflight == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"max_concurrent": True}, "max_concurrent"),
        ({"max_waiting": -1}, "max_waiting"),
        ({"max_wait": 0}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused at construction, by its name."""
    with pytest.raises(ConfigError) as refused:
        Bulkhead(**options)
    assert refused.value.field == field


def test_no_name_and_no_listeners() -> None:
    """Without a name and a hub of events it refuses all the same."""
    bulkhead = Bulkhead(max_concurrent=1)
    bulkhead.enter()
    with pytest.raises(BulkheadFullError, match="The dependency has 1 calls"):
        bulkhead.enter()


# --- waiting tasks --------------------------------------------------------------------------------------------------


async def test_tasks_wait_in_the_order_in_which_they_came() -> None:
    """A slot that becomes free goes to the first in the line; nobody overtakes it, and the line is bounded."""
    bulkhead, _, recorder = make(max_concurrent=1, max_waiting=3)
    first = bulkhead.enter()
    order: list[int] = []

    async def work(number: int) -> None:
        async with bulkhead.admit():
            order.append(number)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await turns()
    assert bulkhead.snapshot().waiting == 3
    with pytest.raises(BulkheadFullError, match="and 3 more are waiting"):
        bulkhead.ask()
    bulkhead.leave(first)
    with pytest.raises(BulkheadFullError):
        bulkhead.enter()  # the slot has its next holder already
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert idle(bulkhead)
    assert [each.waiting for each in recorder.of(BulkheadRejected)] == [3, 2]
    assert {each.policy for each in recorder.of(BulkheadRejected)} == {"bulkhead"}


async def test_a_wait_ends_at_max_wait() -> None:
    """Who has waited ``max_wait`` seconds is refused, and leaves the line to the others."""
    bulkhead, clock, recorder = make(max_concurrent=1, max_waiting=2, max_wait=5)
    first = bulkhead.enter()
    early = asyncio.create_task(bulkhead.ask().wait_async())
    await turns()
    clock.advance(3)
    late = asyncio.create_task(bulkhead.ask().wait_async())
    await turns()
    clock.advance(2)
    with pytest.raises(BulkheadFullError, match=r"none ended within max_wait=5 s"):
        await early
    assert [each.reason for each in recorder.of(BulkheadRejected)] == ["max_wait"]
    bulkhead.leave(first)
    bulkhead.leave(await late)
    assert idle(bulkhead)


async def test_the_deadline_ends_a_wait() -> None:
    """The context's deadline ends a wait that it cuts short, and refuses one that it would not let begin."""
    bulkhead, clock, _ = make(max_concurrent=1, max_waiting=2, max_wait=5)
    bulkhead.enter()
    with deadline_scope(2, clock=clock):
        task = asyncio.create_task(bulkhead.ask().wait_async())
        await turns()
        clock.advance(2)
        with pytest.raises(DeadlineExceededError, match="waiting for a slot of store:x"):
            await task
        with pytest.raises(DeadlineExceededError):
            bulkhead.ask()
    with deadline_scope(20, clock=clock):
        assert bulkhead.ask().due_ns == clock.now_ns() + 5 * 10**9
    patient = Bulkhead(max_concurrent=1, max_waiting=1)
    patient.enter()
    assert patient.ask().due_ns is None


def test_until_when_one_waits() -> None:
    """One waits until ``max_wait`` or the deadline, what comes first; where both are one moment it is the deadline."""
    bulkhead, clock, _ = make(max_concurrent=1, max_waiting=9, max_wait=5)
    patient = Bulkhead(max_concurrent=1, max_waiting=9, clock=clock)
    for each in (bulkhead, patient):
        each.enter()
    for seconds, due, cut in ((4, 4, True), (5, 5, True), (6, 5, False)):
        with deadline_scope(seconds, clock=clock):
            turn, other = bulkhead.ask(), patient.ask()
        assert (turn.due_ns, turn.cut) == (due * 10**9, cut)
        assert (other.due_ns, other.cut) == (seconds * 10**9, True)
    assert bulkhead.ask().due_ns == 5 * 10**9
    turn = patient.ask()
    assert (turn.due_ns, turn.cut) == (None, False)


async def test_what_is_counted_of_those_who_got_no_slot() -> None:
    """Who was refused, at the door or after waiting, is told from who gave up; a passed deadline is neither."""
    bulkhead, clock, recorder = make(max_concurrent=1, max_waiting=2, max_wait=5)
    held = bulkhead.enter()
    bulkhead.give_up(bulkhead.ask())
    late = asyncio.create_task(bulkhead.ask().wait_async())
    bulkhead.ask()
    for ask in (bulkhead.enter, bulkhead.ask):
        with pytest.raises(BulkheadFullError):
            ask()
    await turns()
    clock.advance(5)
    with pytest.raises(BulkheadFullError):
        await late
    with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError):
        bulkhead.ask()
    now = bulkhead.snapshot()
    assert (now.inflight, now.waiting, now.rejected, now.abandoned) == (1, 1, 3, 1)
    bulkhead.leave(held)
    now = bulkhead.snapshot()
    assert (now.inflight, now.waiting) == (1, 0)  # the slot went on to the one who was still in the line
    assert [each.reason for each in recorder.of(BulkheadRejected)] == ["full", "full", "max_wait"]


def test_another_max_wait() -> None:
    """Who comes after a change waits for as long as it says; who was in the line, for as long as he was told."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=9, max_wait=5)
    bulkhead.enter()
    before = bulkhead.ask()
    bulkhead.reconfigure(BulkheadOptions(max_concurrent=1, max_waiting=9, max_wait=7))
    after = bulkhead.ask()
    bulkhead.reconfigure(BulkheadOptions(max_concurrent=1, max_waiting=9))
    patient = bulkhead.ask()
    assert [turn.due_ns for turn in (before, after, patient)] == [5 * 10**9, 7 * 10**9, None]


def test_the_options_by_themselves() -> None:
    """The options have the defaults of the bulkhead: ten calls at once, and nobody waits."""
    assert Bulkhead().options == BulkheadOptions()
    assert Bulkhead().options == BulkheadOptions(max_concurrent=10, max_waiting=0, max_wait=None)


async def test_a_wait_that_ended_in_time_is_not_refused() -> None:
    """When slot and time-out come at once, the slot counts."""
    bulkhead, clock, _ = make(max_concurrent=1, max_waiting=1, max_wait=5)
    first = bulkhead.enter()
    task = asyncio.create_task(bulkhead.ask().wait_async())
    await turns()
    clock.advance(5)
    bulkhead.leave(first)
    turn = await task
    assert turn.state is TurnState.HELD
    bulkhead.time_is_up(turn)
    bulkhead.alarm(turn)
    assert turn.state is TurnState.HELD
    bulkhead.leave(turn)
    assert idle(bulkhead)


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("handed", [False, True])
async def test_cancelled_at_every_await_point(steps: int, *, handed: bool) -> None:
    """Cancelled after any number of steps, with the slot just handed over or not, a call leaves no slot behind."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=2)

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    first = bulkhead.enter()
    victim = asyncio.create_task(bulkhead.call(work))
    other = asyncio.create_task(bulkhead.call(work))
    await turns(steps)
    if handed:
        bulkhead.leave(first)
    victim.cancel()
    bulkhead.leave(first)
    with pytest.raises(asyncio.CancelledError):
        await victim
    await other
    assert idle(bulkhead)


async def test_a_slot_handed_to_a_cancelled_waiter_goes_on() -> None:
    """A waiter that is cancelled between getting its slot and running gives it to the next in line."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=2)
    first = bulkhead.enter()
    victim = asyncio.create_task(bulkhead.ask().wait_async())
    heir = asyncio.create_task(bulkhead.ask().wait_async())
    await turns()
    bulkhead.leave(first)  # hands the slot to the victim, which has not run yet
    victim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await victim
    assert bulkhead.snapshot().abandoned == 1
    bulkhead.leave(await heir)
    assert idle(bulkhead)


async def test_a_turn_that_came_before_anybody_waited_for_it() -> None:
    """A turn that is given between asking and waiting is there at once, in both forms."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=2)
    first, second, third = bulkhead.enter(), bulkhead.ask(), bulkhead.ask()
    bulkhead.leave(first)
    assert second.wait() is second
    bulkhead.leave(second)
    assert await third.wait_async() is third
    bulkhead.leave(third)
    assert idle(bulkhead)


async def test_woken_before_it_waits() -> None:
    """A task that is woken between two waits does not wait."""
    waker = TaskWaker(FakeClock())
    assert waker.wake()
    assert await waker.wait(None)


def test_a_waiter_whose_loop_is_closed_is_passed_over() -> None:
    """A task that nobody will ever run again does not keep the slot that is handed to it."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=4)
    first = bulkhead.enter()
    waits = []

    async def start() -> None:
        coroutine = bulkhead.ask().wait_async()
        waits.append(coroutine)
        coroutine.send(None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(start())
    loop.run_until_complete(start())
    last = bulkhead.ask()
    loop.close()
    for turn in list(bulkhead._line)[:2]:
        future: Any = turn.waker._future  # type: ignore[union-attr]
        future.add_done_callback(print)  # as a task that waits for it would have
    bulkhead.leave(first)
    assert last.state is TurnState.HELD
    assert bulkhead.snapshot().abandoned == 2
    other = threading.Thread(target=bulkhead.leave, args=(last,))
    other.start()
    other.join()
    assert idle(bulkhead)
    for coroutine in waits:
        with pytest.raises(KeyError):
            coroutine.throw(KeyError)
    assert idle(bulkhead)


def test_a_waiter_that_gives_up_while_it_is_woken() -> None:
    """A waiter that is gone, and has given its slot on by itself, does not give it on twice."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=2)

    class Leaving:
        loop = None

        def wake(self) -> bool:
            bulkhead.give_up(second)
            return False

    first, second, third = bulkhead.enter(), bulkhead.ask(), bulkhead.ask()
    bulkhead.watch(second, Leaving())
    bulkhead.leave(first)
    assert third.state is TurnState.HELD
    assert bulkhead.snapshot().inflight == 1


def test_a_closed_loop_is_noticed_from_another_thread() -> None:
    """Waking a task of a closed loop says so, from its own thread and from another; other errors are not hidden."""
    loop = asyncio.new_event_loop()

    async def make_waker() -> TaskWaker:
        return TaskWaker(FakeClock())

    waker = loop.run_until_complete(make_waker())
    woken: list[bool] = []
    loop.close()
    thread = threading.Thread(target=lambda: woken.append(waker.wake()))
    thread.start()
    thread.join()
    assert woken == [False]


async def test_an_error_while_waking_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a closed loop is taken for a waiter that is gone."""
    waker = TaskWaker(FakeClock())

    def broken(self: TaskWaker, *, woken: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(TaskWaker, "_end", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        waker.wake()


# --- waiting threads ------------------------------------------------------------------------------------------------


def test_many_threads_and_tasks_share_one_line() -> None:
    """Eight threads and eight tasks of another thread's loop, 400 calls: never more than three at once, none lost."""
    bulkhead = Bulkhead(max_concurrent=3, max_waiting=1000)
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

    def thread() -> None:
        for _ in range(25):
            bulkhead.call(body)

    async def task() -> None:
        for _ in range(25):
            async with bulkhead.admit():
                body()
                await asyncio.sleep(0)

    async def all_tasks() -> None:
        await asyncio.gather(*(task() for _ in range(8)))

    threads = [threading.Thread(target=thread) for _ in range(8)]
    threads.append(threading.Thread(target=lambda: asyncio.run(all_tasks())))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == 400
    assert peak <= 3
    assert idle(bulkhead)


def test_a_thread_gets_the_slot_of_another() -> None:
    """A thread blocks until another one leaves; the lock is not held meanwhile."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=1)
    first = bulkhead.enter()
    got: list[BulkheadTurn] = []
    turn = bulkhead.ask()
    thread = threading.Thread(target=lambda: got.append(turn.wait()))
    thread.start()
    while turn.waker is None:
        assert thread.is_alive()
    bulkhead.leave(first)
    thread.join()
    assert got == [turn]
    bulkhead.leave(turn)
    assert idle(bulkhead)


async def test_a_task_gets_the_slot_of_a_thread() -> None:
    """A task is woken by a thread that leaves."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=1)
    first = bulkhead.enter()
    task = asyncio.create_task(bulkhead.ask().wait_async())
    await turns()
    await asyncio.to_thread(bulkhead.leave, first)
    bulkhead.leave(await task)
    assert idle(bulkhead)


def test_a_thread_waits_no_longer_than_max_wait(threads_tell_fake_time: Callable[[FakeClock], None]) -> None:
    """A thread's wait ends at ``max_wait``, or at the deadline."""
    bulkhead, clock, _ = make(max_concurrent=1, max_waiting=1, max_wait=5)
    threads_tell_fake_time(clock)
    bulkhead.enter()
    with pytest.raises(BulkheadFullError, match="max_wait=5"), bulkhead.admit():
        raise AssertionError
    assert clock.now_ns() == 5 * 10**9
    with deadline_scope(1, clock=clock), pytest.raises(DeadlineExceededError):
        bulkhead.call(nothing)
    assert clock.now_ns() == 6 * 10**9
    assert bulkhead.snapshot().waiting == 0


def test_a_thread_really_waits() -> None:
    """Without a fake, a wait of a microsecond that nobody ends is refused."""
    bulkhead = Bulkhead(max_concurrent=1, max_waiting=1, max_wait=1e-6)
    bulkhead.enter()
    with pytest.raises(BulkheadFullError):
        bulkhead.call(nothing)


def test_an_interrupted_thread_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting takes the thread out of the line."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=1)

    def interrupted(self: _turns.ThreadWaker, ns: int | None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(_turns.ThreadWaker, "wait", interrupted)
    first = bulkhead.enter()
    with pytest.raises(KeyboardInterrupt):
        bulkhead.call(nothing)
    assert bulkhead.snapshot().waiting == 0
    bulkhead.leave(first)
    assert idle(bulkhead)


# --- its forms ------------------------------------------------------------------------------------------------------


async def test_every_form_holds_one_slot_and_gives_it_back() -> None:
    """Context manager, call and decorator, sync, async and streaming, hold a slot during the work, and only then."""
    bulkhead, _, _ = make(max_concurrent=1)
    seen: list[int] = []

    def plain(value: int) -> int:
        seen.append(bulkhead.snapshot().inflight)
        return value

    async def task(value: int) -> int:
        await asyncio.sleep(0)
        return plain(value)

    async def stream(value: int) -> AsyncGenerator[int, int | None]:
        sent = yield plain(value)
        yield plain(sent or 0)

    with bulkhead.admit():
        plain(0)
    async with bulkhead.admit():
        plain(0)
    assert bulkhead.call(plain, 1) == 1
    assert bulkhead(plain)(2) == 2
    assert await bulkhead.call(task, 3) == 3
    assert await bulkhead(task)(4) == 4
    assert await bulkhead.call(partial(task, 3)) == 3
    assert [item async for item in bulkhead.call(stream, 5)] == [5, 0]
    assert [item async for item in bulkhead(stream)(6)] == [6, 0]
    assert [item async for item in bulkhead.call(partial(stream, 7))] == [7, 0]
    generator = bulkhead(stream)(8)
    assert await anext(generator) == 8
    assert await generator.asend(9) == 9
    with pytest.raises(StopAsyncIteration):
        await anext(generator)
    assert seen == [1] * 15
    assert idle(bulkhead)
    assert inspect.iscoroutinefunction(bulkhead(task))
    assert inspect.isasyncgenfunction(bulkhead(stream))
    assert bulkhead(plain).__name__ == "plain"


async def test_failures_give_the_slot_back() -> None:
    """An error inside goes to the caller unchanged, and the slot is free again, in every form."""
    bulkhead, _, _ = make(max_concurrent=1)
    error = ValueError("x")

    def plain() -> None:
        raise error

    async def task() -> None:
        raise error

    async def stream() -> AsyncGenerator[int, None]:
        yield 1
        raise error

    with pytest.raises(ValueError, match="x"), bulkhead.admit():
        raise error
    with pytest.raises(ValueError, match="x"):
        bulkhead.call(plain)
    with pytest.raises(ValueError, match="x"):
        await bulkhead.call(task)
    with pytest.raises(ValueError, match="x"):
        async for _ in bulkhead.call(stream):
            pass
    assert idle(bulkhead)


async def test_a_stream_that_its_consumer_ends() -> None:
    """A stream that is closed early, or into which something is thrown, gives its slot back."""
    bulkhead, _, _ = make(max_concurrent=1)
    closed: list[bool] = []

    @bulkhead
    async def stream() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    generator = stream()
    assert await anext(generator) == 1
    await generator.aclose()
    generator = stream()
    assert await anext(generator) == 1
    with pytest.raises(KeyError):
        await generator.athrow(KeyError)
    assert closed == [True, True]
    assert idle(bulkhead)


async def test_one_admission_is_not_entered_twice_at_once() -> None:
    """Two at once in one admission: the second is told what to do, and no slot is lost."""
    bulkhead, _, _ = make(max_concurrent=3, max_waiting=3)
    admission = bulkhead.admit()
    with admission:
        with pytest.raises(RuntimeError, match="take a new one for each"), admission:
            raise AssertionError
        with pytest.raises(RuntimeError, match="take a new one for each"):
            async with admission:
                raise AssertionError
    holders = [bulkhead.enter() for _ in range(3)]

    async def enter() -> None:
        async with admission:
            await turns(3)

    tasks = [asyncio.create_task(enter()) for _ in range(2)]
    await turns()
    for holder in holders:
        bulkhead.leave(holder)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in done] == [type(None), RuntimeError]
    assert idle(bulkhead)


def test_what_cannot_be_guarded() -> None:
    """A class, a generator function and a number are refused with a sentence that says what to do."""

    def generator() -> Any:
        yield 1

    wrong: Any
    for wrong, why in ((int, "is a class"), (generator, "gives a stream"), (3, "is not a function")):
        with pytest.raises(ConfigError, match=why):
            make()[0](wrong)


# --- against a model ------------------------------------------------------------------------------------------------


class BulkheadMachine(RuleBasedStateMachine):
    """The bulkhead against a list of holders and a list of waiters."""

    @initialize(limit=st.integers(1, 3), waiting=st.integers(0, 4))
    def begin(self, limit: int, waiting: int) -> None:
        self.limit, self.room = limit, waiting
        self.bulkhead = Bulkhead(max_concurrent=limit, max_waiting=waiting)
        self.holders: list[BulkheadTurn] = []
        self.line: deque[BulkheadTurn] = deque()

    def next_in(self) -> None:
        if self.line and len(self.holders) < self.limit:
            self.holders.append(self.line.popleft())

    @rule()
    def ask(self) -> None:
        if len(self.holders) < self.limit:
            self.holders.append(self.bulkhead.ask())
        elif len(self.line) < self.room:
            self.line.append(self.bulkhead.ask())
        else:
            with pytest.raises(BulkheadFullError):
                self.bulkhead.ask()

    @rule()
    def enter(self) -> None:
        if len(self.holders) < self.limit:
            self.holders.append(self.bulkhead.enter())
        else:
            with pytest.raises(BulkheadFullError):
                self.bulkhead.enter()

    @rule(data=st.data(), late=st.booleans())
    def end(self, data: st.DataObject, *, late: bool) -> None:
        everybody = [*self.holders, *self.line]
        if not everybody:
            return
        turn = data.draw(st.sampled_from(everybody))
        waited = turn in self.line
        (self.line if waited else self.holders).remove(turn)
        if waited and late:
            self.bulkhead.time_is_up(turn)
        elif waited or late:
            self.bulkhead.give_up(turn)
        else:
            self.bulkhead.leave(turn)
        self.next_in()

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "bulkhead"):
            return
        now = self.bulkhead.snapshot()
        assert (now.inflight, now.waiting) == (len(self.holders), len(self.line))
        assert all(turn.state is TurnState.HELD for turn in self.holders)
        assert all(turn.state is TurnState.WAITING for turn in self.line)


TestBulkheadMachine = BulkheadMachine.TestCase
TestBulkheadMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def play(script: list[tuple[str, int]]) -> None:
    bulkhead, _, _ = make(max_concurrent=2, max_waiting=4)
    running: list[asyncio.Future[None]] = []
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        gate = asyncio.get_running_loop().create_future()
        async with bulkhead.admit():
            running.append(gate)
            await gate

    for action, index in script:
        if action == "start":
            tasks.append(asyncio.create_task(work()))
        elif action == "cancel" and tasks:
            tasks[index % len(tasks)].cancel()
        elif action == "turn":
            await asyncio.sleep(0)
        elif running:
            gate = running.pop(index % len(running))
            if not gate.done():
                gate.set_result(None)
        assert bulkhead.snapshot().inflight <= 2
    for _ in range(50):
        for gate in running:
            if not gate.done():
                gate.set_result(None)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert idle(bulkhead)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["start", "cancel", "turn", "leave"]), st.integers(0, 7)), max_size=40))
def test_any_interleaving_of_starts_ends_and_cancellations(script: list[tuple[str, int]]) -> None:
    """Whatever the order of arrivals, endings and cancellations of tasks, no slot is lost and none is made."""
    asyncio.run(play(script))


async def test_more_slots_are_for_those_who_wait_already() -> None:
    """They begin as soon as there are more, in the order in which they came, and nobody has to leave first."""
    bulkhead, _, _ = make(max_concurrent=1, max_waiting=3, max_wait=None)
    bulkhead.enter()
    waiting = [asyncio.create_task(bulkhead.admitted_async()) for _ in range(3)]
    await turns()
    bulkhead.reconfigure(BulkheadOptions(max_concurrent=3, max_waiting=3, max_wait=None))
    await turns()
    assert [each.done() for each in waiting] == [True, True, False]
    assert bulkhead.snapshot().inflight == 3
    bulkhead.leave(waiting[0].result())
    await turns()
    assert waiting[2].done()


def test_a_deadline_that_ends_in_the_line_of_a_nameless_bulkhead() -> None:
    """The error says what was waited for, whether it has a name or not."""
    clock = FakeClock(auto=False)
    for name, said in (("store:x", "a slot of store:x"), ("", "a slot of the dependency")):
        bulkhead = Bulkhead(clock=clock, name=name, max_concurrent=1, max_waiting=1)
        bulkhead.enter()
        with deadline_scope(0, clock=clock), pytest.raises(DeadlineExceededError, match=said):
            bulkhead.ask().wait()
