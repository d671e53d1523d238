"""The engine on a thread of its own, and one call at a time into it, which Ctrl-C stops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from holdfast.cli import session

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import FrameType, TracebackType

    from holdfast.rag.engine import Engine
    from holdfast.rag.settings import Settings

__all__ = ["Backstage", "Stopped"]

T = TypeVar("T")

_GLANCE_SECONDS = 0.5


class Stopped(Exception):  # noqa: N818 - it is what the user wanted
    """The call was stopped by Ctrl-C, and has ended."""


class Backstage:
    """An open engine, for the length of a ``with`` block in the main thread.

    Raises:
        StoreError: the document store cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready: concurrent.futures.Future[tuple[Engine, asyncio.AbstractEventLoop, asyncio.Event]] = (
            concurrent.futures.Future()
        )
        self._thread = threading.Thread(target=self._run, name="holdfast-chat")
        self._running: asyncio.Task[Any] | None = None
        self._before: Any = None

    @property
    def engine(self) -> Engine:
        """The engine. Its coroutines go through :meth:`call`."""
        return self._ready.result()[0]

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the engine's loop, and wait until it has ended.

        Raises:
            Stopped: Ctrl-C came meanwhile; the coroutine was cancelled, and has cleaned up behind itself.
        """
        _, loop, _ = self._ready.result()
        future = asyncio.run_coroutine_threadsafe(self._watched(coroutine), loop)
        while not future.done():  # in short waits: a signal that comes just before a long one would wait with it
            concurrent.futures.wait((future,), timeout=_GLANCE_SECONDS)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise Stopped from None

    def interrupt(self) -> bool:
        """Stop what runs; False when nothing does."""
        task = self._running
        if task is None:
            return False
        self._ready.result()[1].call_soon_threadsafe(task.cancel)
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._leave()
            raise
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        self._leave()

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.interrupt():
            raise KeyboardInterrupt

    def _leave(self) -> None:
        # what is asked before the engine is open takes effect once it is
        self._ready.add_done_callback(_release)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception as error:  # noqa: BLE001 - raised in the main thread, where somebody can tell it
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _main(self) -> None:
        leaving = asyncio.Event()
        async with session.opened(self._settings, create=False) as engine:
            self._ready.set_result((engine, asyncio.get_running_loop(), leaving))
            await leaving.wait()

    async def _watched(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self._running = asyncio.current_task()
        try:
            return await coroutine
        finally:
            self._running = None


def _release(
    ready: concurrent.futures.Future[tuple[Engine, asyncio.AbstractEventLoop, asyncio.Event]],
) -> None:
    if ready.exception() is None:
        _, loop, leaving = ready.result()
        loop.call_soon_threadsafe(leaving.set)
