"""The ways in which a provider says no, each in the words and the shape of that provider."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from holdfast.lab.simulator.script import Script

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAILURES", "Failure", "Problem", "ProviderKind", "error_body", "error_script"]

ProviderKind: TypeAlias = Literal["openai", "anthropic", "voyage"]


class Failure(StrEnum):
    """What went wrong."""

    INVALID = "invalid"
    CONTEXT = "context"
    TOO_LARGE = "too_large"
    FILTERED = "filtered"
    AUTH = "auth"
    BILLING = "billing"
    NOT_FOUND = "not_found"
    NO_MODEL = "no_model"
    METHOD = "method"
    REQUESTS = "requests"
    TOKENS = "tokens"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"


class _Row(NamedTuple):
    """A failure at OpenAI (status, type, code), at Anthropic (status, type), at Voyage (status), and its words."""

    openai: tuple[int, str, str | None]
    anthropic: tuple[int, str]
    voyage: int
    words: str


_INVALID = "invalid_request_error"

FAILURES: Mapping[Failure, _Row] = {
    Failure.INVALID: _Row((400, _INVALID, None), (400, _INVALID), 400, "The request is not valid."),
    Failure.CONTEXT: _Row(
        (400, _INVALID, "context_length_exceeded"), (400, _INVALID), 400, "The prompt is longer than the context."
    ),
    Failure.TOO_LARGE: _Row(
        (413, _INVALID, "request_too_large"), (413, "request_too_large"), 413, "The request is too large."
    ),
    Failure.FILTERED: _Row(
        (400, _INVALID, "content_filter"),
        (400, _INVALID),
        400,
        "Output blocked by content filtering policy",
    ),
    Failure.AUTH: _Row(
        (401, _INVALID, "invalid_api_key"), (401, "authentication_error"), 401, "Incorrect API key provided."
    ),
    Failure.BILLING: _Row(
        (402, "billing_error", "billing_not_active"), (402, "billing_error"), 402, "Your account is not active."
    ),
    Failure.NOT_FOUND: _Row((404, _INVALID, "unknown_url"), (404, "not_found_error"), 404, "There is no such address."),
    Failure.NO_MODEL: _Row(
        (404, _INVALID, "model_not_found"), (404, "not_found_error"), 400, "There is no such model."
    ),
    Failure.METHOD: _Row(
        (405, _INVALID, "method_not_supported"), (405, _INVALID), 405, "This address does not take this method."
    ),
    Failure.REQUESTS: _Row(
        (429, "requests", "rate_limit_exceeded"), (429, "rate_limit_error"), 429, "Rate limit reached for requests."
    ),
    Failure.TOKENS: _Row(
        (429, "tokens", "rate_limit_exceeded"), (429, "rate_limit_error"), 429, "Rate limit reached for tokens."
    ),
    Failure.QUOTA: _Row(
        (429, "insufficient_quota", "insufficient_quota"),
        (429, "rate_limit_error"),
        429,
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    Failure.OVERLOADED: _Row(
        (503, "server_error", "server_is_overloaded"),
        (529, "overloaded_error"),
        503,
        "The server is overloaded, please try again later.",
    ),
    Failure.SERVER: _Row(
        (500, "server_error", None), (500, "api_error"), 500, "The server had an error while processing your request."
    ),
    Failure.TIMEOUT: _Row((504, "server_error", "timeout"), (504, "timeout_error"), 504, "The request timed out."),
}

_ANTHROPIC_DETAILS = {Failure.QUOTA: {"error_code": "enforced_spend_limit_reached"}}


class Problem(Exception):  # noqa: N818 - it is an answer to the caller, and never leaves the simulator
    """A request that is answered with an error.

    Args:
        failure: what is wrong.
        words: the sentence that says so; by default the failure's own.
        param: the field that is wrong.
        headers: further header fields of the response.
    """

    def __init__(
        self,
        failure: Failure,
        words: str | None = None,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(words or FAILURES[failure].words)
        self.failure = failure
        self.words = str(self)
        self.param = param
        self.headers = dict(headers or {})


def error_body(provider: ProviderKind, problem: Problem, request_id: str) -> dict[str, Any]:
    """The body of an error in the provider's shape."""
    row = FAILURES[problem.failure]
    if provider == "openai":
        kind, code = row.openai[1:]
        return {"error": {"message": problem.words, "type": kind, "param": problem.param, "code": code}}
    if provider == "voyage":
        return {"detail": problem.words}
    where = f"{problem.param}: " if problem.param and problem.failure is Failure.INVALID else ""
    error: dict[str, Any] = {"type": row.anthropic[1], "message": where + problem.words}
    if details := _ANTHROPIC_DETAILS.get(problem.failure):
        error |= {"message": f"{problem.words} ({details['error_code']})", "details": details}
    return {"type": "error", "error": error, "request_id": request_id}


def error_script(provider: ProviderKind, problem: Problem, request_id: str) -> Script:
    """The whole response of an error."""
    row = FAILURES[problem.failure]
    status = {"openai": row.openai[0], "anthropic": row.anthropic[0], "voyage": row.voyage}[provider]
    return Script.of_json(status, error_body(provider, problem, request_id), problem.headers)
