"""From what a provider sent to the error it means: by its status, or by what its body says whatever the status.

What comes out is classified by :func:`holdfast.core.classify.classify` as the same failure is when an SDK raises it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.errors import EmptyAnswerError, MalformedAnswerError, ProviderError, TruncatedAnswerError
from holdfast.llm.wire import _json
from holdfast.llm.wire.redaction import redact, redact_bytes, redact_value, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.wire.base import Quirks

__all__ = ["answer_error", "by_status", "holds_error", "in_answer", "read_object"]

E = TypeVar("E", bound=ProviderError)

_LONGEST_CONTENT = 65_536  # bytes that an error keeps
_LONGEST_PARSED = 1 << 20
_OWN_HEADERS = frozenset({"set-cookie", "authorization", "x-api-key", "api-key"})  # never kept

_STATUS: Mapping[str, int] = {
    # OpenAI
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_prompt": 400,
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "credit_balance_exhausted": 429,
    "rate_limit_exceeded": 429,
    "slow_down": 429,
    "server_is_overloaded": 503,
    # Anthropic
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    # Google
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    # servers of open models
    "BadRequestError": 400,
    "NotFoundError": 404,
}
"""The status of an error that comes without one, within an answer; everything else is a 500, as SDKs see it, too."""


def by_status(status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> ProviderError:
    """The error that a response with a status other than 2xx is.

    Args:
        headers: names in lower case.
        content: the body, of any kind.
    """
    body = _parsed(content)
    code = _code(body)
    said = _said(body) if body is not None else content[:_LONGEST_CONTENT].decode("utf-8", "replace")
    return _provider_error(
        f"{quirks.name} answered {status}", status, code, said, quirks, headers=headers, body=body, content=content
    )


def in_answer(
    body: object,
    quirks: Quirks,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    streamed: bool = False,
) -> ProviderError:
    """The error that a provider reports in a response that began as a success.

    Its ``status_code`` is the status that the provider gives the same error when it comes at once, so that whoever
    judges by the status judges alike: overloaded is overloaded, before and after the first byte.

    Args:
        body: what :func:`holds_error` said yes to.
        headers: names in lower case.
        content: the bytes that ``body`` was read from.
        streamed: whether it came as an event of a stream.
    """
    what = "broke off its stream with an error" if streamed else "answered with an error in a success"
    return _provider_error(
        f"{quirks.name} {what}",
        _equivalent_status(body),
        _code(body),
        _said(body),
        quirks,
        headers=headers or {},
        body=body,
        content=content,
    )


def answer_error(
    kind: type[E], what: str, quirks: Quirks, *, headers: Mapping[str, str] | None = None, content: bytes = b""
) -> E:
    """An answer that cannot be used: ``<provider> <what>.``, without a status, so that its class says what it is.

    Args:
        what: the rest of the sentence, without its full stop and without words of the provider.
        headers, content: see :func:`by_status`.
    """
    secrets = tuple(quirks.secrets)
    return kind(
        f"{quirks.name} {what}.",
        provider=quirks.name,
        headers=_kept(headers or {}, secrets),
        content=redact_bytes(content[:_LONGEST_CONTENT], secrets),
    )


def holds_error(body: object) -> bool:
    """Whether parsed JSON is an error in the shape of any provider, and not an answer."""
    if isinstance(body, list):  # Gemini's
        return bool(body) and isinstance(body[0], dict) and bool(body[0].get("error"))
    if not isinstance(body, dict):
        return False
    return bool(body.get("error")) or body.get("type") == "error" or body.get("object") == "error"


def read_object(status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> dict[str, Any]:
    """The JSON object that a successful response holds.

    Raises:
        ProviderError: the status is not 2xx, or the body is an error.
        EmptyAnswerError: there is no body.
        TruncatedAnswerError: the body is the beginning of JSON.
        MalformedAnswerError: it is HTML, or anything else that is not a JSON object.
    """
    if not 200 <= status < 300:
        raise by_status(status, headers, content, quirks)
    try:
        body = _json.parse(content)
    except ValueError:
        kind, what = _unreadable(content)
        # The parser's error holds the whole text, with whatever must not be shown.
        raise answer_error(kind, what, quirks, headers=headers, content=content) from None
    if holds_error(body):
        raise in_answer(body, quirks, headers=headers, content=content)
    if not isinstance(body, dict):
        what = "answered with JSON that is not an object"
        raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
    return body


def _unreadable(content: bytes) -> tuple[type[ProviderError], str]:
    shown = content.strip()
    if not shown:
        return EmptyAnswerError, "answered with a success and no body"
    if shown[:1] == b"<":
        return MalformedAnswerError, "answered with a page of HTML"
    if shown[:1] == b"{" and shown[-1:] != b"}":
        return TruncatedAnswerError, "answered with the beginning of a JSON object, and not its end"
    return MalformedAnswerError, "answered with something that is not JSON"


def _provider_error(
    what: str,
    status: int,
    code: str | None,
    said: str,
    quirks: Quirks,
    *,
    headers: Mapping[str, str],
    body: object,
    content: bytes,
) -> ProviderError:
    secrets = tuple(quirks.secrets)  # they are looked up once for an error
    code = words(code, secrets) if code else None
    kept = redact_bytes(content[:_LONGEST_CONTENT], secrets)
    shown = redact_value(body, secrets)
    if shown != body and _parsed(kept) != shown:
        # A key in it was spelled with escapes, which only the parsed body shows.
        kept = json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")[:_LONGEST_CONTENT]
    said = words(said, secrets)
    return ProviderError(
        what + (f" ({code})" if code else "") + (f": {said}" if said else "."),
        provider=quirks.name,
        status_code=status,
        code=code,
        headers=_kept(headers, secrets),
        body=shown,
        content=kept,
    )


def _kept(headers: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    return {name: redact(value, secrets) for name, value in headers.items() if name not in _OWN_HEADERS}


def _parsed(content: bytes) -> object:
    if len(content) > _LONGEST_PARSED:
        return None
    try:
        return _json.parse(content)
    except ValueError:
        return None


def _holders(body: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The error within ``body``, and what it is in."""
    outer = _json.mapping(body[0] if isinstance(body, list) and body else body)
    return _json.mapping(outer.get("error")), outer


def _code(body: object) -> str | None:
    """The provider's own name of the error, the most telling one first."""
    inner, outer = _holders(body)
    for holder in (inner, outer):
        details = holder.get("details")
        for value in (
            details.get("error_code") if isinstance(details, dict) else None,
            *(holder.get(name) for name in ("code", "type", "status")),
        ):
            if isinstance(value, str) and value and value != "error" and not value.isdigit():
                return value
    return None


def _said(body: object) -> str:
    """The provider's own words, wherever it puts them."""
    inner, outer = _holders(body)
    for value in (inner.get("message"), outer.get("error"), outer.get("detail"), outer.get("message")):
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:  # the fields that a validation found wrong
            said = [_json.mapping(each).get("msg") for each in value]
            return "; ".join(each for each in said if isinstance(each, str)) or str(value)
    return ""


def _equivalent_status(body: object) -> int:
    inner, outer = _holders(body)
    for holder in (inner, outer):
        for name in ("code", "status", "status_code", "statusCode"):
            value = holder.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    for holder in (inner, outer):
        for name in ("code", "type", "status"):
            value = holder.get(name)
            if isinstance(value, str) and value in _STATUS:
                return _STATUS[value]
    return 500
