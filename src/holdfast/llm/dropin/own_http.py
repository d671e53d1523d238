"""Requests to targets that are named and not wrapped: a client of our own, of the package that the caller has."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

from holdfast.core.ports import HttpRequest
from holdfast.llm.dropin.senders import AsyncHttpx, Through

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.ports import HttpResponse
    from holdfast.llm.dropin.http_modules import HttpxObject
    from holdfast.llm.routing.targets import Provider

__all__ = ["OwnHttp"]

_KEPT = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "api-key",
        "authorization",
        "content-type",
        "openai-beta",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-request-id",
    }
)
"""What is sent of a caller's header fields. The credentials among them are the target's own: the router takes the
caller's away; what else may be secret (a gateway's key, an organization) has a name that nobody can know."""


class OwnHttp:
    """An ``Http`` port for one provider, with connections of its own on each event loop that uses it.

    Args:
        provider: who is asked.
        package: gives httpx or httpx2, when the first request is sent.
        read_seconds: for one read from the network, at most.
    """

    def __init__(self, provider: Provider, package: Callable[[], HttpxObject], *, read_seconds: float) -> None:
        self._provider = provider
        self._package = package
        self._read_seconds = read_seconds
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, HttpxObject]
        self._clients = weakref.WeakKeyDictionary()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """See :meth:`holdfast.core.ports.Http.send`."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._package().AsyncClient()
        http = AsyncHttpx(Through(client, self._package(), asynchronous=True), read_seconds=self._read_seconds)
        return await http.send(_for(self._provider, request))

    async def close(self) -> None:
        """Close the connections of this event loop; those of loops that have ended went with them."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


def _for(provider: Provider, request: HttpRequest) -> HttpRequest:
    """``request`` without what the caller meant for another provider."""
    headers: Mapping[str, str] = {
        **{name: value for name, value in request.headers.items() if name in _KEPT},
        **{name.lower(): value for name, value in provider.headers.items()},
    }
    return HttpRequest(
        method=request.method,
        url=request.url,
        headers=headers,
        body=request.body,
        timeout=request.timeout,
        connect_timeout=request.connect_timeout,
    )
