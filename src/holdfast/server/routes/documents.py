"""``/v1/documents``: hand documents in, list them, read them, remove them."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import NotFoundError
from holdfast.server.bodies import JSON, MULTIPART, limited, media_type, read_json, unsupported_media
from holdfast.server.openapi import ingest_body, problems
from holdfast.server.request_bodies import ID_MAX_CHARS, CollectionName, IngestRequest
from holdfast.server.service import service_of
from holdfast.server.uploads import items_of_form, items_of_request
from holdfast.server.wire import DocumentListBody, DocumentTextBody, JobAcceptedBody

if TYPE_CHECKING:
    from holdfast.rag.store.jobs import JobItem

__all__ = ["router"]

router = APIRouter(tags=["documents"])

DocumentId = Annotated[str, Path(min_length=1, max_length=ID_MAX_CHARS)]
InCollection = Annotated[CollectionName | None, Query(description="The service's own by default.")]


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: CollectionName | None = Field(None, description="The service's own by default.")
    limit: int = Field(100, ge=1, le=1_000, description="Documents a page.")
    cursor: str | None = Field(None, min_length=1, max_length=1_000, description="`next_cursor` of the page before.")


@router.post(
    "/v1/documents",
    status_code=202,
    response_model=JobAcceptedBody,
    responses=problems(400, 401, 408, 413, 415, 422, 503),
    openapi_extra=ingest_body(IngestRequest),
)
async def ingest(request: Request) -> Response:
    """Hand in documents, as JSON or as uploaded files.

    They are on disk when this answers; they can be found when the job is done. Either all of them are accepted or none.
    """
    service = service_of(request)
    settings = service.settings
    items: list[JobItem]
    match media_type(request):
        case "application/json":
            body = await service.received(request, read_json(request, IngestRequest, max_bytes=settings.max_body_bytes))
            items = items_of_request(body, max_file_bytes=settings.max_file_bytes)
            collection = body.collection or settings.collection
        case "multipart/form-data":
            form = limited(request, settings.max_body_bytes)
            items, named = await service.received(request, items_of_form(form, max_file_bytes=settings.max_file_bytes))
            collection = named or settings.collection
        case _:
            raise unsupported_media(request, JSON, MULTIPART)
    # Not through the store's pipeline: a job whose acknowledgement was lost must not be written twice.
    job = await service.engine.jobs.create_job(items, collection=collection)
    service.engine.ingestor.wake()
    accepted = JobAcceptedBody(job_id=job.id, status=job.status)
    return Response(
        accepted.model_dump_json(),
        status_code=202,
        headers={"location": f"/v1/jobs/{job.id}"},
        media_type="application/json",
    )


@router.get("/v1/documents", response_model=DocumentListBody, responses=problems(401, 422, 503, 504))
async def documents(request: Request, paging: Annotated[_Paging, Query()]) -> Response:
    """List documents in the order of their ids, page by page."""
    service = service_of(request)
    page = await service.stored(
        service.engine.store.list,
        collection=paging.collection or service.settings.collection,
        limit=paging.limit,
        cursor=paging.cursor,
    )
    return Response(DocumentListBody.of(page).model_dump_json(), media_type="application/json")


@router.get(
    "/v1/documents/{document_id:path}", response_model=DocumentTextBody, responses=problems(401, 404, 422, 503, 504)
)
async def document(request: Request, document_id: DocumentId, collection: InCollection = None) -> Response:
    """Read a document with its text."""
    service = service_of(request)
    found = await service.stored(
        service.engine.store.get, document_id, collection=collection or service.settings.collection
    )
    if found is None:
        raise _no_such_document()
    return Response(DocumentTextBody.of(found).model_dump_json(), media_type="application/json")


@router.delete("/v1/documents/{document_id:path}", status_code=204, responses=problems(401, 404, 422, 503, 504))
async def remove(request: Request, document_id: DocumentId, collection: InCollection = None) -> Response:
    """Remove a document and everything made of it."""
    service = service_of(request)
    was_there = await service.changed(
        service.engine.delete_document(document_id, collection=collection or service.settings.collection)
    )
    if not was_there:
        raise _no_such_document()
    return Response(status_code=204)


def _no_such_document() -> NotFoundError:
    return NotFoundError(
        "document_id", "There is no document with this id in the collection: GET /v1/documents lists what there is."
    )
