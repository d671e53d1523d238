"""One classification for every exception that a call can raise."""

import asyncio
import concurrent.futures
import errno
import json
import socket
import sqlite3
import ssl
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import aiohttp
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.core.classify import WEIGHTS, Fault, FaultKind, classify
from holdfast.testing.clock import FakeClock

K = FaultKind


class Response:
    def __init__(self, status: int = 0, headers: Any = None) -> None:
        self.status_code = status
        self.headers = {} if headers is None else headers


class SdkError(Exception):
    """The shape of the model SDKs' errors."""

    def __init__(
        self,
        status: int | None = None,
        *,
        headers: Any = None,
        body: object = None,
        code: object = None,
        type_: object = None,
    ) -> None:
        super().__init__("sdk")
        if status is not None:
            self.status_code = status
        self.response = Response(status or 0, headers)
        self.body = body
        self.code = code
        self.type = type_


def verdict(exc: BaseException) -> tuple[FaultKind, bool, bool]:
    fault = classify(exc)
    return fault.kind, fault.transient, fault.safe_to_replay


def foreign(module: str, name: str, *bases: type[BaseException], **attributes: object) -> BaseException:
    """An exception as a library that is not installed here would raise it."""
    cls = type(name, bases or (Exception,), {"__module__": module, **attributes})
    return cls("foreign")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (100, K.MALFORMED, True),
        (200, K.MALFORMED, True),
        (299, K.MALFORMED, True),
        (300, K.BAD_REQUEST, False),
        (302, K.BAD_REQUEST, False),
        (400, K.BAD_REQUEST, False),
        (401, K.AUTH, False),
        (402, K.QUOTA, False),
        (403, K.AUTH, False),
        (404, K.BAD_REQUEST, False),
        (408, K.TIMEOUT, True),
        (409, K.BAD_REQUEST, False),
        (413, K.CONTEXT_TOO_LONG, False),
        (422, K.BAD_REQUEST, False),
        (425, K.BAD_REQUEST, False),
        (429, K.THROTTLED, True),
        (499, K.CANCELLED, False),
        (500, K.TRANSIENT, True),
        (502, K.TRANSIENT, True),
        (503, K.OVERLOADED, True),
        (504, K.TIMEOUT, True),
        (520, K.TRANSIENT, True),
        (524, K.TIMEOUT, True),
        (529, K.OVERLOADED, True),
        (599, K.TRANSIENT, True),
    ],
)
def test_by_status(status: int, kind: FaultKind, transient: bool) -> None:
    """5xx, 408 and 429 may pass; no other 4xx does."""
    assert verdict(SdkError(status))[:2] == (kind, transient)


@pytest.mark.parametrize("name", ["status_code", "status"])
@pytest.mark.parametrize("inner", [True, False])
def test_where_the_status_is(name: str, inner: bool) -> None:
    """The status is found under each client's name for it, on the error or on its response."""
    exc = RuntimeError()
    holder: Any = exc
    if inner:
        holder = exc.response = type("R", (), {})()  # type: ignore[attr-defined]
    setattr(holder, name, 503)
    assert classify(exc).kind is K.OVERLOADED


@pytest.mark.parametrize("value", [True, "503", 42, 99, 600, 10_000, None, 503.0])
def test_what_is_no_status(value: object) -> None:
    """A value that cannot be an HTTP status is not taken for one."""
    exc = RuntimeError()
    exc.status = value  # type: ignore[attr-defined]
    assert classify(exc).transient is False


@pytest.mark.parametrize(
    ("exc", "kind", "transient"),
    [
        (SdkError(429, code="insufficient_quota"), K.QUOTA, False),
        (SdkError(429, type_="insufficient_quota"), K.QUOTA, False),
        (SdkError(429, body={"error": {"type": "insufficient_quota", "code": None}}), K.QUOTA, False),
        (SdkError(429, body={"code": "project_spend_limit_exceeded"}), K.QUOTA, False),
        (SdkError(429, body={"error": {"code": "rate_limit_exceeded"}}), K.THROTTLED, True),
        (SdkError(429, code="insufficient_quota", headers={"retry-after": "9"}), K.QUOTA, False),
        (SdkError(429, code="slow_down"), K.THROTTLED, True),
        (SdkError(503, code="server_is_overloaded"), K.OVERLOADED, True),
        (SdkError(400, code="context_length_exceeded"), K.CONTEXT_TOO_LONG, False),
        (SdkError(400, code="content_filter"), K.CONTENT_FILTERED, False),
        (SdkError(429, body={"error": {"type": "enforced_spend_limit_reached"}}), K.QUOTA, False),
        (
            SdkError(429, body={"error": {"type": "enforced_spend_limit_reached"}}, headers={"retry-after": "9"}),
            K.THROTTLED,
            True,
        ),
        (SdkError(body={"error": {"type": "overloaded_error"}}), K.OVERLOADED, True),
        (SdkError(429, body={"error": {"status": "RESOURCE_EXHAUSTED"}}), K.THROTTLED, True),
        (
            SdkError(429, body={"error": {"status": "RESOURCE_EXHAUSTED", "quota_limit": "RequestsPerDay"}}),
            K.QUOTA,
            False,
        ),
        (SdkError(429, body="<html>busy</html>"), K.THROTTLED, True),
        (SdkError(502, body=b""), K.TRANSIENT, True),
        (SdkError(500, code=17, body={"error": "text"}), K.TRANSIENT, True),
        (SdkError(500, code="who_knows"), K.TRANSIENT, True),
    ],
)
def test_by_code(exc: SdkError, kind: FaultKind, transient: bool) -> None:
    """A code outranks the status: an exhausted quota is no rate limit; unknown codes and odd bodies change nothing."""
    assert verdict(exc)[:2] == (kind, transient)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 7.5 "}, 7.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "next week"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": 7}, None),
        ({7: "retry-after"}, None),
        ({}, None),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:30 -0000"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 02:00:30 +0200"}, 30.0),
        ({"retry-after": "Wed, 31 Dec 2025 23:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 02 Jan 2026 00:00:30 GMT", "date": "Fri, 02 Jan 2026 00:00:10 GMT"}, 20.0),
        (httpx2.Headers({"Retry-After": "3"}), 3.0),
    ],
)
def test_retry_after(headers: Any, seconds: float | None) -> None:
    """Milliseconds, seconds and dates are read in any spelling; nonsense is ignored; the server's own clock counts."""
    assert classify(SdkError(429, headers=headers), clock=FakeClock()).retry_after == seconds


def test_headers_on_the_error_itself() -> None:
    """aiohttp and urllib keep the headers on the error."""
    exc = RuntimeError()
    exc.status, exc.headers = 503, {"Retry-After": "4"}  # type: ignore[attr-defined]
    assert classify(exc).retry_after == 4


def test_headers_that_are_no_mapping() -> None:
    """Headers are asked by ``get`` where they are no mapping, as those of urllib's errors are not."""
    headers = Message()
    headers["Retry-After"] = "4"
    assert classify(HTTPError("http://x", 503, "busy", headers, None)).retry_after == 4
    assert classify(SdkError(503, headers=type("Headers", (), {"get": lambda *_: None})())).retry_after is None


@pytest.mark.parametrize(("said", "transient"), [("false", False), ("true", True), ("maybe", True)])
def test_x_should_retry(said: str, transient: bool) -> None:
    """A gateway that has tried everything says so, and is believed."""
    assert classify(SdkError(500, headers={"x-should-retry": said})).transient is transient
    assert classify(SdkError(409, headers={"x-should-retry": said})).transient is (said == "true")
    assert classify(SdkError(499, headers={"x-should-retry": "true"})).transient is False


def sqlite(fails: Callable[[], object]) -> BaseException:
    with pytest.raises(sqlite3.Error) as raised:
        fails()
    return raised.value


@pytest.fixture
def locked(tmp_path: Path) -> BaseException:
    with sqlite3.connect(tmp_path / "a.db", timeout=0) as one:
        one.execute("create table t(a)")
        one.commit()
        one.execute("begin immediate")
        two = sqlite3.connect(tmp_path / "a.db", timeout=0)
        error = sqlite(lambda: two.execute("begin immediate"))
        two.close()
    one.close()
    return error


def test_sqlite_locked(locked: BaseException) -> None:
    """A database that another process has locked is transient, and nothing was done."""
    assert verdict(locked) == (K.TRANSIENT, True, True)


def test_sqlite_for_real(tmp_path: Path) -> None:
    """A missing place, a file that is no database, wrong SQL, a broken rule and wrong use are told apart."""
    assert verdict(sqlite(lambda: sqlite3.connect(tmp_path / "no" / "a.db")))[:2] == (K.CONNECT, False)
    (tmp_path / "b.db").write_bytes(b"this is not a database, it only looks like one" * 100)
    broken = sqlite3.connect(tmp_path / "b.db")
    assert verdict(sqlite(lambda: broken.execute("select * from t")))[:2] == (K.MALFORMED, False)
    broken.close()
    db = sqlite3.connect(":memory:")
    db.execute("create table t(a primary key)")
    db.execute("insert into t values(1)")
    assert verdict(sqlite(lambda: db.execute("insert into t values(1)")))[:2] == (K.BAD_REQUEST, False)
    assert verdict(sqlite(lambda: db.execute("selec 1")))[:2] == (K.BUG, False)
    db.close()
    assert verdict(sqlite(lambda: db.execute("select 1")))[:2] == (K.BUG, False)


def test_sqlite_without_a_code() -> None:
    """An error that only says "locked" is known too."""
    assert verdict(sqlite3.OperationalError("database is locked")) == (K.TRANSIENT, True, True)
    assert classify(sqlite3.OperationalError("no such table: t")).kind is K.BUG


HTTPX_REQUEST = httpx2.Request("GET", "http://x")


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        # ours
        (errors.StoreLockedError(), (K.TRANSIENT, True, True)),
        (errors.StoreUnavailableError(), (K.CONNECT, False, False)),
        (errors.StoreCorruptError(), (K.MALFORMED, False, False)),
        (errors.ModelUnavailableError(), (K.CONNECT, False, False)),
        (errors.RejectedError("no"), (K.OVERLOADED, False, True)),
        (errors.CircuitOpenError("open"), (K.OVERLOADED, False, True)),
        (errors.RateLimitedError("slow"), (K.THROTTLED, False, True)),
        (errors.QuotaExhaustedError("used up"), (K.QUOTA, False, True)),
        (errors.DeadlineExceededError(), (K.TIMEOUT, False, False)),
        (errors.AttemptTimeoutError(), (K.TIMEOUT, True, False)),
        (errors.InvalidInputError("q", "no"), (K.BAD_REQUEST, False, False)),
        (errors.NotFoundError("id", "no"), (K.BAD_REQUEST, False, False)),
        (errors.ConfigError("f", 1, "r"), (K.BUG, False, False)),
        (errors.MissingExtraError("x", "y"), (K.BUG, False, False)),
        (errors.StoreError(), (K.TRANSIENT, False, False)),
        (errors.RetriesExhaustedError("x", attempts=3), (K.TRANSIENT, False, False)),
        # Python
        (TimeoutError(), (K.TIMEOUT, True, False)),
        (ConnectionRefusedError(), (K.CONNECT, True, True)),
        (ConnectionResetError(), (K.CONNECT, True, False)),
        (BrokenPipeError(), (K.CONNECT, True, False)),
        (socket.gaierror(), (K.CONNECT, True, True)),
        (ssl.SSLCertVerificationError(), (K.CONNECT, False, False)),
        (ssl.SSLError(), (K.CONNECT, True, False)),
        (FileNotFoundError(), (K.BAD_REQUEST, False, False)),
        (PermissionError(), (K.AUTH, False, False)),
        (OSError(errno.ENETUNREACH, ""), (K.CONNECT, True, True)),
        (OSError(errno.ENOSPC, ""), (K.QUOTA, False, False)),
        (OSError(errno.EMFILE, ""), (K.OVERLOADED, True, True)),
        (OSError("odd"), (K.TRANSIENT, False, False)),
        (json.JSONDecodeError("x", "", 0), (K.MALFORMED, True, False)),
        (UnicodeDecodeError("utf-8", b"", 0, 1, ""), (K.MALFORMED, True, False)),
        (EOFError(), (K.TRUNCATED, True, False)),
        (ValueError(), (K.BUG, False, False)),
        (TypeError(), (K.BUG, False, False)),
        (KeyError(), (K.BUG, False, False)),
        (AttributeError(), (K.BUG, False, False)),
        (ZeroDivisionError(), (K.BUG, False, False)),
        (asyncio.CancelledError(), (K.CANCELLED, False, False)),
        (concurrent.futures.CancelledError(), (K.CANCELLED, False, False)),
        (KeyboardInterrupt(), (K.CANCELLED, False, False)),
        (GeneratorExit(), (K.CANCELLED, False, False)),
        (asyncio.IncompleteReadError(b"", 1), (K.TRUNCATED, True, False)),
        (RuntimeError("who knows"), (K.TRANSIENT, False, False)),
        # httpx2 and aiohttp, as they are
        (httpx2.ConnectTimeout(""), (K.TIMEOUT, True, True)),
        (httpx2.ReadTimeout(""), (K.TIMEOUT, True, False)),
        (httpx2.ConnectError(""), (K.CONNECT, True, True)),
        (httpx2.ReadError(""), (K.CONNECT, True, False)),
        (httpx2.RemoteProtocolError(""), (K.CONNECT, True, False)),
        (httpx2.DecodingError(""), (K.MALFORMED, True, False)),
        (
            httpx2.HTTPStatusError("", request=HTTPX_REQUEST, response=httpx2.Response(503, request=HTTPX_REQUEST)),
            (K.OVERLOADED, True, False),
        ),
        (aiohttp.ServerTimeoutError(), (K.TIMEOUT, True, False)),
        (aiohttp.ConnectionTimeoutError(), (K.TIMEOUT, True, True)),
        (aiohttp.ServerDisconnectedError(), (K.CONNECT, True, False)),
        (aiohttp.ClientPayloadError(), (K.TRUNCATED, True, False)),
        (aiohttp.InvalidURL("x"), (K.BUG, False, False)),
        (aiohttp.ClientResponseError(None, (), status=429), (K.THROTTLED, True, True)),  # type: ignore[arg-type]
        # others, by name
        (foreign("openai", "APITimeoutError"), (K.TIMEOUT, True, False)),
        (foreign("anthropic._exceptions", "APIConnectionError"), (K.CONNECT, True, False)),
        (foreign("openai", "APIError"), (K.TRANSIENT, True, False)),
        (
            foreign("requests.exceptions", "ReadTimeout", type(foreign("requests.exceptions", "Timeout"))),
            (K.TIMEOUT, True, False),
        ),
        (foreign("redis.exceptions", "BusyLoadingError"), (K.OVERLOADED, True, True)),
        (foreign("pymongo.errors", "ServerSelectionTimeoutError"), (K.CONNECT, True, True)),
    ],
)
def test_by_type(exc: BaseException, expected: tuple[FaultKind, bool, bool]) -> None:
    """Every family of exceptions has its kind, whether it may pass, and whether it is safe to replay."""
    assert verdict(exc) == expected
    assert classify(exc).cause is exc
    assert classify(exc).weight == (0 if isinstance(exc, errors.RejectedError) else WEIGHTS[expected[0]])


def test_weights() -> None:
    """A timeout weighs half; what is not the dependency's fault weighs nothing."""
    assert set(WEIGHTS) == set(FaultKind)
    assert WEIGHTS[K.TIMEOUT] == 0.5
    nothing = {K.THROTTLED, K.AUTH, K.QUOTA, K.BAD_REQUEST, K.CONTEXT_TOO_LONG, K.CONTENT_FILTERED, K.CANCELLED, K.BUG}
    assert {kind for kind, weight in WEIGHTS.items() if weight == 0} == nothing


def caused(exc: BaseException, cause: BaseException) -> BaseException:
    exc.__cause__ = cause
    return exc


def test_the_cause_speaks_for_an_unknown_wrapper() -> None:
    """An error of an unknown type is what its declared cause is, with its Retry-After."""
    fault = classify(caused(RuntimeError(), SdkError(429, headers={"retry-after": "3"})))
    assert (fault.kind, fault.transient, fault.retry_after) == (K.THROTTLED, True, 3.0)
    assert classify(caused(RuntimeError(), caused(RuntimeError(), KeyError()))).kind is K.BUG
    assert classify(caused(errors.StoreError(), ConnectionResetError())).kind is K.CONNECT


def test_a_context_is_no_cause() -> None:
    """What merely happened before is not taken for the cause."""
    error = RuntimeError()
    error.__context__ = ConnectionResetError()
    assert classify(error).transient is False


def test_a_connection_error_asks_its_cause_whether_anything_was_sent() -> None:
    """An SDK's connection error over a refused connection is safe to replay; over a lost one, or a bug, it is not."""
    assert verdict(caused(foreign("openai", "APIConnectionError"), httpx2.ConnectError(""))) == (K.CONNECT, True, True)
    assert verdict(caused(foreign("openai", "APIConnectionError"), httpx2.ReadError(""))) == (K.CONNECT, True, False)
    assert verdict(caused(foreign("openai", "APIConnectionError"), ValueError())) == (K.CONNECT, True, False)


def test_what_was_never_sent_stays_so() -> None:
    """A connection that was never made is safe to replay whatever kept it from being made."""
    assert verdict(caused(httpx2.ConnectError(""), ConnectionResetError())) == (K.CONNECT, True, True)


def test_an_answer_outranks_the_cause() -> None:
    """Where a server has answered, a refused connection behind its answer makes no repetition safe."""
    assert verdict(caused(SdkError(503), ConnectionRefusedError())) == (K.OVERLOADED, True, False)


@pytest.mark.parametrize(("wrappers", "kind"), [(8, K.THROTTLED), (9, K.TRANSIENT)])
def test_how_far_causes_are_followed(wrappers: int, kind: FaultKind) -> None:
    """Causes are followed eight deep."""
    error: BaseException = SdkError(429)
    for _ in range(wrappers):
        error = caused(RuntimeError(), error)
    assert classify(error).kind is kind


def test_retries_exhausted_is_its_cause_but_never_again() -> None:
    """A loop around a loop does not multiply calls."""
    fault = classify(caused(errors.RetriesExhaustedError("x", attempts=3), ConnectionResetError()))
    assert (fault.kind, fault.transient, fault.weight) == (K.CONNECT, False, 1.0)


def test_a_rejection_carries_its_retry_after() -> None:
    """The time that a policy of ours names is kept."""
    assert classify(errors.CircuitOpenError("x", retry_after=4.0)).retry_after == 4.0


def test_groups() -> None:
    """A group is its gravest member: one that will not pass, else the first."""
    assert classify(ExceptionGroup("g", [TimeoutError(), ValueError()])).kind is K.BUG
    assert classify(ExceptionGroup("g", [TimeoutError(), ConnectionResetError()])).kind is K.TIMEOUT


def test_causes_in_a_circle() -> None:
    """A chain of causes that never ends is not followed for ever."""
    one, two = RuntimeError(), RuntimeError()
    one.__cause__, two.__cause__ = two, one
    assert classify(one).kind is K.TRANSIENT


class HostileError(Exception):
    """Every property raises, as ``httpx``'s ``.request`` does."""

    @property
    def response(self) -> object:
        raise RuntimeError("no")

    @property
    def status(self) -> int:
        raise KeyError("no")


def test_properties_that_raise() -> None:
    """An exception whose properties raise is classified all the same."""
    assert classify(HostileError()).kind is K.TRANSIENT


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.none() | st.integers(-5, 700), json_like, json_like, st.dictionaries(st.text(max_size=12), st.text(max_size=12))
)
def test_classifying_never_fails(status: int | None, body: object, code: object, headers: dict[str, str]) -> None:
    """Whatever an exception carries, there is a verdict, and its weight is the kind's."""
    fault = classify(SdkError(status, body=body, code=code, headers=headers | {"retry-after": str(body)}))
    assert isinstance(fault, Fault)
    assert fault.weight == WEIGHTS[fault.kind]
    assert fault.retry_after is None or fault.retry_after >= 0


class _Answer:
    """A response as a client of HTTP holds it once it was read."""

    def __init__(self, status: int, content: object) -> None:
        self.status_code, self._content = status, content


class HttpError(Exception):
    def __init__(self, status: int, content: object) -> None:
        super().__init__(status)
        self.response = _Answer(status, content)


QUOTA_BODY = b'{"error": {"code": "insufficient_quota"}}'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (QUOTA_BODY, FaultKind.QUOTA),
        (b"<html>busy</html>", FaultKind.THROTTLED),
        (b"", FaultKind.THROTTLED),
        (b"[]", FaultKind.THROTTLED),
        (QUOTA_BODY.ljust(65_536), FaultKind.QUOTA),
        (QUOTA_BODY.ljust(65_537), FaultKind.THROTTLED),
        (False, FaultKind.THROTTLED),
        (None, FaultKind.THROTTLED),
    ],
)
def test_the_body_that_a_client_has_read(content: object, kind: FaultKind) -> None:
    """A body that was read is looked at; one that was not, is no JSON or is long leaves the status."""
    assert classify(HttpError(429, content)).kind is kind


def test_a_provider_that_is_named() -> None:
    """With a provider's name only that provider's codes count; an unknown name is refused."""
    error = HttpError(429, QUOTA_BODY)
    assert classify(error, provider="openai").kind is FaultKind.QUOTA
    assert classify(error, provider="voyage").kind is FaultKind.THROTTLED
    daily = HttpError(429, b'{"error": {"status": "RESOURCE_EXHAUSTED", "details": "RequestsPerDay"}}')
    assert classify(daily, provider="gemini").kind is FaultKind.QUOTA
    assert classify(daily, provider="cohere").kind is FaultKind.THROTTLED
    with pytest.raises(errors.ConfigError, match="openai, azure, anthropic, gemini, voyage, cohere"):
        classify(error, provider="nobody")


def test_a_result_that_was_refused_keeps_its_fault() -> None:
    """The fault that ``on_result`` named is the classification."""
    fault = Fault(kind=FaultKind.EMPTY, transient=True, weight=0.5)
    error = errors.UnacceptableResultError("m", result="", fault=fault)
    assert classify(error) == replace(fault, cause=error)
    assert classify(errors.UnacceptableResultError("m", result="", fault=None)).kind is FaultKind.TRANSIENT


class TellingError(Exception):
    """An error whose class says a status."""

    status_code = 429


class InventiveError(Exception):
    """An error that makes attributes up."""

    def __getattr__(self, name: str) -> int:
        if name == "status":
            return 503
        raise AttributeError(name)


class GuardedError(Exception):
    """An error that answers for all its attributes."""

    def __getattribute__(self, name: str) -> Any:
        return 504 if name == "status" else super().__getattribute__(name)


class SlottedError(Exception):
    """An error that keeps its status in a slot."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        super().__init__()
        self.status = 503


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TellingError(), K.THROTTLED),
        (InventiveError(), K.OVERLOADED),
        (GuardedError(), K.TIMEOUT),
        (SlottedError(), K.OVERLOADED),
    ],
)
def test_wherever_an_error_has_its_status(error: Exception, kind: FaultKind) -> None:
    """In the class, in a slot, or made up when it is asked for: it is found, and of the same class again and again."""
    assert [classify(error).kind, classify(error).kind] == [kind, kind]


def test_an_error_that_is_told_more_later() -> None:
    """What says nothing is known by its class; once it has a status, by that."""
    error = TimeoutError()
    assert classify(error).kind is K.TIMEOUT
    error.status = 429  # type: ignore[attr-defined]
    assert classify(error).kind is K.THROTTLED
