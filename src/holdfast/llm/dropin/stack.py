"""The engine behind wrapped clients and transports: a question in, a response out, sync or async around it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.errors import ConfigError, HoldfastError, ProviderError, TargetsExhaustedError
from holdfast.llm.client import ModelClient
from holdfast.llm.dropin.answers import Refusal, UnreachableError, error_event, refusal_of
from holdfast.llm.dropin.route_book import RouteBook
from holdfast.llm.routing.targets import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.ports import Http
    from holdfast.llm.dropin.backups import Standby
    from holdfast.llm.dropin.endpoints import Asked
    from holdfast.llm.dropin.options import Options
    from holdfast.llm.dropin.route_book import Home
    from holdfast.llm.streams.relayed import RelayedBody

__all__ = ["Answer", "AnswerBody", "Stack", "UnreachableError"]

_MOST_REFUSED = 256


class AnswerBody(Protocol):
    """The bytes of an answer, to be read to the end or closed."""

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """The rest is not wanted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller's client is to see."""

    status: int
    headers: Mapping[str, str]
    body: AnswerBody


class Stack:
    """A ``ModelClient`` for questions whose routes nobody has written down.

    Args:
        home: sends to the caller's own provider.
        standbys: who is asked when that fails.
        https: sends to those of them that are not reached over ``home``, by the provider's name.
        options: time, calls, and where time, chance and listeners come from.
    """

    def __init__(self, *, home: Http, standbys: Sequence[Standby], https: Mapping[str, Http], options: Options) -> None:
        self.models = ModelClient(
            Routes(),
            http=home,
            https=https,
            prices=options.prices,
            clock=options.clock,
            rng=options.rng,
            events=options.events,
        )
        self._book = RouteBook(standbys, options, forget=self.models.network.forget)
        self._refused: OrderedDict[tuple[str, str], Refusal] = OrderedDict()

    async def ask(self, asked: Asked) -> Answer | None:
        """The response to ``asked``; None when it is nothing that can be routed.

        Raises:
            UnreachableError: there is no response.
        """
        try:
            home = self._book.home(asked)
        except ConfigError:
            return None
        wire = asked.wire.name
        try:
            relayed = await self.models.relay(
                home.route,
                asked.wire,
                asked.body,
                headers=asked.headers,
                path=asked.path,
                home=home.provider.name,
            )
        except HoldfastError as error:
            refusal = self._known_refusal(home, error) or refusal_of(error, wire)
            self._remember(home, error, refusal)
            return Answer(status=refusal.status, headers=refusal.headers, body=_Once(refusal.content))
        return Answer(status=relayed.status, headers=relayed.headers, body=_ErrorsInBand(relayed.body, wire))

    def _remember(self, home: Home, error: HoldfastError, refusal: Refusal) -> None:
        """A key that was refused is left alone for a while; until then the caller hears what the provider said."""
        cause = error.__cause__
        if not isinstance(error, TargetsExhaustedError) or not isinstance(cause, ProviderError):
            return
        own = cause.provider == home.provider.name
        if own and classify(cause, provider=home.provider.error_table).kind in {FaultKind.AUTH, FaultKind.QUOTA}:
            known = (home.provider.name, home.key)
            self._refused[known] = refusal
            self._refused.move_to_end(known)
            if len(self._refused) > _MOST_REFUSED:
                self._refused.popitem(last=False)

    def _known_refusal(self, home: Home, error: HoldfastError) -> Refusal | None:
        if not isinstance(error, TargetsExhaustedError) or error.attempts:
            return None
        known = (home.provider.name, home.key)
        links = self.models.snapshot()
        parked = any((link.provider, link.key) == known and link.why == "parked" for link in links)
        return self._refused.get(known) if parked else None


class _Once:
    """A body that is there already."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    async def __anext__(self) -> bytes:
        if self._content is None:
            raise StopAsyncIteration
        content, self._content = self._content, None
        return content

    async def aclose(self) -> None:
        self._content = None


class _ErrorsInBand:
    """A body that ends, when it breaks, with an error that the caller's SDK raises."""

    def __init__(self, body: RelayedBody, wire: str) -> None:
        self._body = body
        self._wire = wire
        self._broken = False

    async def __anext__(self) -> bytes:
        if self._broken:
            raise StopAsyncIteration
        try:
            return await anext(self._body)
        except HoldfastError as error:
            self._broken = True
            return error_event(error, self._wire)

    async def aclose(self) -> None:
        await self._body.aclose()
