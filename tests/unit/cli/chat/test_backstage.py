"""The engine's own thread: calls into it, and how they are stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.cli.chat.backstage import Backstage, Stopped
from holdfast.errors import StoreUnavailableError
from holdfast.rag.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SETTINGS = load_settings(environ={})


class Engine:
    """Stands in for an engine; counts how it was opened and closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.log: list[str] = []

    @asynccontextmanager
    async def opened(self, settings: object, *, create: bool = True) -> AsyncIterator[Any]:
        if self.error is not None:
            raise self.error
        self.log.append(f"open create={create}")
        try:
            yield self
        finally:
            self.log.append("close")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    stand_in = Engine()
    monkeypatch.setattr("holdfast.cli.session.opened", stand_in.opened)
    return stand_in


class Hanging:
    """A coroutine that hangs, and tells when it began and how it ended."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = ""

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # cleaning up takes a moment
            self.ended = "cancelled"
            raise


async def others() -> int:
    """How many tasks there are beside the one that keeps the engine open and this one."""
    return len(asyncio.all_tasks()) - 2


async def answer() -> int:
    return 42


async def fail() -> None:
    raise ValueError("broken")


def test_calls_run_on_another_thread(engine: Engine) -> None:
    """A call gives its result or raises its error; the store is not made, and all is closed at the end."""
    with Backstage(SETTINGS) as backstage:
        opened: Any = backstage.engine
        assert opened is engine
        assert backstage.call(answer()) == 42
        with pytest.raises(ValueError, match="broken"):
            backstage.call(fail())
        assert not backstage.interrupt()
    assert engine.log == ["open create=False", "close"]


def test_an_engine_that_does_not_open_is_told(engine: Engine) -> None:
    """The failure to open is raised where the block begins, and the thread has ended."""
    engine.error = StoreUnavailableError("There is no store.")
    threads = threading.active_count()
    with pytest.raises(StoreUnavailableError), Backstage(SETTINGS):
        pytest.fail("it cannot be opened")
    assert threading.active_count() == threads


def test_ctrl_c_stops_the_call_and_waits_for_its_end(engine: Engine) -> None:
    """A real SIGINT ends the call as stopped, after its cleaning up, and leaves no task; the next call works."""
    before = signal.getsignal(signal.SIGINT)
    with Backstage(SETTINGS) as backstage:
        hanging = Hanging()

        def press() -> None:
            hanging.began.wait(5)
            os.kill(os.getpid(), signal.SIGINT)

        interrupter = threading.Thread(target=press)
        interrupter.start()
        with pytest.raises(Stopped):
            backstage.call(hanging.run())
        interrupter.join()
        assert hanging.ended == "cancelled"
        assert backstage.call(others()) == 0
        assert backstage.call(answer()) == 42
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_without_a_call_is_the_prompts(engine: Engine) -> None:
    """Between two calls a SIGINT is Python's own KeyboardInterrupt."""
    with Backstage(SETTINGS), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert engine.log[-1] == "close"
