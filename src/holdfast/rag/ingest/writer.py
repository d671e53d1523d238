"""Documents in, stored documents out; each one whole or not at all.

A document is done when the store holds it under the same content hash with vectors of the same embedder. That is asked
before anything is paid for, so a second run does nothing, a run that was killed is completed by the next one, and a run
after the embedding model was installed adds the vectors that were missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, ModelUnavailableError
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.ingest.report import Tally
from holdfast.rag.loaders.base import Problem
from holdfast.rag.types import EmbeddedChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Chunk, Document

__all__ = ["DocumentWriter"]

_TEXTS_A_CALL = 256
"""Texts handed to the embedder at once: enough to sort by length, few enough that a cancellation is soon heard."""

_CHUNKS_A_BATCH = 64
"""Small documents are embedded together until they have this many chunks; each is still stored by itself."""


@dataclass(slots=True)
class _Prepared:
    document: Document
    chunks: list[Chunk]
    known: bool
    started_ns: int


class DocumentWriter:
    """Puts documents into the store, in batches that are embedded together.

    Args:
        embedder: None to store documents without vectors, by choice.
        chunk_options: how documents are cut.
    """

    def __init__(
        self,
        *,
        store: Store,
        embedder: Embedder | None,
        guards: Guards,
        blocking: Blocking,
        clock: Clock,
        narrator: Narrator,
        chunk_options: ChunkOptions,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._guards = guards
        self._blocking = blocking
        self._clock = clock
        self._narrator = narrator
        self._chunk_options = chunk_options

    async def begin(self) -> tuple[Tally, Embedder | None]:
        """Look at the store and the embedder before anything is paid for.

        Returns:
            an empty tally, and the embedder to use: None when the local model is not there.

        Raises:
            StoreError: the store is not usable; nothing was read.
        """
        await self._store.open()
        tally = Tally(self._clock)
        embedder = self._embedder
        if embedder is not None:
            try:
                await embedder.embed(["warm up"], kind="document")
            except ModelUnavailableError:
                embedder = None
        tally.embedded = embedder is not None
        return tally, embedder

    async def put_all(
        self, documents: AsyncIterator[Document], tally: Tally, embedder: Embedder | None
    ) -> AsyncIterator[Document]:
        """Store every document; yields each one when it is settled, whatever became of it (see ``tally``)."""
        batch: list[_Prepared] = []
        async for document in documents:
            if not tally.first_time(document):
                self.skip(
                    tally,
                    document.uri,
                    f"its id {document.id} was already used in this run: give each document its own id",
                )
                yield document
                continue
            prepared = await self._prepare(document, tally, embedder)
            if prepared is None:
                yield document
                continue
            batch.append(prepared)
            if sum(len(one.chunks) for one in batch) >= _CHUNKS_A_BATCH:
                for settled in await self._store_batch(batch, tally, embedder):
                    yield settled
                batch = []
        for settled in await self._store_batch(batch, tally, embedder):
            yield settled

    def skip(self, tally: Tally, uri: str, reason: str) -> None:
        """Note a source that cannot be used."""
        tally.skipped.append(Problem(uri, reason))
        self._narrator.document_skipped(uri, reason)

    async def _prepare(self, document: Document, tally: Tally, embedder: Embedder | None) -> _Prepared | None:
        """Chunks for a document that is new or changed; None for one that is done."""
        started = self._clock.now_ns()
        # The way a document is cut is part of what it must be stored as: other sizes, other chunks.
        cut = f"{document.content_hash} {self._chunk_options}"
        document = replace(document, content_hash=hashlib.sha256(cut.encode()).hexdigest())
        records = await self._guards.bulk_store.call(self._store.records, [document.id], collection=document.collection)
        record = records.get(document.id)
        wanted = embedder.id if embedder is not None else None
        # Without an embedder a document that has vectors stays as it is: losing them would make the search worse.
        if record is not None and record.content_hash == document.content_hash and wanted in {None, record.embedder_id}:
            tally.documents["unchanged"] += 1
            return None
        with tally.timed("parse"):
            chunks = await self._blocking.run("ingest.chunk", chunk, document, self._chunk_options)
        if not chunks:
            self.skip(tally, document.uri, "it holds no text that could be searched")
            return None
        return _Prepared(document=document, chunks=chunks, known=record is not None, started_ns=started)

    async def _store_batch(self, batch: Sequence[_Prepared], tally: Tally, embedder: Embedder | None) -> list[Document]:
        if not batch:
            return []
        try:
            embedded = await self._embed(batch, tally, embedder)
        except HoldfastError as error:
            if len(batch) == 1:
                self._fail(tally, batch[0].document, f"it could not be embedded: {error}")
                return [batch[0].document]
            # One document must not take its neighbours down with it.
            middle = len(batch) // 2
            return [
                *await self._store_batch(batch[:middle], tally, embedder),
                *await self._store_batch(batch[middle:], tally, embedder),
            ]
        for one, chunks in zip(batch, embedded, strict=True):
            await self._store_one(one, chunks, tally, embedder)
        return [one.document for one in batch]

    async def _store_one(
        self, one: _Prepared, chunks: Sequence[EmbeddedChunk], tally: Tally, embedder: Embedder | None
    ) -> None:
        try:
            with tally.timed("store"):
                await self._guards.bulk_store.call(
                    self._store.put, one.document, chunks, embedder_id=embedder.id if embedder is not None else None
                )
        except HoldfastError as error:
            self._fail(tally, one.document, f"it could not be stored: {error}")
            return
        tally.documents["changed" if one.known else "added"] += 1
        tally.chunks += len(chunks)
        tally.sentences += sum(len(each.chunk.sentences) for each in chunks)
        latency_ms = (self._clock.now_ns() - one.started_ns) / 1e6
        self._narrator.document_ingested(self._store.name, one.document.id, len(chunks), latency_ms)

    async def _embed(
        self, batch: Sequence[_Prepared], tally: Tally, embedder: Embedder | None
    ) -> list[list[EmbeddedChunk]]:
        if embedder is None:
            return [[EmbeddedChunk(chunk=each) for each in one.chunks] for one in batch]
        chunks = [each for one in batch for each in one.chunks]
        with tally.timed("embed_chunks"):
            vectors = await self._embed_texts(embedder, [each.text for each in chunks])
        sentences = [
            each.text[span.start - each.start : span.end - each.start] for each in chunks for span in each.sentences
        ]
        with tally.timed("embed_sentences"):
            sentence_vectors = await self._embed_texts(embedder, sentences)
        embedded: list[EmbeddedChunk] = []
        taken = 0
        for index, each in enumerate(chunks):
            upto = taken + len(each.sentences)
            embedded.append(
                EmbeddedChunk(chunk=each, vector=vectors[index], sentence_vectors=sentence_vectors[taken:upto])
            )
            taken = upto
        in_order = iter(embedded)
        return [list(islice(in_order, len(one.chunks))) for one in batch]

    async def _embed_texts(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        import numpy as np  # noqa: PLC0415 - the engine is importable without it

        parts = [
            await self._guards.bulk_embedder.call(embedder.embed, texts[at : at + _TEXTS_A_CALL], kind="document")
            for at in range(0, len(texts), _TEXTS_A_CALL)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, embedder.dimension), np.float32)

    def _fail(self, tally: Tally, document: Document, reason: str) -> None:
        tally.failed.append(Problem(document.uri, reason))
        self._narrator.document_skipped(document.uri, reason)
