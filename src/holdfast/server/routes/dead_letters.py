"""``/v1/dead-letters``: what could not be ingested, to be looked at, tried again or thrown away."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.rag.store.jobs import JobItem
from holdfast.server.bodies import read_json
from holdfast.server.openapi import json_body, problems
from holdfast.server.request_bodies import CollectionName, RetryRequest
from holdfast.server.service import Service, service_of
from holdfast.server.wire import DeadLetterBody, DeadLetterListBody, RetryAcceptedBody

if TYPE_CHECKING:
    from holdfast.rag.store.dead_letters import DeadLetter

__all__ = ["router"]

router = APIRouter(tags=["documents"])

_MOST_AT_ONCE = 10_000
_PAGE = 1_000

LetterId = Annotated[str, Path(min_length=1, max_length=100)]


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: CollectionName | None = Field(None, description="The service's own by default.")
    limit: int = Field(100, ge=1, le=1_000, description="Dead letters a page.")
    cursor: str | None = Field(None, min_length=1, max_length=100, description="`next_cursor` of the page before.")


@router.get("/v1/dead-letters", response_model=DeadLetterListBody, responses=problems(401, 422, 503, 504))
async def dead_letters(request: Request, paging: Annotated[_Paging, Query()]) -> Response:
    """List what could not be ingested, page by page."""
    service = service_of(request)
    page = await service.stored(
        service.engine.jobs.dead_letters,
        collection=paging.collection or service.settings.collection,
        limit=paging.limit,
        cursor=paging.cursor,
    )
    return Response(DeadLetterListBody.of(page).model_dump_json(), media_type="application/json")


@router.get("/v1/dead-letters/{letter_id}", response_model=DeadLetterBody, responses=problems(401, 404, 422, 503, 504))
async def dead_letter(request: Request, letter_id: LetterId) -> Response:
    """Look at one: what happened, how often, and what to do."""
    found = await _found(service_of(request), letter_id)
    return Response(DeadLetterBody.of(found).model_dump_json(), media_type="application/json")


@router.delete("/v1/dead-letters/{letter_id}", status_code=204, responses=problems(401, 404, 422, 503, 504))
async def discard(request: Request, letter_id: LetterId) -> Response:
    """Throw one away, with what was kept to try it again."""
    service = service_of(request)
    if not await service.stored(service.engine.jobs.remove_dead_letters, [letter_id]):
        raise _no_such_letter(letter_id)
    return Response(status_code=204)


@router.post(
    "/v1/dead-letters/retry",
    status_code=202,
    response_model=RetryAcceptedBody,
    responses=problems(400, 401, 404, 408, 413, 415, 422, 503, 504),
    openapi_extra=json_body(RetryRequest),
)
async def retry(request: Request) -> Response:
    """Try dead letters again, as a job. One that succeeds leaves the list; one that fails counts a try more."""
    service = service_of(request)
    body = await service.received(request, read_json(request, RetryRequest, max_bytes=service.settings.max_body_bytes))
    collection = body.collection or service.settings.collection
    if body.ids is None:
        letters = await _all(service, collection)
    else:
        letters = [await _retryable(service, each, collection) for each in dict.fromkeys(body.ids)]
    items = [JobItem(name=each.uri, payload=b"", letter=each.id) for each in letters if each.item is not None]
    job = await service.engine.jobs.create_job(items, collection=collection)
    service.engine.ingestor.wake()
    accepted = RetryAcceptedBody(
        job_id=job.id,
        status=job.status,
        retried=len(items),
        left=[each.id for each in letters if each.item is None],
    )
    return Response(
        accepted.model_dump_json(),
        status_code=202,
        headers={"location": f"/v1/jobs/{job.id}"},
        media_type="application/json",
    )


async def _all(service: Service, collection: str) -> list["DeadLetter"]:
    letters: list[DeadLetter] = []
    cursor: str | None = None
    while len(letters) < _MOST_AT_ONCE:
        page = await service.stored(service.engine.jobs.dead_letters, collection=collection, limit=_PAGE, cursor=cursor)
        letters += page.letters
        cursor = page.next_cursor
        if cursor is None:
            break
    return letters


async def _found(service: Service, letter_id: str) -> "DeadLetter":
    found = await service.stored(service.engine.jobs.dead_letter, letter_id)
    if found is None:
        raise _no_such_letter(letter_id)
    return found


async def _retryable(service: Service, letter_id: str, collection: str) -> "DeadLetter":
    found = await _found(service, letter_id)
    if found.collection != collection:
        raise _no_such_letter(letter_id)
    if found.path:
        raise InvalidInputError(
            "ids", f"{letter_id} is a file of the machine that ingested it: run `holdfast ingest --retry {letter_id}`"
        )
    if found.item is None:
        raise InvalidInputError("ids", f"nothing of {letter_id} is kept: correct it and hand it in again")
    return found


def _no_such_letter(letter_id: str) -> NotFoundError:
    return NotFoundError(
        "letter_id", f"There is no dead letter {letter_id} in the collection: GET /v1/dead-letters lists what there is."
    )
