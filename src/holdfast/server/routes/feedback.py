"""``/v1/feedback``: whether an answer helped."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from holdfast.rag.records.feedback import Feedback
from holdfast.server.bodies import read_json
from holdfast.server.openapi import json_body, problems
from holdfast.server.record_bodies import FeedbackBody
from holdfast.server.request_bodies import FeedbackRequest
from holdfast.server.service import service_of

__all__ = ["router"]

router = APIRouter(tags=["conversations"])

_MAX_BODY_BYTES = 32 * 1024


@router.post(
    "/v1/feedback",
    response_model=FeedbackBody,
    responses=problems(400, 401, 408, 413, 415, 422, 503, 504),
    openapi_extra=json_body(FeedbackRequest),
)
async def give(request: Request) -> Response:
    """Say whether an answer helped. Said again of the same answer, it takes the place of what was said before."""
    service = service_of(request)
    limit = min(service.settings.max_body_bytes, _MAX_BODY_BYTES)
    body = await service.received(request, read_json(request, FeedbackRequest, max_bytes=limit))
    feedback = Feedback(
        request_id=body.request_id,
        useful=body.useful,
        comment=body.comment,
        given_at=service.engine.clock.wall_ns() / 1e9,
    )
    records = service.engine.records
    await service.changed(records.call(records.feedback.put, feedback))
    return Response(FeedbackBody.of(feedback).model_dump_json(), media_type="application/json")
