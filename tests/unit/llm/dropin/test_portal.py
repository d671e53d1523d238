"""The event loop behind sync clients, and its threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import RejectedError
from holdfast.llm.dropin.portal import Portal, portal
from holdfast.llm.dropin.threads import DaemonBlocking

if TYPE_CHECKING:
    from collections.abc import Iterator

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


@pytest.fixture
def door() -> Iterator[Portal]:
    made = Portal()
    yield made
    made.close()


class Pieces:
    """A body that notes what became of it."""

    def __init__(self, pieces: list[bytes | Exception], *, endless: bool = False) -> None:
        self._pieces = pieces
        self._endless = endless
        self.given = 0
        self.closed = threading.Event()

    async def __anext__(self) -> bytes:
        if self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            self.given += 1
            return piece
        if self._endless:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.set()


def test_a_call_runs_on_the_loop_in_the_callers_context(door: Portal) -> None:
    """A coroutine runs on another thread, sees the caller's context variables, and its result or error comes back."""

    async def work(fail: bool) -> tuple[str, str]:
        await asyncio.sleep(0)
        if fail:
            raise LookupError("no")
        return WHO.get(), threading.current_thread().name

    WHO.set("me")
    assert door.call(lambda: work(fail=False)) == ("me", "holdfast-portal")
    with pytest.raises(LookupError, match="no"):
        door.call(lambda: work(fail=True))


def test_closing_ends_the_calls_under_way() -> None:
    """When the portal closes, a caller that waits gets a ConnectionError, and a second close does nothing."""
    door = Portal()
    begun = threading.Event()
    heard: list[BaseException] = []

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            door.call(forever)
        except BaseException as error:  # noqa: BLE001
            heard.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(10)
    door.close()
    door.close()
    thread.join(10)
    assert isinstance(heard[0], ConnectionError)
    door.soon(lambda: None)  # nobody is there any more, and nobody complains


def test_ctrl_c_cancels_the_call(door: Portal) -> None:
    """What interrupts the caller cancels the coroutine."""
    begun, cancelled = threading.Event(), threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def interrupt() -> None:
        assert begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            door.call(forever)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join(10)
    assert cancelled.wait(10)


def test_a_body_is_read(door: Portal) -> None:
    """A thread gets every byte in order, then the end; and the body is closed."""
    body = Pieces([b"a", b"b", b"c"])
    assert b"".join(door.read(body)) == b"abc"
    assert body.closed.wait(10)


def test_a_body_that_breaks(door: Portal) -> None:
    """What came before the error is given, then the error once."""
    body = Pieces([b"a", ValueError("broken")])
    reader = door.read(body)
    assert next(reader) == b"a"
    with pytest.raises(ValueError, match="broken"):
        next(reader)
    with pytest.raises(StopIteration):
        next(reader)


def test_a_slow_reader_slows_the_body(door: Portal) -> None:
    """Not more than the bound is read ahead of a thread that reads slowly."""
    body = Pieces([bytes(100_000) for _ in range(50)])
    reader = door.read(body)
    size = 0
    for piece in reader:
        size += len(piece)
        assert body.given * 100_000 <= size + 400_000
    assert size == 5_000_000


def test_closing_a_body_early(door: Portal) -> None:
    """A body that is closed, read or unread, or dropped, is closed over there."""
    bodies = [Pieces([b"a"], endless=True) for _ in range(3)]
    begun, unread, dropped = (door.read(body) for body in bodies)
    assert next(begun) == b"a"
    begun.close()
    unread.close()
    assert bodies[0].closed.is_set()
    assert bodies[1].closed.is_set()
    del dropped
    assert bodies[2].closed.wait(10)


def test_there_is_one_portal_for_a_process_and_another_for_its_child() -> None:
    """All clients share one thread; a forked child, in which that thread does not run, gets another."""
    code = """
import os, sys, warnings
from holdfast.llm.dropin.portal import portal
async def work(): return 7
assert portal() is portal() and portal().call(work) == 7
child = os.fork()
if child == 0:
    os._exit(portal().call(work))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
    assert portal() is portal()


def test_a_process_ends_though_a_thread_waits() -> None:
    """A thread that is stuck in a read does not keep the process from ending."""
    code = """
import asyncio, threading
from holdfast.llm.dropin.portal import portal
begun = threading.Event()
def stuck():
    begun.set()
    threading.Event().wait()
async def work(): await portal().blocking.run("read", stuck)
threading.Thread(target=lambda: portal().call(work), daemon=True).start()
begun.wait()
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout == "fine\n"


async def test_blocking_work() -> None:
    """Work runs on a thread in the caller's context; results and errors come back, a StopIteration as another one."""
    blocking = DaemonBlocking()
    WHO.set("me")
    assert await blocking.run("k", lambda: (WHO.get(), threading.current_thread().daemon)) == ("me", True)
    with pytest.raises(LookupError):
        await blocking.run("k", dict[str, str]().__getitem__, "x")
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await blocking.run("k", iter(()).__next__)
    await blocking.close()
    with pytest.raises(RejectedError, match="closed"):
        await blocking.run("k", int)


async def test_threads_are_bounded_and_go_when_idle() -> None:
    """More work than threads waits its turn, and threads without work end."""
    blocking = DaemonBlocking(most=2, idle_seconds=0.01)
    gate = threading.Event()
    await asyncio.to_thread(gate.is_set)  # a thread of the loop's own, which stays
    before = set(threading.enumerate())
    names: set[str] = set()

    def work() -> None:
        gate.wait(10)
        names.add(str(threading.get_ident()))

    tasks = [asyncio.create_task(blocking.run("k", work)) for _ in range(6)]
    await asyncio.sleep(0)
    tasks[-1].cancel()  # it waits for a thread: it is not run
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 1 <= len(names) <= 2
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
    assert blocking._threads == 0
    assert await blocking.run("k", int) == 0
    busy: Any = asyncio.create_task(blocking.run("k", gate.wait, 10))
    await asyncio.sleep(0)
    await blocking.close()
    assert await busy is True


async def test_too_much_waits() -> None:
    """What would wait behind a thousand pieces of work is refused."""
    blocking = DaemonBlocking(most=1)
    gate = threading.Event()
    tasks = [asyncio.create_task(blocking.run("k", gate.wait, 10)) for _ in range(1002)]
    await asyncio.sleep(0)
    with pytest.raises(RejectedError, match="too much is waiting"):
        await tasks[-1]
    gate.set()
    await asyncio.gather(*tasks[:-1])
