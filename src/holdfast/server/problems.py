"""Failures as the client sees them: RFC 9457 problem documents, every one with a sentence and the request's id.

One table says which error becomes which status. What is not in it is an accident: the client gets a 500 with the id,
the stack goes to the log and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from holdfast.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    DependencyError,
    HoldfastError,
    InvalidInputError,
    NotFoundError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedError,
    RetriesExhaustedError,
    StoreLockedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "ApiError",
    "ClientGoneError",
    "FieldError",
    "FieldErrorBody",
    "Problem",
    "ProblemBody",
    "install",
    "internal_problem",
    "problem_for",
    "respond",
]

_log = structlog.get_logger("holdfast.server")

PROBLEM_MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:holdfast:problem:"
_RETRY_AFTER_SECONDS = 5
_CLIENT_CLOSED_REQUEST = 499
_MAX_PARAMETER_ERRORS = 20


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the request, and what is wrong with it."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A failure to tell the client about.

    Attributes:
        slug: the kind of problem; the end of its ``type``.
        detail: what happened and what to do, for a person.
        headers: more headers for the response, e.g. ``retry-after``.
    """

    slug: str
    status: int
    title: str
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class FieldErrorBody(BaseModel):
    """One field of the request, and what is wrong with it."""

    field: str = Field(description="The field, as a path: `documents[2].text`.")
    message: str


class ProblemBody(BaseModel):
    """A failure, as RFC 9457 has it."""

    type: str = Field(description="Names the kind of problem; stable, for programs.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, for a person.")
    errors: list[FieldErrorBody]
    request_id: str


class ApiError(Exception):
    """A failure that the HTTP layer itself found."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class ClientGoneError(Exception):
    """The client closed the connection before its answer was ready; nobody reads what is sent now."""


def respond(problem: Problem, request_id: str) -> Response:
    """The response that tells a problem."""
    body = ProblemBody(
        type=_TYPE_PREFIX + problem.slug,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        errors=[FieldErrorBody(field=one.field, message=one.message) for one in problem.errors],
        request_id=request_id,
    )
    return Response(
        body.model_dump_json(), status_code=problem.status, headers=dict(problem.headers), media_type=PROBLEM_MEDIA_TYPE
    )


def internal_problem() -> Problem:
    """What the client is told about an accident: nothing that would help an attacker, and how to have it looked up."""
    return Problem(
        slug="internal-error",
        status=500,
        title="Internal error",
        detail="Something went wrong inside the service. It is logged under this request's id: please report the id.",
    )


def problem_for(error: Exception) -> Problem:  # noqa: PLR0911 - a table
    """The problem that an error is told as."""
    if isinstance(error, RetriesExhaustedError) and isinstance(error.__cause__, HoldfastError):
        return problem_for(error.__cause__)
    match error:
        case ApiError():
            return error.problem
        case InvalidInputError():
            return Problem(
                slug="invalid-input",
                status=422,
                title="Invalid input",
                detail=str(error),
                errors=(FieldError(error.field, error.message),),
            )
        case NotFoundError():
            return Problem(
                slug="not-found",
                status=404,
                title="Not found",
                detail=str(error),
                errors=(FieldError(error.field, error.message),),
            )
        case DeadlineExceededError() | AttemptTimeoutError():
            return Problem(slug="deadline-exceeded", status=504, title="Out of time", detail=str(error))
        case RateLimitedError() | QuotaExhaustedError():  # the caller asks too much; the service itself is well
            return _later(429, "rate-limited", "Too many requests", str(error), retry_after=error.retry_after)
        case RejectedError():
            return _unavailable("rejected", "Rejected for now", str(error), retry_after=error.retry_after)
        case StoreLockedError():
            return _unavailable("store-locked", "The store is locked", str(error))
        case DependencyError() | RetriesExhaustedError():
            return _unavailable("unavailable", "Not available", str(error))
        case _:
            return internal_problem()


def _unavailable(slug: str, title: str, detail: str, *, retry_after: float | None = None) -> Problem:
    return _later(503, slug, title, detail, retry_after=retry_after)


def _later(status: int, slug: str, title: str, detail: str, *, retry_after: float | None) -> Problem:
    seconds = _RETRY_AFTER_SECONDS if retry_after is None else max(1, math.ceil(retry_after))
    return Problem(slug=slug, status=status, title=title, detail=detail, headers={"retry-after": str(seconds)})


def install(app: FastAPI) -> None:
    """Make every failure of the application a problem document."""
    # Imported here: context.py needs this module for its net.
    from holdfast.server.context import context_of  # noqa: PLC0415

    def answer(request: Request, problem: Problem) -> Response:
        return respond(problem, context_of(request.scope).request_id)

    async def known(request: Request, error: Exception) -> Response:
        problem = problem_for(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise error  # the middleware's net logs the stack and answers
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.warning("request could not be served", status=problem.status, error=f"{type(error).__name__}: {error}")
        return answer(request, problem)

    async def http(request: Request, error: Exception) -> Response:
        return answer(request, _http_problem(request, cast("HTTPException", error)))

    async def validation(request: Request, error: Exception) -> Response:
        return answer(request, _parameters_problem(cast("RequestValidationError", error)))

    async def gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(HoldfastError, known)
    app.add_exception_handler(ApiError, known)
    app.add_exception_handler(ClientGoneError, gone)
    app.add_exception_handler(ClientDisconnect, gone)  # the same, while the body is read
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)


def _http_problem(request: Request, error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem(
            slug="not-found",
            status=404,
            title="Not found",
            detail="There is nothing at this address. The API is described at /openapi.json.",
            headers=headers,
        )
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.get("Allow") or headers.get("allow") or "another method"
        return Problem(
            slug="method-not-allowed",
            status=405,
            title="Method not allowed",
            detail=f"This address does not take {request.method}: use {allowed}.",
            headers=headers,
        )
    title = HTTPStatus(error.status_code).phrase
    return Problem(
        slug=title.lower().replace(" ", "-"),
        status=error.status_code,
        title=title,
        detail=str(error.detail),
        headers=headers,
    )


def _parameters_problem(error: RequestValidationError) -> Problem:
    errors = tuple(
        FieldError(".".join(str(part) for part in entry["loc"][1:]) or "request", entry["msg"])
        for entry in error.errors()[:_MAX_PARAMETER_ERRORS]
    )
    return Problem(
        slug="invalid-input",
        status=422,
        title="Invalid input",
        detail="; ".join(f"{one.field}: {one.message}" for one in errors[:3]),
        errors=errors,
    )
