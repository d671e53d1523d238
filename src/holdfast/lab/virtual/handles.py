"""The callbacks and the tasks of a virtual loop, and the order between those that are ready at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.clock import NS_PER_SECOND

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["TASK", "Callback", "NumberedTask", "numbered_task", "shuffled"]

T = TypeVar("T")

_begin: Any = asyncio.Task.__init__
TASK: ContextVar[int] = ContextVar("holdfast_lab_task", default=0)
"""The number of the task on whose behalf code runs; callbacks inherit it with their context."""


class Callback(asyncio.TimerHandle):
    """A callback that is ready, or due at a time; what asyncio calls a handle, at half the price of making one."""

    __slots__ = ("args", "context", "dropped", "due_ns", "fn", "waits")

    def __init__(
        self,
        dropped: Callable[[], None],
        due_ns: int,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self.dropped = dropped
        self.due_ns = due_ns
        self.fn: Callable[..., object] | None = fn
        self.args = args
        self.context = context
        self.waits = False

    def cancel(self) -> None:
        """Drop it; harmless once it ran."""
        if self.fn is not None:
            self.fn = None
            self.args = ()
            if self.waits:
                self.dropped()

    def cancelled(self) -> bool:
        """Whether it was dropped, or ran."""
        return self.fn is None

    def when(self) -> float:
        """When it is due, in seconds of the loop's time."""
        return self.due_ns / NS_PER_SECOND

    def __repr__(self) -> str:
        return f"<Callback {self.fn!r} due at {self.when():g} s>"

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class NumberedTask(asyncio.Task[T]):
    """A task with a number, which is its hash, too.

    The order in which Python walks a set follows from the hashes of what is in it, which for a task is where it lies in
    memory. ``asyncio.TaskGroup`` and ``asyncio.wait`` keep their tasks in sets: they would cancel them, or give them
    out, in another order in every run. :func:`numbered_task` makes them.
    """

    number: int

    def __hash__(self) -> int:
        return self.number


def numbered_task(
    number: int,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    loop: asyncio.AbstractEventLoop,
    name: str | None,
    context: Context,
) -> NumberedTask[T]:
    """A task that has its number before it is begun: asyncio keeps it in a set at once.

    An ``__init__`` that calls asyncio's own would be a sixth of what it costs, and a question makes four of them.
    """
    task: NumberedTask[T] = NumberedTask.__new__(NumberedTask)
    task.number = number
    _begin(task, coro, loop=loop, name=name or f"Task-{number}", context=context)
    return task


def shuffled(batch: list[Callback], rng: random.Random) -> list[Callback]:
    """The callbacks in an order that is drawn between tasks, and kept within each."""
    owners = [handle.context.get(TASK, 0) for handle in batch]
    queues: dict[int, deque[Callback]] = defaultdict(deque)
    for owner, handle in zip(owners, batch, strict=True):
        queues[owner].append(handle)
    rng.shuffle(owners)
    return [queues[owner].popleft() for owner in owners]
