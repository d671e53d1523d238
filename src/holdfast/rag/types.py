"""The nouns of the RAG service: documents and chunks on the way in, hits, citations and answers on the way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from holdfast.llm.messages import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.embedding import Vectors

__all__ = [
    "Answer",
    "Chunk",
    "Citation",
    "Document",
    "EmbeddedChunk",
    "Hit",
    "Mime",
    "Reason",
    "Scalar",
    "Scope",
    "SearchResult",
    "Source",
    "Span",
    "StoredChunk",
    "Tier",
    "Usage",
]

Scalar: TypeAlias = str | int | float | bool
"""What a metadata value may be."""


class Mime(StrEnum):
    """How a document's text is to be read by the chunker."""

    MARKDOWN = "text/markdown"
    PLAIN = "text/plain"


class Tier(StrEnum):
    """How much of the service an answer had behind it, best first."""

    FULL = "full"
    DEGRADED = "degraded"
    MINIMAL = "minimal"
    OFFLINE = "offline"

    @property
    def quality(self) -> float:
        """The quality score that is shown to the caller, 0 to 1."""
        return _QUALITY[self]


_QUALITY = {Tier.FULL: 0.85, Tier.DEGRADED: 0.75, Tier.MINIMAL: 0.60, Tier.OFFLINE: 0.0}


class Source(StrEnum):
    """Where an answer came from."""

    LIVE = "live"
    CACHE = "cache"
    STALE_CACHE = "stale_cache"
    OTHER_PROVIDER = "other_provider"
    EXTRACT = "extract"
    FAQ = "faq"
    STATIC = "static"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why an answer is less than it could be: machine-readable codes."""

    CACHE_UNAVAILABLE = "cache_unavailable"
    EMBEDDER_UNAVAILABLE = "embedder_unavailable"
    EMBEDDER_NOT_CONFIGURED = "embedder_not_configured"
    VECTORS_MISSING = "vectors_missing"
    VECTOR_STORE_UNAVAILABLE = "vector_store_unavailable"
    RERANKER_UNAVAILABLE = "reranker_unavailable"
    LLM_UNAVAILABLE = "llm_unavailable"
    PRIMARY_MODEL_UNAVAILABLE = "primary_model_unavailable"
    ANSWERER_UNAVAILABLE = "answerer_unavailable"
    ANSWER_INTERRUPTED = "answer_interrupted"
    ANSWER_CUT = "answer_cut"
    CITATIONS_REMOVED = "citations_removed"
    CITATIONS_MISSING = "citations_missing"
    LINKS_REMOVED = "links_removed"
    MEMORY_UNAVAILABLE = "memory_unavailable"
    STORE_EMPTY = "store_empty"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    SERVICE_UNAVAILABLE = "service_unavailable"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters ``[start, end)`` in a document's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    r"""One document after loading: its text is what every span of its chunks, sentences and citations refers to.

    Attributes:
        id: stable across runs for the same source (see ``rag.documents``).
        text: the extracted text, as Markdown or plain text, line ends as ``\\n``.
        title: for people.
        uri: where it came from.
        content_hash: SHA-256 (hex) of everything that decides what is stored for it: text, title, uri, mime, metadata,
            and the version of the chunker.
    """

    id: str
    text: str
    title: str
    uri: str
    mime: Mime
    content_hash: str
    collection: str = "default"
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage of a document: what is embedded, searched and cited.

    Attributes:
        id: by content and place in the document's order of equal passages, so that an unchanged passage keeps its id.
        ordinal: 0, 1, ... in document order.
        heading: the path of headings above it, joined by `` › ``; empty at the top.
        text: ``document.text[start:end]``, exactly.
        sentences: spans, in document coordinates and inside the chunk, of what an extractive answer may quote
            (sentences, list items, table rows, code blocks).
    """

    id: str
    document_id: str
    ordinal: int
    start: int
    end: int
    heading: str
    text: str
    sentences: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedChunk:
    """A chunk with its vectors; both are None when it was ingested without an embedder.

    Attributes:
        vector: shape (dimension,), float32, unit length.
        sentence_vectors: shape (len(chunk.sentences), dimension), float32, unit rows.
    """

    chunk: Chunk
    vector: Vectors | None = None
    sentence_vectors: Vectors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk as the store gives it back, with what is needed of its document: title, uri, and how its text reads."""

    chunk: Chunk
    title: str
    uri: str
    mime: Mime = Mime.MARKDOWN
    sentence_vectors: Vectors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What part of the store a search looks at: one collection, and equality on metadata."""

    collection: str = "default"
    filters: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk that was found.

    Attributes:
        score: the fused score, 0 to 1 within one search; only its order means something across searches.
        lexical: the BM25 score (higher is better), or None when the words did not find it.
        cosine: the cosine similarity to the question, or None when no search by vector found it.
    """

    stored: StoredChunk
    score: float
    lexical: float | None = None
    cosine: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A passage that an answer rests on: ``text`` is the document's text from ``start`` to ``end``.

    ``heading`` is the path of headings above it, empty at the top of a document.
    """

    document_id: str
    chunk_id: str
    title: str
    uri: str
    text: str
    start: int
    end: int
    score: float
    heading: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found, and how well it could look."""

    hits: Sequence[Hit]
    tier: Tier
    reasons: tuple[Reason, ...] = ()
    request_id: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def degraded(self) -> bool:
        """Whether anything was missing."""
        return self.tier is not Tier.FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a question, with everything a caller may want to know about how good it is.

    Attributes:
        text: the answer; cited passages are marked ``[1]``, ``[2]``, ... in the order of ``citations``.
        answered: False when nothing fits the question ("I don't know"), or nothing could be looked up.
        source: where it came from.
        tier: what the service could muster for it; ``quality`` is its score.
        notice: a sentence for the user when something is missing, else empty.
        age_seconds: how old the answer is: 0 when fresh.
        confidence: 0 to 1; how sure the answerer is that this answers the question.
        cost_usd: what it cost.
        timings_ms: milliseconds by stage (``cache``, ``embed``, ``search``, ``answer``, ``total``).
    """

    text: str
    citations: tuple[Citation, ...] = ()
    answered: bool = True
    source: Source
    tier: Tier
    degraded: bool = False
    reasons: tuple[Reason, ...] = ()
    notice: str = ""
    age_seconds: float = 0.0
    confidence: float = 0.0
    conversation_id: str | None = None
    request_id: str = ""
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def quality(self) -> float:
        """The quality score of the tier, 0 to 1."""
        return self.tier.quality
