"""What a loop's tasks wait for, for people."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["pending_tasks", "tasks_of"]

_MOST = 20


def tasks_of(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """The tasks of ``loop`` that are not done, in the order in which they were made."""
    return sorted(asyncio.all_tasks(loop), key=hash)


def pending_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """One line for each task of ``loop`` that is not done: its name, its coroutine, and where that waits.

    The first twenty in the order in which they were made, and how many more there are.
    """
    tasks = tasks_of(loop)
    lines = [_line(task) for task in tasks[:_MOST]]
    return lines if len(tasks) <= _MOST else [*lines, f"and {len(tasks) - _MOST:,} more"]


def _line(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    frame = _innermost(coroutine)
    where = "" if frame is None else f" in {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
    return f"{task.get_name()}: {name}{where}"


def _innermost(coroutine: object) -> FrameType | None:
    """The frame of the coroutine that a chain of awaits ends in, as far as it can be followed."""
    frame = None
    while True:
        if inspect.iscoroutine(coroutine):
            frame, coroutine = coroutine.cr_frame or frame, coroutine.cr_await
        elif inspect.isgenerator(coroutine):
            frame, coroutine = coroutine.gi_frame or frame, coroutine.gi_yieldfrom
        elif inspect.isasyncgen(coroutine):
            frame, coroutine = coroutine.ag_frame or frame, coroutine.ag_await
        else:
            return frame
