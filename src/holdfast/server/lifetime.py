"""How long work for a request may live: until it is done, its client is gone, or the service has to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import RejectedError
from holdfast.server.problems import ClientGoneError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

__all__ = ["Drain", "client_gone", "settle", "while_serving", "while_wanted"]

T = TypeVar("T")

_RETRY_AFTER_RESTART = 5.0


class Drain:
    """The end of the time that requests under way are given when the service stops.

    When it expires, whatever still runs is cancelled and its client is told.
    """

    def __init__(self) -> None:
        self._expired = asyncio.Event()

    def expire(self) -> None:
        """The time is over."""
        self._expired.set()

    async def wait(self) -> None:
        """Return when the time is over."""
        await self._expired.wait()

    @staticmethod
    def error() -> RejectedError:
        """What a request is told that had to be given up."""
        return RejectedError(
            "The service is being stopped and could not finish this request: send it again in a few seconds.",
            retry_after=_RETRY_AFTER_RESTART,
        )


async def client_gone(receive: Receive) -> None:
    """Return when the client has closed the connection. Only after the request's body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def settle(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs, and wait until it has come to its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def while_serving(work: Coroutine[Any, Any, T], *, drain: Drain, seconds: float | None = None) -> T:
    """Run the work as long as the service runs, for at most ``seconds``; then cancel it.

    Raises:
        TimeoutError: the seconds are over.
        RejectedError: the service stops and its time for requests under way is over.
    """
    task = asyncio.create_task(work)
    over = asyncio.create_task(drain.wait())
    try:
        await asyncio.wait({task, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if over.done():
            raise drain.error()
        raise TimeoutError
    finally:
        await settle(task, over)


async def while_wanted(work: Coroutine[Any, Any, T], *, receive: Receive, drain: Drain) -> T:
    """Run the work as long as somebody waits for it; when nobody does, cancel it.

    Raises:
        ClientGoneError: the client went away first.
        RejectedError: the service stops and its time for requests under way is over.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(client_gone(receive))
    over = asyncio.create_task(drain.wait())
    try:
        await asyncio.wait({task, gone, over}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientGoneError
        raise drain.error()
    finally:
        await settle(task, gone, over)
