"""How a plain program calls what it depends on: as it is, or with repetitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.lab.world.world import World

__all__ = ["Bare", "Calls", "Repeated"]

P = ParamSpec("P")
T = TypeVar("T")


class Calls(Protocol):
    """Makes the calls of a program."""

    async def call(self, dependency: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``await fn(*args, **kwargs)``, with whatever stands around the calls of ``dependency``."""
        ...


class Bare:
    """Nothing stands around a call."""

    async def call(
        self,
        dependency: str,  # noqa: ARG002 - all are alike
        fn: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The call itself."""
        return await fn(*args, **kwargs)


class Repeated:
    """Every call is made again when it fails: three times, after 1, 2 and 4 seconds, each wait half drawn.

    What it is worth by itself: errors that no repetition mends are left alone, and there is no budget.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.draws.stream("retries")
        self._pipelines: dict[str, Pipeline] = {}

    async def call(self, dependency: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The call, up to four times."""
        pipeline = self._pipelines.get(dependency)
        if pipeline is None:
            pipeline = self._pipelines[dependency] = Pipeline(
                Retry(), name=dependency, clock=self._world.clock, rng=self._rng, events=self._world.events
            )
        result: Any = await pipeline.call(fn, *args, **kwargs)
        given: T = result
        return given
