"""Tells what the engine does as events; builds none when nobody listens.

Who asked is taken from the correlation scope that the engine opens for each question (and the ingestor for each job).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.classify import classify
from holdfast.core.events import correlation_id
from holdfast.errors import DeadlineExceededError
from holdfast.rag.types import Reason, Source, Tier
from holdfast.telemetry.events import (
    AnswerGenerated,
    AnswerReturned,
    CacheLookup,
    DependencyProbed,
    DocumentIngested,
    DocumentSkipped,
    JobFinished,
    QuestionEmbedded,
    QuestionReceived,
    Searched,
    StageFailed,
    TierChanged,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.rag.answering.base import Draft
    from holdfast.rag.query import Query
    from holdfast.rag.store.jobs import Job
    from holdfast.rag.types import Answer

__all__ = ["Narrator"]


class Narrator:
    """The voice of the engine.

    Args:
        events: who listens.
        clock: when it happened.
    """

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def received(self, query: Query) -> None:
        """A question came in."""
        if self._events.hears(QuestionReceived):
            self._events.emit(
                QuestionReceived(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    collection=query.collection,
                    characters=len(query.question),
                )
            )

    def cache_lookup(self, dependency: str, *, hit: bool, cache: str = "answer") -> None:
        """A cache was asked."""
        if self._events.hears(CacheLookup):
            self._events.emit(
                CacheLookup(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    cache=cache,
                    hit=hit,
                )
            )

    def embedded(self, dependency: str, model: str, latency_ms: float) -> None:
        """The question has a vector."""
        if self._events.hears(QuestionEmbedded):
            self._events.emit(
                QuestionEmbedded(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    embedding_model=model,
                    latency_ms=latency_ms,
                )
            )

    def searched(self, dependency: str, results: int, latency_ms: float) -> None:
        """The store was searched."""
        if self._events.hears(Searched):
            self._events.emit(
                Searched(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    results_count=results,
                    latency_ms=latency_ms,
                )
            )

    def generated(self, dependency: str, draft: Draft, latency_ms: float) -> None:
        """An answer was written."""
        if self._events.hears(AnswerGenerated):
            self._events.emit(
                AnswerGenerated(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    model=draft.model or dependency,
                    tokens=draft.usage.prompt_tokens + draft.usage.completion_tokens,
                    latency_ms=latency_ms,
                )
            )

    def returned(self, answer: Answer, status: str, seconds: float) -> None:
        """A question is finished."""
        if self._events.hears(AnswerReturned):
            self._events.emit(
                AnswerReturned(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    status=status,
                    source=answer.source,
                    tier=answer.tier,
                    degraded=answer.degraded,
                    reasons=tuple(answer.reasons),
                    cost_usd=answer.cost_usd,
                    seconds=seconds,
                )
            )

    def rejected(self, seconds: float, error: Exception) -> None:
        """A question was refused before anything was spent on it."""
        if self._events.hears(AnswerReturned):
            late = isinstance(error, DeadlineExceededError)
            self._events.emit(
                AnswerReturned(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    status="rejected",
                    source=Source.REJECTED,
                    tier=Tier.OFFLINE,
                    degraded=True,
                    reasons=(Reason.DEADLINE_EXCEEDED if late else Reason.SERVICE_UNAVAILABLE,),
                    cost_usd=0.0,
                    seconds=seconds,
                )
            )

    def stage_failed(self, stage: str, dependency: str, reason: Reason, error: Exception) -> None:
        """A stage failed for good; the answer goes on without it."""
        if self._events.hears(StageFailed):
            self._events.emit(
                StageFailed(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    stage=stage,
                    reason_code=reason,
                    error=f"{classify(error).kind}: {error}",
                )
            )

    def tier_changed(self, before: Tier, after: Tier, reasons: Sequence[Reason]) -> None:
        """The service moved to another tier."""
        if self._events.hears(TierChanged):
            self._events.emit(
                TierChanged(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    from_tier=before,
                    to_tier=after,
                    reasons=tuple(reasons),
                )
            )

    def probed(self, dependency: str, latency_ms: float, error: Exception | None) -> None:
        """A dependency that was ill was asked whether it works again."""
        if self._events.hears(DependencyProbed):
            self._events.emit(
                DependencyProbed(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    alive=error is None,
                    latency_ms=latency_ms,
                    error="" if error is None else f"{classify(error).kind}: {error}",
                )
            )

    def document_ingested(self, dependency: str, document_id: str, chunks: int, latency_ms: float) -> None:
        """A document is stored."""
        if self._events.hears(DocumentIngested):
            self._events.emit(
                DocumentIngested(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    dependency=dependency,
                    document_id=document_id,
                    chunks=chunks,
                    latency_ms=latency_ms,
                )
            )

    def document_skipped(self, uri: str, reason: str) -> None:
        """A document could not be ingested."""
        if self._events.hears(DocumentSkipped):
            self._events.emit(
                DocumentSkipped(time_ns=self._clock.wall_ns(), correlation_id=correlation_id(), uri=uri, reason=reason)
            )

    def job_finished(self, job: Job) -> None:
        """A job is settled."""
        if self._events.hears(JobFinished):
            self._events.emit(
                JobFinished(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=correlation_id(),
                    job_id=job.id,
                    status=job.status,
                    done=job.done,
                    total=job.total,
                )
            )
