"""Ask a model by its route's name: whole answers, streams, embeddings, and a caller's own bodies.

routes = load_routes(Path("models.toml"))
async with ModelClient(routes, http=AiohttpHttp()) as models:
answer = await models.complete("answers", ChatRequest(messages=[Message(role="user", content="Hello?")]))
async with models.stream("answers", request) as chunks:
async for chunk in chunks:
print(chunk.text, end="")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.llm.exchange import Exchange
from holdfast.llm.probing import probe
from holdfast.llm.question import ChatQuestion, EmbeddingQuestion, RawQuestion, check_protocol
from holdfast.llm.routing.network import Network
from holdfast.llm.streams.chat_stream import ChatStream
from holdfast.llm.streams.relayed import Relayed, relayed_reply, relayed_stream
from holdfast.llm.wire.base import Reply

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.ports import Http
    from holdfast.llm.costs import CallCost, CostSnapshot
    from holdfast.llm.embedding import EmbedKind
    from holdfast.llm.messages import ChatRequest, Completion, Usage
    from holdfast.llm.outcomes import Opened
    from holdfast.llm.prices import Prices
    from holdfast.llm.routing.link import LinkSnapshot
    from holdfast.llm.routing.targets import EmbeddingRoute, ModelRoute, Routes, Target
    from holdfast.llm.wire.base import Wire

__all__ = ["Answered", "Embedded", "ModelClient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer, and what it took.

    Attributes:
        completion: the answer.
        target: who gave it.
        calls: the calls that were made for it.
        costs: what each of them cost, those that gave nothing included.
    """

    completion: Completion
    target: Target
    calls: int
    costs: Sequence[CallCost]

    @property
    def cost_usd(self) -> float:
        """All together, in US dollars; calls of models without a price count as 0."""
        return sum(cost.usd for cost in self.costs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors, in the order of the texts; ``target``, ``calls`` and ``costs`` as for :class:`Answered`."""

    vectors: Sequence[Sequence[float]]
    usage: Usage
    target: Target
    calls: int
    costs: Sequence[CallCost]


class ModelClient:
    """Models behind routes.

    Args:
        routes: what is configured.
        http: sends the requests, e.g. :class:`holdfast.llm.http.AiohttpHttp`; closed with this client.
        https: clients of single providers, by the provider's name.
        prices: what models cost; by default those that come with the package.
        clock, rng, events: where time, chance and listeners come from.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        http: Http,
        https: Mapping[str, Http] | None = None,
        prices: Prices | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        events: Events | None = None,
    ) -> None:
        self.routes = routes
        self.network = Network(http=http, https=https, prices=prices, clock=clock, rng=rng, events=events)

    @property
    def events(self) -> Events:
        """The hub that hears what happens."""
        return self.network.events

    async def complete(self, model: str, request: ChatRequest) -> Answered:
        """A whole answer.

        Args:
            model: the name of a chat route.
            request: what to ask.

        Raises:
            NotFoundError: there is no such route.
            ProviderError: what was asked cannot be answered by anybody.
            TargetsExhaustedError: no target gave an answer.
            DeadlineExceededError: time is up.
        """
        exchange = Exchange(self.network, self.routes.model(model), ChatQuestion(request=request))
        opened, reply = await self._whole(exchange)
        if reply.completion is None:
            raise AssertionError("a chat protocol reads completions")
        return Answered(
            completion=reply.completion,
            target=opened.link.target,
            calls=exchange.calls,
            costs=tuple(exchange.costs),
        )

    def stream(self, model: str, request: ChatRequest) -> ChatStream:
        """An answer piece by piece. Nothing is sent before the first piece is asked for.

        Raises:
            NotFoundError: there is no such route. What else :meth:`complete` raises, the first piece does; and any
                later one ``StreamInterruptedError``, when the answer breaks off.
        """
        question = ChatQuestion(request=request, streamed=True)
        return ChatStream(Exchange(self.network, self.routes.model(model), question))

    async def embed(self, model: str, texts: Sequence[str], *, kind: EmbedKind = "document") -> Embedded:
        """Vectors of one model, whoever computes them.

        Args:
            model: the name of an embedding route.
            texts: what to embed, at least one.
            kind: what the vectors are for; some models tell questions from documents.

        Raises:
            As for :meth:`complete`.
        """
        route = self.routes.embedding(model)
        dimensions = route.dimension if route.ask_dimension else None
        question = EmbeddingQuestion(texts=tuple(texts), kind=kind, dimensions=dimensions, dimension=route.dimension)
        exchange = Exchange(self.network, route, question)
        opened, reply = await self._whole(exchange)
        return Embedded(
            vectors=reply.vectors,
            usage=reply.usage,
            target=opened.link.target,
            calls=exchange.calls,
            costs=tuple(exchange.costs),
        )

    async def relay(
        self,
        route: ModelRoute | EmbeddingRoute | str,
        wire: Wire,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        path: str | None = None,
        home: str | None = None,
    ) -> Relayed:
        """A caller's own body, put to targets that speak its protocol; the answer's bytes as they come.

        It returns when the answer has begun: with the whole body, or from the first real token of a stream on.

        Args:
            route: a chat route, or the name of one.
            wire: the protocol of the body.
            body: parsed; only the model's name is changed in it.
            headers: the caller's header fields.
            path: the endpoint behind a target's base address, where it is not the protocol's own.
            home: the provider that the credentials in ``headers`` are for.

        Raises:
            ConfigError: a target of the route speaks another protocol.
            As for :meth:`complete`.
        """
        if isinstance(route, str):
            route = self.routes.model(route)
        check_protocol(route, wire)
        question = RawQuestion(wire_format=wire, content=body, headers=headers or {}, path=path, home=home)
        exchange = Exchange(self.network, route, question)
        if question.streamed:
            return await relayed_stream(ChatStream(exchange))
        opened, reply = await self._whole(exchange)
        return relayed_reply(opened.attempt, reply, exchange)

    async def probe(self, route: ModelRoute | EmbeddingRoute, target: Target) -> bool:
        """Ask a target that is left alone something small, and close its breaker when it works.

        Args:
            route: tells what to ask: for a word, or for a vector.
            target: whom to ask.

        Returns:
            whether it can be asked again now; False also where it is not asked because it said itself when it is back.

        Raises:
            ProviderError, AttemptTimeoutError, ConnectionError: it does not work yet.
        """
        return await probe(self.network, route, target)

    def snapshot(self) -> tuple[LinkSnapshot, ...]:
        """Every target that was asked so far, with each of its keys, as it is now."""
        return self.network.snapshot()

    def costs(self) -> CostSnapshot:
        """What everything has cost so far, by model and by cause."""
        return self.network.costs.snapshot()

    async def close(self) -> None:
        """Close the connections."""
        await self.network.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _whole(self, exchange: Exchange) -> tuple[Opened, Reply]:
        opened = await exchange.open()
        await exchange.done(opened)
        if not isinstance(opened.first, Reply):
            raise AssertionError("what is not streamed is given whole")  # noqa: TRY004  no caller can be at fault
        return opened, opened.first
