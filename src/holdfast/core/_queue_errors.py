"""What a request queue says to those that it does not let in, and to those that it drops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._queue_model import Drop, Refusal
from holdfast.errors import DeadlineExceededError, QueueFullError, ShedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["dropped", "refused"]


def refused(name: str, refusal: Refusal, *, waiting: int, size: int, retry_after: float | None) -> Exception:
    """The error for a request of ``size`` bytes that is not let in."""
    who = name or "The queue"
    if refusal is Refusal.EXPIRED:
        return DeadlineExceededError(f"{who}: the request's deadline had passed when it came; it was not run.")
    if refusal is Refusal.CLOSED:
        what = "it is closed, and takes no more requests"
    elif refusal is Refusal.BUSY:
        what = "the request would have to wait: try again later"
    elif refusal is Refusal.FULL:
        what = f"{waiting} requests wait already, as many as can be served in time: try again later"
    else:
        what = f"the requests that wait hold too much memory for one more of {size} bytes: try again later"
    return QueueFullError(f"{who}: {what}.", dependency=name, retry_after=retry_after)


def dropped(name: str, why: str, retry_after: float | None) -> Exception:
    """The error for a request that was dropped while it waited."""
    who = name or "The queue"
    if why == Drop.EXPIRED:
        return DeadlineExceededError(f"{who}: the request's deadline passed before its turn came; it was not run.")
    return ShedError(
        f"{who}: {_WHY[why]}; it was not run. Try again later.", reason=why, dependency=name, retry_after=retry_after
    )


_WHY: Mapping[str, str] = {
    Drop.EVICTED: "the request gave way to a more important one",
    Drop.OVERLOAD: "the request had waited too long while the queue did not get shorter",
    Drop.MAX_WAIT: "the request had waited as long as max_wait allows",
    Drop.CLOSED: "the queue was closed before the request's turn came",
}
