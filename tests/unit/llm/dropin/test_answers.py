"""Errors of the engine as responses that an SDK knows how to raise."""

from __future__ import annotations

import json

import pytest

from holdfast.errors import (
    CircuitOpenError,
    ContentFilteredError,
    DeadlineExceededError,
    EmptyAnswerError,
    ProviderError,
    StreamInterruptedError,
    TargetsExhaustedError,
)
from holdfast.llm.dropin.answers import UnreachableError, error_event, refusal_of

CHAT, RESPONSES, ANTHROPIC = "openai.chat", "openai.responses", "anthropic.messages"


def exhausted(cause: BaseException | None, *, retry_after: float | None = None) -> TargetsExhaustedError:
    error = TargetsExhaustedError("nobody answered sk-1234567890", attempts=1, retry_after=retry_after)
    error.__cause__ = cause
    return error


def test_the_providers_last_word() -> None:
    """A status comes back with its body and its header fields, but for those of the connection."""
    headers = {"x-request-id": "r", "content-length": "9", "retry-after": "7"}
    cause = ProviderError("slow down", status_code=429, headers=headers, body={"a": 1}, content=b'{"a": 1}')
    refusal = refusal_of(exhausted(cause), CHAT)
    assert (refusal.status, refusal.content) == (429, b'{"a": 1}')
    assert refusal.headers == {"x-request-id": "r", "retry-after": "7", "x-should-retry": "false"}


def test_an_error_that_came_as_an_event() -> None:
    """An error within a stream becomes the body that it would have been at once."""
    body = {"error": {"message": "overloaded"}}
    cause = ProviderError("x", status_code=529, body=body, content=b'event: error\ndata: {"error": {}}')
    refusal = refusal_of(cause, ANTHROPIC)
    assert (refusal.status, json.loads(refusal.content)) == (529, body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exhausted(EmptyAnswerError("nothing")), 502, "empty_answer"),
        (ProviderError("odd"), 502, "provider_error"),
        (ProviderError("odd", code="own_code", status_code=302), 502, "own_code"),
        (exhausted(None, retry_after=6.2), 503, "holdfast_targets_exhausted"),
        (exhausted(CircuitOpenError("open")), 503, "holdfast_targets_exhausted"),
        (ContentFilteredError("withheld"), 400, "content_filter"),
    ],
)
@pytest.mark.parametrize("wire", [CHAT, ANTHROPIC])
def test_what_has_no_status(error: Exception, status: int, code: str, wire: str) -> None:
    """Whatever has no status becomes an error in the protocol's shape, with our sentence and without keys."""
    refusal = refusal_of(error, wire)
    body = json.loads(refusal.content)
    assert (refusal.status, body["error"]["code"]) == (status, code)
    assert ("type" in body) is (wire == ANTHROPIC)
    assert refusal.headers.get("retry-after") == ("7" if getattr(error, "retry_after", None) else None)
    assert b"sk-1234567890" not in refusal.content


def test_an_answer_that_was_withheld() -> None:
    """A whole answer that says itself that it was withheld is given; a refusal with a status stays one."""
    given = refusal_of(ContentFilteredError("x", content=b'{"choices": []}', headers={"a": "b"}), CHAT)
    assert (given.status, given.content, given.headers) == (200, b'{"choices": []}', {"a": "b"})
    refused = refusal_of(ContentFilteredError("x", content=b"{}", status_code=400), CHAT)
    assert (refused.status, refused.headers["x-should-retry"]) == (400, "false")


@pytest.mark.parametrize(
    ("error", "late"),
    [
        (exhausted(ConnectionResetError("reset")), False),
        (exhausted(TimeoutError("late")), True),
        (DeadlineExceededError("late"), True),
    ],
)
def test_what_is_no_response(error: Exception, late: bool) -> None:
    """Connections that failed and time that ran out have no response; ours is the cause of what is raised instead."""
    with pytest.raises(UnreachableError) as caught:
        refusal_of(error, CHAT)
    assert caught.value.late is late
    assert caught.value.__cause__ is error


def test_what_is_none_of_ours() -> None:
    """An exception of the caller's own code comes out as it is."""
    with pytest.raises(KeyError):
        refusal_of(exhausted(KeyError("own")), CHAT)


def test_the_end_of_a_broken_stream() -> None:
    """A broken stream ends with an event in the words of its protocol, even within half an event."""
    error = StreamInterruptedError("broke off", text="hel")
    for wire, name in ((CHAT, b""), (RESPONSES, b"event: error\n"), (ANTHROPIC, b"event: error\n")):
        event = error_event(error, wire)
        assert event.startswith(b"\n\n" + name + b"data: {")
        assert event.endswith(b"}\n\n")
        body = json.loads(event.split(b"data: ", 1)[1])
        assert body["error"]["message"] == "broke off"
        assert body.get("type") == (None if wire == CHAT else "error")
