"""What goes back over the wire: the bodies of responses, by the contract. Fields may be added, never renamed."""

from typing import Self

from pydantic import BaseModel, Field

from holdfast.rag.health import Check, Health
from holdfast.rag.store.base import DocumentPage, DocumentRecord
from holdfast.rag.store.dead_letters import DeadLetter, DeadLetterPage
from holdfast.rag.store.jobs import Job, JobState
from holdfast.rag.types import Answer, Citation, Document, Hit, Reason, Scalar, SearchResult, Source, Tier, Usage

__all__ = [
    "AnswerBody",
    "CitationBody",
    "DeadLetterBody",
    "DeadLetterListBody",
    "DocumentBody",
    "DocumentListBody",
    "DocumentTextBody",
    "HealthBody",
    "JobAcceptedBody",
    "JobBody",
    "LivenessBody",
    "RetryAcceptedBody",
    "SearchResultBody",
]


class CitationBody(BaseModel):
    """A passage: `text` is the document's text from character `start` to `end`."""

    document_id: str
    chunk_id: str
    title: str
    heading: str = Field("", description="The path of headings above the passage, where it is known.")
    uri: str
    text: str
    start: int
    end: int
    score: float

    @classmethod
    def of_citation(cls, citation: Citation) -> Self:
        """A passage that an answer rests on."""
        return cls(
            document_id=citation.document_id,
            chunk_id=citation.chunk_id,
            title=citation.title,
            heading=citation.heading,
            uri=citation.uri,
            text=citation.text,
            start=citation.start,
            end=citation.end,
            score=citation.score,
        )

    @classmethod
    def of_hit(cls, hit: Hit) -> Self:
        """A passage that a search found."""
        chunk = hit.stored.chunk
        return cls(
            document_id=chunk.document_id,
            chunk_id=chunk.id,
            title=hit.stored.title,
            heading=chunk.heading,
            uri=hit.stored.uri,
            text=chunk.text,
            start=chunk.start,
            end=chunk.end,
            score=hit.score,
        )


class UsageBody(BaseModel):
    """Tokens that models read and wrote for the answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(0, description="Those of `prompt_tokens` that came from the provider's cache.")
    estimated: bool = Field(default=False, description="Whether a part was counted by us: the provider did not say.")

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """The body for a count."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=usage.estimated,
        )


class AnswerBody(BaseModel):
    """An answer with everything one may want to know about how good it is."""

    answer: str = Field(description="The answer; `[1]`, `[2]` mark the citations in their order.")
    citations: list[CitationBody]
    answered: bool = Field(description="False when nothing fits the question, or nothing could be looked up.")
    source: Source
    tier: Tier
    quality: float = Field(description="The quality score of the tier, 0 to 1.")
    degraded: bool
    reasons: list[Reason] = Field(description="Why it is less than it could be.")
    notice: str = Field(description="A sentence for the user when something is missing, else empty.")
    age_seconds: float = Field(description="How old the answer is; 0 when fresh.")
    confidence: float = Field(description="How sure the answerer is that this answers the question, 0 to 1.")
    conversation_id: str | None
    request_id: str
    model: str | None
    usage: UsageBody
    cost_usd: float
    timings_ms: dict[str, float] = Field(description="Milliseconds by stage.")

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The body for an answer."""
        return cls(
            answer=answer.text,
            citations=[CitationBody.of_citation(one) for one in answer.citations],
            answered=answer.answered,
            source=answer.source,
            tier=answer.tier,
            quality=answer.quality,
            degraded=answer.degraded,
            reasons=list(answer.reasons),
            notice=answer.notice,
            age_seconds=answer.age_seconds,
            confidence=answer.confidence,
            conversation_id=answer.conversation_id,
            request_id=answer.request_id,
            model=answer.model,
            usage=UsageBody.of(answer.usage),
            cost_usd=answer.cost_usd,
            timings_ms=dict(answer.timings_ms),
        )


class SearchResultBody(BaseModel):
    """What a search found, best first."""

    hits: list[CitationBody]
    tier: Tier
    degraded: bool
    reasons: list[Reason]
    request_id: str
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, result: SearchResult, *, request_id: str) -> Self:
        """The body for a search result."""
        return cls(
            hits=[CitationBody.of_hit(hit) for hit in result.hits],
            tier=result.tier,
            degraded=result.degraded,
            reasons=list(result.reasons),
            request_id=result.request_id or request_id,
            timings_ms=dict(result.timings_ms),
        )


class JobAcceptedBody(BaseModel):
    """A job that was accepted and is on disk; its address is in the `location` header."""

    job_id: str
    status: JobState


class JobFailureBody(BaseModel):
    """A document that could not be ingested, and why."""

    document_id: str
    reason: str
    kind: str = Field("", description="What sort of failure: `throttled`, `quota`, `bad_request`, `unreadable`, ...")


class JobBody(BaseModel):
    """Where a job stands."""

    job_id: str
    collection: str
    status: JobState
    done: int = Field(description="Items that are finished: documents and files as they were handed in.")
    total: int
    stage: str = Field("", description="What is done now: `load`, `embed`, `store` or `wait`; empty when nothing is.")
    detail: str = Field("", description="Of `wait`: what it waits for.")
    documents: int = Field(0, description="Documents stored so far; a file of many counts each.")
    chunks: int = Field(0, description="Passages embedded so far.")
    failures: list[JobFailureBody]
    created_at: float = Field(description="Unix seconds.")
    updated_at: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """The body for a job."""
        return cls(
            job_id=job.id,
            collection=job.collection,
            status=job.status,
            done=job.done,
            total=job.total,
            stage=job.stage,
            detail=job.detail,
            documents=job.documents,
            chunks=job.chunks,
            failures=[
                JobFailureBody(document_id=one.document_id, reason=one.reason, kind=one.kind) for one in job.failures
            ],
            created_at=job.created_at,
            updated_at=job.updated_at,
        )


class DeadLetterBody(BaseModel):
    """Something that could not be ingested, kept to be tried again."""

    id: str
    collection: str
    document_id: str = Field(description="Empty where it could not be read.")
    uri: str
    reason: str = Field(description="What happened and what to do.")
    kind: str = Field(description="What sort of failure: `throttled`, `quota`, `bad_request`, `unreadable`, ...")
    stage: str = Field(description="Where: `read`, `embed` or `store`.")
    retryable: bool = Field(description="False: hand it in again, corrected.")
    path: str = Field(description="The file that it came from; empty when it came over the API.")
    tries: int = Field(description="How often it has failed.")
    first_at: float = Field(description="Unix seconds.")
    last_at: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """The body for a dead letter."""
        return cls(
            id=letter.id,
            collection=letter.collection,
            document_id=letter.document_id,
            uri=letter.uri,
            reason=letter.reason,
            kind=letter.kind,
            stage=letter.stage,
            retryable=letter.retryable,
            path=letter.path,
            tries=letter.tries,
            first_at=letter.first_at,
            last_at=letter.last_at,
        )


class DeadLetterListBody(BaseModel):
    """Dead letters in the order of their ids."""

    dead_letters: list[DeadLetterBody]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")

    @classmethod
    def of(cls, page: DeadLetterPage) -> Self:
        """The body for a page."""
        return cls(dead_letters=[DeadLetterBody.of(one) for one in page.letters], next_cursor=page.next_cursor)


class RetryAcceptedBody(BaseModel):
    """A job that tries dead letters again, and those that it cannot try."""

    job_id: str
    status: JobState
    retried: int = Field(description="How many are tried again.")
    left: list[str] = Field(
        description="Ids that were not asked for by name and cannot be tried here: files are retried by "
        "`holdfast ingest --retry` on their machine, and of parts of an upload nothing is kept."
    )


class DocumentBody(BaseModel):
    """What is known of a document, without its text."""

    id: str
    collection: str
    title: str
    uri: str
    mime: str
    content_hash: str
    chunks: int
    characters: int
    embedder_id: str | None
    stored_at: float = Field(description="Unix seconds.")
    metadata: dict[str, Scalar]

    @classmethod
    def of(cls, record: DocumentRecord) -> Self:
        """The body for a record."""
        return cls(
            id=record.id,
            collection=record.collection,
            title=record.title,
            uri=record.uri,
            mime=record.mime,
            content_hash=record.content_hash,
            chunks=record.chunks,
            characters=record.characters,
            embedder_id=record.embedder_id,
            stored_at=record.stored_at,
            metadata=dict(record.metadata),
        )


class DocumentListBody(BaseModel):
    """Documents in the order of their ids."""

    documents: list[DocumentBody]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")

    @classmethod
    def of(cls, page: DocumentPage) -> Self:
        """The body for a page."""
        return cls(documents=[DocumentBody.of(one) for one in page.documents], next_cursor=page.next_cursor)


class DocumentTextBody(BaseModel):
    """A document with its text, which the spans of citations refer to."""

    id: str
    collection: str
    title: str
    uri: str
    mime: str
    content_hash: str
    metadata: dict[str, Scalar]
    text: str

    @classmethod
    def of(cls, document: Document) -> Self:
        """The body for a document."""
        return cls(
            id=document.id,
            collection=document.collection,
            title=document.title,
            uri=document.uri,
            mime=document.mime,
            content_hash=document.content_hash,
            metadata=dict(document.metadata),
            text=document.text,
        )


class CheckBody(BaseModel):
    """One dependency, asked just now."""

    status: str
    detail: str
    latency_ms: float | None
    breaker: str | None
    ready_in: float | None = Field(None, description="Of a model: seconds until it is asked again; 0 is now.")

    @classmethod
    def of(cls, check: Check) -> Self:
        """The body for a check."""
        return cls(
            status=check.status,
            detail=check.detail,
            latency_ms=check.latency_ms,
            breaker=check.breaker,
            ready_in=check.ready_in,
        )


class HealthBody(BaseModel):
    """How the service is: `ok`, `degraded` (questions still get something useful) or `unavailable`."""

    status: str
    tier: Tier
    timestamp: str = Field(description="ISO 8601, UTC.")
    version: str
    checks: dict[str, CheckBody]

    @classmethod
    def of(cls, health: Health, *, timestamp: str, version: str) -> Self:
        """The body for a health report."""
        return cls(
            status=health.status,
            tier=health.tier,
            timestamp=timestamp,
            version=version,
            checks={name: CheckBody.of(check) for name, check in health.checks.items()},
        )


class LivenessBody(BaseModel):
    """The process is alive."""

    status: str
    timestamp: str = Field(description="ISO 8601, UTC.")
