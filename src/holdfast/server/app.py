"""The application: the engine behind HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from holdfast import __version__
from holdfast.server import problems
from holdfast.server.context import ContextMiddleware
from holdfast.server.head import HeadMiddleware
from holdfast.server.lifetime import settle
from holdfast.server.openapi import document_api
from holdfast.server.routes import (
    conversations,
    dead_letters,
    documents,
    feedback,
    health,
    jobs,
    metrics,
    page,
    query,
    search,
)
from holdfast.server.security import GateMiddleware, check_exposure, check_key
from holdfast.server.service import Service
from holdfast.telemetry.event_log import EventLog
from holdfast.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.rag.engine import Engine
    from holdfast.rag.settings import Settings

__all__ = ["create_app"]

_log = structlog.get_logger("holdfast.server")

_RESTART_WORKER_NS = 5_000_000_000

_DESCRIPTION = """\
Questions answered from your documents, with citations. A part that is down makes an answer degraded, never an error.

Failures are problem documents (RFC 9457). Every response carries `x-request-id`, `x-holdfast-tier` and, where there is
an answer, `x-holdfast-source`; a stream carries the tier and the source of its answer in its `answer` event.
"""


def create_app(engine: Engine, settings: Settings) -> FastAPI:
    """The ASGI application. It opens the engine when it starts and closes it when it stops.

    Raises:
        ConfigError: the setting ``api_key`` is too short. When it starts: other machines would reach it, and there is
            no key.
    """
    check_key(settings)
    service = Service(
        engine=engine,
        settings=settings,
        metrics=Metrics(
            clock=engine.clock, guards=engine.guards, queue_depth=lambda: engine.line.snapshot().depth_percent
        ),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.stop_listening.append(service.metrics.listen(engine.events))
        service.stop_listening.append(EventLog().listen(engine.events))
        service.follow_tier()
        try:
            await engine.open()
            await check_exposure(settings, engine.records.ring)
            worker = asyncio.create_task(_work(engine), name="holdfast job worker")
            try:
                yield
            finally:
                await settle(worker)
        finally:
            await engine.close()
            while service.stop_listening:
                service.stop_listening.pop()()

    app = FastAPI(
        title="Holdfast",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its script from somebody else's server
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    app.openapi = document_api(app)  # type: ignore[method-assign] # the documented way to extend the document
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(GateMiddleware, settings=settings, ring=engine.records.ring)
    app.add_middleware(ContextMiddleware, clock=engine.clock, service_tier=lambda: service.tier)
    page.load_page()  # now, and not on the event loop at the first request
    for routes in (page, query, search, conversations, feedback, documents, dead_letters, jobs, health, metrics):
        app.include_router(routes.router)
    return app


async def _work(engine: Engine) -> None:
    """Run the job worker for as long as the service runs; a crash is logged, and the worker starts again."""
    while True:
        try:
            await engine.ingestor.run_jobs()
        except Exception:  # noqa: BLE001 - a bug in one job must not end the work on all later ones
            _log.exception("job worker failed; it starts again in 5 s")
            await engine.clock.asleep_ns(_RESTART_WORKER_NS)
