"""The metrics: their names, their shapes, and what makes them move."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from holdfast.core import events as core
from holdfast.core.breaker import CircuitBreaker
from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.rag.store.jobs import JobState
from holdfast.rag.types import Source, Tier
from holdfast.telemetry import events as service
from holdfast.telemetry.metrics import JOB_STATES, SOURCES, TIERS, Metrics
from holdfast.testing.clock import FakeClock

BASE: dict[str, Any] = {
    "time_ns": 1,
    "correlation_id": "req_1",
    "call_id": "c1",
    "pipeline": "store:sqlite",
    "policy": "x",
    "dependency": "store:sqlite",
    "attempt": 1,
}


class Bench:
    """Metrics that listen, and a way to read them."""

    def __init__(self) -> None:
        self.clock = FakeClock(start_ns=1_000_000_000_000)
        self.breaker = CircuitBreaker(recovery_timeout=15.0)
        guarded = Pipeline(self.breaker, name="store:sqlite", clock=self.clock)
        bare = Pipeline(Retry(), name="cache:memory", clock=self.clock)
        self.metrics = Metrics(clock=self.clock, guards=lambda: {"store:sqlite": guarded, "cache:memory": bare})
        self.events = Events()
        self.stop = self.metrics.listen(self.events)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def text(self) -> str:
        return self.metrics.render()[0].decode()


@pytest.fixture
def bench() -> Bench:
    return Bench()


parse_openmetrics: Any = openmetrics.text_string_to_metric_families  # it is not annotated


def returned(**changes: Any) -> service.AnswerReturned:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "status": "ok",
        "source": "extract",
        "tier": "full",
        "degraded": False,
        "reasons": (),
        "cost_usd": 0.0,
        "seconds": 0.02,
    }
    return service.AnswerReturned(**{**fields, **changes})


FIXED_NAMES = [
    "rag_requests_total",
    "rag_errors_total",
    "rag_query_duration_seconds_bucket",
    "rag_query_duration_seconds_count",
    "rag_cache_requests_total",
    "rag_cache_hits_total",
    "rag_cost_usd_total",
    "rag_circuit_breaker_state",
    "rag_circuit_breaker_openings_total",
    "rag_circuit_breaker_open_seconds_total",
    "rag_retry_ratio",
    "rag_retry_delay_seconds_bucket",
    "rag_service_tier",
    "rag_degradation_duration_seconds",
    "rag_fallback_total",
    "rag_non_retryable_errors_total",
    "rag_documents_ingested_total",
    "rag_chunks_ingested_total",
    "rag_documents_skipped_total",
    "holdfast_build_info",
]


@pytest.mark.parametrize("name", FIXED_NAMES)
def test_series_is_there_before_anything_happened(bench: Bench, name: str) -> None:
    """Every series that dashboards and alerts name is there from the first scrape."""
    assert re.search(rf"^{name}(\{{.*\}})? ", bench.text(), re.MULTILINE)


def test_text_parses_and_follows_the_naming_rules(bench: Bench) -> None:
    """The output parses; families have a help text and a type, counters end in _total, times are in seconds."""
    families = [one for one in text_string_to_metric_families(bench.text()) if not one.name.startswith("process_")]
    assert len({one.name for one in families}) == len(families)
    for family in families:
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert re.fullmatch(r"(rag|holdfast)_[a-z0-9_]+", family.name)
        assert not re.search(r"_(ms|milliseconds|minutes)\b", family.name)
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        for sample in family.samples:
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels)


def test_openmetrics_parses(bench: Bench) -> None:
    """A scraper that asks for OpenMetrics gets it, and the strict parser accepts it."""
    body, content_type = bench.metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert {one.name for one in parse_openmetrics(body.decode())} >= {"rag_requests", "rag_query_duration_seconds"}


def test_requests_and_errors_have_the_same_labels(bench: Bench) -> None:
    """Errors divided by requests works without a sum: both have exactly the same label sets, from the start."""
    samples: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for family in text_string_to_metric_families(bench.text()):
        for sample in family.samples:
            samples.setdefault(sample.name, set()).add(tuple(sample.labels.items()))
    assert samples["rag_requests_total"] == samples["rag_errors_total"] == {(("operation", "query"),)}


def test_answers_are_counted_and_timed(bench: Bench) -> None:
    """A finished question counts once, with its duration and its cost; a failed one counts as an error too."""
    bench.events.emit(returned(seconds=0.02, cost_usd=0.001))
    bench.events.emit(returned(status="failed", source="static", tier="offline", degraded=True, seconds=2.0))
    assert bench.value("rag_requests_total", operation="query") == 2
    assert bench.value("rag_errors_total", operation="query") == 1
    assert bench.value("rag_query_duration_seconds_count") == 2
    assert bench.value("rag_query_duration_seconds_bucket", le="0.025") == 1
    assert bench.value("rag_cost_usd_total") == pytest.approx(0.001)


def test_degraded_and_unanswered_are_no_errors(bench: Bench) -> None:
    """A degraded answer and an honest “I don't know” are answers; the degraded one is counted by what stood in."""
    bench.events.emit(returned(status="degraded", source="stale_cache", degraded=True))
    bench.events.emit(returned(status="unanswered"))
    assert bench.value("rag_errors_total", operation="query") == 0
    assert bench.value("rag_fallback_total", source="stale_cache") == 1
    assert bench.value("rag_fallback_total", source="extract") == 0


def test_cache_hits_are_counted(bench: Bench) -> None:
    """Lookups and hits give the hit rate of each cache; one that nobody knows is counted as other."""
    for cache, hit in (("answer", True), ("answer", False), ("answer", True), ("search", False), ("brand_new", True)):
        bench.events.emit(service.CacheLookup(time_ns=1, cache=cache, hit=hit))
    counted = {
        cache: (bench.value("rag_cache_requests_total", cache=cache), bench.value("rag_cache_hits_total", cache=cache))
        for cache in ("answer", "search", "embedding", "other")
    }
    assert counted == {"answer": (3, 2), "search": (1, 0), "embedding": (0, 0), "other": (1, 1)}


def test_retry_ratio_is_of_the_last_minute(bench: Bench) -> None:
    """The retry ratio is the share of attempts that were repetitions, and old ones fade away."""
    for _ in range(3):
        bench.events.emit(core.CallSucceeded(**BASE, attempts=1, duration_ns=1))
    bench.events.emit(
        core.RetryScheduled(**BASE, retry=1, max_retries=2, delay_ns=50_000_000, kind="connect", error_type="E")
    )
    assert bench.value("rag_retry_ratio") == pytest.approx(0.25)
    assert bench.value("rag_retry_delay_seconds_sum") == pytest.approx(0.05)
    bench.clock.advance(61)
    assert bench.value("rag_retry_ratio") == 0.0


def test_non_retryable_errors_are_counted_by_kind(bench: Bench) -> None:
    """Only faults that no repetition helps are counted, by kind; a cancellation is none."""
    for kind, transient in (("auth", False), ("connect", True), ("cancelled", False), ("brand_new", False)):
        bench.events.emit(core.AttemptFailed(**BASE, kind=kind, transient=transient, error_type="E"))
    assert bench.value("rag_non_retryable_errors_total", kind="auth") == 1
    assert bench.value("rag_non_retryable_errors_total", kind="connect") == 0
    assert bench.value("rag_non_retryable_errors_total", kind="other") == 1
    assert bench.value("rag_non_retryable_errors_total", kind="cancelled") is None


def test_breaker_state_is_one_series_a_state(bench: Bench) -> None:
    """The breaker's state at the scrape is 1 on one of three series; a pipeline without a breaker has none."""
    states = ("closed", "open", "half_open")
    name = "rag_circuit_breaker_state"
    assert [bench.value(name, service="store:sqlite", state=state) for state in states] == [1, 0, 0]
    bench.breaker.force_open()
    assert [bench.value(name, service="store:sqlite", state=state) for state in states] == [0, 1, 0]
    assert bench.value(name, service="cache:memory", state="closed") is None


def test_breaker_openings_and_open_time_add_up(bench: Bench) -> None:
    """An opening is counted; open time grows while it lasts and stays when it is over."""
    openings, seconds = "rag_circuit_breaker_openings_total", "rag_circuit_breaker_open_seconds_total"
    assert bench.value(openings, service="store:sqlite") == 0
    bench.breaker.force_open()
    bench.clock.advance(30)
    assert bench.value(openings, service="store:sqlite") == 1
    assert bench.value(seconds, service="store:sqlite") == pytest.approx(30)
    bench.breaker.reset()
    bench.clock.advance(100)
    assert bench.value(seconds, service="store:sqlite") == pytest.approx(30)


def test_tier_is_one_series_a_tier_with_its_duration(bench: Bench) -> None:
    """The tier is 1 on one of four series, and the degradation lasts from leaving full until coming back."""
    assert bench.value("rag_service_tier", tier="full") == 1
    bench.events.emit(service.TierChanged(time_ns=1, from_tier="full", to_tier="degraded", reasons=()))
    bench.clock.advance(20)
    bench.events.emit(service.TierChanged(time_ns=1, from_tier="degraded", to_tier="offline", reasons=()))
    bench.clock.advance(10)
    assert [bench.value("rag_service_tier", tier=tier) for tier in TIERS] == [0, 0, 0, 1]
    assert bench.value("rag_degradation_duration_seconds") == pytest.approx(30)
    bench.events.emit(service.TierChanged(time_ns=1, from_tier="offline", to_tier="full", reasons=()))
    assert bench.value("rag_degradation_duration_seconds") == 0


def test_ingest_is_counted(bench: Bench) -> None:
    """Documents, passages, skipped documents and ended jobs are counted."""
    bench.events.emit(service.DocumentIngested(time_ns=1, document_id="a", chunks=7, latency_ms=3))
    bench.events.emit(service.DocumentSkipped(time_ns=1, uri="b", reason="empty"))
    bench.events.emit(service.JobFinished(time_ns=1, job_id="j", status="partial", done=2, total=2))
    assert bench.value("rag_documents_ingested_total") == 1
    assert bench.value("rag_chunks_ingested_total") == 7
    assert bench.value("rag_documents_skipped_total") == 1
    assert bench.value("rag_ingest_jobs_total", status="partial") == 1


def test_nothing_is_counted_after_stop(bench: Bench) -> None:
    """The function that listen returns ends the counting."""
    bench.stop()
    assert not bench.events.active
    bench.events.emit(returned())
    assert bench.value("rag_requests_total", operation="query") == 0


def test_labels_are_those_of_the_service() -> None:
    """The label values written down here are the ones that the engine uses; telemetry may not import them."""
    assert set(TIERS) == {tier.value for tier in Tier}
    assert set(SOURCES) == {source.value for source in Source}
    assert set(JOB_STATES) == {state.value for state in JobState} - {"queued", "running"}


def test_two_services_do_not_share_counts() -> None:
    """Each service has a registry of its own."""
    first, second = Bench(), Bench()
    first.events.emit(returned())
    assert second.value("rag_requests_total", operation="query") == 0
