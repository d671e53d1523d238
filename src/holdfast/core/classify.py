"""One classification, read by everything: an exception in, a :class:`Fault` out.

It looks at what an exception carries (an error code, a status, headers), at the names along its class's ancestry, and
at its declared cause, so that it knows the errors of openai, anthropic, httpx, aiohttp, requests, pymongo, redis and
sqlite3 without importing any of them. What nobody knows counts against the dependency and is not retried.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from holdfast.core._fault_tables import (
    ANY_PROVIDER,
    BY_ERRNO,
    BY_MONGO,
    BY_REFUSAL,
    BY_SQLITE,
    BY_STATUS,
    BY_TYPE,
    CLIENT_ERROR,
    PROVIDERS,
    SERVER_ERROR,
    UNKNOWN,
    Provider,
    Verdict,
)
from holdfast.core.clock import NS_PER_SECOND, SYSTEM_CLOCK, Clock
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.errors import ConfigError, RejectedError, RetriesExhaustedError, UnacceptableResultError

__all__ = ["WEIGHTS", "Fault", "FaultKind", "classify"]

_MAX_CAUSES = 8
_LONGEST_BODY = 65_536


def classify(exc: BaseException, *, clock: Clock = SYSTEM_CLOCK, provider: str | None = None) -> Fault:
    """What ``exc`` means for a retry, a breaker, a fallback and a reader of logs.

    Args:
        exc: anything that a call raised.
        clock: tells the time when a ``Retry-After`` names a date and the response does not say when it was sent.
        provider: whose codes to go by: openai, azure, anthropic, gemini, voyage or cohere; all of them by default.

    Raises:
        ConfigError: the provider is unknown.
    """
    given: object = provider
    if given is not None and (not isinstance(given, str) or given not in PROVIDERS):
        raise ConfigError("provider", provider, f"must be one of {', '.join(PROVIDERS)}")
    return _classify(exc, clock, ANY_PROVIDER if provider is None else PROVIDERS[provider], _MAX_CAUSES)


def _classify(exc: BaseException, clock: Clock, provider: Provider, depth: int) -> Fault:
    if isinstance(exc, UnacceptableResultError) and isinstance(exc.fault, Fault):
        return replace(exc.fault, cause=exc)
    if isinstance(exc, RejectedError):  # nothing was sent, so it says nothing of the dependency
        return Fault(
            kind=next(kind for refusal, kind in BY_REFUSAL.items() if isinstance(exc, refusal)),
            transient=False,
            weight=0.0,
            retry_after=exc.retry_after,
            safe_to_replay=True,
            cause=exc,
        )
    silent = _is_silent(exc)
    headers = None if silent else _headers(exc)
    retry_after = _retry_after(headers, clock) if headers is not None else None
    verdict = (None if silent else _by_content(exc, provider, retry_after)) or _by_type(exc)
    weight: float | None = None
    below: Fault | None = None
    if depth > 0 and (verdict is None or verdict.kind is FaultKind.CONNECT):
        # An unknown wrapper, or a "connection error" that does not say whether anything was sent: ask the cause.
        below = _below(exc, clock, provider, depth - 1)
    if below is not None:
        if verdict is None:
            verdict, weight = Verdict(below.kind, below.transient, below.safe_to_replay), below.weight
            retry_after = below.retry_after if retry_after is None else retry_after
        elif below.kind in {FaultKind.CONNECT, FaultKind.TIMEOUT}:
            verdict = verdict._replace(safe=verdict.safe or below.safe_to_replay)
    if verdict is None:
        verdict = UNKNOWN
    transient = verdict.transient
    if isinstance(exc, RetriesExhaustedError):
        transient = False  # it was retried already; a second loop around the first would multiply the calls
    elif headers is not None and verdict.kind is not FaultKind.CANCELLED:
        # What a gateway says that has tried everything itself.
        transient = {"true": True, "false": False}.get(_header(headers, "x-should-retry") or "", transient)
    return Fault(
        kind=verdict.kind,
        transient=transient,
        weight=WEIGHTS[verdict.kind] if weight is None else weight,
        retry_after=retry_after,
        safe_to_replay=verdict.safe,
        cause=exc,
    )


def _is_silent(exc: BaseException) -> bool:
    """Whether it has none of the attributes that are looked at: nothing but its class says what it means.

    Most errors are such, and each is classified several times on its way.
    """
    cls: Any = type(exc)
    return _has_none(cls) and _LOOKED_AT.isdisjoint(exc.__dict__)


_LOOKED_AT = frozenset({"body", "code", "headers", "response", "status", "status_code", "type"})


@lru_cache(maxsize=256)
def _has_none(cls: type[BaseException]) -> bool:
    """Whether a class itself gives its instances no such attribute, and nothing that could make one up."""
    return (
        not any(hasattr(cls, name) for name in _LOOKED_AT)
        and not hasattr(cls, "__getattr__")
        and cls.__getattribute__ is BaseException.__getattribute__
    )


def _by_content(  # noqa: PLR0911  a list of rules
    exc: BaseException, provider: Provider, retry_after: float | None
) -> Verdict | None:
    """By an error code, else by an HTTP status."""
    status = _status(exc)
    body = _body(exc)
    for row_status, fragment, verdict in provider.texts:
        if status == row_status and fragment in str(body):
            return verdict
    for code in _codes(exc, body):
        if code == "enforced_spend_limit_reached" and retry_after is not None:
            return BY_STATUS[429]  # a limit that ends by itself says when
        if (known := provider.codes.get(code)) is not None:
            return known
    if status is None:
        return None
    if (known := BY_STATUS.get(status)) is not None:
        return known
    if status >= 500:
        return SERVER_ERROR
    if status >= 300:
        return CLIENT_ERROR
    return Verdict(FaultKind.MALFORMED, transient=True)  # a success that the client could not read


def _by_type(exc: BaseException) -> Verdict | None:
    """By the class and its ancestors, refined by the operating system's or SQLite's own number."""
    for cls in type(exc).__mro__:
        module = cls.__module__.partition(".")[0]
        if module == "sqlite3":
            return _by_sqlite(exc) or BY_TYPE.get((module, cls.__name__))
        verdict = BY_TYPE.get((module, cls.__name__))
        if verdict is not None:
            return (BY_MONGO.get(_read_int(exc, "code") or 0) or verdict) if module == "pymongo" else verdict
        if cls is OSError:
            return BY_ERRNO.get(_read_int(exc, "errno") or 0)
    return None


def _by_sqlite(exc: BaseException) -> Verdict | None:
    name = _read(exc, "sqlite_errorname")
    if isinstance(name, str):  # SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_READ, ...
        return BY_SQLITE.get(name.removeprefix("SQLITE_").partition("_")[0])
    return BY_SQLITE["LOCKED"] if "locked" in str(exc) else None


def _below(exc: BaseException, clock: Clock, provider: Provider, depth: int) -> Fault | None:
    """What ``exc`` stands for: its declared cause, or the gravest member of a group."""
    if isinstance(exc, BaseExceptionGroup):
        members = [_classify(each, clock, provider, depth) for each in exc.exceptions]
        return next((fault for fault in members if not fault.transient), members[0])
    return None if exc.__cause__ is None else _classify(exc.__cause__, clock, provider, depth)


def _status(exc: BaseException) -> int | None:
    """The HTTP status, under the names that clients give it."""
    response = _read(exc, "response")
    for holder, name in ((exc, "status_code"), (exc, "status"), (response, "status_code"), (response, "status")):
        value = _read_int(holder, name)
        if value is not None and 100 <= value <= 599:
            return value
    return None


def _body(exc: BaseException) -> object:
    """The body of the response: parsed by the SDK, or what a client of HTTP has read; nothing is read here."""
    body = _read(exc, "body")
    if body is not None:
        return body
    content = _read(_read(exc, "response"), "_content")  # asking for `content` could read from the network
    if not isinstance(content, bytes) or len(content) > _LONGEST_BODY:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _codes(exc: BaseException, body: object) -> Iterator[str]:
    """Error codes, the most telling first."""
    if isinstance(body, list) and body:  # Gemini's streams wrap the error in a list
        body = body[0]
    error = body.get("error") if isinstance(body, Mapping) else None
    for holder in (error, body):
        if isinstance(holder, Mapping):
            details = holder.get("details")
            if isinstance(details, Mapping) and isinstance(code := details.get("error_code"), str):
                yield code  # Anthropic says there which limit it was
            yield from (value for name in ("code", "type", "status") if isinstance(value := holder.get(name), str))
    yield from (value for name in ("code", "type") if isinstance(value := _read(exc, name), str))


def _headers(exc: BaseException) -> object | None:
    """The response's headers: something with ``get``."""
    for holder in (_read(exc, "response"), exc):
        headers = _read(holder, "headers")
        if callable(_read(headers, "get")):
            return headers
    return None


def _header(headers: object, name: str) -> str | None:
    get = _read(headers, "get")
    value = get(name) if callable(get) else None
    if value is None and isinstance(headers, Mapping):
        value = next((each for key, each in headers.items() if isinstance(key, str) and key.lower() == name), None)
    return value.strip() if isinstance(value, str) else None


def _retry_after(headers: object, clock: Clock) -> float | None:
    """Seconds to wait: ``retry-after-ms``, else ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3)."""
    if (value := _header(headers, "retry-after-ms")) is not None and (ms := _number(value)) is not None:
        return ms / 1000
    if (value := _header(headers, "retry-after")) is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    # The server's own Date, where it is there, spares us the difference between its clock and ours.
    now = _date(_header(headers, "date") or "")
    return max(0.0, until - (clock.wall_ns() / NS_PER_SECOND if now is None else now))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _date(text: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(text)
    except Exception:  # noqa: BLE001  what a server sent must not raise here: numbers may be too large for a date
        return None
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()


def _read(holder: object, name: str) -> object | None:
    """An attribute of a foreign object, or None: its properties may raise anything."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001  classifying one error must not raise another
        return None


def _read_int(holder: object, name: str) -> int | None:
    value = _read(holder, name)
    return value if isinstance(value, int) else None
