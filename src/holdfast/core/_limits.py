"""How a time that is up is told, and items that are taken from a stream.

How a cancellation of ours is told from one of the caller's: a watch that fires calls ``task.cancel()`` and remembers
it. Whoever finds its own watch fired takes that one request back with ``task.uncancel()``; if more requests are open
than when it began, somebody outside wants the task to end, and a ``CancelledError`` goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from holdfast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from holdfast.core._watch import Cut
    from holdfast.core.policy import Site

__all__ = ["END", "Fn", "deadline_passed", "next_item", "settled"]

Fn: TypeAlias = Callable[..., Any]

END = object()
"""What :func:`next_item` gives after the last item."""


def deadline_passed(site: Site) -> DeadlineExceededError:
    """The error for a call whose deadline has passed."""
    return DeadlineExceededError(f"The time for the whole operation was used up in the call to {site.dependency}.")


async def next_item(source: AsyncGenerator[Any, Any], sent: object) -> object:
    """The next item, or ``END``."""
    try:
        return await source.asend(sent)
    except StopAsyncIteration:
        return END


def settled(error: BaseException, cut: Cut, late: Callable[[], BaseException]) -> BaseException:
    """What ``error``, raised by a watched await, amounts to.

    Args:
        error: what was raised.
        cut: how the watch ended.
        late: makes the error for time that is up.
    """
    requests = cut.task.uncancel() if cut.fired else cut.task.cancelling()
    if not isinstance(error, Exception | asyncio.CancelledError):
        return error
    if requests > cut.before:  # somebody outside wants the task to end, whatever else happened
        if isinstance(error, asyncio.CancelledError):
            return error
        substitute: BaseException = asyncio.CancelledError()
    elif cut.fired:
        substitute = late()
    else:
        return error
    substitute.__cause__ = error
    return substitute
