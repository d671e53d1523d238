"""What a document store is. Every store passes ``holdfast.testing.store_conformance``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.types import Document, EmbeddedChunk, Scalar, Scope, StoredChunk

__all__ = ["DocumentPage", "DocumentRecord", "Scored", "Store", "StoreStatus"]


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk's id with one search's score for it; higher is better."""

    chunk_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """What the store knows of a document, without its text.

    Attributes:
        embedder_id: the vector space its chunks were embedded in, or None when it has no vectors.
        stored_at: when it was stored, Unix seconds.
        source: which file it came from (see :meth:`Store.put`); empty when it came from none.
    """

    id: str
    collection: str
    title: str
    uri: str
    mime: str
    content_hash: str
    chunks: int
    characters: int
    embedder_id: str | None
    stored_at: float
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """Some documents, and the cursor to go on with (None at the end)."""

    documents: Sequence[DocumentRecord]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """How full the store is.

    Attributes:
        generation: grows with every committed change; two equal numbers mean the same content.
        vectors: chunks by the embedder that made their vectors.
    """

    documents: int
    chunks: int
    sentences: int
    generation: int
    vectors: Mapping[str, int]
    bytes_on_disk: int


@runtime_checkable
class Store(Protocol):
    """Keeps documents, their chunks, their words and their vectors. All of a document changes in one transaction.

    Failures are ``StoreUnavailableError``, ``StoreLockedError`` or ``StoreCorruptError``; a cancelled call leaves the
    store as it was or with the whole change, never between.
    """

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs, e.g. ``"store:sqlite"``."""
        ...

    async def open(self) -> None:
        """Make the store ready, creating it when it is not there. Idempotent."""
        ...

    async def close(self) -> None:
        """Release it. Idempotent."""
        ...

    async def ping(self) -> None:
        """Return when a read works; raise as any read would. Cheap."""
        ...

    async def generation(self) -> int:
        """A number that grows with every committed change by any process. Cheap: it is asked at every question."""
        ...

    async def status(self) -> StoreStatus:
        """Counts and sizes."""
        ...

    async def put(
        self, document: Document, chunks: Sequence[EmbeddedChunk], *, embedder_id: str | None, source: str = ""
    ) -> None:
        """Store the document with all of its chunks, replacing what was there under its id: one transaction.

        Args:
            source: what the document came from, such as a file that holds many; the last put decides. Empty: nothing
                that could be read again.
        """
        ...

    async def ids_from(self, source: str, *, collection: str = "default") -> Sequence[str]:
        """The ids of the documents that came from ``source``, in their order; none for the empty source."""
        ...

    async def delete(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it; False when it was not there."""
        ...

    async def get(self, document_id: str, *, collection: str = "default") -> Document | None:
        """A document with its text."""
        ...

    async def records(self, document_ids: Collection[str], *, collection: str = "default") -> dict[str, DocumentRecord]:
        """What is known of these documents; ids that are not stored are left out."""
        ...

    async def list(self, *, collection: str = "default", limit: int = 100, cursor: str | None = None) -> DocumentPage:
        """Documents in the order of their ids."""
        ...

    async def lexical(self, question: str, *, k: int, scope: Scope) -> Sequence[Scored]:
        """The ``k`` best chunks by BM25 over title, heading and text, best first. Any text is a legal question."""
        ...

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> Sequence[Scored]:
        """The ``k`` best chunks by cosine similarity among those embedded by ``embedder_id``, best first; exact."""
        ...

    async def fetch(
        self, chunk_ids: Sequence[str], *, collection: str = "default", sentence_vectors: bool = False
    ) -> Sequence[StoredChunk]:
        """Chunks with their text, in the order asked for; an id that is gone is left out."""
        ...

    async def document_frequency(
        self, words: Collection[str], *, collection: str = "default"
    ) -> tuple[dict[str, int], int]:
        """The number of chunks that hold each word (any form; stemmed as the index does), and the number of chunks."""
        ...
