"""Documents on their way in: how they are written, and a batch of them given its vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from holdfast.rag.ingest.embedding import Refused
from holdfast.rag.ingest.faults import AbandonedError, IngestStoppedError, OutageError, sentence_of
from holdfast.rag.ingest.journal import owner_of
from holdfast.rag.types import EmbeddedChunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.ingest.course import Course
    from holdfast.rag.ingest.embedding import BulkEmbedder
    from holdfast.rag.ingest.report import Tally
    from holdfast.rag.ingest.sources import Sourced
    from holdfast.rag.types import Chunk, Document

__all__ = ["Prepared", "Writing", "embed_batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How documents are written.

    Attributes:
        tally: what is counted and noted.
        embedder: None to store documents without vectors.
        course: asked before everything that costs something.
        patient_with_embedder, patient_with_store: an outage of it is raised, for somebody who tries again later;
            otherwise the documents that it hits have failed, and nothing more is tried.
        fail_fast: the first failure is raised as ``IngestStoppedError``, and nothing is tried twice.
    """

    tally: Tally
    embedder: Embedder | None
    course: Course
    patient_with_embedder: bool = False
    patient_with_store: bool = False
    fail_fast: bool = False


@dataclass(slots=True)
class Prepared:
    """A document that is new or changed, cut into chunks.

    Attributes:
        document: as it is to be stored.
        known: whether it replaces another content.
    """

    incoming: Sourced
    document: Document
    chunks: list[Chunk]
    known: bool
    started_ns: int

    @property
    def owner(self) -> bytes:
        """The mark of its vectors in the journal."""
        return owner_of(self.document.collection, self.document.id)


async def embed_batch(
    bulk: BulkEmbedder, batch: Sequence[Prepared], how: Writing
) -> list[list[EmbeddedChunk] | Refused]:
    """The documents' chunks with their vectors, or why a document has none.

    Raises:
        OutageError: the embedder does not work.
        AbandonedError: nobody wants the documents any more.
        IngestStoppedError: something failed, and ``fail_fast`` is set.
    """
    vectors: dict[str, Vectors | Refused] = {}
    for stage, texts_of in (("embed_chunks", _chunk_texts), ("embed_sentences", _sentence_texts)):
        owners: dict[str, list[bytes]] = {}
        for one in batch:
            if _refusal(_chunk_texts(one.chunks), vectors) is None:
                for text in texts_of(one.chunks):
                    owners.setdefault(text, []).append(one.owner)
        wanted = {text: each for text, each in owners.items() if text not in vectors}
        try:
            with how.tally.timed(stage):
                vectors.update(await bulk.embed(wanted, how.course, fail_fast=how.fail_fast))
        except (OutageError, AbandonedError):
            raise
        except Exception as error:
            if not how.fail_fast:  # then every failure of the embedder is an outcome, and this is none
                raise
            uris = ", ".join(one.document.uri for one in batch)
            raise IngestStoppedError(uri=uris, stage="embed", reason=sentence_of(error)) from error
    return [_assembled(one, vectors, bulk.dimension, how.course) for one in batch]


def _assembled(
    one: Prepared, vectors: dict[str, Vectors | Refused], dimension: int, course: Course
) -> list[EmbeddedChunk] | Refused:
    for number, each in enumerate(one.chunks, start=1):
        refused = _refusal([*_chunk_texts([each]), *_sentence_texts([each])], vectors)
        if refused is not None:
            return replace(refused, place=f"passage {number} of {len(one.chunks)}")
    course.did(chunks=len(one.chunks))
    embedded: list[EmbeddedChunk] = []
    for each in one.chunks:
        rows = [_vector(vectors[text]) for text in _sentence_texts([each])]
        embedded.append(
            EmbeddedChunk(
                chunk=each,
                vector=_vector(vectors[each.text]),
                sentence_vectors=np.stack(rows) if rows else np.zeros((0, dimension), np.float32),
            )
        )
    return embedded


def _chunk_texts(chunks: Iterable[Chunk]) -> list[str]:
    return [each.text for each in chunks]


def _sentence_texts(chunks: Iterable[Chunk]) -> list[str]:
    return [each.text[span.start - each.start : span.end - each.start] for each in chunks for span in each.sentences]


def _refusal(texts: Iterable[str], vectors: dict[str, Vectors | Refused]) -> Refused | None:
    return next((found for text in texts if isinstance(found := vectors.get(text), Refused)), None)


def _vector(outcome: Vectors | Refused) -> Vectors:
    if isinstance(outcome, Refused):
        raise outcome.error
    return outcome
