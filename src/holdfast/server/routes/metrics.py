"""``/metrics``: for Prometheus."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from holdfast.server.openapi import problems
from holdfast.server.service import service_of

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=Response, responses=problems(401))
async def metrics(request: Request) -> Response:
    """Every metric, in Prometheus' or OpenMetrics' text format, as the scraper asks."""
    body, content_type = service_of(request).metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})
