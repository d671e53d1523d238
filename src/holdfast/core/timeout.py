"""The time that one attempt may take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from holdfast.core._alone import Alone
from holdfast.core._options import duration, options_by_name
from holdfast.core.clock import to_ns

__all__ = ["Timeout"]


@options_by_name
@dataclass(frozen=True, kw_only=True)
class Timeout(Alone):
    """A policy: each attempt ends after ``seconds``, or at the deadline if that is earlier.

    An async attempt is cancelled and fails with ``AttemptTimeoutError`` (``DeadlineExceededError`` when it was the
    deadline that cut it); a cancellation from outside stays a cancellation, even when both come at once. An async
    generator has this time for each item; the time that its consumer takes is not counted. Running sync code cannot be
    cancelled: during the attempt the context's deadline is this limit, for the function to hand on to its client
    (:func:`~holdfast.core.deadline.remaining_ns`).

    Args:
        seconds: above 0.
    """

    label: ClassVar[str] = "timeout"

    seconds: float

    def __post_init__(self) -> None:
        duration("seconds", self.seconds)

    @cached_property
    def ns(self) -> int:
        """The limit in nanoseconds."""
        return to_ns(self.seconds)
