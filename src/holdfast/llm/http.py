"""The production side of the HTTP port: a pooled aiohttp client."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from holdfast.core.ports import HttpRequest

__all__ = ["AiohttpHttp"]


class AiohttpHttp:
    """Sends requests over a bounded pool of kept-alive connections.

    Certificates are verified. Proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``, ...). Redirects
    are not followed: the caller sees the 3xx, because only the caller knows whether its headers may travel to another
    host. No cookie is kept. A compressed body arrives decompressed.

    The pool belongs to the event loop on which the first request is sent.

    Args:
        max_connections: connections open at once, to all hosts together; at least 1, 100 by default. A request that
            finds none free waits, and its wait counts against ``HttpRequest.timeout``.
        idle_seconds: how long an unused connection is kept open; at least 0, 30 by default.
        user_agent: the ``User-Agent`` header of requests that bring none.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(self, *, max_connections: int = 100, idle_seconds: float = 30.0, user_agent: str = "holdfast") -> None:
        if max_connections < 1:
            raise ConfigError("max_connections", max_connections, "must be at least 1")
        if idle_seconds < 0:
            raise ConfigError("idle_seconds", idle_seconds, "must be at least 0")
        self._max_connections = max_connections
        self._idle_seconds = idle_seconds
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, request: HttpRequest) -> AiohttpResponse:
        """Send ``request`` and return when the head of the response is there.

        Raises:
            ConnectionRefusedError: no connection could be made (name, network, TLS, proxy), or not within
                ``request.connect_timeout``: nothing was sent.
            ConnectionResetError: the connection broke after the request had gone out; it may have been acted on.
            TimeoutError: no head within ``request.timeout`` seconds.
            ValueError: the address is not an http(s) address.
            RuntimeError: the client is closed.
        """
        url = URL(request.url)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"not an http or https address: {_without_secrets(url)}")
        with _plain_errors(url):
            try:
                async with asyncio.timeout(request.timeout):
                    response = await self._open_session().request(
                        request.method,
                        url,
                        headers=request.headers,
                        data=request.body or None,
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_timeout),
                    )
            except aiohttp.ConnectionTimeoutError as error:
                what = f"no connection to {url.host} within {request.connect_timeout:g} s"
                raise ConnectionRefusedError(what) from error
            except TimeoutError as error:
                raise TimeoutError(f"{url.host} did not answer within {request.timeout:g} s") from error
        return AiohttpResponse(response, url)

    async def close(self) -> None:
        """Close every connection. A second call does nothing."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this HTTP client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=self._idle_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                timeout=aiohttp.ClientTimeout(total=None),  # each request brings its own; a stream has its reader's
                trust_env=True,
            )
        return self._session


class AiohttpResponse:
    """A response whose body is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, url: URL) -> None:
        self._response = response
        self._url = url
        self._headers: dict[str, str] = {}
        for name, value in response.headers.items():
            key = name.lower()
            self._headers[key] = f"{self._headers[key]}, {value}" if key in self._headers else value

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, names in lower case; a field that came several times is joined with commas."""
        return self._headers

    async def body(self) -> AsyncIterator[bytes]:
        """The body, piece by piece, as it arrives.

        Raises:
            ConnectionResetError: the connection broke before the end of the body.
        """
        with _plain_errors(self._url):
            async for piece in self._response.content.iter_any():
                yield piece

    async def close(self) -> None:
        """Give the connection back; one with an unread body is closed instead, which costs less than reading it."""
        self._response.release()


@contextmanager
def _plain_errors(url: URL) -> Iterator[None]:
    """Turn the client library's exceptions into Python's own, with a sentence that names the host and no secret."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        raise ConnectionRefusedError(f"no connection to {url.host}: {_reason(error)}") from error
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise ConnectionResetError(f"the connection to {url.host} broke: {_reason(error)}") from error
    except aiohttp.ClientResponseError as error:
        raise ConnectionResetError(f"{url.host} sent what is not HTTP: {error.message}") from error
    except aiohttp.InvalidURL as error:
        raise ValueError(f"not an http or https address: {_without_secrets(url)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    return str(error) or type(error).__name__


def _without_secrets(url: URL) -> str:
    return str(url.with_user(None).with_query(None)) if url.absolute else url.path
