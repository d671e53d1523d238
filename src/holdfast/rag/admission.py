"""The line in front of the engine: every question enters through it, the important first, and none too late.

Work beyond what the machine does in a request's time would only make everybody late. It waits here, in front of the
dependencies' timeouts, and is refused when it could not be served in time. Nothing of it knows HTTP: what the service
turns into a status, the lab counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.request_queue import RequestQueue

if TYPE_CHECKING:
    from holdfast.core._admission import Admission
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.request_queue import Request, RequestQueueSnapshot
    from holdfast.rag.query import Query

__all__ = ["Line"]

_LONGEST_WAIT_SECONDS = 10.0
"""Who has waited for so long is refused, and no more may wait than are served in that time."""


class Line:
    """Where questions wait for their turn.

    Args:
        max_concurrent: questions under way at once, 1 or more.
        max_size: questions that may wait, 0 or more; fewer, where so many could not be served in ten seconds.
        clock, events: the source of time, and the hub that hears what happens.
    """

    def __init__(self, *, max_concurrent: int, max_size: int, clock: Clock, events: Events) -> None:
        self.queue = RequestQueue(
            max_concurrent=max_concurrent,
            requests_per_minute=None,
            max_size=max_size,
            max_wait=_LONGEST_WAIT_SECONDS,
            clock=clock,
            events=events,
            name="engine",
        )

    def turn(self, query: Query) -> Admission[Request]:
        """``async with line.turn(query):`` waits for the question's turn.

        Raises:
            RejectedError: on entering: it was refused, or dropped while it waited.
            DeadlineExceededError: on entering: its deadline came first.
        """
        return self.queue.admit(priority=query.priority)

    def snapshot(self) -> RequestQueueSnapshot:
        """Who waits, and who was refused so far."""
        return self.queue.snapshot()
