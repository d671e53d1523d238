"""Turns events into log lines: the life of a question, and what the policies did on the way.

All lines of one request carry its id, so that one search for it tells the whole story.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from holdfast.core.events import (
    AttemptFailed,
    AttemptTimedOut,
    BreakerRejected,
    BreakerTransition,
    BudgetRefused,
    BulkheadRejected,
    DeadlineExceeded,
    Event,
    Events,
    FallbackUsed,
    FlightsFull,
    FlightShared,
    HedgeLoserLeft,
    HedgeRefused,
    HedgeStarted,
    HedgeWon,
    LastGoodGiven,
    LastGoodMissing,
    LimitChanged,
    LimitRejected,
    QueueDropped,
    QueueEntered,
    QueueRefused,
    QueueStarted,
    QuotaLow,
    QuotaRejected,
    RateAdjusted,
    RateLimited,
    RateLimitWaited,
    RetriesExhausted,
    RetriesSwitched,
    RetryScheduled,
    RetrySucceeded,
)
from holdfast.telemetry.conversation_events import (
    ConversationSummarised,
    MemoryFailed,
    QuestionRewritten,
    SummaryPostponed,
    TurnLost,
    TurnReplayed,
)
from holdfast.telemetry.events import (
    AnswerGenerated,
    AnswerReturned,
    CacheLookup,
    DependencyProbed,
    DocumentIngested,
    DocumentSkipped,
    FaultEnded,
    FaultInjected,
    JobFinished,
    ModelCallPriced,
    QuestionEmbedded,
    QuestionReceived,
    Searched,
    StageFailed,
    TierChanged,
)
from holdfast.telemetry.model_events import (
    KeyParked,
    ModelAnswered,
    ModelFailedOver,
    StreamBroken,
    StreamContinued,
    TargetHeld,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["EventLog", "line_of"]

_Line: TypeAlias = tuple[str, str, dict[str, Any]]
"""Level, message, fields."""


class EventLog:
    """A listener that writes a line for each event that a person would want to read."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("holdfast.events")

    def listen(self, events: Events) -> Callable[[], None]:
        """Start; call the returned function to stop."""
        return events.listen(self.write, *_LINES)

    def write(self, event: Event) -> None:
        """Write the event's line."""
        level, message, fields = line_of(event)
        if event.correlation_id:
            fields["correlation_id"] = event.correlation_id
        if event.dependency:
            fields["dependency"] = event.dependency
        if event.call_id:
            fields["call_id"] = event.call_id
        getattr(self._log, level)(message, **fields)


def line_of(event: Event) -> _Line:
    """The level, the message and the fields that an event is logged with."""
    return _LINES[type(event)](event)


def _received(event: QuestionReceived) -> _Line:
    return "info", "question received", {"collection": event.collection, "characters": event.characters}


def _cache(event: CacheLookup) -> _Line:
    return "info", "cache hit" if event.hit else "cache miss", {"cache": event.cache}


def _embedded(event: QuestionEmbedded) -> _Line:
    return (
        "info",
        "question embedded",
        {"embedding_model": event.embedding_model, "latency_ms": _rounded(event.latency_ms)},
    )


def _searched(event: Searched) -> _Line:
    return (
        "info",
        "documents searched",
        {"results_count": event.results_count, "latency_ms": _rounded(event.latency_ms)},
    )


def _generated(event: AnswerGenerated) -> _Line:
    return (
        "info",
        "answer generated",
        {"model": event.model, "tokens": event.tokens, "latency_ms": _rounded(event.latency_ms)},
    )


def _returned(event: AnswerReturned) -> _Line:
    fields = {
        "status": event.status,
        "source": event.source,
        "tier": event.tier,
        "reasons": list(event.reasons),
        "cost_usd": event.cost_usd,
        "latency_ms": _rounded(event.seconds * 1e3),
    }
    level = {"failed": "error", "rejected": "warning"}.get(event.status, "info")
    return level, "question refused" if event.status == "rejected" else "answer returned", fields


def _stage_failed(event: StageFailed) -> _Line:
    fields = {"stage": event.stage, "reason_code": event.reason_code, "error": event.error}
    return "warning", "stage failed", fields


def _tier_changed(event: TierChanged) -> _Line:
    fields = {"from_tier": event.from_tier, "to_tier": event.to_tier, "reasons": list(event.reasons)}
    return "info" if event.to_tier == "full" else "warning", "service tier changed", fields


def _probed(event: DependencyProbed) -> _Line:
    if event.alive:
        return "info", "dependency works again", {"latency_ms": _rounded(event.latency_ms)}
    return "debug", "dependency still fails", {"latency_ms": _rounded(event.latency_ms), "error": event.error}


def _ingested(event: DocumentIngested) -> _Line:
    fields = {"document_id": event.document_id, "chunks": event.chunks, "latency_ms": _rounded(event.latency_ms)}
    return "debug", "document ingested", fields


def _skipped(event: DocumentSkipped) -> _Line:
    return "warning", "document skipped", {"uri": event.uri, "reason": event.reason}


def _job_finished(event: JobFinished) -> _Line:
    fields = {"job_id": event.job_id, "status": event.status, "done": event.done, "total": event.total}
    return "info", "ingest job finished", fields


def _priced(event: ModelCallPriced) -> _Line:
    fields = {
        "provider": event.provider,
        "model": event.model,
        "cause": event.cause,
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "cached_tokens": event.cached_tokens,
        "estimated": event.estimated,
        "cost_usd": event.usd,
        "price_known": event.known,
    }
    return "debug", "model call priced", fields


def _attempt_failed(event: AttemptFailed) -> _Line:
    fields = {"attempt": event.attempt, "error": event.error_type, "kind": event.kind, "transient": event.transient}
    return "debug", "attempt failed", fields


def _attempt_timed_out(event: AttemptTimedOut) -> _Line:
    return "info", "attempt timed out", {"attempt": event.attempt, "limit_ms": event.limit_ns / 1e6}


def _retry(event: RetryScheduled) -> _Line:
    fields = {
        "retry_attempt": event.retry,
        "max_retries": event.max_retries,
        "backoff_ms": _rounded(event.delay_ns / 1e6),
        "error": event.error_type,
        "kind": event.kind,
    }
    return "warning", "retry scheduled", fields


def _retry_succeeded(event: RetrySucceeded) -> _Line:
    fields = {"final_status": "success", "attempts": event.attempts, "waited_ms": _rounded(event.waited_ns / 1e6)}
    return "info", "retry successful", fields


def _retries_exhausted(event: RetriesExhausted) -> _Line:
    fields = {"final_status": "failed", "attempts": event.attempts, "reason": event.reason, "kind": event.kind}
    return "error", "retries exhausted", fields


def _breaker(event: BreakerTransition) -> _Line:
    fields: dict[str, Any] = {"from_state": event.from_state, "to_state": event.to_state, "reason": event.reason}
    if event.shadow:
        fields["shadow"] = True  # it only counts: no call was refused
    return "warning" if event.to_state == "open" else "info", f"circuit breaker {event.to_state}", fields


def _breaker_rejected(event: BreakerRejected) -> _Line:
    # At DEBUG: an open breaker refuses every call, and its opening was told.
    message = "circuit breaker would have refused a call" if event.shadow else "circuit breaker refused a call"
    return "debug", message, {"state": event.state, "retry_after": event.retry_after}


def _deadline(event: DeadlineExceeded) -> _Line:
    return "warning", "deadline exceeded", {"limit_ms": event.limit_ns / 1e6}


def _fallback(event: FallbackUsed) -> _Line:
    return "warning", "fallback used", {"alternative": event.alternative, "index": event.index, "kind": event.kind}


def _plain(level: str, message: str) -> Callable[[Event], _Line]:
    """A line with the event's own fields as they are; nanoseconds become milliseconds."""

    def line(event: Event) -> _Line:
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(event):
            value = getattr(event, field.name)
            if field.name.endswith("_ns"):
                fields[field.name.removesuffix("_ns") + "_ms"] = _rounded(value / 1e6)
            elif field.name not in _BASE:
                fields[field.name] = value
        del fields["time_ms"]
        return level, message, fields

    return line


def _switched(event: RetriesSwitched) -> _Line:
    message = "retries are on again" if event.on else "retries are switched off: too many calls are retries"
    return "info" if event.on else "warning", message, {"retry_ratio": round(event.retry_ratio, 3)}


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 3)


_LINES: Mapping[type[Event], Callable[[Any], _Line]] = {
    QuestionReceived: _received,
    CacheLookup: _cache,
    QuestionEmbedded: _embedded,
    Searched: _searched,
    AnswerGenerated: _generated,
    AnswerReturned: _returned,
    StageFailed: _stage_failed,
    TierChanged: _tier_changed,
    DependencyProbed: _probed,
    DocumentIngested: _ingested,
    DocumentSkipped: _skipped,
    JobFinished: _job_finished,
    ModelCallPriced: _priced,
    FaultInjected: _plain("warning", "fault injected"),
    FaultEnded: _plain("warning", "injected fault ended"),
    MemoryFailed: _plain("warning", "conversation memory failed"),
    TurnReplayed: _plain("info", "conversation turn kept late"),
    TurnLost: _plain("error", "conversation turn lost"),
    QuestionRewritten: _plain("info", "question rewritten"),
    ConversationSummarised: _plain("info", "conversation summarised"),
    SummaryPostponed: _plain("warning", "conversation summary postponed"),
    ModelAnswered: _plain("info", "model answered"),
    ModelFailedOver: _plain("warning", "model failed over"),
    KeyParked: _plain("error", "provider refused a key"),
    TargetHeld: _plain("info", "provider asked to wait"),
    StreamContinued: _plain("warning", "broken stream continued by another model"),
    StreamBroken: _plain("error", "stream broke"),
    AttemptFailed: _attempt_failed,
    AttemptTimedOut: _attempt_timed_out,
    RetryScheduled: _retry,
    RetrySucceeded: _retry_succeeded,
    RetriesExhausted: _retries_exhausted,
    BreakerTransition: _breaker,
    BreakerRejected: _breaker_rejected,
    DeadlineExceeded: _deadline,
    FallbackUsed: _fallback,
    RetriesSwitched: _switched,
    # What happens to single calls under load is told at DEBUG: it is counted, and there is too much of it to read.
    BudgetRefused: _plain("debug", "retry budget refused a repetition"),
    BulkheadRejected: _plain("debug", "bulkhead refused a call"),
    FlightShared: _plain("debug", "call joined one under way"),
    FlightsFull: _plain("warning", "too many different calls under way to share them"),
    HedgeLoserLeft: _plain("warning", "hedged call ignored its cancellation"),
    HedgeRefused: _plain("debug", "hedge refused"),
    HedgeStarted: _plain("debug", "hedge started"),
    HedgeWon: _plain("debug", "hedge won"),
    LastGoodGiven: _plain("warning", "last good result given"),
    LastGoodMissing: _plain("debug", "no last good result"),
    LimitChanged: _plain("debug", "concurrency limit changed"),
    LimitRejected: _plain("debug", "concurrency limit refused a call"),
    QueueDropped: _plain("info", "request dropped from the queue"),
    QueueEntered: _plain("debug", "request queued"),
    QueueRefused: _plain("warning", "queue refused a request"),
    QueueStarted: _plain("debug", "request started"),
    QuotaLow: _plain("warning", "quota is running low"),
    QuotaRejected: _plain("warning", "quota refused a call"),
    RateAdjusted: _plain("info", "rate adjusted"),
    RateLimitWaited: _plain("debug", "call waited for the rate limit"),
    RateLimited: _plain("debug", "rate limit refused a call"),
}

_BASE = frozenset(field.name for field in dataclasses.fields(Event)) - {"time_ns"}
