"""What stands in front of the HTTP client of one provider: it answers in the provider's place, in its own words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from holdfast.core.clock import to_ns
from holdfast.rag.injection.kinds import Dependency, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from holdfast.core.ports import Http, HttpRequest, HttpResponse
    from holdfast.llm.routing.targets import Provider
    from holdfast.rag.injection.switchboard import Injection, Injections
    from holdfast.rag.models import Configured

__all__ = ["InjectableHttp", "injectable_https"]

_HTML = b"<html><head><title>injected: maintenance</title></head><body><h1>Be right back</h1></body></html>"

_REFUSALS: Mapping[str, Mapping[Kind, tuple[int, str, str | None]]] = {
    "openai": {
        Kind.THROTTLED: (429, "requests", "rate_limit_exceeded"),
        Kind.UNAVAILABLE: (503, "server_error", "server_is_overloaded"),
        Kind.AUTH: (401, "invalid_request_error", "invalid_api_key"),
        Kind.QUOTA: (429, "insufficient_quota", "insufficient_quota"),
    },
    "anthropic": {
        Kind.THROTTLED: (429, "rate_limit_error", None),
        Kind.UNAVAILABLE: (529, "overloaded_error", None),
        Kind.AUTH: (401, "authentication_error", None),
        Kind.QUOTA: (402, "billing_error", None),
    },
    "voyage": {
        Kind.THROTTLED: (429, "", None),
        Kind.UNAVAILABLE: (503, "", None),
        Kind.AUTH: (401, "", None),
        Kind.QUOTA: (402, "", None),
    },
}
"""By the protocol: the status, and the type and the code that the error's body names."""

_WORDS: Mapping[Kind, str] = {
    Kind.THROTTLED: "injected: the rate limit is reached.",
    Kind.UNAVAILABLE: "injected: the server is overloaded, please try again later.",
    Kind.AUTH: "injected: the API key is not valid.",
    Kind.QUOTA: "injected: the account has no money left.",
}


def injectable_https(http: Http, configured: Configured, injections: Injections) -> dict[str, Http]:
    """A client for each provider that is in use, by its name: ``http``, that fails where a fault is injected."""
    routes = configured.routes
    if configured.answers is not None:
        names = dict.fromkeys(each.provider.name for each in routes.model(configured.answers).every_target)
        injections.attach(Dependency.MODEL, list(Kind), providers=names)
    if configured.embeds is not None:
        injections.attach(Dependency.EMBEDDER, list(Kind))
    return {name: InjectableHttp(http, each, injections) for name, each in routes.providers.items()}


class InjectableHttp:
    """``http`` for one provider, that fails where a fault is injected. It raises what a real client raises.

    Requests for embeddings are the role ``embedder``; all others are ``model``, and ``model:<provider>``.
    """

    def __init__(self, http: Http, provider: Provider, injections: Injections) -> None:
        self._http = http
        self._provider = provider
        self._injections = injections

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send ``request``, or fail in its place; see ``holdfast.core.ports.Http``."""
        injections = self._injections
        if injections.quiet:
            return await self._http.send(request)
        path = urlsplit(request.url).path
        role = Dependency.EMBEDDER if path.endswith("/embeddings") else Dependency.MODEL
        fault = injections.draw(role, self._provider.name)
        return await self._http.send(request) if fault is None else await self._fail(fault, request)

    async def close(self) -> None:
        """Close the client."""
        await self._http.close()

    async def _fail(self, fault: Injection, request: HttpRequest) -> HttpResponse:
        host = urlsplit(request.url).hostname or self._provider.name
        clock, timeout_ns = self._injections.clock, to_ns(request.timeout)
        match fault.kind:
            case Kind.CONNECTION:
                raise ConnectionRefusedError(f"injected: no connection to {host}")
            case Kind.TIMEOUT:
                if await fault.hang(clock, at_most_ns=timeout_ns):
                    raise ConnectionResetError(f"injected: the connection to {host} broke")
                raise TimeoutError(f"injected: {host} did not answer within {request.timeout:g} s")
            case Kind.SLOW:
                delay_ns = to_ns(fault.parameters["delay"])
                await clock.asleep_ns(min(delay_ns, timeout_ns))
                if delay_ns >= timeout_ns:
                    raise TimeoutError(f"injected: {host} did not answer within {request.timeout:g} s")
                return await self._http.send(request)
            case Kind.TRUNCATED:
                return _Cut(await self._http.send(request), round(fault.parameters["after_bytes"]), host)
            case Kind.MALFORMED:
                return _Made(200, _HTML, {"content-type": "text/html"})
            case Kind.EMPTY:
                return _Made(200, b"", {"content-type": "application/json"})
            case Kind.THROTTLED | Kind.UNAVAILABLE | Kind.AUTH | Kind.QUOTA:
                return self._refusal(fault)

    def _refusal(self, fault: Injection) -> _Made:
        protocol, words = self._provider.kind, _WORDS[fault.kind]
        status, kind, code = _REFUSALS[protocol][fault.kind]
        body: dict[str, Any]
        if protocol == "openai":
            body = {"error": {"message": words, "type": kind, "param": None, "code": code}}
        elif protocol == "anthropic":
            body = {"type": "error", "error": {"type": kind, "message": words}}
        else:
            body = {"detail": words}
        headers = {"content-type": "application/json"}
        if fault.kind is Kind.THROTTLED:
            headers["retry-after"] = f"{fault.parameters['retry_after']:g}"
        return _Made(status, json.dumps(body).encode(), headers)


class _Made:
    """A response that nobody sent."""

    def __init__(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        self._content = content

    async def body(self) -> AsyncIterator[bytes]:
        if self._content:
            yield self._content

    async def close(self) -> None:
        pass


class _Cut:
    """A response whose body breaks off after so many bytes, and always before its end."""

    def __init__(self, response: HttpResponse, after: int, host: str) -> None:
        self._response = response
        self._after = after
        self._host = host

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def body(self) -> AsyncIterator[bytes]:
        left, held = self._after, b""
        async for piece in self._response.body():
            if held:
                yield held
            if len(piece) > left:
                held = piece[:left]
                break
            left -= len(piece)
            held = piece
        else:  # a short body must not be whole either
            held = held[: len(held) // 2]
        if held:
            yield held
        raise ConnectionResetError(f"injected: the connection to {self._host} broke")

    async def close(self) -> None:
        await self._response.close()
