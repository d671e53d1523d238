"""How long one question waits for its caches, all of them and all calls together.

A question looks into several caches. A limit on each call alone would let a slow server take it several times over, so
the question carries what is left of its patience along, and one failed call uses it up: the next would fail as well.
"""

from __future__ import annotations

from contextvars import ContextVar

from holdfast.core._options import duration
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.state.guard import CACHE_SECONDS

__all__ = ["Patience", "current_patience", "patience_scope"]

_CURRENT: ContextVar[Patience | None] = ContextVar("holdfast_patience", default=None)
_TOO_LITTLE_NS = 10_000_000
"""A call that has less than 10 ms would rather be a failure than an answer."""


class Patience:
    """What one question may still wait.

    Args:
        seconds: to begin with, 0 or above.
    """

    __slots__ = ("_left_ns",)

    def __init__(self, seconds: float = CACHE_SECONDS) -> None:
        self._left_ns = to_ns(duration("seconds", seconds, or_zero=True))

    @property
    def left(self) -> float:
        """Seconds that a call may take; 0 when it should not be made."""
        return self._left_ns / NS_PER_SECOND if self._left_ns >= _TOO_LITTLE_NS else 0.0

    def spend(self, ns: int) -> None:
        """A call took so long."""
        self._left_ns -= ns

    def lose(self) -> None:
        """A call failed: no further one is made."""
        self._left_ns = 0


class patience_scope:  # noqa: N801  a context manager, used like a function
    """Everything inside, tasks that are begun there included, waits for caches out of this patience."""

    __slots__ = ("_patience", "_token")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._patience)

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


def current_patience() -> Patience | None:
    """The patience that holds here; None when each call has its own limit only."""
    return _CURRENT.get()
