"""Work that a store does for itself now and then, in the background: on nobody's path, and on nobody's account."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns
from holdfast.errors import RejectedError, StoreError

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from holdfast.core.clock import Clock

__all__ = ["Repeating"]

_log = logging.getLogger(__name__)

_JITTER = 0.2


class Repeating:
    """Calls a function every so often, and sooner when it is asked to. What it raises is logged, and changes nothing.

    Args:
        work: what is done; never twice at a time.
        every: seconds from the end of one to the beginning of the next, above 0.
        clock: for waiting.
        what: what it is, for the log, e.g. ``"Tidying up the store"``.
        rng: makes each pause up to a fifth shorter, so that processes do not all begin at the same moment; None: all
            pauses are equal.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[object]],
        *,
        every: float,
        clock: Clock,
        what: str,
        rng: random.Random | None = None,
    ) -> None:
        self._work = work
        self._every_ns = to_ns(every)
        self._clock = clock
        self._what = what
        self._rng = rng
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first time comes after a pause. Idempotent."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def soon(self) -> None:
        """Do it as soon as the event loop is free, once however often this is called."""
        self._wanted.set()

    async def once(self) -> None:
        """Do it now, in the task that calls."""
        try:
            await self._work()
        except (StoreError, RejectedError) as error:
            _log.warning("%s failed, and is tried again later: %s", self._what, error)

    async def stop(self) -> None:
        """End, and wait for the end. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            share = 1.0 if self._rng is None else 1 - _JITTER * self._rng.random()
            timer = self._clock.call_later_ns(round(self._every_ns * share), self._wanted.set)
            try:
                await self._wanted.wait()
            finally:
                timer.cancel()
            self._wanted.clear()
            await self.once()
