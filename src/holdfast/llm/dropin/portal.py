"""The event loop behind clients that know none: one thread for the process, made when it is needed."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from holdfast.llm.dropin.threads import DaemonBlocking

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Body", "BodyReader", "Portal", "portal"]

T = TypeVar("T")


class Body(Protocol):
    """Bytes that come piece by piece, to be read to the end or closed."""

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """The rest is not wanted."""
        ...


_ROOM = 256 * 1024
"""Bytes that are read ahead of a consumer; a slower one slows the provider down, as without us."""
_GOODBYE_SECONDS = 1.0


class Portal:
    """An event loop on a daemon thread, and the way to it from other threads.

    Attributes:
        blocking: threads for what would block the loop.
    """

    def __init__(self) -> None:
        self.blocking = DaemonBlocking()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="holdfast-portal", daemon=True)
        self._thread.start()

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, in a copy of the caller's context, and give what it gives.

        What stops the caller (Ctrl-C) cancels the coroutine.
        """
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def begin() -> None:
            task = self._loop.create_task(make(), context=context)
            tasks.append(task)
            task.add_done_callback(lambda task: _copy(task, done))

        try:
            self._soon(begin)
            return done.result()
        except CancelledError as error:
            raise ConnectionError("the process is ending, and its calls were cancelled") from error
        except BaseException:
            if not done.done():
                self._soon(lambda: [task.cancel() for task in tasks])
            raise

    def read(self, body: Body) -> BodyReader:
        """``body``, which lives on the loop, for a thread."""
        return BodyReader(self, body)

    def _soon(self, fn: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(fn)

    def soon(self, fn: Callable[[], object]) -> None:
        """Call ``fn`` on the loop."""
        with suppress(RuntimeError):  # the loop is closed
            self._soon(fn)

    def close(self) -> None:
        """Cancel what is under way, and end the thread; waits for it for a second."""

        async def wind_up() -> None:
            current = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not current]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.blocking.close()
            await self._loop.shutdown_asyncgens()

        if self._loop.is_closed():
            return
        self._soon(lambda: self._loop.create_task(wind_up()).add_done_callback(lambda _: self._loop.stop()))
        self._thread.join(_GOODBYE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


class BodyReader:
    """A body that comes from the loop, read by a thread: a task over there reads ahead, up to a bound."""

    def __init__(self, portal: Portal, body: Body) -> None:
        self._channel = channel = _Channel(portal)
        self._portal = portal
        context = contextvars.copy_context()
        portal.soon(lambda: channel.begin(body, context))

    def __iter__(self) -> BodyReader:
        return self

    def __next__(self) -> bytes:
        piece = self._channel.take()
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        """The rest is not wanted; returns when the provider's connection is closed."""
        self._portal.soon(self._channel.drop)
        self._channel.wait_for_end()

    def __del__(self) -> None:
        self._portal.soon(self._channel.drop)  # it may have been dropped unread; its task knows nothing of this object


class _Channel:
    """Between a task that writes and a thread that reads."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: BaseException | None = None
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pumping = self._unwanted = False

    # --- on the loop --------------------------------------------------------------------------------------------------

    def begin(self, body: Body, context: contextvars.Context) -> None:
        self._task = asyncio.get_running_loop().create_task(self._pump(body), context=context)

    def drop(self) -> None:
        self._unwanted = True
        if self._task is not None and self._pumping:  # a task that was cancelled before it began would close nothing
            self._task.cancel()

    async def _pump(self, body: Body) -> None:
        self._pumping = True
        error: BaseException | None = None
        try:
            while not self._unwanted and (piece := await anext(body, None)) is not None:
                with self._changed:
                    self._pieces.append(piece)
                    self._size += len(piece)
                    full = self._size >= _ROOM
                    if full:
                        self._room.clear()
                    self._changed.notify()
                if full:
                    await self._room.wait()
        except Exception as trouble:  # noqa: BLE001  it is raised to the reader
            error = trouble
        finally:
            self._pumping = False  # from here on nothing cancels it
            try:
                await body.aclose()
            finally:
                with self._changed:
                    self._ended, self._error = True, error
                    self._changed.notify_all()

    # --- on the reader's thread ---------------------------------------------------------------------------------------

    def take(self) -> bytes:
        """Everything that is there, at least one byte; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._size or self._ended)
            if not self._size and self._error is not None:
                error, self._error = self._error, None
                raise error
            taken = b"".join(self._pieces)
            self._pieces.clear()
            full, self._size = self._size >= _ROOM, 0
        if full:
            self._portal.soon(self._room.set)
        return taken

    def wait_for_end(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended, timeout=_GOODBYE_SECONDS)


def _copy(task: asyncio.Task[T], done: Future[T]) -> None:
    if task.cancelled():
        done.cancel()
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


# --- the one of this process ------------------------------------------------------------------------------------------


class _Shared:
    """The portal of this process; a child that was forked has another one, for threads do not survive a fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.portal: Portal | None = None

    def forget(self) -> None:
        self.lock = threading.Lock()
        self.portal = None

    def close(self) -> None:
        with self.lock:
            current, self.portal = self.portal, None
        if current is not None:
            current.close()


_SHARED = _Shared()


def portal() -> Portal:
    """The portal of this process."""
    current = _SHARED.portal
    if current is not None:
        return current
    with _SHARED.lock:
        if _SHARED.portal is None:
            _SHARED.portal = Portal()
        return _SHARED.portal


os.register_at_fork(after_in_child=_SHARED.forget)
atexit.register(_SHARED.close)
