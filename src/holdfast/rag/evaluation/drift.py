"""Whether stored vectors are still those that the embedder makes.

A provider may change a model under its name, a model file may be exchanged: nothing fails then, only the search gets
worse. So some stored chunks are embedded again, and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from holdfast.core._options import whole
from holdfast.errors import InvalidInputError
from holdfast.llm.embedding_checks import SAME_COSINE, faults_of
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.types import Scope

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.store.base import DocumentRecord, Store
    from holdfast.rag.types import Chunk

__all__ = ["Drift", "measure_drift"]

_LISTED = 1_000
"""Documents that the sample is drawn from. They come in the order of their ids, which are hashes: any of them are."""
_NEAREST = 20
"""How near its own stored vector a text must be for its cosine to be known exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far the stored vectors of a collection are from those that the embedder makes now.

    Attributes:
        embedder_id: the embedder's vector space.
        documents: documents that were looked at.
        compared: chunks that were embedded again, one a document.
        lowest: the lowest cosine of a new vector and the stored one; None when nothing was compared. Where the stored
            one is not among the 20 nearest of the new one, it is the 20th's: the true one is lower.
        mean: the mean cosine; None when nothing was compared.
        drifted: how many are below :data:`~holdfast.llm.embedding_checks.SAME_COSINE`.
        other_space: documents whose vectors another embedder made; questions do not find them by meaning.
        without_vectors: documents that have none.
        cut_otherwise: documents that would be cut into other chunks now; they are not compared.
    """

    collection: str
    embedder_id: str
    documents: int
    compared: int = 0
    lowest: float | None = None
    mean: float | None = None
    drifted: int = 0
    other_space: int = 0
    without_vectors: int = 0
    cut_otherwise: int = 0

    @property
    def ok(self) -> bool:
        """Whether no vector that was compared has drifted."""
        return not self.drifted


async def measure_drift(
    store: Store,
    embedder: Embedder,
    *,
    collection: str = "default",
    sample: int = 50,
    rng: random.Random,
    blocking: Blocking,
    options: ChunkOptions | None = None,
) -> Drift:
    """Embed a chunk of each of some documents again, and compare it with what is stored.

    Args:
        store, embedder: open. The embedder itself, without a cache before it.
        sample: documents to look at, 1 or more; one chunk of each.
        rng: draws them.
        blocking: cuts documents into chunks.
        options: how documents are cut; must be those of the ingest.

    Raises:
        StoreError: the store cannot be read.
        Exception: whatever the embedder raises.
    """
    listed = (await store.list(collection=collection, limit=_LISTED)).documents
    drawn = rng.sample(list(listed), min(whole("sample", sample, least=1), len(listed)))
    drift = Drift(
        collection=collection,
        embedder_id=embedder.id,
        documents=len(drawn),
        other_space=sum(record.embedder_id not in {None, embedder.id} for record in drawn),
        without_vectors=sum(record.embedder_id is None for record in drawn),
    )
    chunks: list[Chunk] = []
    for record in drawn:
        if record.embedder_id != embedder.id:
            continue
        stored = await _stored_chunks(store, record, blocking, options or ChunkOptions())
        if stored:
            chunks.append(rng.choice(stored))
        else:
            drift = replace(drift, cut_otherwise=drift.cut_otherwise + 1)
    if not chunks:
        return drift
    vectors = await embedder.embed([each.text for each in chunks], kind="document")
    if faults_of(vectors, count=len(chunks), dimension=embedder.dimension):
        return replace(drift, compared=len(chunks), lowest=0.0, mean=0.0, drifted=len(chunks))
    cosines = [
        await _cosine(store, embedder, collection, each, vector) for each, vector in zip(chunks, vectors, strict=True)
    ]
    return replace(
        drift,
        compared=len(cosines),
        lowest=min(cosines),
        mean=fmean(cosines),
        drifted=sum(cosine < SAME_COSINE for cosine in cosines),
    )


async def _stored_chunks(
    store: Store, record: DocumentRecord, blocking: Blocking, options: ChunkOptions
) -> Sequence[Chunk]:
    """The chunks of a document that are stored as they would be cut now."""
    document = await store.get(record.id, collection=record.collection)
    if document is None:
        return []
    cut = await blocking.run("ingest.chunk", chunk, document, options)
    found = await store.fetch([each.id for each in cut], collection=record.collection)
    return [stored.chunk for stored in found]


async def _cosine(store: Store, embedder: Embedder, collection: str, each: Chunk, vector: Vectors) -> float:
    scope = Scope(collection=collection)
    try:
        nearest = await store.dense(vector, embedder_id=embedder.id, k=_NEAREST, scope=scope)
    except InvalidInputError:  # the stored vectors have another dimension
        return 0.0
    own = [one.score for one in nearest if one.chunk_id == each.id]
    if own:
        return min(1.0, own[0])
    return min((one.score for one in nearest), default=0.0)
