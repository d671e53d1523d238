"""What a single flight keeps of each execution that is under way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncFlight", "SyncFlight"]


class AsyncFlight:
    """One execution in a task, and those who wait for it."""

    __slots__ = ("error", "fn", "mark", "result", "task", "waiters", "waiting")

    def __init__(self, fn: object) -> None:
        self.fn = fn
        self.mark = object()  # stands for the flight in contexts, which may outlive it
        self.waiting = 0
        self.waiters: dict[asyncio.Future[bool], None] = {}
        self.task: asyncio.Task[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None


class SyncFlight:
    """One execution in the thread of its first caller.

    Attributes:
        abandoned: whether it ended for a reason that is the first caller's own.
    """

    __slots__ = ("abandoned", "error", "fn", "landed", "mark", "result", "waiting")

    def __init__(self, fn: object) -> None:
        self.fn = fn
        self.mark = object()
        self.waiting = 0
        self.landed = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None
        self.abandoned = False
