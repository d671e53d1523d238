"""What a single flight keeps of each execution that is under way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncFlight", "SyncFlight"]


class AsyncFlight:
    """One execution in a task, and those who wait for it.

    Attributes:
        task: there from when it begins.
        error: there from when it has landed; ``result`` too, when there is no error.
    """

    __slots__ = ("error", "fn", "mark", "result", "task", "waiters", "waiting")

    task: asyncio.Task[Any]
    result: Any
    error: BaseException | None

    def __init__(self, fn: object) -> None:
        self.fn = fn
        self.mark = object()  # stands for the flight in contexts, which may outlive it
        self.waiting = 0
        self.waiters: dict[asyncio.Future[bool], None] = {}


class SyncFlight:
    """One execution in the thread of its first caller.

    Attributes:
        abandoned: whether it is under way, or ended for a reason that is the first caller's own.
        error: what else it ended with; None when that is ``result``.
    """

    __slots__ = ("abandoned", "error", "fn", "landed", "mark", "result", "waiting")

    result: Any

    def __init__(self, fn: object) -> None:
        self.fn = fn
        self.mark = object()
        self.waiting = 0
        self.landed = threading.Event()
        self.error: Exception | None = None
        self.abandoned = True
