"""The ``Blocking`` port without threads."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["InlineBlocking"]

P = ParamSpec("P")
T = TypeVar("T")


class InlineBlocking:
    """Runs everything at once, in the caller.

    Attributes:
        kinds: the kind of each piece of work, in order.
    """

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.closed = False

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` now, in a copy of the caller's context as a thread would."""
        if self.closed:
            raise RejectedError(f"{kind}: the pool of threads is closed; the service is shutting down.")
        self.kinds.append(kind)
        return contextvars.copy_context().run(fn, *args, **kwargs)

    async def close(self) -> None:
        """Take no more work."""
        self.closed = True
