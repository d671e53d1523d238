"""Health: the whole picture at ``/health``, and the two questions of an orchestrator."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from holdfast import __version__
from holdfast.core.clock import Clock
from holdfast.server.service import service_of
from holdfast.server.wire import HealthBody, LivenessBody

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/health", response_model=HealthBody, responses={503: {"model": HealthBody, "description": "Not open."}})
async def health(request: Request) -> Response:
    """Ask every dependency now.

    `degraded` (200) when a part is missing, the store included: questions still get a remembered answer or a sentence
    that says what is wrong. `unavailable` (503) only while the service is not open: starting, or stopped.
    """
    service = service_of(request)
    report = await service.engine.health()
    body = HealthBody.of(report, timestamp=_timestamp(service.engine.clock), version=__version__)
    status = 503 if report.status == "unavailable" else 200
    return Response(body.model_dump_json(), status_code=status, media_type="application/json")


@router.get("/health/live", response_model=LivenessBody)
async def live(request: Request) -> Response:
    """Whether the process is alive. A failing dependency is no reason to restart it."""
    return _liveness("alive", 200, service_of(request).engine.clock)


@router.get(
    "/health/ready", response_model=LivenessBody, responses={503: {"model": LivenessBody, "description": "Not ready."}}
)
async def ready(request: Request) -> Response:
    """Whether to send requests here: yes, as long as the service is open and has something to say.

    It stays ready when its store is away, and then gives remembered answers or says that it has none: a store that is
    shared would otherwise take every replica out of service at once. Watch `/health` and `x-holdfast-tier` for that.
    """
    service = service_of(request)
    clock = service.engine.clock
    if (await service.engine.health()).status == "unavailable":
        return _liveness("unavailable", 503, clock)
    return _liveness("ready", 200, clock)


def _liveness(status: str, code: int, clock: Clock) -> Response:
    body = LivenessBody(status=status, timestamp=_timestamp(clock))
    return Response(body.model_dump_json(), status_code=code, media_type="application/json")


def _timestamp(clock: Clock) -> str:
    return datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).isoformat(timespec="milliseconds")
