"""Models as a program asks them that has a provider's client and nothing else: one call, and what comes of it."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError, TargetsExhaustedError
from holdfast.llm.client import ModelClient
from holdfast.llm.prices import load_prices
from holdfast.llm.routing.options import RetryOptions, RouteOptions, StreamTimers
from holdfast.llm.routing.targets import ModelRoute, Routes
from holdfast.rag.answering.base import Draft
from holdfast.rag.answering.generated import GenerationOptions, ModelAnswerer
from holdfast.rag.models import configured_models
from holdfast.rag.policies import Policies

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from holdfast.lab.world.world import World
    from holdfast.llm.routing.targets import Target
    from holdfast.rag.answering.base import AnswerRequest

__all__ = ["PlainAnswerer", "plain_answerers"]

_CLIENT_SECONDS = 600.0
"""What the clients of OpenAI and Anthropic wait for at most, where nobody says otherwise."""
_ROUTE = "plain"
_BARE = Policies(retries=False, breakers=False, failover=False)
_ONE_CALL = RouteOptions(
    max_calls=1,
    deadline_seconds=_CLIENT_SECONDS,
    attempt_seconds=_CLIENT_SECONDS,
    timers=StreamTimers(
        headers=_CLIENT_SECONDS, first_token=_CLIENT_SECONDS, inter_token=_CLIENT_SECONDS, total=_CLIENT_SECONDS
    ),
    retry=RetryOptions(max_retries=0),
)


class PlainAnswerer:
    """Has one model write, with the production prompt and wire. Nothing is remembered from one call to the next.

    Args:
        world: its doors.
        target: the model.
    """

    def __init__(self, world: World, target: Target) -> None:
        self.name = f"model:{target.name}"
        self._world = world
        self._routes = Routes(models={_ROUTE: ModelRoute(name=_ROUTE, targets=(target,), options=_ONE_CALL)})
        self._options = GenerationOptions(max_tokens=world.engine.settings.max_answer_tokens)
        self._prices = load_prices(world.engine.settings.prices_file)
        self._rng = world.draws.stream(self.name)

    async def answer(self, request: AnswerRequest) -> Draft:
        """One call.

        Raises:
            ProviderError, OSError: it failed, in the way in which a provider's client says so.
        """
        with _as_a_client_says():
            return await self._answerer().answer(request)

    async def begin(self, request: AnswerRequest) -> tuple[str | Draft, AsyncGenerator[str | Draft, None]]:
        """One call that is streamed: its first piece, and the rest.

        Raises:
            ProviderError, OSError: it failed before the first piece. What fails later is raised by the rest.
        """
        rest = self._stream(request)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(rest.aclose)
            first = await anext(rest)
            stack.pop_all()
        return first, rest

    async def _stream(self, request: AnswerRequest) -> AsyncGenerator[str | Draft, None]:
        with _as_a_client_says():
            async with aclosing(self._answerer().stream(request)) as items:
                async for item in items:
                    if isinstance(item, Draft) and item.failure is not None:
                        raise item.failure  # the service would say what is missing; a client's stream just breaks
                    yield item

    def _answerer(self) -> ModelAnswerer:
        # A new client each time: one that is used again remembers that a provider asked to be left alone.
        world = self._world
        client = ModelClient(
            self._routes,
            http=world.http,
            prices=self._prices,
            clock=world.clock,
            rng=self._rng,
            events=world.events,
        )
        return ModelAnswerer(client, _ROUTE, blocking=world.blocking, rng=self._rng, options=self._options)


@contextmanager
def _as_a_client_says() -> Iterator[None]:
    """What the call itself raised, and not that no target of a route is left: nobody has tried again yet.

    Whoever repeats calls goes by that: the error of a route says that repeating it is no use.
    """
    try:
        yield
    except TargetsExhaustedError as error:
        if error.__cause__ is None:
            raise
        cause = error.__cause__
    else:
        return
    raise cause


def plain_answerers(world: World, *, most: int) -> tuple[PlainAnswerer, ...]:
    """The first ``most`` models of the world's settings.

    Raises:
        ConfigError: they name none.
    """
    settings = world.engine.settings
    configured = configured_models(settings, {})
    if configured is None or configured.answers is None:
        raise ConfigError("model", settings.model, "must name a model: a plain program has nobody else to answer")
    targets = configured.routes.model(configured.answers).targets[:most]
    return tuple(PlainAnswerer(world, bare) for target in targets for bare in _BARE.targets((target,)))
