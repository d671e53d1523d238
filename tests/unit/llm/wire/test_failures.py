"""From what providers send to the errors that they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.llm.wire.recordings import QUIRKS

from holdfast.core.classify import FaultKind as K
from holdfast.core.classify import classify
from holdfast.errors import EmptyAnswerError, MalformedAnswerError, ProviderError, TruncatedAnswerError
from holdfast.llm.wire.base import Quirks
from holdfast.llm.wire.failures import by_status, holds_error, in_answer, read_object


def o(kind: str | None, code: str | None = None, message: str = "m") -> dict[str, Any]:
    """OpenAI's error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def a(kind: str, message: str = "m") -> dict[str, Any]:
    """Anthropic's error."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}


def g(code: int, status: str, **more: object) -> list[Any]:
    """Gemini's error, in the list that its OpenAI-compatible endpoint puts it in."""
    return [{"error": {"code": code, "message": "m", "status": status, **more}}]


DAILY = {
    "details": [{"@type": "QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]
}
RETRY = {"retry-after": "7"}
HTML = "<html><head><title>502 Bad Gateway</title></head></html>"

SHAPES: list[tuple[str, int, object, dict[str, str], K, bool]] = [
    ("openai", 429, o("insufficient_quota", "insufficient_quota"), {}, K.QUOTA, False),
    ("openai", 429, o("insufficient_quota", "credit_balance_exhausted"), {}, K.QUOTA, False),
    ("openai", 429, o("insufficient_quota", "organization_spend_limit_exceeded"), {}, K.QUOTA, False),
    ("openai", 429, o("insufficient_quota", "project_spend_limit_exceeded"), {}, K.QUOTA, False),
    ("openai", 429, o("insufficient_quota", "organization_usage_limit_exceeded"), {}, K.QUOTA, False),
    ("openai", 429, o("tokens", "rate_limit_exceeded"), RETRY, K.THROTTLED, True),
    ("openai", 429, o("requests", "slow_down"), {}, K.THROTTLED, True),
    ("openai", 503, o("server_error", "server_is_overloaded"), {}, K.OVERLOADED, True),
    ("openai", 400, o("invalid_request_error", "context_length_exceeded"), {}, K.CONTEXT_TOO_LONG, False),
    ("openai", 400, o("invalid_request_error", "content_filter"), {}, K.CONTENT_FILTERED, False),
    ("openai", 400, o("invalid_request_error"), {}, K.BAD_REQUEST, False),
    ("openai", 401, o("invalid_request_error", "invalid_api_key"), {}, K.AUTH, False),
    ("openai", 500, o("server_error"), {}, K.TRANSIENT, True),
    ("azure", 429, o(None, "429"), {"retry-after-ms": "7000"}, K.THROTTLED, True),
    (
        "azure",
        400,
        {"error": {"code": "content_filter", "message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        {},
        K.CONTENT_FILTERED,
        False,
    ),
    ("azure", 401, {"statusCode": 401, "message": "Access denied"}, {}, K.AUTH, False),
    ("anthropic", 402, a("billing_error"), {}, K.QUOTA, False),
    ("anthropic", 413, a("request_too_large"), {}, K.CONTEXT_TOO_LONG, False),
    ("anthropic", 429, a("rate_limit_error"), RETRY, K.THROTTLED, True),
    ("anthropic", 429, a("enforced_spend_limit_reached"), {}, K.QUOTA, False),
    ("anthropic", 429, a("enforced_spend_limit_reached"), RETRY, K.THROTTLED, True),
    ("anthropic", 500, a("api_error"), {}, K.TRANSIENT, True),
    ("anthropic", 504, a("timeout_error"), {}, K.TIMEOUT, True),
    ("anthropic", 529, a("overloaded_error"), {}, K.OVERLOADED, True),
    ("gemini", 429, g(429, "RESOURCE_EXHAUSTED"), {}, K.THROTTLED, True),
    ("gemini", 429, g(429, "RESOURCE_EXHAUSTED", **DAILY), {}, K.QUOTA, False),
    ("gemini", 503, g(503, "UNAVAILABLE"), {}, K.OVERLOADED, True),
    ("gemini", 499, g(499, "CANCELLED"), {}, K.CANCELLED, False),
    ("gemini", 504, g(504, "DEADLINE_EXCEEDED"), {}, K.TIMEOUT, True),
    ("voyage", 429, {"detail": "m"}, {}, K.THROTTLED, True),
    ("voyage", 400, {"detail": "m"}, {}, K.BAD_REQUEST, False),
    ("voyage", 401, {"detail": "m"}, {}, K.AUTH, False),
    ("cohere", 429, {"message": "You are using a Trial key, which is limited"}, {}, K.QUOTA, False),
    ("cohere", 429, {"message": "m"}, {}, K.THROTTLED, True),
    ("cohere", 499, {"message": "m"}, {}, K.CANCELLED, False),
]


@pytest.mark.parametrize(("provider", "status", "body", "headers", "kind", "transient"), SHAPES)
def test_errors_by_status(
    provider: str, status: int, body: object, headers: dict[str, str], kind: K, transient: bool
) -> None:
    """Every error of every provider is classified as what it is."""
    error = by_status(status, headers, json.dumps(body).encode(), Quirks(name=provider, provider=provider))
    fault = classify(error, provider=provider)
    assert (fault.kind, fault.transient) == (kind, transient)
    assert fault.retry_after == (7.0 if headers else None)
    assert error.status_code == status
    assert str(error).startswith(f"{provider} answered {status}")


@pytest.mark.parametrize(
    ("provider", "status", "body", "headers", "kind", "transient"),
    [row for row in SHAPES if isinstance(row[2], list) or (isinstance(row[2], dict) and "error" in row[2])],
)
def test_errors_within_an_answer(
    provider: str, status: int, body: object, headers: dict[str, str], kind: K, transient: bool
) -> None:
    """The same error in a 200, or in a stream, is classified as the same."""
    quirks = Quirks(name=provider, provider=provider)
    assert holds_error(body)
    for error in (in_answer(body, quirks, headers=headers), in_answer(body, quirks, headers=headers, streamed=True)):
        fault = classify(error, provider=provider)
        assert (fault.kind, fault.transient) == (kind, transient)
    with pytest.raises(ProviderError, match="answered with an error in a success"):
        read_object(200, headers, json.dumps(body).encode(), quirks)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (502, HTML, K.TRANSIENT, "acme answered 502: 502 Bad Gateway"),
        (503, "", K.OVERLOADED, "acme answered 503."),
        (500, "oops\x00\n", K.TRANSIENT, "acme answered 500: oops"),
        (302, "", K.BAD_REQUEST, "acme answered 302."),
        (
            422,
            {"detail": [{"loc": ["x"], "msg": "too short"}, {"msg": "too long"}]},
            K.BAD_REQUEST,
            "acme answered 422: too short; too long",
        ),
        (422, {"detail": [1]}, K.BAD_REQUEST, "acme answered 422: [1]"),
        (404, {"error": "model 'x' not found"}, K.BAD_REQUEST, "acme answered 404: model 'x' not found"),
        (
            400,
            {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
            K.BAD_REQUEST,
            "acme answered 400 (BadRequestError): m",
        ),
        (429, o("insufficient_quota", None, "pay"), K.QUOTA, "acme answered 429 (insufficient_quota): pay"),
        (500, [], K.TRANSIENT, "acme answered 500."),
        (500, {"error": {"message": 5}}, K.TRANSIENT, "acme answered 500."),
    ],
)
def test_sentences(status: int, body: object, kind: K, said: str) -> None:
    """The sentence holds the provider's words wherever it puts them, and a body of any kind is classified."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = by_status(status, {}, content, QUIRKS)
    assert str(error) == said
    assert classify(error).kind is kind


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 429}}, 429),
        ({"error": {"code": "503"}}, 503),
        ({"error": {"code": 7}, "status_code": 408}, 408),
        ({"error": "boom"}, 500),
        ({"type": "error", "code": "server_error", "message": "m"}, 500),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, 429),
        ({"object": "error", "type": "BadRequestError"}, 400),
    ],
)
def test_the_status_of_errors_without_one(body: object, status: int) -> None:
    """An error within an answer has the status that it has when it comes at once, and 500 where nobody knows."""
    assert holds_error(body)
    assert in_answer(body, QUIRKS).status_code == status


@pytest.mark.parametrize(
    "body", [{"error": None}, {"error": ""}, {"type": "message"}, [], [1], [{"error": None}], "x", None, 5]
)
def test_what_is_no_error(body: object) -> None:
    """A field for errors with nothing in it is none."""
    assert not holds_error(body)


def test_nothing_secret_is_kept() -> None:
    """Neither the key nor a cookie is anywhere in an error, not even spelled with escapes."""
    quirks = Quirks(name="acme", secrets=("hunter2-key",))
    escaped = b'{"error": {"message": "bad \\u0068unter2-key", "code": "hunter2-key"}, "echo": "sk-12345678"}'
    headers = {"x-request-id": "r-1", "set-cookie": "a=b", "x-echo": "hunter2-key"}
    for content in (escaped, b"hunter2-key is wrong", b"<p>hunter2-key</p>"):
        error = by_status(401, headers, content, quirks)
        shown = f"{error}{error!r}{error.code}{error.body}{error.content!r}{error.headers}{quirks!r}"
        assert "unter2" not in shown
        assert "sk-1" not in shown
        assert error.headers == {"x-request-id": "r-1", "x-echo": "[redacted]"}
    unescaped = by_status(401, {}, b'{"message": "sk-12345678"}', quirks)
    assert unescaped.content == b'{"message": "[redacted]"}'
    assert unescaped.body == {"message": "[redacted]"}


def test_errors_are_bounded() -> None:
    """However much a provider sends, an error keeps 64 KiB of it and says 300 characters."""
    content = json.dumps({"error": {"message": "x" * 100_000, "code": "slow_down"}}).encode()
    error = by_status(429, {}, content, QUIRKS)
    assert len(error.content) == 65_536
    assert len(str(error)) < 350
    assert error.code == "slow_down"
    assert by_status(429, {}, content * 11, QUIRKS).body is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", EmptyAnswerError),
        (b" \r\n", EmptyAnswerError),
        (HTML.encode(), MalformedAnswerError),
        (b'{"choices": [{"mess', TruncatedAnswerError),
        (b"{'a': 1}", MalformedAnswerError),
        (b"{} {}", MalformedAnswerError),
        (b"[1]", MalformedAnswerError),
        (b"null", MalformedAnswerError),
        (b"\xff\xfe", MalformedAnswerError),
        (b"```json\n{}\n```", MalformedAnswerError),
        (b"[" * 100_000, MalformedAnswerError),
        (b"9" * 5_000, MalformedAnswerError),
    ],
)
def test_bodies_that_cannot_be_read(content: bytes, kind: type[ProviderError]) -> None:
    """A success whose body is no JSON object raises what is wrong with it, without a status and with its bytes."""
    with pytest.raises(kind) as raised:
        read_object(200, {"x-request-id": "r"}, content, QUIRKS)
    assert type(raised.value) is kind
    assert raised.value.status_code is None
    assert raised.value.content == content[:65_536]
    assert classify(raised.value).transient


def test_a_byte_order_mark_is_no_fault() -> None:
    """A JSON body may begin with a byte order mark."""
    assert read_object(201, {}, b'\xef\xbb\xbf{"a": 1}', QUIRKS) == {"a": 1}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "status", "message", "detail"]), inner)
    ),
)


@given(JSON, st.integers(100, 599))
def test_any_json(body: object, status: int) -> None:
    """No error body makes the reader fail."""
    error = by_status(status, {}, json.dumps(body).encode(), QUIRKS)
    classify(error)
    if holds_error(body):
        assert classify(in_answer(body, QUIRKS)).weight >= 0
