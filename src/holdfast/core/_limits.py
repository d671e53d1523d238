"""Deadline layers: a limit of time around everything inside, in the three forms; and how a time that is up is told.

How a cancellation of ours is told from one of the caller's: a watch that fires calls ``task.cancel()`` and remembers
it. Whoever finds its own watch fired takes that one request back with ``task.uncancel()``; if more requests are open
than when it began, somebody outside wants the task to end, and a ``CancelledError`` goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

from holdfast.core._watch import Watchdog
from holdfast.core.deadline import CURRENT, Deadline
from holdfast.core.events import DeadlineExceeded
from holdfast.core.policy import Site, stamp
from holdfast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

__all__ = ["END", "Fn", "deadline_agen", "deadline_async", "deadline_passed", "deadline_sync", "next_item", "settled"]

Fn: TypeAlias = Callable[..., Any]

END = object()
"""What :func:`next_item` gives after the last item."""


def deadline_sync(site: Site, deadline: Deadline, inner: Fn) -> Fn:
    """``inner`` with a deadline that it can only look at."""
    now_ns, limit_ns = site.clock.now_ns, deadline.ns

    def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        until = CURRENT.get()
        due = now_ns() + limit_ns
        token = CURRENT.set(due if until is None or due < until else until)
        try:
            return inner(*args, **kwargs)
        except DeadlineExceededError:
            _tell_deadline(site, deadline)
            raise
        finally:
            CURRENT.reset(token)

    return run


def deadline_async(site: Site, deadline: Deadline, inner: Fn) -> Fn:
    """``inner``, cancelled when the deadline is there."""
    now_ns, limit_ns = site.clock.now_ns, deadline.ns
    dog = Watchdog(site.clock)

    async def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        until = CURRENT.get()
        due = now_ns() + limit_ns
        if until is not None and until < due:
            due = until
        with _Cut(site, deadline, dog, due):
            return await inner(*args, **kwargs)

    return run


def deadline_agen(site: Site, deadline: Deadline, inner: Fn) -> Fn:
    """``inner``, whose waits for items end at the deadline; each is set up anew, for the context may change."""
    now_ns, limit_ns = site.clock.now_ns, deadline.ns
    dog = Watchdog(site.clock)

    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401
        until = CURRENT.get()
        due = now_ns() + limit_ns
        if until is not None and until < due:
            due = until
        sent: Any = None
        async with aclosing(inner(*args, **kwargs)) as source:
            while True:
                with _Cut(site, deadline, dog, due):
                    item = await next_item(source, sent)
                if item is END:
                    return
                sent = yield item

    return run


class _Cut:
    """Sets the context's deadline, and cancels the task when it is there."""

    __slots__ = ("_before", "_deadline", "_due", "_key", "_site", "_task", "_token", "_watch")

    _key: int
    _token: Token[int | None]

    def __init__(self, site: Site, deadline: Deadline, dog: Watchdog, due: int) -> None:
        self._site = site
        self._deadline = deadline
        self._due = due
        self._task, self._watch = dog.here()
        self._before: int = self._task.cancelling()

    def __enter__(self) -> None:
        if self._due <= self._site.clock.now_ns():
            _tell_deadline(self._site, self._deadline)
            raise deadline_passed(self._site)
        self._token = CURRENT.set(self._due)
        self._key = self._watch.start(self._task, self._due)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._token)
        fired = self._watch.stop(self._key)
        if error is None:
            if fired:
                self._task.uncancel()
            return
        trouble = settled(error, self._task, self._before, fired=fired, late=lambda: deadline_passed(self._site))
        if isinstance(trouble, DeadlineExceededError):
            _tell_deadline(self._site, self._deadline)
        if trouble is not error:
            raise trouble


def deadline_passed(site: Site) -> DeadlineExceededError:
    """The error for a call whose deadline has passed."""
    return DeadlineExceededError(f"The time for the whole operation was used up in the call to {site.dependency}.")


async def next_item(source: AsyncGenerator[Any, Any], sent: object) -> object:
    """The next item, or ``END``."""
    try:
        return await source.asend(sent)
    except StopAsyncIteration:
        return END


def settled(
    error: BaseException, task: asyncio.Task[object], before: int, *, fired: bool, late: Callable[[], BaseException]
) -> BaseException:
    """What ``error``, raised by a watched await, amounts to.

    Args:
        error: what was raised.
        task: the task that was watched.
        before: the requests to cancel it that were open when the watch began.
        fired: whether the watch cancelled it.
        late: makes the error for time that is up.
    """
    requests = task.uncancel() if fired else task.cancelling()
    if not isinstance(error, Exception | asyncio.CancelledError):
        return error
    if requests > before:  # somebody outside wants the task to end, whatever else happened
        if isinstance(error, asyncio.CancelledError):
            return error
        substitute: BaseException = asyncio.CancelledError()
    elif fired:
        substitute = late()
    else:
        return error
    substitute.__cause__ = error
    return substitute


def _tell_deadline(site: Site, deadline: Deadline) -> None:
    if site.events.active:
        fields = stamp(site.clock, None, pipeline=site.pipeline, policy=deadline.label, dependency=site.dependency)
        site.events.emit(DeadlineExceeded(**fields, limit_ns=deadline.ns))
