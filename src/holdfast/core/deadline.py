"""The deadline of a whole operation, carried by the context through every layer below.

A deadline is an absolute time in the clock's nanoseconds. Scopes nest, and an inner one can only shorten what is left.
Tasks and :class:`~holdfast.core.blocking.ThreadBlocking` inherit it with the context.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from holdfast.core._alone import Alone
from holdfast.core._options import positive
from holdfast.core.clock import SYSTEM_CLOCK, Clock, to_ns

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadline", "deadline_ns", "deadline_scope", "remaining_ns"]

CURRENT: ContextVar[int | None] = ContextVar("holdfast_deadline_ns", default=None)


@dataclass(frozen=True, kw_only=True)
class Deadline(Alone):
    """A policy: the whole call, with its retries, waits and fallbacks, ends after ``seconds``.

    Async code is cancelled when the time is up, and the caller gets ``DeadlineExceededError``. Running sync code cannot
    be: it finds what is left in :func:`remaining_ns`, and no attempt and no sleep begins that cannot end in time.

    Args:
        seconds: above 0. An enclosing deadline that ends earlier wins.
    """

    label: ClassVar[str] = "deadline"

    seconds: float

    def __post_init__(self) -> None:
        positive("seconds", self.seconds)

    @cached_property
    def ns(self) -> int:
        """The limit in nanoseconds."""
        return to_ns(self.seconds)


class deadline_scope:  # noqa: N801  a context manager, used like a function
    """``with deadline_scope(30):`` everything inside ends within 30 seconds, as far as it looks at its deadline.

    It sets the context's deadline and cancels nothing by itself: pipelines inside bound their attempts and sleeps by
    it. Entering gives the deadline that holds, in the clock's nanoseconds.

    Args:
        seconds: 0 or above is counted from now; an enclosing deadline that ends earlier wins.
        clock: the clock that everything inside uses, too.
    """

    __slots__ = ("_clock", "_ns", "_tokens")

    def __init__(self, seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ns = to_ns(seconds)
        self._clock = clock
        self._tokens: list[Token[int | None]] = []

    def __enter__(self) -> int:
        until = self._clock.now_ns() + self._ns
        outer = CURRENT.get()
        if outer is not None and outer < until:
            until = outer
        self._tokens.append(CURRENT.set(until))
        return until

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._tokens.pop())


def deadline_ns() -> int | None:
    """The deadline that holds here, in the clock's nanoseconds; None when there is none."""
    return CURRENT.get()


def remaining_ns(clock: Clock = SYSTEM_CLOCK) -> int | None:
    """What is left until the deadline, 0 when it has passed; None when there is none."""
    until = CURRENT.get()
    return None if until is None else max(0, until - clock.now_ns())
