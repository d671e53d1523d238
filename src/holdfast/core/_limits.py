"""How a time that is up is told, and items that are taken from a stream.

How a cancellation of ours is told from one of the caller's: a watch that fires calls ``task.cancel()`` and remembers
it. Whoever finds its own watch fired takes that one request back with ``task.uncancel()``; if more requests are open
than when it began, somebody outside wants the task to end, and a ``CancelledError`` goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from holdfast.errors import AttemptTimeoutError, DeadlineExceededError

if TYPE_CHECKING:
    from holdfast.core._attempts import Attempts
    from holdfast.core._watch import Cut
    from holdfast.core.policy import Site
    from holdfast.core.timeout import Timeout

__all__ = [
    "END",
    "Fn",
    "attempt_timed_out",
    "deadline_passed",
    "in_time",
    "late_error",
    "next_item",
    "settled",
    "watched",
]

Fn: TypeAlias = Callable[..., Any]

END = object()
"""What :func:`next_item` gives after the last item."""


def deadline_passed(site: Site) -> DeadlineExceededError:
    """The error for a call whose deadline has passed."""
    return DeadlineExceededError(f"The time for the whole operation was used up in the call to {site.dependency}.")


def attempt_timed_out(site: Site, timeout: Timeout) -> AttemptTimeoutError:
    """The error for an attempt that its own timeout ended."""
    return AttemptTimeoutError(f"The call to {site.dependency} took longer than its {timeout.seconds:g} s.")


def late_error(layer: Attempts, *, cut: bool) -> Callable[[], BaseException]:
    """Makes the error for an attempt whose time is up: the deadline's when that ``cut`` it, else the timeout's own."""

    def make() -> BaseException:
        if cut:
            return deadline_passed(layer.site)
        return attempt_timed_out(layer.site, cast("Timeout", layer.timeout))

    return make


def in_time(layer: Attempts, error: DeadlineExceededError, until: int | None) -> BaseException:
    """For a sync attempt: the limit that its context named was the attempt's own, unless the deadline has passed."""
    if layer.timeout is None or (until is not None and until <= layer.site.clock.now_ns()):
        return error
    trouble = attempt_timed_out(layer.site, layer.timeout)
    trouble.__cause__ = error
    return trouble


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


async def watched(layer: Attempts, work: Awaitable[Any], until: int | None) -> Any:  # noqa: ANN401
    """What ``work`` gives, cancelled at ``until`` of the clock."""
    if until is None:
        return await work
    watch = layer.dog.here()
    key = watch.start(until)
    try:
        result = await work
    except BaseException as error:  # noqa: BLE001  it is raised again
        trouble = settled(error, watch.close(key), late_error(layer, cut=True))
        try:
            if trouble is error:
                raise
            raise trouble
        finally:
            del trouble
    watch.stop(key)
    return result
