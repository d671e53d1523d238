"""``POST /v1/search``: the passages that fit a question, without an answer."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.bodies import read_json
from holdfast.server.context import context_of
from holdfast.server.lifetime import while_wanted
from holdfast.server.openapi import json_body, problems
from holdfast.server.request_bodies import SearchRequest
from holdfast.server.routes.query import MAX_QUESTION_BODY_BYTES
from holdfast.server.service import service_of
from holdfast.server.wire import SearchResultBody

__all__ = ["router"]

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/search",
    response_model=SearchResultBody,
    responses=problems(400, 401, 408, 413, 415, 422, 503, 504),
    openapi_extra=json_body(SearchRequest),
)
async def search(request: Request) -> Response:
    """Find the passages that fit a question best, by words and by meaning."""
    service, context = service_of(request), context_of(request.scope)
    limit = min(service.settings.max_body_bytes, MAX_QUESTION_BODY_BYTES)
    body = await service.received(request, read_json(request, SearchRequest, max_bytes=limit))
    question = body.query(collection=service.settings.collection, request_id=context.request_id)
    result = await while_wanted(service.engine.search(question), receive=request.receive, drain=service.drain)
    context.tier = result.tier
    found = SearchResultBody.of(result, request_id=context.request_id)
    return Response(found.model_dump_json(), media_type="application/json")
