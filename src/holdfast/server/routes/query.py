"""``POST /v1/query``: a question, answered as one JSON object or piece by piece."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import RejectedError
from holdfast.rag.types import Source
from holdfast.server.bodies import read_json
from holdfast.server.context import RequestContext, context_of
from holdfast.server.lifetime import while_wanted
from holdfast.server.openapi import json_body, problems
from holdfast.server.request_bodies import QueryRequest
from holdfast.server.service import service_of
from holdfast.server.sse import AnswerFeed, AnswerStream
from holdfast.server.wire import AnswerBody

__all__ = ["MAX_QUESTION_BODY_BYTES", "router"]

MAX_QUESTION_BODY_BYTES = 4 * 1024 * 1024
"""Far above any legal question, so that one which is too long is told so by its field and not by its body."""

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/query",
    response_model=AnswerBody,
    responses={
        200: {
            "description": "The answer; server-sent events (`delta`..., `answer`, `done`) with `stream`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(400, 401, 404, 408, 413, 415, 422, 503),
    },
    openapi_extra=json_body(QueryRequest),
)
async def query(request: Request) -> Response:
    """Answer a question from the documents, with citations.

    A part that is down makes the answer degraded (see `tier`, `reasons`, `notice`), never an error. 503 only when more
    questions are under way than can be answered, or the service is stopping. A stream carries its tier and source in
    the `answer` event: its headers are sent before they are known.
    """
    service, context = service_of(request), context_of(request.scope)
    limit = min(service.settings.max_body_bytes, MAX_QUESTION_BODY_BYTES)
    body = await service.received(request, read_json(request, QueryRequest, max_bytes=limit))
    question = body.query(collection=service.settings.collection, request_id=context.request_id)
    if not body.stream:
        with _marked(context):
            answer = await while_wanted(service.engine.ask(question), receive=request.receive, drain=service.drain)
        context.tier, context.source = answer.tier, answer.source
        return Response(AnswerBody.of(answer).model_dump_json(), media_type="application/json")
    feed = AnswerFeed(service.engine.stream(question))
    try:
        # A failure before the first piece can still be told by a status.
        with _marked(context):
            first = await while_wanted(feed.next(), receive=request.receive, drain=service.drain)
    except BaseException:
        await feed.close()
        raise
    return AnswerStream(feed, first=first, request_id=context.request_id, drain=service.drain)


@contextmanager
def _marked(context: RequestContext) -> Iterator[None]:
    """Say in the response's headers that a question was refused."""
    try:
        yield
    except RejectedError:
        context.source = Source.REJECTED
        raise
