"""The virtual loop: order, time, cancellation, errors, and the ends of programs that would not end."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.clock import Clock
from holdfast.errors import ConfigError
from holdfast.lab.virtual.errors import DeadlockError, OutsideWorldError, RunawayError, VirtualTimeError
from holdfast.lab.virtual.loop import VirtualLoop
from holdfast.lab.virtual.running import NEW_YEAR_2026, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from holdfast.lab.virtual.clock import VirtualClock

SECOND = 1_000_000_000


def test_nobody_waits() -> None:
    """A day of sleeping takes no time, and passes to the nanosecond."""

    async def main(clock: VirtualClock) -> int:
        await asyncio.sleep(86_400)
        await clock.asleep_ns(1)
        return clock.now_ns()

    began = time.monotonic()
    ran = run(main)
    assert ran.value == 86_400 * SECOND + 1
    assert ran.seconds == pytest.approx(86_400)
    assert time.monotonic() - began < 5


def test_the_clock_is_a_clock() -> None:
    """It reads Unix time from the start that was given, and the loop's own time agrees with it."""

    async def main(clock: VirtualClock) -> tuple[int, int, float]:
        assert isinstance(clock, Clock)
        await asyncio.sleep(1.5)
        return clock.now_ns(), clock.wall_ns(), asyncio.get_running_loop().time()

    assert run(main).value == (1_500_000_000, round(NEW_YEAR_2026 + 1.5) * SECOND - SECOND // 2, 1.5)
    assert run(main, start=0).value[1] == 1_500_000_000


def test_equal_times_fire_in_the_order_in_which_they_were_set() -> None:
    """Ties go by insertion, whichever way the timers were set, and a cancelled one is skipped."""
    order: list[str] = []

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        clock.call_later_ns(2 * SECOND, lambda: order.append("a"))
        loop.call_later(2, order.append, "b")
        loop.call_at(2.0, order.append, "c")
        loop.call_later(2, order.append, "never").cancel()
        loop.call_soon(order.append, "never").cancel()
        loop.call_later(1, order.append, "first")
        await asyncio.sleep(2)
        order.append("me")

    run(main)
    assert order == ["first", "a", "b", "c", "me"]


def test_what_is_ready_runs_before_time_passes() -> None:
    """Callbacks run in the order in which they became ready; a delay of nothing, or less, is soon."""
    order: list[int] = []

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(order.append, 1)
        loop.call_later(0, order.append, 2)
        loop.call_later(-5, order.append, 3)
        loop.call_soon_threadsafe(order.append, 4)
        clock.call_later_ns(0, lambda: order.append(5))
        assert order == []
        await clock.asleep_ns(0)
        assert order == [1, 2, 3, 4, 5]
        assert clock.now_ns() == 0

    run(main)


def test_a_sync_sleep_makes_everybody_late() -> None:
    """A callback that blocks lets time pass for the whole loop: timers on the way fire after it, late."""
    seen: list[tuple[str, float]] = []

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: seen.append(("timer", loop.time())))
        clock.sleep_ns(3 * SECOND)
        clock.sleep_ns(-1)
        loop.call_later(1, seen.append, ("never", 0.0)).cancel()
        seen.append(("me", loop.time()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main)
    assert seen == [("me", 3.0), ("timer", 3.0)]


def test_time_beside_the_loop() -> None:
    """What passes beside the loop is counted, and has not passed for the loop."""

    async def main(clock: VirtualClock) -> None:
        begun = clock.now_ns()
        clock.sleep_ns(7)
        assert (clock.back_to(begun), clock.now_ns()) == (7, begun)

    run(main)


def test_timeouts_and_cancellation() -> None:
    """``asyncio.timeout``, ``wait_for``, ``wait`` and ``shield`` end at their times; a cancelled task ends at once."""

    async def main(clock: VirtualClock) -> list[float]:
        loop, times = asyncio.get_running_loop(), []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.sleep(10)
        times.append(loop.time())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.5)
        times.append(loop.time())
        task = asyncio.create_task(asyncio.sleep(10))
        done, waiting = await asyncio.wait({task}, timeout=1)
        assert (len(done), len(waiting)) == (0, 1)
        times.append(loop.time())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        inner = asyncio.create_task(asyncio.sleep(1, "inner"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 0.25)
        times.append(loop.time())
        assert await inner == "inner"
        times.append(loop.time())
        sleeper = asyncio.create_task(clock.asleep_ns(10 * SECOND))
        await asyncio.sleep(0)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        return times

    ran = run(main)
    assert ran.value == [2.0, 2.5, 3.5, 3.75, 4.5]
    assert ran.seconds == 4.5


def test_task_groups_locks_and_queues() -> None:
    """The usual tools of asyncio work: a group cancels its tasks when one fails, a lock is fair, a queue hands on."""

    async def main(clock: VirtualClock) -> list[Any]:
        order: list[Any] = []
        lock, queue = asyncio.Lock(), asyncio.Queue[int](maxsize=1)

        async def locked(name: str, seconds: float) -> None:
            async with lock:
                await asyncio.sleep(seconds)
                order.append((name, clock.now_ns() // SECOND))

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)

        async def together(*work: Any) -> None:
            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(each)

        async with asyncio.TaskGroup() as group:
            group.create_task(locked("a", 3))
            group.create_task(locked("b", 1))
            group.create_task(produce())
            order.append([await queue.get() for _ in range(3)])
        with pytest.raises(ExceptionGroup) as failed:
            await together(locked("never", 5), _raises(KeyError("x")))
        order.append(type(failed.value.exceptions[0]).__name__)
        return order

    assert run(main).value == [[0, 1, 2], ("a", 3), ("b", 4), "KeyError"]


async def _raises(error: Exception) -> None:
    await asyncio.sleep(0.1)
    raise error


def test_generators_are_closed() -> None:
    """A generator that is left is closed at once when nobody holds it, and else at the end of the run."""
    closed: list[str] = []

    async def numbers(name: str) -> AsyncIterator[int]:
        try:
            for number in range(5):
                await asyncio.sleep(1)
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append(name)

    kept: list[Any] = []

    async def main(clock: VirtualClock) -> int:
        async for number in numbers("left"):
            if number == 1:
                break
        await asyncio.sleep(0.5)
        assert closed == ["left"]
        kept.append(numbers("kept"))
        return await anext(kept[0])

    assert run(main).value == 0
    assert closed == ["left", "kept"]


def test_generators_that_have_ended_are_forgotten() -> None:
    """A run of any length remembers the generators that are open, and closes them in the order in which they began."""
    closed: list[int] = []

    async def numbers(name: int) -> AsyncGenerator[int, None]:
        try:
            yield name
        finally:
            closed.append(name)

    async def main(_: VirtualClock) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for number in range(5_000):
            opened = numbers(number)
            await anext(opened)
            if number % 1_000:
                await opened.aclose()
            else:
                left.append(opened)
        closed.clear()
        return len(loop._generators)

    left: list[AsyncGenerator[int, None]] = []
    assert run(main).value < 2_000
    assert closed == [0, 1_000, 2_000, 3_000, 4_000]


def test_context_variables() -> None:
    """A task has a copy of its maker's context; callbacks run in the context in which they were set."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    async def child() -> None:
        seen.append(variable.get())
        variable.set("child")

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()
        variable.set("mine")
        await asyncio.create_task(child())
        seen.append(variable.get())
        loop.call_later(1, lambda: seen.append(variable.get()))
        variable.set("later")
        given = contextvars.Context()
        await loop.create_task(child(), context=given, name="given")
        seen.append(given[variable])
        await asyncio.sleep(1)

    run(main)
    assert seen == ["mine", "mine", "none", "child", "mine"]


def test_what_the_program_raises_is_raised() -> None:
    """An error of the program is the caller's, and so is its cancellation of itself."""

    async def main(clock: VirtualClock) -> None:
        raise LookupError("mine")

    async def cancelled(clock: VirtualClock) -> None:
        raise asyncio.CancelledError

    with pytest.raises(LookupError, match="mine"):
        run(main)
    with pytest.raises(asyncio.CancelledError):
        run(cancelled)


def test_a_callback_that_raises_ends_the_run() -> None:
    """Its error is the cause, with a note that names the callback; a handler that was set hears of it instead."""
    heard: list[dict[str, Any]] = []

    def boom() -> None:
        raise ValueError("boom")

    async def main(clock: VirtualClock) -> str:
        loop = asyncio.get_running_loop()
        if handled:
            loop.set_exception_handler(lambda _, context: heard.append(context))
            assert loop.get_exception_handler() is not None
        loop.call_soon(boom)
        await asyncio.sleep(1)
        return "done"

    handled = False
    with pytest.raises(VirtualTimeError, match="A callback raised ValueError: boom") as failed:
        run(main)
    assert isinstance(failed.value.__cause__, ValueError)
    assert "boom" in failed.value.__cause__.__notes__[0]
    handled = True
    assert run(main).value == "done"
    assert [type(context["exception"]).__name__ for context in heard] == ["ValueError"]


def test_an_interrupt_goes_through() -> None:
    """Ctrl-C in a callback stops the run at once."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def main(clock: VirtualClock) -> None:
        asyncio.get_running_loop().call_soon(interrupt)
        await asyncio.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run(main)


def test_an_error_that_nobody_fetches_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The exception of a task that nobody awaits goes to asyncio's log."""

    async def main(clock: VirtualClock) -> None:
        task = asyncio.create_task(_raises(ValueError("lost")))
        await asyncio.sleep(1)
        del task

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(main)
    assert "never retrieved" in caplog.text


def test_a_deadlock_names_what_waits() -> None:
    """A program that nobody will wake is an error with each task, its coroutine and its line."""

    async def waiter(event: asyncio.Event) -> None:
        await event.wait()

    async def main(clock: VirtualClock) -> None:
        await asyncio.sleep(2)
        event = asyncio.Event()
        other = asyncio.create_task(waiter(event), name="other")
        await asyncio.gather(waiter(event), other)

    with pytest.raises(DeadlockError, match="no timer is set at 2 s") as stuck:
        run(main)
    assert [line.split(":")[0] for line in stuck.value.pending] == ["Task-1", "other", "Task-3"]
    assert any("waiter" in line and "locks.py:" in line for line in stuck.value.pending)


def test_a_deadlock_of_many_is_short() -> None:
    """Twenty tasks are listed, and the rest is counted."""

    async def main(clock: VirtualClock) -> None:
        never = asyncio.Event()
        await asyncio.gather(*(never.wait() for _ in range(30)))

    with pytest.raises(DeadlockError) as stuck:
        run(main)
    assert len(stuck.value.pending) == 21
    assert stuck.value.pending[-1] == "and 11 more"


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many steps, too much time, and going round in circles are errors that say so."""

    async def forever(clock: VirtualClock) -> None:
        for _ in itertools.count():
            await asyncio.sleep(step)

    step = 1.0
    with pytest.raises(RunawayError, match="not done after 60 s of virtual time"):
        run(forever, max_seconds=60)
    with pytest.raises(RunawayError, match="more than the program was given"):
        run(forever, max_steps=100)
    step = 0.0
    monkeypatch.setattr("holdfast.lab.virtual.loop._MOST_AT_ONCE", 10_000)
    with pytest.raises(RunawayError, match="without any time passing"):
        run(forever)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"start": -1}, "start"),
        ({"max_steps": 0}, "max_steps"),
        ({"max_seconds": 0}, "max_seconds"),
    ],
)
def test_options_are_checked(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused by name."""

    async def main(clock: VirtualClock) -> None:
        """Never run."""

    with pytest.raises(ConfigError, match=field):
        run(main, **options)


async def _thread(clock: VirtualClock) -> None:
    await asyncio.to_thread(time.sleep, 0)


async def _executor(clock: VirtualClock) -> None:
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 0)


async def _socket(clock: VirtualClock) -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def _names(clock: VirtualClock) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def _reader(clock: VirtualClock) -> None:
    with socket.socket() as some:
        asyncio.get_running_loop().add_reader(some, print)


async def _process(clock: VirtualClock) -> None:
    await asyncio.create_subprocess_exec("true")


async def _signal(clock: VirtualClock) -> None:
    asyncio.get_running_loop().add_signal_handler(10, print)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (_thread, "run_in_executor.*needs a thread.*ModelledBlocking"),
        (_executor, "run_in_executor.*ModelledBlocking"),
        (_socket, "create_connection.*needs a socket.*InProcessHttp"),
        (_names, "getaddrinfo.*the network.*InProcessHttp"),
        (_reader, "add_reader.*a socket"),
        (_process, "subprocess_exec.*a process"),
        (_signal, "add_signal_handler.*a signal"),
    ],
)
def test_the_outside_world_is_refused(program: Any, words: str) -> None:
    """A thread, a socket, a process or a signal is an error that says what to use instead."""
    with pytest.raises(OutsideWorldError, match=words):
        run(program)


def test_a_refusal_that_is_swallowed_fails_the_run() -> None:
    """Code that falls back on anything after any error does not hide that it reached for a thread."""

    async def main(clock: VirtualClock) -> str:
        try:
            await asyncio.to_thread(time.sleep, 0)
        except RuntimeError:
            return "cached"
        return "live"

    with pytest.raises(OutsideWorldError, match="run_in_executor"):
        run(main)


def test_a_foreign_thread_is_refused() -> None:
    """A callback from another thread raises there, and fails the run."""
    raised: list[BaseException] = []

    async def main(clock: VirtualClock) -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except OutsideWorldError as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with pytest.raises(OutsideWorldError, match="another thread"):
        run(main)
    assert len(raised) == 1


def test_what_is_left_is_cancelled() -> None:
    """Tasks that are still going on when the program is done are cancelled, waited for and counted."""
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(1)
            ended.append("cleaned up")

    kept: list[Any] = []

    async def main(clock: VirtualClock) -> None:
        kept.append(asyncio.create_task(background()))
        await asyncio.sleep(1)

    ran = run(main)
    assert (ran.left, ended, ran.seconds) == (1, ["cleaned up"], 2.0)


def test_sets_of_tasks_are_walked_in_one_order() -> None:
    """What asyncio keeps in sets (a group's tasks, what ``wait`` gives) comes in the same order in every run."""

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(number)

    async def main(clock: VirtualClock) -> list[int]:
        async def failing() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(7):
                    group.create_task(work(number))
                group.create_task(_raises(ValueError("x")))

        with pytest.raises(ExceptionGroup):
            await failing()
        done, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(1, number)) for number in range(7)])
        return [task.result() for task in done]

    orders = []
    for _ in range(5):
        ended: list[int] = []
        orders.append((run(main).value, ended))
    assert orders == [orders[0]] * 5


def test_many_cancelled_timers_take_no_room() -> None:
    """Timers that were cancelled are thrown out together, so that a long run does not pile them up."""

    async def main(clock: VirtualClock) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for _ in range(10_000):
            loop.call_later(1_000, print).cancel()
        handle = loop.call_later(5, print)
        assert (handle.cancelled(), handle.when()) == (False, 5.0)
        assert "due at 5 s" in repr(handle)
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
        return len(loop._timers)

    assert run(main).value < 1_000


def test_the_loop_is_a_loop() -> None:
    """What asyncio asks of every loop is there: it tells how it is, and runs in one place at a time."""
    loop = VirtualLoop()
    factory: object = loop.get_task_factory()  # type: ignore[func-returns-value]
    assert (loop.is_running(), loop.is_closed(), loop.get_debug(), factory) == (False, False, False, None)
    loop.set_debug(True)
    loop.set_task_factory(None)
    with pytest.raises(VirtualTimeError, match="takes no factory"):
        loop.set_task_factory(print)

    async def main() -> None:
        assert loop.is_running()
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="Cannot close a running"):
            loop.close()

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())

    async def stopped() -> None:
        loop.stop()
        await asyncio.sleep(1)

    with pytest.raises(VirtualTimeError, match="stopped before"):
        loop.run_until_complete(stopped())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()


def test_asyncios_own_runner_takes_it() -> None:
    """``asyncio.Runner`` runs programs on it."""

    async def main() -> float:
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 100.0
