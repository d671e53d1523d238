"""The deadline of a whole operation, carried by the context through every layer below.

A deadline is an absolute time in the clock's nanoseconds. Scopes nest, and an inner one can only shorten what is left.
Tasks and :class:`~holdfast.core.blocking.ThreadBlocking` inherit it with the context.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from holdfast.core._alone import Alone
from holdfast.core._options import duration, options_by_name
from holdfast.core.clock import SYSTEM_CLOCK, Clock, to_ns
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadline", "deadline_at", "deadline_ns", "deadline_scope", "remaining_ns"]

CURRENT: ContextVar[int | None] = ContextVar("holdfast_deadline_ns", default=None)

_Entry: TypeAlias = "tuple[deadline_scope, Token[int | None], _Entry | None]"

_ENTRIES: ContextVar[_Entry | None] = ContextVar("holdfast_deadline_entries", default=None)
"""The scopes that are entered in this context, from the inside out. They are kept here and not in the scope, which
several contexts may have entered."""


@options_by_name
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
        duration("seconds", self.seconds)

    @cached_property
    def ns(self) -> int:
        """The limit in nanoseconds."""
        return to_ns(self.seconds)


def restore(token: Token[int | None]) -> None:
    """Give the context back what it held before ``token``.

    Where a coroutine or a generator is closed in another context than the one it ran in, nothing was set, and nothing
    is to be given back.
    """
    try:  # noqa: SIM105  suppress() would cost every call
        CURRENT.reset(token)
    except ValueError:
        pass


class deadline_scope:  # noqa: N801  a context manager, used like a function
    """``with deadline_scope(30):`` everything inside ends within 30 seconds, as far as it looks at its deadline.

    It sets the context's deadline and cancels nothing by itself: pipelines inside bound their attempts and sleeps by
    it. Entering gives the deadline that holds, in the clock's nanoseconds. One object may be entered any number of
    times, also in itself and by several tasks or threads at once; each entry counts anew. Leaving an entry leaves those
    that were made inside it, too.

    Args:
        seconds: 0 or above is counted from now, and 0 has passed already; an enclosing deadline that ends earlier wins.
        clock: the clock that everything inside uses, too.

    Raises:
        ConfigError: ``seconds`` is no such number.
    """

    __slots__ = ("_clock", "_due_ns", "_ns")

    _due_ns: int | None

    def __init__(self, seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ns = to_ns(duration("seconds", seconds, or_zero=True))
        self._clock = clock
        self._due_ns = None

    def __enter__(self) -> int:
        until = self._clock.now_ns() + self._ns if self._due_ns is None else self._due_ns
        outer = CURRENT.get()
        if outer is not None and outer < until:
            until = outer
        _ENTRIES.set((self, CURRENT.set(until), _ENTRIES.get()))
        return until

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = _ENTRIES.get()
        while entry is not None and entry[0] is not self:  # a generator may have left its own scope open
            entry = entry[2]
        if entry is not None:
            restore(entry[1])
            _ENTRIES.set(entry[2])


class deadline_at(deadline_scope):  # noqa: N801
    """``with deadline_at(due_ns):`` a scope that ends at one time of the clock, whenever it is entered.

    For whoever sets the same end around one step after the other.

    Args:
        due_ns: in the clock's nanoseconds, past ones too; an enclosing deadline that ends earlier wins.

    Raises:
        ConfigError: ``due_ns`` is no whole number.
    """

    __slots__ = ()

    def __init__(self, due_ns: int) -> None:
        if not isinstance(due_ns, int):
            raise ConfigError("due_ns", due_ns, "must be a time of the clock, in whole nanoseconds")
        self._due_ns = due_ns


def deadline_ns() -> int | None:
    """The deadline that holds here, in the clock's nanoseconds; None when there is none."""
    return CURRENT.get()


def remaining_ns(clock: Clock = SYSTEM_CLOCK) -> int | None:
    """What is left until the deadline, 0 when it has passed; None when there is none."""
    until = CURRENT.get()
    return None if until is None else max(0, until - clock.now_ns())
