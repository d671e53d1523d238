"""``/v1/conversations``: list conversations, read them, remove them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import NotFoundError
from holdfast.rag.records.limits import CONVERSATION_ID_PATTERN, MAX_PAGE, MAX_TURNS
from holdfast.server.openapi import problems
from holdfast.server.record_bodies import ConversationBody, ConversationListBody
from holdfast.server.service import service_of

__all__ = ["router"]

router = APIRouter(tags=["conversations"])

ConversationId = Annotated[str, Path(pattern=CONVERSATION_ID_PATTERN)]


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=MAX_PAGE, description="Conversations a page.")
    cursor: str | None = Field(None, min_length=1, max_length=1_000, description="`next_cursor` of the page before.")


@router.get("/v1/conversations", response_model=ConversationListBody, responses=problems(401, 422, 503, 504))
async def conversations(request: Request, paging: Annotated[_Paging, Query()]) -> Response:
    """List conversations, the one with the latest turn first, page by page."""
    records = service_of(request).engine.records
    page = await records.call(records.conversations.page, limit=paging.limit, cursor=paging.cursor)
    return Response(ConversationListBody.of(page).model_dump_json(), media_type="application/json")


@router.get(
    "/v1/conversations/{conversation_id}", response_model=ConversationBody, responses=problems(401, 404, 422, 503, 504)
)
async def conversation(
    request: Request,
    conversation_id: ConversationId,
    last: Annotated[int | None, Query(ge=0, le=MAX_TURNS, description="Only so many of its last turns.")] = None,
) -> Response:
    """Read a conversation."""
    records = service_of(request).engine.records
    found = await records.call(records.conversations.get, conversation_id, last=last)
    if found is None:
        raise _no_such_conversation()
    return Response(ConversationBody.of(found).model_dump_json(), media_type="application/json")


@router.delete("/v1/conversations/{conversation_id}", status_code=204, responses=problems(401, 404, 422, 503, 504))
async def remove(request: Request, conversation_id: ConversationId) -> Response:
    """Remove a conversation with everything that was said of its answers.

    Answers to what was asked before are not added to it any more, even when they come later.
    """
    service = service_of(request)
    if not await service.changed(service.engine.delete_conversation(conversation_id)):
        raise _no_such_conversation()
    return Response(status_code=204)


def _no_such_conversation() -> NotFoundError:
    return NotFoundError(
        "conversation_id", "There is no conversation with this id: GET /v1/conversations lists what there is."
    )
