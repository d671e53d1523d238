"""Clients and transports of httpx and httpx2 behind our HTTP port: the user's own ones send every request.

Their proxies, certificates, event hooks, authentication, mounts and mock transports keep working.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.llm.dropin.http_modules import headers_of, plain_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from holdfast.core.ports import Blocking, HttpRequest
    from holdfast.llm.dropin.http_modules import HttpxObject

__all__ = ["AsyncHttpx", "AsyncResponse", "SyncHttpx", "SyncResponse", "Through", "same_request"]

_SLACK_SECONDS = 5.0
_READ = "http.read"
_MOST_READ_AT_ONCE = 1 << 20


class Through:
    """The way to the network: a client, which merges its own settings into requests, or a bare transport.

    Args:
        inner: a client or a transport, sync or async.
        package: httpx or httpx2, to which it belongs.
        asynchronous: which of the two it is; a mock transport is both.
    """

    def __init__(self, inner: HttpxObject, package: HttpxObject, *, asynchronous: bool) -> None:
        self.inner = inner
        self.package = package
        self._is_client = hasattr(inner, "build_request")
        self._asynchronous = asynchronous

    def request(self, request: HttpRequest, read_seconds: float) -> HttpxObject:
        """``request`` in the words of the package, with the settings of the client."""
        connect = request.timeout if request.connect_timeout is None else request.connect_timeout
        timeout = {"connect": connect, "pool": connect, "read": read_seconds, "write": request.timeout}
        fields = {"headers": dict(request.headers), "content": request.body, "extensions": {"timeout": timeout}}
        make = self.inner.build_request if self._is_client else self.package.Request
        return make(request.method, request.url, **fields)

    def again(self, request: HttpxObject) -> HttpxObject:
        """A request that was made for another client, with the settings of this one, and with the same body."""
        return same_request(self.inner, request) if self._is_client else request

    def send(self, request: HttpxObject) -> HttpxObject:
        """The response, or what is to be awaited for it; its body is not read yet."""
        if self._is_client:
            return self.inner.send(request, stream=True)
        return self.inner.handle_async_request(request) if self._asynchronous else self.inner.handle_request(request)


def same_request(client: HttpxObject, request: HttpxObject) -> HttpxObject:
    """``request`` with the header fields, cookies and parameters that ``client`` adds to each of its own."""
    made = client.build_request(request.method, request.url, headers=request.headers, extensions=request.extensions)
    if "content-length" in made.headers and "content-length" not in request.headers:
        del made.headers["content-length"]  # that of no body at all
    # a request that is given a stream leaves it unread, whatever it is, and its header fields as they are
    fields = {"headers": made.headers, "stream": request.stream, "extensions": made.extensions}
    return type(request)(made.method, made.url, **fields)


# --- async ------------------------------------------------------------------------------------------------------------


class AsyncHttpx:
    """An async client or transport as an ``Http`` port. It is the caller's, so closing this does not close it.

    Args:
        through: the client or transport.
        read_seconds: for one read from the network, at most.
    """

    def __init__(self, through: Through, *, read_seconds: float) -> None:
        self._through = through
        self._read_seconds = read_seconds + _SLACK_SECONDS

    async def send(self, request: HttpRequest) -> AsyncResponse:
        """See :meth:`holdfast.core.ports.Http.send`; errors as of :class:`holdfast.llm.http.AiohttpHttp`."""
        with plain_errors(request.url):
            async with asyncio.timeout(request.timeout):
                response = await self._through.send(self._through.request(request, self._read_seconds))
        return AsyncResponse(response, request.url)

    async def close(self) -> None:
        """Nothing: it belongs to the caller."""


class AsyncResponse:
    """A response of an async client."""

    def __init__(self, response: HttpxObject, url: str) -> None:
        self._response = response
        self._url = url
        self.status: int = response.status_code
        self.headers = headers_of(response)

    async def body(self) -> AsyncIterator[bytes]:
        """The body, decompressed, piece by piece."""
        with plain_errors(self._url):
            async for piece in self._response.aiter_bytes():
                yield piece

    async def close(self) -> None:
        """Give the connection back, or close it when the body is not at its end."""
        await self._response.aclose()


# --- sync -------------------------------------------------------------------------------------------------------------


class SyncHttpx:
    """A function that blocks as an ``Http`` port: each call is made on a thread.

    A call cannot be stopped on its way; it ends with its own timeout, and what it brings is thrown away. A body can:
    its socket is shut, which wakes whoever reads from it.

    Args:
        opener: sends a request.
        blocking: the threads.
    """

    def __init__(self, opener: Callable[[HttpRequest], HttpxObject], blocking: Callable[[], Blocking]) -> None:
        self._open = opener
        self._blocking = blocking

    async def send(self, request: HttpRequest) -> SyncResponse:
        """See :meth:`holdfast.core.ports.Http.send`; errors as of :class:`holdfast.llm.http.AiohttpHttp`."""
        blocking = self._blocking()
        call = _Call(self._open, request)
        try:
            async with asyncio.timeout(request.timeout):
                response, pieces = await blocking.run("http.send", call.make)
        except BaseException:
            call.abandon()
            raise
        return SyncResponse(response, pieces, request.url, blocking)

    async def close(self) -> None:
        """Nothing: what sends belongs to the caller."""


class _Call:
    """One call on a thread; its response is closed there when nobody waits for it any more.

    A body that is no stream is read at once: each change of the thread takes longer than reading it.
    """

    def __init__(self, opener: Callable[[HttpRequest], HttpxObject], request: HttpRequest) -> None:
        self._open = opener
        self._request = request
        self._lock = threading.Lock()
        self._abandoned = False
        self._response: HttpxObject | None = None

    def make(self) -> tuple[HttpxObject, Iterator[bytes]]:
        """The response, and the pieces of its body."""
        with plain_errors(self._request.url):
            response = self._open(self._request)
            pieces = response.iter_bytes()
            streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            read = [] if streamed else self._read(pieces)
        with self._lock:
            self._response = response
            unwanted = self._abandoned
        if unwanted:
            response.close()
        return response, itertools.chain(read, pieces)

    def _read(self, pieces: Iterator[bytes]) -> list[bytes]:
        """The beginning of a body, mostly all of it."""
        read: list[bytes] = []
        size = 0
        for piece in pieces:
            read.append(piece)
            size += len(piece)
            if size > _MOST_READ_AT_ONCE or self._abandoned:
                break
        return read

    def abandon(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._abandoned = True
            response = self._response
        if response is not None:  # it came in the moment in which the wait for it ended
            response.close()


class SyncResponse:
    """A response of a sync client, read piece by piece on threads."""

    def __init__(self, response: HttpxObject, pieces: Iterator[bytes], url: str, blocking: Blocking) -> None:
        self._response = response
        self._pieces = pieces
        self._url = url
        self._blocking = blocking
        self._lock = threading.Lock()
        self._reading = self._unwanted = False
        self.status: int = response.status_code
        self.headers = headers_of(response)

    async def body(self) -> AsyncIterator[bytes]:
        """The body, decompressed, piece by piece."""
        if self._response.is_closed:  # it was read to its end, and no read waits for anything
            while (piece := self._read()) is not None:
                yield piece
            return
        while (piece := await self._blocking.run(_READ, self._read)) is not None:
            yield piece

    async def close(self) -> None:
        """Give the connection back, or close it when the body is not at its end; does not wait for a read."""
        with self._lock:
            self._unwanted = True
            if self._reading:
                self._wake()
                return  # a response that is being read cannot be closed; the reader does it
        if not self._response.is_closed:
            await self._blocking.run("http.close", self._response.close)

    def _read(self) -> bytes | None:
        with self._lock:
            if self._unwanted:
                return None
            self._reading = True
        try:
            with plain_errors(self._url):
                piece: bytes | None = next(self._pieces, None)
                return piece
        finally:
            self._read_over()

    def _read_over(self) -> None:
        with self._lock:
            self._reading = False
            unwanted = self._unwanted
        if unwanted:
            self._response.close()

    def _wake(self) -> None:
        """Shut the socket under a read that waits for the provider."""
        network = self._response.extensions.get("network_stream")
        raw = None if network is None else network.get_extra_info("socket")
        if raw is not None:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
