"""What can be set about a wrapped client."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from holdfast.core._options import refuse_unknown
from holdfast.core.breaker_options import MODEL, BreakerOptions
from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.llm.routing.options import EMBEDDING_OPTIONS, Choice, HedgeAfter, RetryOptions, RouteOptions, StreamTimers

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from holdfast.core.events import Events
    from holdfast.llm.dropin.endpoints import Waits
    from holdfast.llm.prices import Prices

__all__ = ["Keywords", "Options", "bounded_by"]

_CHATS = RouteOptions(deadline_seconds=180.0, attempt_seconds=120.0)
_EMBEDDINGS = replace(EMBEDDING_OPTIONS, deadline_seconds=90.0, attempt_seconds=30.0)
"""An application that is wrapped in one line has calls of which we know nothing: they get more time than in a route
that somebody has written down."""


class Keywords(TypedDict, total=False):
    """The options of :func:`holdfast.wrap` and of the transports, see ``docs/how-to/wrap-an-sdk.md``."""

    max_calls: int
    deadline_seconds: float
    attempt_seconds: float
    timers: StreamTimers
    retry: RetryOptions
    hedge_after: HedgeAfter
    hedge_percent: float
    continue_streams: bool
    choose: Choice
    breaker: BreakerOptions
    finish_required: bool | None
    prices: Prices | None
    clock: Clock
    rng: random.Random | None
    events: Events | None
    environ: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options, read and checked.

    Attributes:
        chats: for chats and responses.
        embeddings: for embeddings.
        breaker: the circuit breaker of each model.
        finish_required: whether a whole answer always says why it ends; None goes by what is known of the provider.
        prices, clock, rng, events: see :class:`holdfast.llm.client.ModelClient`.
        environ: where the keys of named targets are looked for; the process' environment by default.
    """

    chats: RouteOptions = _CHATS
    embeddings: RouteOptions = _EMBEDDINGS
    breaker: BreakerOptions = MODEL
    finish_required: bool | None = None
    prices: Prices | None = None
    clock: Clock = SYSTEM_CLOCK
    rng: random.Random | None = None
    events: Events | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, owner: str, keywords: Mapping[str, Any]) -> Options:
        """From keywords, by the names of ``RouteOptions`` and of this class.

        Raises:
            ConfigError: one is not known, or out of its range.
        """
        refuse_unknown(owner, keywords, Keywords.__annotations__)
        route = {each.name: keywords[each.name] for each in fields(RouteOptions) if each.name in keywords}
        own = {name: value for name, value in keywords.items() if name not in route}
        return cls(chats=replace(_CHATS, **route), embeddings=replace(_EMBEDDINGS, **route), **own)

    def of(self, wire: str) -> RouteOptions:
        """The options for questions in a protocol."""
        return self.embeddings if wire == "openai.embeddings" else self.chats

    @property
    def read_seconds(self) -> float:
        """For one read from the network: no timer waits longer."""
        timers = self.chats.timers
        return max(
            self.chats.attempt_seconds,
            self.embeddings.attempt_seconds,
            timers.headers,
            timers.first_token,
            timers.inter_token,
        )


def bounded_by(options: RouteOptions, waits: Waits) -> RouteOptions:
    """``options``, as patient as the caller's own client at most: its timeouts are for one attempt, as ever."""
    if waits.connect is None and waits.read is None:
        return options
    timers = options.timers
    connect, read = waits.connect or timers.connect, waits.read
    if read is None:
        return replace(options, timers=replace(timers, connect=min(connect, timers.connect)))
    return replace(
        options,
        attempt_seconds=min(read, options.attempt_seconds),
        timers=replace(
            timers,
            connect=min(connect, timers.connect),
            headers=min(read, timers.headers),
            first_token=min(read, timers.first_token),
            inter_token=min(read, timers.inter_token),
        ),
    )
