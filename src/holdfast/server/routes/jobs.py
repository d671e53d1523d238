"""``/v1/jobs/{id}``: how far an ingest is, and how to stop it."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import NotFoundError
from holdfast.server.openapi import problems
from holdfast.server.service import service_of
from holdfast.server.wire import JobBody

__all__ = ["router"]

router = APIRouter(tags=["documents"])

JobId = Annotated[str, Path(min_length=1, max_length=100)]


@router.get("/v1/jobs/{job_id}", response_model=JobBody, responses=problems(401, 404, 422, 503, 504))
async def job(request: Request, job_id: JobId) -> Response:
    """Where an ingest job stands."""
    service = service_of(request)
    found = await service.stored(service.engine.jobs.job, job_id)
    if found is None:
        raise _no_such_job()
    return Response(JobBody.of(found).model_dump_json(), media_type="application/json")


@router.delete("/v1/jobs/{job_id}", response_model=JobBody, responses=problems(401, 404, 422, 503, 504))
async def cancel(request: Request, job_id: JobId) -> Response:
    """Stop a job: documents not begun are dropped, those that are stored stay. A finished job stays as it is."""
    service = service_of(request)
    found = await service.stored(service.engine.jobs.cancel_job, job_id)
    if found is None:
        raise _no_such_job()
    return Response(JobBody.of(found).model_dump_json(), media_type="application/json")


def _no_such_job() -> NotFoundError:
    return NotFoundError("job_id", "There is no job with this id.")
