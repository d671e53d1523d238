"""What calls to models cost, as Prometheus metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter

if TYPE_CHECKING:
    from holdfast.telemetry.events import ModelCallPriced

__all__ = ["CAUSES", "DIRECTIONS", "MAX_MODELS", "ModelCosts"]

CAUSES: Final = ("first", "retry", "failover", "hedge", "fallback", "continuation", "wasted")
DIRECTIONS: Final = ("input", "cached_input", "output")

MAX_MODELS: Final = 100
"""Models that have series of their own; further ones share those of ``other``."""

_OTHER: Final = "other"


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
