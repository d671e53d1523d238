"""The pool of threads."""

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.ports import Blocking
from holdfast.errors import ConfigError, RejectedError
from holdfast.testing.clock import FakeClock

VAR: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="outside")


class Gate:
    """Work that runs until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.done = 0

    def work(self) -> str:
        self.begun.release()
        assert self.go.wait(10)
        self.done += 1
        return threading.current_thread().name

    async def running(self, count: int = 1) -> None:
        for _ in range(count):
            await asyncio.to_thread(self.begun.acquire, timeout=10)


async def test_runs_on_named_threads_with_the_callers_context() -> None:
    """Work runs off the loop's thread, on a named one, with the caller's context and deadline."""
    pool = ThreadBlocking(2, name="store")
    assert isinstance(pool, Blocking)
    clock = FakeClock()
    VAR.set("caller")

    def look(a: int, *, b: int) -> tuple[str, str, int | None, int]:
        seen = VAR.get()
        VAR.set("thread")
        return threading.current_thread().name, seen, remaining_ns(clock), a + b

    with deadline_scope(3, clock=clock):
        name, seen, left, total = await pool.run("store.read", look, 1, b=2)
    assert name.startswith("store_")
    assert (seen, left, total) == ("caller", 3 * 10**9, 3)
    assert VAR.get() == "caller"
    await pool.close()


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), KeyError("x")])
async def test_raises_what_the_work_raises(error: Exception) -> None:
    """An error of the work is the caller's, the same object."""
    pool = ThreadBlocking(1)

    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await pool.run("x", fails)
    assert raised.value is error
    await pool.close()


async def test_stop_iteration_does_not_hang() -> None:
    """A StopIteration, which no future can carry, is an error that names the kind of work."""
    pool = ThreadBlocking(1)
    with pytest.raises(RuntimeError, match=r"store\.read: the function raised StopIteration"):
        await pool.run("store.read", next, iter(()))
    await pool.close()


async def test_work_runs_side_by_side_up_to_the_limit() -> None:
    """As many pieces of work run at once as there are threads; the rest waits its turn."""
    pool, gate = ThreadBlocking(2), Gate()
    tasks = [asyncio.create_task(pool.run("x", gate.work)) for _ in range(5)]
    await gate.running(2)
    assert not gate.begun.acquire(blocking=False)
    gate.go.set()
    assert len(set(await asyncio.gather(*tasks))) <= 2
    assert gate.done == 5
    await pool.close()


async def test_a_cancelled_caller_does_not_wait() -> None:
    """Running work is abandoned and runs to its end; work that has not begun never does; close waits for the rest."""
    pool, gate = ThreadBlocking(1), Gate()
    running = asyncio.create_task(pool.run("x", gate.work))
    await gate.running()
    waiting = asyncio.create_task(pool.run("x", gate.work))
    await asyncio.sleep(0)
    for task in (running, waiting):
        task.cancel()
    await asyncio.wait([running, waiting])
    assert running.cancelled()
    assert waiting.cancelled()
    assert gate.done == 0
    closing = asyncio.create_task(pool.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    gate.go.set()
    await closing
    assert gate.done == 1


async def test_abandoned_work_cannot_pile_up() -> None:
    """Abandoned work counts against the limit: beyond it new work is refused at once, until some of it has ended."""
    pool, gate = ThreadBlocking(2, max_waiting=1), Gate()
    tasks = [asyncio.create_task(pool.run("x", gate.work)) for _ in range(2)]
    await gate.running(2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    waits = asyncio.create_task(pool.run("x", int))
    await asyncio.sleep(0)
    with pytest.raises(RejectedError, match="embed: 3 pieces of blocking work wait or run already"):
        await pool.run("embed", int)
    gate.go.set()
    assert await waits == 0
    await pool.close()


async def test_how_much_it_takes_by_default() -> None:
    """By default four pieces of work run at once, a thousand wait, and more is refused."""
    pool, gate = ThreadBlocking(), Gate()
    work = [asyncio.create_task(pool.run("x", gate.work)) for _ in range(1004)]
    await gate.running(4)
    with pytest.raises(RejectedError, match="x: 1004 pieces of blocking work"):
        await pool.run("x", int)
    gate.go.set()
    assert len(set(await asyncio.gather(*work))) <= 4
    await pool.close()


async def test_no_work_may_wait() -> None:
    """With no room to wait, work is refused while every thread is taken."""
    pool, gate = ThreadBlocking(1, max_waiting=0), Gate()
    work = asyncio.create_task(pool.run("x", gate.work))
    await gate.running()
    with pytest.raises(RejectedError, match="x: 1 pieces of blocking work"):
        await pool.run("x", int)
    gate.go.set()
    await work
    await pool.close()


async def test_dedicated_threads() -> None:
    """A kind with threads of its own does not keep other kinds waiting."""
    pool, gate = ThreadBlocking(1, dedicated={"embed.batch": 1}), Gate()
    batch = asyncio.create_task(pool.run("embed.batch", gate.work))
    await gate.running()
    assert await pool.run("embed.query", int) == 0
    gate.go.set()
    assert "embed.batch" in await batch
    await pool.close()


async def test_after_close_work_is_refused() -> None:
    """A closed pool says so; closing again is harmless, and its threads are gone."""
    pool = ThreadBlocking(1, name="gone")
    await pool.run("x", int)
    await pool.close()
    await pool.close()
    with pytest.raises(RejectedError, match=r"store\.read: the pool of threads is closed"):
        await pool.run("store.read", int)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gone")]


async def test_close_can_be_given_up_and_resumed() -> None:
    """Cancelling close stops the waiting and not the work; a second close waits again."""
    pool, gate = ThreadBlocking(1), Gate()
    work = asyncio.create_task(pool.run("x", gate.work))
    await gate.running()
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    gate.go.set()
    await work
    await pool.close()
    assert gate.done == 1


@pytest.mark.parametrize(
    "options",
    [
        {"max_workers": 0},
        {"max_workers": 1.5},
        {"max_waiting": -1},
        {"dedicated": {"x": 0}},
        {"dedicated": 5},
        {"name": 5},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    """Each option out of its range is refused by name."""
    with pytest.raises(ConfigError) as refused:
        ThreadBlocking(**options)
    assert refused.value.field.startswith(next(iter(options)))
