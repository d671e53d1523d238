"""Who may talk to the service: the right host name, no other site's page, and a key where there are any."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers

from holdfast.errors import ConfigError, StoreError
from holdfast.server.context import context_of
from holdfast.server.problems import FieldError, Problem, problem_for, respond

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from holdfast.rag.records.keyring import KeyRing
    from holdfast.rag.settings import Settings

__all__ = [
    "MAX_HEAD_BYTES",
    "MIN_KEY_CHARS",
    "GateMiddleware",
    "check_exposure",
    "check_key",
    "head_too_large",
    "is_loopback",
]

_log = structlog.get_logger("holdfast.server")

MIN_KEY_CHARS = 16
"""A shorter key can be guessed by trying."""

MAX_HEAD_BYTES = 32 * 1024
"""What the address and the headers of a request may have together; web servers commonly allow 8 to 32 KiB."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\]:/?#@,\\]*)(?::[0-9]{0,5})?", re.IGNORECASE)
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_GUARDED = ("/v1/", "/metrics")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_key(settings: Settings) -> None:
    """Refuse a key that can be guessed.

    Raises:
        ConfigError: the setting ``api_key`` is too short.
    """
    key = settings.api_key
    if key is not None and len(key.get_secret_value()) < MIN_KEY_CHARS:
        raise ConfigError("api_key", "***", f"must have at least {MIN_KEY_CHARS} characters (HOLDFAST_API_KEY)")


async def check_exposure(settings: Settings, ring: KeyRing) -> None:
    """Refuse to serve other machines when there is no key that they could send.

    Where the stored keys cannot be read now, the service may start: it lets nobody in before it has read them.

    Raises:
        ConfigError: the host is not loopback, the setting ``api_key`` is not set, and no stored key is usable.
    """
    if settings.api_key is not None or is_loopback(settings.host):
        return
    try:
        usable = await ring.any_usable()
    except StoreError:
        _log.warning("the API keys cannot be read now: requests are refused until they can be")
        return
    if not usable:
        raise ConfigError(
            "host",
            settings.host,
            "is reachable from other machines, and there is no API key: make one with `holdfast keys create NAME`, "
            "set HOLDFAST_API_KEY to a long random text, or listen on 127.0.0.1 (HOLDFAST_HOST)",
        )


def head_too_large() -> Problem:
    """The address and the headers of a request are larger than is read."""
    return Problem(
        slug="head-too-large",
        status=431,
        title="Headers too large",
        detail=f"The address and the headers of this request have more than {MAX_HEAD_BYTES:,} bytes: send less.",
        errors=(FieldError("headers", f"have more than {MAX_HEAD_BYTES:,} bytes"),),
        headers={"connection": "close"},
    )


class GateMiddleware:
    """Turns away requests before anything is read of them.

    - Addresses and headers that are too large, and a ``Host`` that is none or is there twice (RFC 9112, section 3.2):
      what stands in front of the service may have looked at the other one.
    - With a loopback address: any ``Host`` but localhost and the allowed ones. A page on the internet whose name was
      re-pointed to 127.0.0.1 (DNS rebinding) would otherwise read the documents through its visitor's browser.
    - A change (POST, DELETE) that a browser sends from another site's page.
    - Where there are keys: requests to the API and the metrics without one. A key is the setting ``api_key``, or one
      of the ring. With a loopback address and without either, no key is asked for.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring
        self._local_only = is_loopback(settings.host)
        # Something in front of the service passes requests of others on, whatever address it listens on.
        self._fronted = bool(settings.allowed_hosts.strip())
        named = (name.strip().lower() for name in settings.allowed_hosts.split(","))
        self._names = _LOCAL_NAMES | {name for name in named if name}
        # A key that was hashed is compared in the same time however long the guess is.
        self._key = _digest(settings.api_key.get_secret_value().encode()) if settings.api_key is not None else None

    async def __call__(  # noqa: D102 - ASGI
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = self._objection(scope, headers)
            if problem is None and scope["path"].startswith(_GUARDED):
                problem = await self._refusal(headers)
            if problem is not None:
                await respond(problem, context_of(scope).request_id)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, scope: Scope, headers: Headers) -> Problem | None:
        if _head_bytes(scope) > MAX_HEAD_BYTES:
            return head_too_large()
        hosts = headers.getlist("host")
        host = hosts[0] if hosts else ""
        parts = _HOST.fullmatch(host.strip())
        if len(hosts) > 1 or parts is None:
            return Problem(
                slug="bad-host",
                status=400,
                title="Bad host",
                detail="The request must have one Host header: a name or an address, with a port or without.",
                errors=(FieldError("host", "must be there once, as NAME or NAME:PORT"),),
                headers={"connection": "close"},
            )
        if self._local_only and parts[1].lower() not in self._names:
            return Problem(
                slug="misdirected",
                status=421,
                title="Misdirected request",
                detail=(
                    "This service answers on localhost only: use 127.0.0.1 or localhost in the address, or name this "
                    "host in HOLDFAST_ALLOWED_HOSTS."
                ),
                errors=(FieldError("host", "must be localhost, 127.0.0.1, [::1] or an allowed host"),),
            )
        if scope["method"] not in _SAFE_METHODS and _from_another_site(headers, host):
            return Problem(
                slug="cross-site",
                status=403,
                title="Cross-site request",
                detail="A page of another site sent this request; only this service's own page and programs may.",
                errors=(FieldError("origin", "must be this service's own"),),
            )
        return None

    async def _refusal(self, headers: Headers) -> Problem | None:
        """Why a request may not use the API: it has no key that is good, or nobody can tell now."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if self._key is not None and hmac.compare_digest(_digest(given.encode()), self._key):
            return None
        try:
            if not await self._asks_for_keys() or (given and await self._ring.find(given) is not None):
                return None
        except StoreError as error:
            return problem_for(error)
        return Problem(
            slug="unauthorized",
            status=401,
            title="Unauthorized",
            detail="This needs an API key: send the header “Authorization: Bearer KEY” or “x-api-key: KEY”.",
            headers={"www-authenticate": 'Bearer realm="holdfast"'},
        )

    async def _asks_for_keys(self) -> bool:
        if self._key is not None or not self._local_only:
            return True
        try:
            return await self._ring.any_made()
        except StoreError:
            if self._fronted:
                raise
            return False  # nobody but this machine's users is there, and they could read the documents anyway


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _head_bytes(scope: Scope) -> int:
    address = len(scope["raw_path"]) + len(scope["query_string"])
    return address + sum(len(name) + len(value) for name, value in scope["headers"])


def _from_another_site(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and origin.lower().partition("://")[2] != host.strip().lower()
