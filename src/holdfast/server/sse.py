"""Server-sent events: ``delta`` with each piece of text, ``answer`` with the whole answer, ``done`` at the very end.

A stream that ends without ``done`` was cut on its way; after a failure comes ``error`` and then ``done``. The pieces
are made in one task of their own, so that the engine's stream is opened, read and closed in the same context, and are
handed over through a short queue: a client that reads slowly slows the work down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import orjson
import structlog
from starlette.responses import Response

from holdfast.errors import HoldfastError
from holdfast.rag.types import Answer
from holdfast.server.lifetime import Drain, client_gone, settle
from holdfast.server.problems import ClientGoneError, internal_problem, problem_for, respond
from holdfast.server.wire import AnswerBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.types import Receive, Scope, Send

    from holdfast.server.problems import Problem

__all__ = ["KEEP_ALIVE_SECONDS", "AnswerFeed", "AnswerStream", "frame"]

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent after this long without an event, so that no proxy takes the connection for dead."""

_QUEUE_ITEMS = 16
_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would otherwise hold the pieces back
}

_log = structlog.get_logger("holdfast.server")

_Item: TypeAlias = str | Answer | Exception | None


def frame(event: str, data: bytes) -> bytes:
    """One event on the wire. ``data`` is JSON on one line, so it needs no splitting."""
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


class AnswerFeed:
    """Reads an engine's stream in a task of its own. Close it, whatever happens."""

    def __init__(self, items: AsyncIterator[str | Answer]) -> None:
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(_QUEUE_ITEMS)
        self._task = asyncio.create_task(self._pump(items))

    async def _pump(self, items: AsyncIterator[str | Answer]) -> None:
        try:
            async for item in items:
                await self._queue.put(item)
        except Exception as error:  # noqa: BLE001 - raised again where the item is taken
            await self._queue.put(error)
        else:
            await self._queue.put(None)
        finally:
            aclose = getattr(items, "aclose", None)
            if aclose is not None:
                await aclose()

    async def next(self) -> str | Answer | None:
        """The next piece, or the answer, or None after the end.

        Raises:
            Exception: what the engine raised.
        """
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def close(self) -> None:
        """Stop the work behind it and wait until it has stopped."""
        await settle(self._task)


class AnswerStream(Response):
    """The response that a feed is sent as.

    Args:
        first: the item that was already taken from the feed, when its failure could still become a status code.
        keep_alive: seconds without an event after which a comment is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: AnswerFeed,
        *,
        first: str | Answer | None,
        request_id: str,
        drain: Drain,
        keep_alive: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._feed = feed
        self._first = first
        self._request_id = request_id
        self._drain = drain
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002, D102 - ASGI
        gone = asyncio.create_task(client_gone(receive))
        over = asyncio.create_task(self._drain.wait())
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if await self._relay(send, gone, over):
                await _piece(send, frame("done", b"{}"))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._feed.close()
            await settle(gone, over)

    async def _relay(self, send: Send, gone: asyncio.Task[None], over: asyncio.Task[None]) -> bool:
        """Send everything up to ``done``; False when the client went away."""
        try:
            item = self._first
            while item is not None:
                await _piece(send, _event_of(item))
                item = await self._next(send, gone, over)
        except ClientGoneError:
            return False
        except HoldfastError as error:
            await self._fail(send, problem_for(error))
        except Exception:  # noqa: BLE001 - the head is out: the failure is told in the stream
            _log.exception("answer stream failed unexpectedly")
            await self._fail(send, internal_problem())
        return True

    async def _next(self, send: Send, gone: asyncio.Task[None], over: asyncio.Task[None]) -> str | Answer | None:
        """The next item, with a comment now and then while it takes long."""
        upcoming = asyncio.create_task(self._feed.next())
        try:
            while True:
                done, _ = await asyncio.wait(
                    {upcoming, gone, over}, timeout=self._keep_alive, return_when=asyncio.FIRST_COMPLETED
                )
                if gone in done:
                    raise ClientGoneError
                if upcoming in done:
                    return upcoming.result()
                if over in done:
                    raise Drain.error()
                await _piece(send, b": still working\n\n")
        finally:
            await settle(upcoming)

    async def _fail(self, send: Send, problem: Problem) -> None:
        await _piece(send, frame("error", bytes(respond(problem, self._request_id).body)))


def _event_of(item: str | Answer) -> bytes:
    if isinstance(item, Answer):
        return frame("answer", AnswerBody.of(item).model_dump_json().encode())
    piece: Mapping[str, str] = {"text": item}
    return frame("delta", orjson.dumps(piece))


async def _piece(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
