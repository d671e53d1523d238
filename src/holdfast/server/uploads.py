"""Documents as they come in over HTTP, checked and made into the items of a job."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from holdfast.rag.loaders import is_supported, supported_suffixes
from holdfast.rag.names import is_plain_name
from holdfast.rag.store.jobs import JobItem
from holdfast.server.bodies import invalid
from holdfast.server.problems import ApiError, FieldError, Problem
from holdfast.server.request_bodies import ID_MAX_CHARS, MAX_DOCUMENTS, CollectionName

if TYPE_CHECKING:
    from starlette.requests import Request

    from holdfast.server.request_bodies import DocumentIn, IngestRequest

__all__ = ["items_of_form", "items_of_request"]

_MAX_FIELDS = 10
_MAX_FIELD_BYTES = 4_096
_collection_name: TypeAdapter[str] = TypeAdapter(CollectionName)


def items_of_request(body: IngestRequest, *, max_file_bytes: int) -> list[JobItem]:
    """The items for documents sent as JSON.

    Raises:
        ApiError: 415 for formats that no loader reads, 422 for ids used twice and texts that are empty or too large.
    """
    items: list[JobItem] = []
    errors: list[FieldError] = []
    unsupported: list[FieldError] = []
    ids: set[str] = set()
    for number, document in enumerate(body.documents):
        where = f"documents[{number}]"
        payload = document.text.encode()
        if not document.text.strip():
            errors.append(FieldError(f"{where}.text", "holds no text"))
        elif len(payload) > max_file_bytes:
            errors.append(FieldError(f"{where}.text", _too_large(len(payload), max_file_bytes)))
        if document.id is not None and document.id in ids:
            errors.append(
                FieldError(f"{where}.id", "is used by an earlier document of this request: each needs its own")
            )
        if document.id is not None:
            ids.add(document.id)
        if not is_supported("", document.mime):
            unsupported.append(FieldError(f"{where}.mime", "is not a media type that can be read"))
        items.append(_item(document, payload))
    _check(errors, unsupported)
    return items


async def items_of_form(request: Request, *, max_file_bytes: int) -> tuple[list[JobItem], str | None]:
    """The items for uploaded files, and the collection that the form names.

    Raises:
        ApiError: 400 for a malformed form, 413 for too much of it, 415 for formats that no loader reads, 422 for files
            that are nameless, empty, too large or named alike, and for unknown fields.
    """
    items: list[JobItem] = []
    errors: list[FieldError] = []
    unsupported: list[FieldError] = []
    collection: str | None = None
    names: set[str] = set()
    # Starlette raises its own 400 for what is not a form, and for too many parts.
    async with request.form(max_files=MAX_DOCUMENTS, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES) as form:
        for field, value in form.multi_items():
            if not isinstance(value, UploadFile):
                if field == "collection":
                    collection = _collection(value, errors)
                else:
                    errors.append(FieldError(field[:100], "is not a field of this form: send files, and collection"))
                continue
            name = value.filename or ""
            where = f"files[{len(items)}] ({name[:100]})"
            data = await value.read()
            _check_file(where, name, data, names, errors, max_file_bytes=max_file_bytes)
            names.add(name)
            if not is_supported(name, value.content_type or ""):
                unsupported.append(FieldError(where, "is of a format that cannot be read"))
            items.append(JobItem(name=name, payload=data, mime=value.content_type or ""))
    if not items:
        errors.append(FieldError("files", "is missing: send at least one file"))
    _check(errors, unsupported)
    return items, collection


def _item(document: DocumentIn, payload: bytes) -> JobItem:
    # Without any name the content itself names the document, so that sending it again changes nothing.
    name = document.id or document.uri or f"text-{hashlib.sha256(payload).hexdigest()[:24]}"
    return JobItem(
        name=name,
        payload=payload,
        mime=document.mime,
        document_id=document.id or "",
        title=document.title or "",
        uri=document.uri or "",
        metadata=document.metadata,
    )


def _check_file(
    where: str, name: str, data: bytes, names: set[str], errors: list[FieldError], *, max_file_bytes: int
) -> None:
    if not name or len(name) > ID_MAX_CHARS or not is_plain_name(name):
        errors.append(
            FieldError(where, f"needs a file name of 1 to {ID_MAX_CHARS} characters, none of them a control character")
        )
    elif name in names:
        errors.append(FieldError(where, "has the name of another file of this request: each needs its own"))
    if not data:
        errors.append(FieldError(where, "is empty"))
    elif len(data) > max_file_bytes:
        errors.append(FieldError(where, _too_large(len(data), max_file_bytes)))


def _collection(value: str, errors: list[FieldError]) -> str | None:
    try:
        return _collection_name.validate_python(value)
    except ValidationError as error:
        errors.append(FieldError("collection", error.errors()[0]["msg"]))
        return None


def _too_large(size: int, limit: int) -> str:
    return f"has {size:,} bytes; at most {limit:,} are read: split it"


def _check(errors: list[FieldError], unsupported: list[FieldError]) -> None:
    if errors:
        raise invalid([*errors, *unsupported])
    if unsupported:
        known = ", ".join(supported_suffixes())
        raise ApiError(
            Problem(
                slug="unsupported-media-type",
                status=415,
                title="Unsupported media type",
                detail=f"Nothing was accepted: {len(unsupported)} of the documents have a format that cannot be read. "
                f"Send these: {known}.",
                errors=unsupported,
            )
        )
