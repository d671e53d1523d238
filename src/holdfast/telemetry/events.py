"""The life of a question, and of a document, as typed events: logs, metrics and consoles are made of nothing else.

What a call to a model cost is one, too. The engine emits these on its ``Events``; ``correlation_id`` is the request's
id (the job's id for an ingest). Like the events of the policies they hold strings, numbers and tuples only, never a
live object and never the text of a question or of a document, so that a listener may keep them, print them or send
them anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.core.events import Event, correlation_id

__all__ = [
    "AnswerGenerated",
    "AnswerReturned",
    "CacheLookup",
    "DependencyProbed",
    "DocumentIngested",
    "DocumentSkipped",
    "FaultEnded",
    "FaultInjected",
    "JobFinished",
    "ModelCallPriced",
    "QuestionEmbedded",
    "QuestionReceived",
    "Searched",
    "ServiceEvent",
    "StageFailed",
    "TierChanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent(Event):
    """What the service says of itself; outside a guarded call, so most of the base's fields are empty.

    Attributes:
        correlation_id: of the running request or job, unless it is given.
        policy: always ``"service"``: no policy speaks here.
    """

    correlation_id: str = field(default_factory=correlation_id)
    call_id: str = ""
    pipeline: str = ""
    policy: str = "service"
    dependency: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionReceived(ServiceEvent):
    """A question was accepted.

    Attributes:
        collection: the collection it is asked of.
        characters: its length. The text itself is nobody's business but the answerer's.
    """

    collection: str
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLookup(ServiceEvent):
    """A cache was asked.

    Attributes:
        cache: which one: ``answer``, ``semantic`` (an answer to the question in other words), ``embedding`` or
            ``search``.
        hit: whether it had what can be used; of an answer, one that is as good as a new one.
    """

    cache: str = "answer"
    hit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEmbedded(ServiceEvent):
    """The question has a vector.

    Attributes:
        embedding_model: which model made it.
        latency_ms: milliseconds, retries and waiting included.
    """

    embedding_model: str
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched(ServiceEvent):
    """The store was searched, or in its place the copy of its documents: ``dependency`` is then ``"store:standby"``.

    Attributes:
        results_count: passages found, 0 or more.
        latency_ms: milliseconds for all searches and the fetching of the passages.
    """

    results_count: int
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGenerated(ServiceEvent):
    """An answer was composed.

    Attributes:
        model: the model or answerer that wrote it.
        tokens: tokens read and written; 0 where nothing counts them.
        latency_ms: milliseconds.
    """

    model: str
    tokens: int
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFailed(ServiceEvent):
    """A stage failed for good, after its retries. A question's answer goes on without it; an ingest job waits.

    Attributes:
        stage: ``cache``, ``embed``, ``search``, ``answer`` or ``ingest``. The base's ``dependency`` names what failed.
        reason_code: the machine-readable reason that the answer will carry.
        error: the error's type and sentence.
    """

    stage: str
    reason_code: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReturned(ServiceEvent):
    """A question is finished: the last event of its life, exactly one for each ``QuestionReceived``.

    Attributes:
        status: ``ok``; ``degraded``: something was missing; ``unanswered``: nothing fits; ``failed``: no answer;
            ``rejected``: refused, before anything was spent on it.
        source: where the answer came from (``live``, ``cache``, ...).
        tier: what the service could muster (``full``, ``degraded``, ``minimal``, ``offline``).
        reasons: machine-readable codes of what was missing.
        cost_usd: what it cost, US dollars.
        seconds: from the question's arrival to the whole answer.
    """

    status: str
    source: str
    tier: str
    degraded: bool
    reasons: tuple[str, ...]
    cost_usd: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChanged(ServiceEvent):
    """The service as a whole moved to another tier."""

    from_tier: str
    to_tier: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyProbed(ServiceEvent):
    """A dependency that was ill was asked something cheap, in the background, to see whether it works again.

    Attributes:
        alive: whether it answered.
        latency_ms: milliseconds.
        error: the error's type and sentence; empty when it answered.
    """

    alive: bool
    latency_ms: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentIngested(ServiceEvent):
    """A document is stored and can be found.

    Attributes:
        chunks: passages it was cut into.
        latency_ms: milliseconds from the first read to the commit.
    """

    document_id: str
    chunks: int
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSkipped(ServiceEvent):
    """A document could not be ingested, and why."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(ServiceEvent):
    """An ingest job is settled.

    Attributes:
        status: ``done``, ``partial``, ``failed`` or ``cancelled``.
        done, total: its documents.
    """

    job_id: str
    status: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(ServiceEvent):
    """Somebody lets a dependency fail on purpose; the base's ``dependency`` is its role, ``"store"``.

    Attributes:
        kind: how it fails, ``timeout``, ``unavailable``, ...
        rate: the share of the calls that fail.
        seconds: how long at most.
    """

    kind: str
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEnded(ServiceEvent):
    """A fault that was injected is over.

    Attributes:
        kind: as in :class:`FaultInjected`.
        hits: calls that met it.
        reason: ``expired`` or ``cleared``.
    """

    kind: str
    hits: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCallPriced(ServiceEvent):
    """A call to a model is over, and this is what it cost; exactly one for each call that used tokens.

    Attributes:
        provider, model: whose it was; the base's ``dependency`` is ``"model:<provider>/<model>"``.
        cause: what it was made for: ``first``, ``retry``, ``failover``, ``hedge``, ``fallback``, ``continuation``,
            ``wasted``: paid and not used, or ``probe``: a look whether the target works again.
        prompt_tokens: tokens read, those from the provider's cache included.
        completion_tokens: tokens written.
        cached_tokens: those of ``prompt_tokens`` that came from the provider's cache.
        estimated: whether a part of the tokens was counted by us, because the provider did not say.
        usd: US dollars; 0 where the price is not known.
        known: whether the price is known.
    """

    provider: str
    model: str
    cause: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    usd: float
    known: bool
