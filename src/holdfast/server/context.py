"""The outermost layer of every request: its id, its headers, its log line, and the net under everything.

Pure ASGI, so that a streamed answer is passed on piece by piece and a client that goes away is noticed.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers, MutableHeaders

from holdfast.server.problems import internal_problem, respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from holdfast.core.clock import Clock

__all__ = ["ContextMiddleware", "RequestContext", "context_of"]

_log = structlog.get_logger("holdfast.server")

_SCOPE_KEY = "holdfast.context"
_VALID_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
_QUIET_PATHS = ("/health", "/metrics")
"""Asked by machines every few seconds: their lines are written at DEBUG."""


@dataclass(slots=True)
class RequestContext:
    """What is known of a request while it is served.

    Attributes:
        tier: the answer's tier once there is one; until then the response carries the service's.
        source: the answer's source once there is one.
    """

    request_id: str
    tier: str | None = None
    source: str | None = None


def context_of(scope: Scope) -> RequestContext:
    """The context that the middleware put into the scope."""
    context: RequestContext = scope[_SCOPE_KEY]
    return context


class ContextMiddleware:
    """Gives every request an id, and every response its headers.

    Args:
        clock: times the requests.
        service_tier: the tier that the service is at now.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, service_tier: Callable[[], str]) -> None:
        self._app = app
        self._clock = clock
        self._service_tier = service_tier

    async def __call__(  # noqa: D102 - ASGI
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(_request_id(Headers(scope=scope)))
        scope[_SCOPE_KEY] = context
        started_ns = self._clock.now_ns()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), context)
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=context.request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:  # noqa: BLE001 - the net under everything: logged, and told as a 500
                _log.exception("request failed unexpectedly", method=scope["method"], path=scope["path"])
                if status == 0:
                    await respond(internal_problem(), context.request_id)(scope, receive, send_with_headers)
                # Otherwise the head is out: returning without an end makes the server cut the connection.
            finally:
                quiet = scope["path"].startswith(_QUIET_PATHS)
                (_log.debug if quiet else _log.info)(
                    "request finished",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    latency_ms=round((self._clock.now_ns() - started_ns) / 1e6, 3),
                )

    def _add_headers(self, headers: MutableHeaders, context: RequestContext) -> None:
        headers["x-request-id"] = context.request_id
        headers["x-holdfast-tier"] = context.tier or self._service_tier()
        if context.source is not None:
            headers["x-holdfast-source"] = context.source
        headers["x-content-type-options"] = "nosniff"
        headers.setdefault("cache-control", "no-store")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _VALID_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
