"""The real exception classes of the SDKs and clients, as they arise, and what each means."""

from typing import Any

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import pymongo.errors
import pytest
import redis.exceptions
import requests
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from holdfast.core.classify import FaultKind, classify
from holdfast.errors import ConfigError

K = FaultKind
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


def _response(sdk: Any, status: int, body: object, headers: dict[str, str]) -> Any:
    assert issubclass(sdk.DefaultHttpxClient, httpx2.Client)  # what the official SDKs are built on today
    request = httpx2.Request("POST", "https://api.example/v1")
    if isinstance(body, str):
        return httpx2.Response(status, text=body, headers=headers, request=request)
    return httpx2.Response(status, json=body, headers=headers, request=request)


def from_openai(status: int, body: object, **headers: str) -> Exception:
    """What the openai SDK raises for a response, made by the SDK itself."""
    response = _response(openai, status, body, {key.replace("_", "-"): value for key, value in headers.items()})
    return openai.OpenAI(api_key="k")._make_status_error_from_response(response)


def from_anthropic(status: int, body: object, **headers: str) -> Exception:
    """What the anthropic SDK raises for a response."""
    response = _response(anthropic, status, body, {key.replace("_", "-"): value for key, value in headers.items()})
    return anthropic.Anthropic(api_key="k")._make_status_error_from_response(response)


def o(kind: str, code: str | None = None, message: str = "m") -> dict[str, object]:
    """An error body as OpenAI sends it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def a(kind: str, message: str = "m") -> dict[str, object]:
    """An error body as Anthropic sends it."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}


@pytest.mark.parametrize(
    ("error", "kind", "transient"),
    [
        (from_openai(429, o("insufficient_quota", "insufficient_quota")), K.QUOTA, False),
        (from_openai(429, o("insufficient_quota", "credit_balance_exhausted")), K.QUOTA, False),
        (from_openai(429, o("insufficient_quota", "project_spend_limit_exceeded")), K.QUOTA, False),
        (from_openai(429, o("tokens", "rate_limit_exceeded")), K.THROTTLED, True),
        (from_openai(429, o("requests", "slow_down")), K.THROTTLED, True),
        (from_openai(429, HTML), K.THROTTLED, True),
        (from_openai(503, o("server_error", "server_is_overloaded")), K.OVERLOADED, True),
        (from_openai(400, o("invalid_request_error", "context_length_exceeded")), K.CONTEXT_TOO_LONG, False),
        (from_openai(400, o("invalid_request_error", "content_filter")), K.CONTENT_FILTERED, False),
        (from_openai(400, o("invalid_request_error", None)), K.BAD_REQUEST, False),
        (from_openai(401, o("invalid_request_error", "invalid_api_key")), K.AUTH, False),
        (from_openai(403, o("permission", None)), K.AUTH, False),
        (from_openai(404, o("invalid_request_error", "model_not_found")), K.BAD_REQUEST, False),
        (from_openai(408, ""), K.TIMEOUT, True),
        (from_openai(409, o("conflict")), K.BAD_REQUEST, False),
        (from_openai(422, o("unprocessable")), K.BAD_REQUEST, False),
        (from_openai(500, o("server_error", None)), K.TRANSIENT, True),
        (from_openai(502, HTML), K.TRANSIENT, True),
        (from_openai(504, ""), K.TIMEOUT, True),
    ],
)
def test_openai(error: Exception, kind: FaultKind, transient: bool) -> None:
    """A permanent 429 is no rate limit; a body that is HTML or empty leaves the status."""
    assert isinstance(error, openai.APIStatusError)
    fault = classify(error)
    assert (fault.kind, fault.transient) == (kind, transient)


@pytest.mark.parametrize(
    ("error", "kind", "transient"),
    [
        (from_anthropic(400, a("invalid_request_error")), K.BAD_REQUEST, False),
        (from_anthropic(401, a("authentication_error")), K.AUTH, False),
        (from_anthropic(402, a("billing_error")), K.QUOTA, False),
        (from_anthropic(403, a("permission_error")), K.AUTH, False),
        (from_anthropic(404, a("not_found_error")), K.BAD_REQUEST, False),
        (from_anthropic(413, a("request_too_large")), K.CONTEXT_TOO_LONG, False),
        (from_anthropic(429, a("rate_limit_error"), retry_after="7"), K.THROTTLED, True),
        (from_anthropic(429, a("enforced_spend_limit_reached")), K.QUOTA, False),
        (from_anthropic(429, a("enforced_spend_limit_reached"), retry_after="9"), K.THROTTLED, True),
        (from_anthropic(500, a("api_error")), K.TRANSIENT, True),
        (from_anthropic(504, a("timeout_error")), K.TIMEOUT, True),
        (from_anthropic(529, a("overloaded_error")), K.OVERLOADED, True),
        (from_anthropic(529, HTML), K.OVERLOADED, True),
        (from_anthropic(200, a("overloaded_error")), K.OVERLOADED, True),
        (from_anthropic(200, a("rate_limit_error")), K.THROTTLED, True),
    ],
)
def test_anthropic(error: Exception, kind: FaultKind, transient: bool) -> None:
    """529 is an overload; an error event after a 200 means what its type says."""
    assert isinstance(error, anthropic.APIStatusError)
    fault = classify(error)
    assert (fault.kind, fault.transient) == (kind, transient)


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:30 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 30.0),
        ({}, None),
    ],
)
def test_retry_after_of_real_responses(headers: dict[str, str], retry_after: float | None) -> None:
    """Milliseconds first (Azure), then seconds or a date, from the SDK's own response object."""
    for make in (from_openai, from_anthropic):
        assert classify(make(429, {}, **headers)).retry_after == retry_after


@pytest.mark.parametrize(("said", "transient"), [("false", False), ("true", True)])
def test_x_should_retry_of_real_responses(said: str, transient: bool) -> None:
    """A gateway that has tried everything, or knows better, is believed."""
    assert classify(from_openai(500, {}, x_should_retry=said)).transient is transient
    assert classify(from_anthropic(400, {}, x_should_retry=said)).transient is transient


@pytest.mark.parametrize("sdk", [openai, anthropic])
def test_sdk_errors_without_a_response(sdk: Any) -> None:
    """Connections, timeouts and unreadable answers of the SDKs; a connection that was never made is safe to replay."""
    base = httpx2
    request = base.Request("POST", "https://api.example/v1")
    assert classify(sdk.APITimeoutError(request)).kind is K.TIMEOUT
    lost = sdk.APIConnectionError(request=request)
    assert (classify(lost).kind, classify(lost).safe_to_replay) == (K.CONNECT, False)
    lost.__cause__ = base.ConnectError("refused")
    assert classify(lost).safe_to_replay
    response = base.Response(200, text="{", request=request)
    assert classify(sdk.APIResponseValidationError(response, None)).kind is K.MALFORMED
    event = sdk.APIError("overloaded", request, body={"type": "overloaded_error"})
    assert classify(event).kind is K.OVERLOADED


def test_finish_reasons_of_openai() -> None:
    """Parsed completions that were cut or filtered."""
    assert classify(openai.ContentFilterFinishReasonError()).kind is K.CONTENT_FILTERED


def azure(code: str) -> dict[str, object]:
    """A refusal of Azure's filter."""
    return {"error": {"code": code, "message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}


def _anthropic(message: str) -> dict[str, object]:
    """A bad request as Anthropic words it; only the words tell what is bad."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


@pytest.mark.parametrize(
    ("body", "status", "kind", "transient"),
    [
        (azure("content_filter"), 400, K.CONTENT_FILTERED, False),
        (azure("429"), 429, K.THROTTLED, True),
        (azure("DeploymentNotFound"), 404, K.BAD_REQUEST, False),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}, 429, K.THROTTLED, True),
        (
            {
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"metadata": {"quota_limit": "GenerateRequestsPerDayPerProject"}}],
                }
            },
            429,
            K.QUOTA,
            False,
        ),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, 503, K.OVERLOADED, True),
        ({"error": {"code": 504, "status": "DEADLINE_EXCEEDED"}}, 504, K.TIMEOUT, True),
        ({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400, K.BAD_REQUEST, False),
        ({"error": {"code": 400, "status": "FAILED_PRECONDITION"}}, 400, K.BAD_REQUEST, False),
        ({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, 403, K.AUTH, False),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], 429, K.THROTTLED, True),
        ({"detail": "You have exceeded your rate limit"}, 429, K.THROTTLED, True),
        ({"detail": "The request is too long"}, 400, K.BAD_REQUEST, False),
        (_anthropic("prompt is too long: 210000 tokens > 200000 maximum"), 400, K.CONTEXT_TOO_LONG, False),
        (_anthropic("Output blocked by content filtering policy"), 400, K.CONTENT_FILTERED, False),
        (_anthropic("messages: at least one message is required"), 400, K.BAD_REQUEST, False),
        (
            {"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum"}},
            400,
            K.CONTEXT_TOO_LONG,
            False,
        ),
        ({"object": "error", "message": "This model's maximum context length is 8192"}, 400, K.CONTEXT_TOO_LONG, False),
        ({"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, 429, K.QUOTA, False),
        ({"message": "too many requests"}, 429, K.THROTTLED, True),
        ({"message": "request cancelled"}, 499, K.CANCELLED, False),
    ],
)
def test_other_providers(body: object, status: int, kind: FaultKind, transient: bool) -> None:
    """Azure, Gemini, Voyage and Cohere, as httpx's and requests' errors carry them."""
    request = httpx.Request("POST", "https://api.example/v1")
    with pytest.raises(httpx.HTTPStatusError) as raised:
        httpx.Response(status, json=body, request=request).raise_for_status()
    theirs = requests.Response()
    theirs.status_code = status
    theirs._content = httpx.Response(status, json=body).content
    for error in (raised.value, requests.HTTPError(response=theirs)):
        fault = classify(error)
        assert (fault.kind, fault.transient) == (kind, transient)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_httpx(library: Any) -> None:
    """Transport errors of httpx and its successor."""
    for name, kind, safe in [
        ("ConnectError", K.CONNECT, True),
        ("ConnectTimeout", K.TIMEOUT, True),
        ("PoolTimeout", K.TIMEOUT, True),
        ("ReadTimeout", K.TIMEOUT, False),
        ("WriteTimeout", K.TIMEOUT, False),
        ("ReadError", K.CONNECT, False),
        ("WriteError", K.CONNECT, False),
        ("CloseError", K.CONNECT, False),
        ("RemoteProtocolError", K.CONNECT, False),
        ("LocalProtocolError", K.BUG, False),
        ("ProxyError", K.CONNECT, True),
        ("UnsupportedProtocol", K.BUG, False),
        ("DecodingError", K.MALFORMED, False),
        ("TooManyRedirects", K.BAD_REQUEST, False),
    ]:
        fault = classify(getattr(library, name)("m"))
        assert (name, fault.kind, fault.safe_to_replay) == (name, kind, safe)


def test_aiohttp() -> None:
    """Client errors of aiohttp, with a status, and without."""
    url = URL("https://api.example/v1")
    info = aiohttp.RequestInfo(url, "POST", CIMultiDictProxy(CIMultiDict()), url)
    throttled = aiohttp.ClientResponseError(info, (), status=429, headers=CIMultiDict({"Retry-After": "3"}))
    assert (classify(throttled).kind, classify(throttled).retry_after) == (K.THROTTLED, 3)
    assert classify(aiohttp.ClientResponseError(info, (), status=502)).kind is K.TRANSIENT
    assert classify(aiohttp.ContentTypeError(info, (), status=200)).kind is K.MALFORMED
    assert classify(aiohttp.ClientPayloadError()).kind is K.TRUNCATED
    assert classify(aiohttp.ServerDisconnectedError()).kind is K.CONNECT
    assert classify(aiohttp.ServerTimeoutError()).kind is K.TIMEOUT
    assert classify(aiohttp.ConnectionTimeoutError()).safe_to_replay
    assert classify(aiohttp.InvalidURL("x")).kind is K.BUG
    assert classify(TimeoutError()).kind is K.TIMEOUT
    key: Any = type("Key", (), {"host": "h", "port": 1, "ssl": False, "is_ssl": False})()
    refused = aiohttp.ClientConnectorError(key, ConnectionRefusedError())
    assert (classify(refused).kind, classify(refused).safe_to_replay) == (K.CONNECT, True)


def test_requests() -> None:
    """Errors of requests."""
    assert classify(requests.ConnectTimeout()).safe_to_replay
    assert classify(requests.ReadTimeout()).kind is K.TIMEOUT
    assert classify(requests.ConnectionError()).kind is K.CONNECT
    assert classify(requests.exceptions.ChunkedEncodingError()).kind is K.TRUNCATED
    assert classify(requests.exceptions.ContentDecodingError()).kind is K.MALFORMED
    assert classify(requests.exceptions.SSLError()).transient is False
    assert classify(requests.exceptions.JSONDecodeError("m", "", 0)).kind is K.MALFORMED
    assert classify(requests.exceptions.InvalidURL()).kind is K.BUG


def test_redis() -> None:
    """Errors of redis: what is away, busy, read-only, or wrong."""
    for error, kind, transient in [
        (redis.exceptions.ConnectionError(), K.CONNECT, True),
        (redis.exceptions.TimeoutError(), K.TIMEOUT, True),
        (redis.exceptions.BusyLoadingError(), K.OVERLOADED, True),
        (redis.exceptions.AuthenticationError(), K.AUTH, False),
        (redis.exceptions.NoPermissionError(), K.AUTH, False),
        (redis.exceptions.ReadOnlyError(), K.TRANSIENT, True),
        (redis.exceptions.OutOfMemoryError(), K.QUOTA, False),
        (redis.exceptions.ResponseError(), K.BAD_REQUEST, False),
        (redis.exceptions.DataError(), K.BUG, False),
        (redis.exceptions.ClusterDownError("CLUSTERDOWN"), K.OVERLOADED, True),
    ]:
        fault = classify(error)
        assert (error, fault.kind, fault.transient) == (error, kind, transient)


def test_pymongo() -> None:
    """Errors of pymongo: elections, pools, servers that are away, and commands that are wrong."""
    for error, kind, transient in [
        (pymongo.errors.ServerSelectionTimeoutError(), K.CONNECT, True),
        (pymongo.errors.AutoReconnect(), K.CONNECT, True),
        (pymongo.errors.NotPrimaryError(), K.TRANSIENT, True),
        (pymongo.errors.NetworkTimeout(), K.TIMEOUT, True),
        (pymongo.errors.ExecutionTimeout("m"), K.TIMEOUT, True),
        (pymongo.errors.WaitQueueTimeoutError(), K.TIMEOUT, True),
        (pymongo.errors.OperationFailure("auth", code=18), K.AUTH, False),
        (pymongo.errors.OperationFailure("not authorized", code=13), K.AUTH, False),
        (pymongo.errors.OperationFailure("stepped down", code=189), K.TRANSIENT, True),
        (pymongo.errors.OperationFailure("bad", code=9), K.BAD_REQUEST, False),
        (pymongo.errors.DuplicateKeyError("dup", code=11000), K.BAD_REQUEST, False),
        (pymongo.errors.WriteConcernError("m"), K.BAD_REQUEST, False),
        (pymongo.errors.DocumentTooLarge("m"), K.BAD_REQUEST, False),
        (pymongo.errors.ConfigurationError("m"), K.BUG, False),
        (pymongo.errors.InvalidOperation("m"), K.BUG, False),
    ]:
        fault = classify(error)
        assert (error, fault.kind, fault.transient) == (error, kind, transient)


def test_the_code_in_an_anthropic_errors_details() -> None:
    """The details say which limit it was, and what is no text there says nothing."""
    for details, kind in (
        ({"error_code": "enforced_spend_limit_reached"}, FaultKind.QUOTA),
        ({"error_code": 7}, FaultKind.THROTTLED),
        ({}, FaultKind.THROTTLED),
    ):
        error: Any = RuntimeError("limit")
        error.status_code = 429
        error.body = {"error": {"type": "rate_limit_error", "details": details}}
        assert classify(error, provider="anthropic").kind is kind


def test_a_provider_that_is_no_name() -> None:
    """It is refused with the names that there are, whatever it is."""
    wrong: Any = ["openai"]
    with pytest.raises(ConfigError, match="must be one of openai, azure"):
        classify(RuntimeError(), provider=wrong)
