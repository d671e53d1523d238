"""Calls to models as Prometheus metrics: what they cost, how they end, and who stands in for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram

from holdfast.core.events import CallSucceeded
from holdfast.core.faults import FaultKind
from holdfast.errors import RejectedError
from holdfast.telemetry.model_events import StreamContinued

if TYPE_CHECKING:
    from holdfast.core.events import CallFailed
    from holdfast.telemetry.events import ModelCallPriced
    from holdfast.telemetry.model_events import KeyParked, ModelAnswered, ModelFailedOver, StreamBroken

__all__ = ["CAUSES", "DIRECTIONS", "FIRST_TOKEN_BUCKETS", "MAX_MODELS", "ModelCalls", "ModelCosts"]

CAUSES: Final = ("first", "retry", "failover", "hedge", "fallback", "continuation", "wasted", "probe")
DIRECTIONS: Final = ("input", "cached_input", "output")

MAX_MODELS: Final = 100
"""Models that have series of their own; further ones share those of ``other``."""

FIRST_TOKEN_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
"""Seconds: half of all first tokens take 0.5 s, one in a hundred 4.5 s."""

_OTHER: Final = "other"
_MODEL: Final = "model:"
_REFUSING: Final[tuple[type[RejectedError], ...]] = (RejectedError, *RejectedError.__subclasses__())
_REFUSALS: Final = frozenset(f"{each.__module__}.{each.__qualname__}" for each in _REFUSING)


class _Series(NamedTuple):
    usd: Counter
    tokens: dict[str, Counter]


class ModelCosts:
    """Counts the cost of calls by provider, model and cause.

    Which models there are is known when they are first called; from then on every cause has its series, with 0, so
    that a rate sees the first repetition.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("provider", "model", "cause")
        self._usd = Counter(
            "holdfast_model_cost_usd_total",
            "What calls to models cost, in US dollars, where the price is known.",
            labels,
            registry=registry,
        )
        self._tokens = Counter(
            "holdfast_model_tokens_total",
            "Tokens of calls to models: read, read from the provider's cache, written.",
            (*labels, "direction"),
            registry=registry,
        )
        self._unpriced = Counter(
            "holdfast_model_unpriced_calls_total",
            "Calls whose price is not known, and which add nothing to the cost.",
            ("provider", "model"),
            registry=registry,
        )
        self._series: dict[tuple[str, str], dict[str, _Series]] = {}

    def priced(self, event: ModelCallPriced) -> None:
        """Count a call."""
        provider, model = (event.provider, event.model)
        if (provider, model) not in self._series and len(self._series) >= MAX_MODELS:
            provider = model = _OTHER
        series = self._of(provider, model)[event.cause if event.cause in CAUSES else _OTHER]
        if event.usd > 0:
            series.usd.inc(event.usd)
        cached = min(event.cached_tokens, event.prompt_tokens)
        for direction, tokens in zip(
            DIRECTIONS, (event.prompt_tokens - cached, cached, event.completion_tokens), strict=True
        ):
            series.tokens[direction].inc(tokens)
        if not event.known:
            self._unpriced.labels(provider, model).inc()

    def _of(self, provider: str, model: str) -> dict[str, _Series]:
        known = self._series.get((provider, model))
        if known is None:
            self._unpriced.labels(provider, model)
            known = self._series[provider, model] = {
                cause: _Series(
                    self._usd.labels(provider, model, cause),
                    {each: self._tokens.labels(provider, model, cause, each) for each in DIRECTIONS},
                )
                for cause in (*CAUSES, _OTHER)
            }
        return known


class _Names:
    """The names that have series of their own; further ones share those of ``other``."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, name: str) -> str:
        if name not in self._known:
            if len(self._known) >= MAX_MODELS:
                return _OTHER
            self._known.add(name)
        return name


class ModelCalls:
    """Counts calls by target and outcome, fail-overs, broken streams and refused keys, and times first tokens.

    A target is a provider and its model, whichever key was used.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "holdfast_model_calls_total",
            "Calls to models, by how they ended; those that a breaker or a limit of ours refused are refused.",
            ("target", "outcome"),
            registry=registry,
        )
        self._first_token = Histogram(
            "holdfast_model_first_token_seconds",
            "From a request to its first real token; of an answer that is not streamed, to its end.",
            ("target",),
            buckets=FIRST_TOKEN_BUCKETS,
            registry=registry,
        )
        self._failovers = Counter(
            "holdfast_model_failovers_total",
            "Questions that another target answered than the one that failed last.",
            ("route", "from_target", "to_target"),
            registry=registry,
        )
        self._streams = Counter(
            "holdfast_model_streams_broken_total",
            "Streams that broke after a part was given out: continued by another target, or told to the caller.",
            ("route", "outcome"),
            registry=registry,
        )
        self._keys = Counter(
            "holdfast_model_keys_parked_total",
            "Times that a key was refused, or its money used up, and left alone for a while.",
            ("provider", "kind"),
            registry=registry,
        )
        self._targets, self._routes, self._providers = _Names(), _Names(), _Names()
        self._pairs = _Names()

    def ended(self, event: CallSucceeded | CallFailed) -> None:
        """A guarded call is over; those to other dependencies are not counted here."""
        if event.dependency.startswith(_MODEL):
            target = self._targets.of(event.dependency.removeprefix(_MODEL))
            self._calls.labels(target, _outcome(event)).inc()

    def answered(self, event: ModelAnswered) -> None:
        """A model's answer has begun."""
        self._first_token.labels(self._targets.of(_target(event.target))).observe(event.first_token_seconds)

    def failed_over(self, event: ModelFailedOver) -> None:
        """Another target answered."""
        labels = (event.route, _target(event.from_target), _target(event.to_target))
        if self._pairs.of("\n".join(labels)) == _OTHER:
            labels = (_OTHER, _OTHER, _OTHER)
        self._failovers.labels(*labels).inc()

    def broke(self, event: StreamBroken | StreamContinued) -> None:
        """A stream broke on its way."""
        outcome = "continued" if isinstance(event, StreamContinued) else "told"
        self._streams.labels(self._routes.of(event.route), outcome).inc()

    def parked(self, event: KeyParked) -> None:
        """A key is left alone."""
        self._keys.labels(self._providers.of(event.provider), event.kind).inc()


def _outcome(event: CallSucceeded | CallFailed) -> str:
    if isinstance(event, CallSucceeded):
        return "ok"
    if event.error_type in _REFUSALS:
        return "refused"
    return "cancelled" if event.kind == FaultKind.CANCELLED else "failed"


def _target(link: str) -> str:
    """The target of a link: without the key's name, which follows where a provider has several."""
    return link.partition("#")[0]
