"""Reading a request's body: its kind, its size and its shape, each refused with the reason.

Bodies are read by hand rather than by the framework, because a body that is too large has to be refused while it
arrives and not after, and because JSON and multipart share an address.
"""

from __future__ import annotations

import difflib
from email.message import Message as MimeMessage
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from holdfast.server.problems import ApiError, FieldError, Problem
from holdfast.server.request_bodies import MAX_ERRORS, ErrorBudget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Message

__all__ = [
    "BODY_SECONDS",
    "JSON",
    "MULTIPART",
    "invalid",
    "limited",
    "media_type",
    "read_json",
    "seconds_for",
    "too_slow",
    "unsupported_media",
]

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
MULTIPART = "multipart/form-data"
BODY_SECONDS = 30.0
"""How long a body may take to arrive, and a second more for each 64 KiB that are announced."""

_BYTES_A_SECOND = 64 * 1024


def media_type(request: Request) -> str:
    """The media type of the request's body, in lower case, without parameters; empty when none is named."""
    header = request.headers.get("content-type", "")
    if not header:
        return ""
    message = MimeMessage()
    message["content-type"] = header
    return message.get_content_type()


def unsupported_media(request: Request, *expected: str) -> ApiError:
    """The body is of a kind that this address does not read."""
    given = request.headers.get("content-type")
    said = f"is {given[:100]!r}" if given else "is missing"
    return ApiError(
        Problem(
            slug="unsupported-media-type",
            status=415,
            title="Unsupported media type",
            detail=f"The content-type {said}: send {' or '.join(expected)}.",
            errors=(FieldError("content-type", f"must be {' or '.join(expected)}"),),
            headers={"accept-post": ", ".join(expected)},
        )
    )


def limited(request: Request, max_bytes: int) -> Request:
    """The same request, whose body raises as soon as more than ``max_bytes`` of it are announced or have arrived."""
    if _announced(request) > max_bytes:
        raise _too_large(max_bytes)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > max_bytes:
                raise _too_large(max_bytes)
        return message

    return Request(request.scope, receive)


def seconds_for(request: Request, seconds: float = BODY_SECONDS) -> float:
    """How long the body of a request may take to arrive: large ones more than ``seconds``, by what they announce."""
    return seconds + _announced(request) / _BYTES_A_SECOND


def too_slow(seconds: float) -> ApiError:
    """The body did not arrive in time."""
    return ApiError(
        Problem(
            slug="body-too-slow",
            status=408,
            title="Body too slow",
            detail=f"The body of this request did not arrive within {seconds:.0f} s: send it again, or less at a time.",
            errors=(FieldError("body", f"did not arrive within {seconds:.0f} s"),),
            headers={"connection": "close"},  # what is still on its way belongs to no request
        )
    )


async def read_json(request: Request, model: type[M], *, max_bytes: int) -> M:
    """Read a JSON body into its model.

    Raises:
        ApiError: 400 for what is not JSON, 413 for too much of it, 415 for another media type, 422 for a wrong shape.
    """
    kind = media_type(request)
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise unsupported_media(request, JSON)
    body = b"".join([piece async for piece in _pieces(limited(request, max_bytes))])
    try:
        return model.model_validate_json(body, context=ErrorBudget())
    except ValidationError as error:
        entries = error.errors(include_url=False, include_input=False)
        if entries[0]["type"] == "json_invalid":
            raise _malformed(body, entries[0]["msg"]) from None
        shown = [
            _field_error(model, entry["loc"], entry["type"], entry["msg"]) for entry in entries[:MAX_ERRORS]
        ]  # no more than are shown: to find what was probably meant takes long
        raise invalid(shown, total=len(entries)) from None


def invalid(errors: Sequence[FieldError], *, total: int | None = None) -> ApiError:
    """Fields of the request are wrong; each is named with the reason.

    Args:
        total: how many errors were found, where ``errors`` holds only the first of them.
    """
    total = len(errors) if total is None else total
    shown = tuple(errors[:MAX_ERRORS])
    detail = "; ".join(f"{one.field}: {one.message}" for one in shown[:3])
    at_least = "at least " if total > MAX_ERRORS else ""
    if total > 3:
        detail += f"; and {at_least}{total - 3} more"
    if total > MAX_ERRORS:
        message = f"at least {total - MAX_ERRORS} more fields are wrong: correct these first, and send it again"
        shown = (*shown, FieldError("request", message))
    return ApiError(Problem(slug="invalid-input", status=422, title="Invalid input", detail=detail, errors=shown))


def _announced(request: Request) -> int:
    """The length that the request announces; 0 where it announces none, or nonsense."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() and len(announced) < 20 else 0


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(
        Problem(
            slug="body-too-large",
            status=413,
            title="Body too large",
            detail=f"The body of this request may have at most {max_bytes:,} bytes: send less at a time.",
            errors=(FieldError("body", f"has more than {max_bytes:,} bytes"),),
            headers={"connection": "close"},  # the rest of the body is on its way, and nobody will read it
        )
    )


def _malformed(body: bytes, message: str) -> ApiError:
    reason = "is empty" if not body.strip() else message.removeprefix("Invalid JSON: ")
    return ApiError(
        Problem(
            slug="malformed-json",
            status=400,
            title="Malformed JSON",
            detail=f"The body is not valid JSON: {reason}.",
            errors=(FieldError("body", reason),),
        )
    )


def _field_error(model: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str) -> FieldError:
    field = _path(location) or "body"
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean “{close[0]}”?" if close else f"the fields are {', '.join(known)}"
        return FieldError(field, f"is not a field of this request: {hint}")
    if kind == "missing":
        return FieldError(field, "is missing")
    return FieldError(field, message[:1].lower() + message[1:])


def _path(location: Sequence[int | str]) -> str:
    """``("documents", 2, "text")`` as ``documents[2].text``; names that a client made up are cut."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part[:100]}"
    return path


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> set[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        (current,) = _models_in(current.model_fields[part].annotation)
    return set(current.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401 - annotations have no common type
    """The models that an annotation names: one for ``list[Annotated[DocumentIn, ...]]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
