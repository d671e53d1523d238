"""What a caller's own client gets when nobody has answered: a response that its SDK knows how to raise.

The provider's own last word, where there is one; else a response in the shape of its protocol; else the exceptions of a
connection that failed. An answer that breaks off ends with an error in the stream, never just so.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.errors import (
    ContentFilteredError,
    DeadlineExceededError,
    EmptyAnswerError,
    HoldfastError,
    MalformedAnswerError,
    ProviderError,
    TargetsExhaustedError,
    TruncatedAnswerError,
)
from holdfast.llm.wire.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Refusal", "UnreachableError", "error_event", "refusal_of"]

_NOT_OF_THE_BODY = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "set-cookie", "transfer-encoding"}
)
_FINAL = {"x-should-retry": "false"}
_UNUSABLE: Mapping[type[ProviderError], str] = {
    EmptyAnswerError: "empty_answer",
    MalformedAnswerError: "malformed_answer",
    TruncatedAnswerError: "truncated_answer",
}
_ANTHROPIC_TYPES = {400: "invalid_request_error", 502: "api_error", 503: "api_error"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response that says no."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class UnreachableError(HoldfastError):
    """No response: there was no connection, or it took too long. The client's own exception stands for it.

    Args:
        message: the sentence to show.
        late: whether it took too long.
    """

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


def refusal_of(error: Exception, wire: str) -> Refusal:
    """The response that stands for ``error``.

    Raises:
        UnreachableError: none does.
        Exception: it is none of ours, and no provider's.
    """
    final = error
    retry_after: float | None = getattr(error, "retry_after", None)
    if isinstance(error, TargetsExhaustedError) and isinstance(error.__cause__, Exception):
        final = error.__cause__
    if isinstance(final, ProviderError):
        return _said(final, error, wire)
    if isinstance(error, DeadlineExceededError) or isinstance(final, TimeoutError):
        raise UnreachableError(str(error), late=True) from error
    if isinstance(final, ConnectionError):
        raise UnreachableError(str(error), late=False) from error
    if not isinstance(final, HoldfastError):
        raise final  # of the caller's own code, such as an event hook
    return _own(503, "holdfast_targets_exhausted", str(error), wire, retry_after)


def error_event(error: Exception, wire: str) -> bytes:
    """The end of a stream that broke off, as the protocol's SDK understands it."""
    body = _body("stream_interrupted", str(error), wire, 502)
    if wire == "openai.responses":
        body = {"type": "error", "code": "stream_interrupted", "message": str(error), "param": None, **body}
    name = b"" if wire == "openai.chat" else b"event: error\n"
    return b"\n\n" + name + b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def _said(final: ProviderError, error: Exception, wire: str) -> Refusal:
    """The provider's last word."""
    unusable = next((code for kind, code in _UNUSABLE.items() if isinstance(final, kind)), None)
    if unusable is not None:
        return _own(502, unusable, str(error), wire)
    if isinstance(final, ContentFilteredError):
        return _withheld(final, wire)
    status = final.status_code
    if status is None or not 400 <= status <= 599:
        return _own(502, final.code or "provider_error", str(error), wire)
    content = final.content
    if not content.lstrip().startswith((b"{", b"[", b"<")) and isinstance(final.body, dict):
        content = json.dumps(final.body, ensure_ascii=False).encode()  # it came as an event of a stream
    return Refusal(status, {**_kept(final), **_FINAL}, content)


def _withheld(final: ContentFilteredError, wire: str) -> Refusal:
    """An answer that says itself that it was withheld is one that callers know; a stream that never began is not."""
    if final.content.lstrip().startswith(b"{") and final.status_code is None:
        return Refusal(200, _kept(final), final.content)
    if final.content and final.status_code is not None and final.status_code >= 400:
        return Refusal(final.status_code, {**_kept(final), **_FINAL}, final.content)
    return _own(400, "content_filter", str(final), wire)


def _kept(error: ProviderError) -> dict[str, str]:
    return {name: value for name, value in error.headers.items() if name not in _NOT_OF_THE_BODY}


def _own(status: int, code: str, message: str, wire: str, retry_after: float | None = None) -> Refusal:
    headers = {"content-type": "application/json", **_FINAL}
    if retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    return Refusal(status, headers, json.dumps(_body(code, message, wire, status), ensure_ascii=False).encode())


def _body(code: str, message: str, wire: str, status: int) -> dict[str, Any]:
    """An error in the shape of the protocol."""
    message = redact(message)
    if wire.startswith("anthropic"):
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    kind = "invalid_request_error" if status == 400 else "server_error"
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}
