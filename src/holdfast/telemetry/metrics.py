"""Prometheus metrics: fed by events and nothing else, and by a look at the breakers when they are scraped.

Every label set is bounded and, where it is known, there from the start with 0: a rate over a series that appears with
its first error would miss that error. Children are looked up once, not at every event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from holdfast import __version__
from holdfast.core.events import (
    AttemptFailed,
    CallFailed,
    CallSucceeded,
    RetriesExhausted,
    RetryScheduled,
)
from holdfast.core.faults import FaultKind
from holdfast.telemetry.events import (
    AnswerReturned,
    CacheLookup,
    DocumentIngested,
    DocumentSkipped,
    JobFinished,
    ModelCallPriced,
    TierChanged,
)
from holdfast.telemetry.model_events import KeyParked, ModelAnswered, ModelFailedOver, StreamBroken, StreamContinued
from holdfast.telemetry.model_metrics import ModelCalls, ModelCosts
from holdfast.telemetry.window import WindowCount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from holdfast.core.clock import Clock
    from holdfast.core.events import Event, Events
    from holdfast.core.pipeline import PipelineSnapshot

__all__ = ["CACHES", "JOB_STATES", "QUERY_BUCKETS", "SOURCES", "TIERS", "Guard", "Metrics"]

# Otherwise every counter brings a second series with the time when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]

TIERS: Final = ("full", "degraded", "minimal", "offline")
_NO_ANSWER = frozenset({"failed", "rejected"})
SOURCES: Final = ("live", "cache", "stale_cache", "other_provider", "extract", "faq", "static", "rejected")
JOB_STATES: Final = ("done", "partial", "failed", "cancelled")
CACHES: Final = ("answer", "semantic", "embedding", "search")
BREAKER_STATES: Final = ("closed", "open", "half_open")

QUERY_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0)
"""Seconds: from an answer out of the cache to the longest that a request may take."""

_DELAY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RETRY_WINDOW_SECONDS: Final = 60
_NS_PER_SECOND: Final = 1_000_000_000
_OTHER: Final = "other"


class Guard(Protocol):
    """What the metrics look at in a pipeline."""

    def snapshot(self) -> PipelineSnapshot:
        """Its state now."""
        ...


class Metrics:
    """All metrics of one service, in a registry of their own.

    Args:
        clock: for the window of the retry ratio and for how long something lasts.
        guards: gives the pipelines by the name of their dependency, at each scrape.
        queue_depth: gives how full the line in front of the service is, in percent, at each scrape.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        guards: Callable[[], Mapping[str, Guard]] = dict,
        queue_depth: Callable[[], float] = float,
    ) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._queries = _Queries(self.registry)
        self._retries = _Retries(self.registry, clock)
        self._tier = _ServiceTier(self.registry, clock)
        self._ingest = _Ingest(self.registry)
        self._models = ModelCosts(self.registry)
        self._model_calls = ModelCalls(self.registry)
        self.registry.register(_Breakers(guards))
        Gauge(
            "rag_queue_depth_percent",
            "Questions that wait for their turn, in percent of how many may.",
            registry=self.registry,
        ).set_function(queue_depth)
        Info("holdfast_build", "Which build this is.", registry=self.registry).info({"version": __version__})
        ProcessCollector(registry=self.registry)

    def listen(self, events: Events) -> Callable[[], None]:
        """Start counting; call the returned function to stop."""
        routes: tuple[tuple[Callable[..., None], tuple[type[Event], ...]], ...] = (
            (self._queries.returned, (AnswerReturned,)),
            (self._queries.looked_up, (CacheLookup,)),
            (self._retries.scheduled, (RetryScheduled,)),
            (self._retries.finished, (CallSucceeded, CallFailed)),
            (self._retries.failed, (AttemptFailed,)),
            (self._retries.exhausted, (RetriesExhausted,)),
            (self._tier.changed, (TierChanged,)),
            (self._ingest.ingested, (DocumentIngested,)),
            (self._ingest.skipped, (DocumentSkipped,)),
            (self._ingest.finished, (JobFinished,)),
            (self._models.priced, (ModelCallPriced,)),
            (self._model_calls.ended, (CallSucceeded, CallFailed)),
            (self._model_calls.answered, (ModelAnswered,)),
            (self._model_calls.failed_over, (ModelFailedOver,)),
            (self._model_calls.broke, (StreamBroken, StreamContinued)),
            (self._model_calls.parked, (KeyParked,)),
        )
        stops = [events.listen(callback, *kinds) for callback, kinds in routes]

        def stop() -> None:
            for one in stops:
                one()

        return stop

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and its media type: OpenMetrics where ``accept`` asks for it, else Prometheus'."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Queries:
    def __init__(self, registry: CollectorRegistry) -> None:
        # The same label set on both, so that errors / requests works without a sum.
        requests = Counter("rag_requests_total", "Questions that were finished.", ["operation"], registry=registry)
        errors = Counter(
            "rag_errors_total",
            "Questions that got no answer: the polite sentence, or refused.",
            ["operation"],
            registry=registry,
        )
        self._requests, self._errors = requests.labels("query"), errors.labels("query")
        self._seconds = Histogram(
            "rag_query_duration_seconds",
            "From a question's arrival to its whole answer.",
            buckets=QUERY_BUCKETS,
            registry=registry,
        )
        lookups = Counter("rag_cache_requests_total", "Lookups, by cache.", ["cache"], registry=registry)
        hits = Counter("rag_cache_hits_total", "Lookups that found what can be used.", ["cache"], registry=registry)
        self._lookups = {cache: (lookups.labels(cache), hits.labels(cache)) for cache in (*CACHES, _OTHER)}
        self._cost = Counter("rag_cost_usd_total", "What answers cost, in US dollars.", registry=registry)
        fallbacks = Counter(
            "rag_fallback_total", "Degraded answers, by what stood in for the full one.", ["source"], registry=registry
        )
        self._fallbacks = {source: fallbacks.labels(source) for source in (*SOURCES, _OTHER)}

    def returned(self, event: AnswerReturned) -> None:
        self._requests.inc()
        if event.status in _NO_ANSWER:
            self._errors.inc()
        self._seconds.observe(event.seconds)
        if event.cost_usd > 0:
            self._cost.inc(event.cost_usd)
        if event.degraded:
            self._fallbacks[event.source if event.source in self._fallbacks else _OTHER].inc()

    def looked_up(self, event: CacheLookup) -> None:
        lookups, hits = self._lookups.get(event.cache, self._lookups[_OTHER])
        lookups.inc()
        if event.hit:
            hits.inc()


class _Retries:
    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._repeats = WindowCount(_RETRY_WINDOW_SECONDS)
        self._calls = WindowCount(_RETRY_WINDOW_SECONDS)
        ratio = Gauge(
            "rag_retry_ratio",
            f"Share of attempts in the last {_RETRY_WINDOW_SECONDS} s that repeated a failed one, 0 to 1.",
            registry=registry,
        )
        ratio.set_function(self._ratio)
        self._delay = Histogram(
            "rag_retry_delay_seconds", "The wait before a repeated attempt.", buckets=_DELAY_BUCKETS, registry=registry
        )
        self._given_up = Counter(
            "rag_retries_exhausted_total", "Calls that were given up after their retries.", registry=registry
        )
        errors = Counter(
            "rag_non_retryable_errors_total",
            "Failed attempts that no repetition would help, by kind of fault.",
            ["kind"],
            registry=registry,
        )
        kinds = (*(kind.value for kind in FaultKind if kind is not FaultKind.CANCELLED), _OTHER)
        self._errors = {kind: errors.labels(kind) for kind in kinds}

    def scheduled(self, event: RetryScheduled) -> None:
        self._repeats.add(self._clock.now_ns())
        self._delay.observe(event.delay_ns / _NS_PER_SECOND)

    def finished(self, _event: CallSucceeded | CallFailed) -> None:
        self._calls.add(self._clock.now_ns())

    def failed(self, event: AttemptFailed) -> None:
        if not event.transient and event.kind != FaultKind.CANCELLED:
            self._errors[event.kind if event.kind in self._errors else _OTHER].inc()

    def exhausted(self, _event: RetriesExhausted) -> None:
        self._given_up.inc()

    def _ratio(self) -> float:
        now_ns = self._clock.now_ns()
        repeats, calls = self._repeats.total(now_ns), self._calls.total(now_ns)
        return repeats / (repeats + calls) if repeats else 0.0


class _ServiceTier:
    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._left_full_ns: int | None = None
        tiers = Gauge("rag_service_tier", "The service's tier: 1 for the one it is at.", ["tier"], registry=registry)
        self._tiers = {tier: tiers.labels(tier) for tier in TIERS}
        self._tiers["full"].set(1)
        duration = Gauge(
            "rag_degradation_duration_seconds",
            "How long the service has been below its full tier; 0 at full.",
            registry=registry,
        )
        duration.set_function(self._seconds)

    def changed(self, event: TierChanged) -> None:
        for tier, gauge in self._tiers.items():
            gauge.set(1 if tier == event.to_tier else 0)
        if event.to_tier == "full":
            self._left_full_ns = None
        elif self._left_full_ns is None:
            self._left_full_ns = self._clock.now_ns()

    def _seconds(self) -> float:
        since = self._left_full_ns
        return 0.0 if since is None else (self._clock.now_ns() - since) / _NS_PER_SECOND


class _Ingest:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._documents = Counter("rag_documents_ingested_total", "Documents that were stored.", registry=registry)
        self._chunks = Counter("rag_chunks_ingested_total", "Passages of the stored documents.", registry=registry)
        self._skipped = Counter(
            "rag_documents_skipped_total", "Documents that could not be ingested.", registry=registry
        )
        jobs = Counter("rag_ingest_jobs_total", "Ingest jobs that ended, by how.", ["status"], registry=registry)
        self._jobs = {state: jobs.labels(state) for state in (*JOB_STATES, _OTHER)}

    def ingested(self, event: DocumentIngested) -> None:
        self._documents.inc()
        self._chunks.inc(event.chunks)

    def skipped(self, _event: DocumentSkipped) -> None:
        self._skipped.inc()

    def finished(self, event: JobFinished) -> None:
        self._jobs[event.status if event.status in self._jobs else _OTHER].inc()


class _Breakers(Collector):
    """The breakers as they are when somebody asks."""

    def __init__(self, guards: Callable[[], Mapping[str, Guard]]) -> None:
        self._guards = guards

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "rag_circuit_breaker_state", "The breaker's state: 1 for the one it is in.", labels=["service", "state"]
        )
        openings = CounterMetricFamily(
            "rag_circuit_breaker_openings_total", "How often the breaker opened.", labels=["service"]
        )
        open_seconds = CounterMetricFamily(
            "rag_circuit_breaker_open_seconds_total", "How long it was not closed, in all.", labels=["service"]
        )
        for service, guard in self._guards().items():
            breaker = guard.snapshot().breaker
            if breaker is None:
                continue
            for state in BREAKER_STATES:
                states.add_metric([service, state], 1.0 if state == breaker.state else 0.0)
            openings.add_metric([service], breaker.openings)
            open_seconds.add_metric([service], breaker.open_seconds)
        yield from (states, openings, open_seconds)

    def describe(self) -> Iterable[Metric]:
        return ()  # asked at registration, when the engine's pipelines may not be there yet
