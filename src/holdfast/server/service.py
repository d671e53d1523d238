"""What every route needs: the engine, its settings, the metrics and the state of the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from holdfast.rag.types import Tier
from holdfast.server.bodies import BODY_SECONDS, seconds_for, too_slow
from holdfast.server.context import context_of
from holdfast.server.lifetime import Drain, while_serving
from holdfast.telemetry.events import TierChanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from starlette.requests import Request

    from holdfast.rag.engine import Engine
    from holdfast.rag.settings import Settings
    from holdfast.telemetry.metrics import Metrics

__all__ = ["Service", "request_id_of", "service_of"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Service:
    """The running service.

    Attributes:
        tier: what the service as a whole can muster now, by its events.
        body_seconds: how long a request's body may take to arrive, before what is added for large ones.
        stop_listening: what to call so that the engine's events are no longer turned into lines, counts and tiers.
    """

    engine: Engine
    settings: Settings
    metrics: Metrics
    drain: Drain = field(default_factory=Drain)
    tier: str = Tier.FULL
    body_seconds: float = BODY_SECONDS
    stop_listening: list[Callable[[], None]] = field(default_factory=list)

    def follow_tier(self) -> None:
        """Keep ``tier`` up to date from the engine's events."""

        def moved(event: TierChanged) -> None:
            self.tier = event.to_tier

        self.stop_listening.append(self.engine.events.listen(moved, TierChanged))

    async def stored(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store through the store's pipeline. For reads, and for changes that may be repeated."""
        guard = self.engine.guards()[self.engine.store.name]
        result: T = await guard.call(fn, *args, **kwargs)
        return result

    async def changed(self, work: Coroutine[Any, Any, T]) -> T:
        """What a change comes to that may take as long as a document is large.

        Raises:
            RejectedError: the service stops and its time for requests under way is over.
        """
        return await while_serving(work, drain=self.drain)

    async def received(self, request: Request, reading: Coroutine[Any, Any, T]) -> T:
        """What the reading of a request's body comes to, if it does so in time.

        Raises:
            ApiError: 408 when the body does not arrive in time.
            RejectedError: the service stops and its time for requests under way is over.
        """
        seconds = seconds_for(request, self.body_seconds)
        try:
            return await while_serving(reading, drain=self.drain, seconds=seconds)
        except TimeoutError:
            raise too_slow(seconds) from None


def service_of(request: Request) -> Service:
    """The service that the request came to."""
    service: Service = request.app.state.service
    return service


def request_id_of(request: Request) -> str:
    """The id of the request."""
    return context_of(request.scope).request_id
