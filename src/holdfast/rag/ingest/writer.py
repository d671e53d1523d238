"""Documents in, stored documents out; each one whole or not at all.

A document is done when the store holds it under the same content hash with vectors of the same embedder. That is asked
before anything is paid for, so a second run does nothing, a run that was killed is completed by the next one, and a run
after the embedding model was installed adds the vectors that were missing.

A document is removed when its file was read whole and does not hold it any more; not before what the file holds now is
stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    DependencyError,
    HoldfastError,
    ModelUnavailableError,
    RejectedError,
    RetriesExhaustedError,
)
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.ingest.report import Tally
from holdfast.rag.ingest.sources import EndOfSource
from holdfast.rag.loaders.base import Problem
from holdfast.rag.types import EmbeddedChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.guards import Guards
    from holdfast.rag.ingest.sources import Incoming
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Chunk, Document

__all__ = ["DocumentWriter", "sentence_of"]

_TEXTS_A_CALL = 256
"""Texts handed to the embedder at once: enough to sort by length, few enough that a cancellation is soon heard."""

_CHUNKS_A_BATCH = 64
"""Small documents are embedded together until they have this many chunks; each is still stored by itself."""


_OUTAGES = (DependencyError, RetriesExhaustedError, RejectedError, DeadlineExceededError, AttemptTimeoutError)
"""What fails because of the store or the embedder, and not because of what is in a document."""


def sentence_of(error: Exception) -> str:
    """What happened, in the words of the failure itself and not of the policy that gave up on it."""
    while isinstance(error.__cause__, HoldfastError):
        error = error.__cause__
    return str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"


@dataclass(slots=True)
class _Prepared:
    document: Document
    source: str
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
        self,
        incoming: AsyncIterator[Incoming],
        tally: Tally,
        embedder: Embedder | None,
        *,
        patient: bool = False,
        go_on: Callable[[], Awaitable[bool]] | None = None,
    ) -> AsyncIterator[Document]:
        """Store every document; yields each one when it is settled, whatever became of it (see ``tally``).

        Args:
            incoming: documents, and marks where a source ends: what it held before and holds no more is then removed.
            patient: an outage of the store or the embedder is raised, for somebody who can try again later; otherwise
                the documents that it hits count as failed.
            go_on: asked before each batch is embedded; after a False nothing more is stored.
        """
        batch: list[_Prepared] = []
        ends: list[EndOfSource] = []
        async for each in incoming:
            if isinstance(each, EndOfSource):
                ends.append(each)
                if batch:
                    continue  # what the source holds now is stored first
            else:
                document = each.document
                prepared = await self._take(document, each.source, tally, embedder)
                if prepared is None:
                    yield document
                    continue
                batch.append(prepared)
                if sum(len(one.chunks) for one in batch) < _CHUNKS_A_BATCH:
                    continue
            if batch and go_on is not None and not await go_on():
                return
            for settled in await self._store_batch(batch, tally, embedder, patient=patient):
                yield settled
            await self._remove_gone(ends, tally)
            batch, ends = [], []
        if batch and go_on is not None and not await go_on():
            return
        for settled in await self._store_batch(batch, tally, embedder, patient=patient):
            yield settled
        await self._remove_gone(ends, tally)

    def skip(self, tally: Tally, uri: str, reason: str) -> None:
        """Note a source that cannot be used."""
        tally.skipped.append(Problem(uri, reason))
        self._narrator.document_skipped(uri, reason)

    async def _take(self, document: Document, source: str, tally: Tally, embedder: Embedder | None) -> _Prepared | None:
        """The document made ready, or None when there is nothing to store."""
        if not tally.first_time(document):
            self.skip(
                tally,
                document.uri,
                f"its id {document.id} was already used in this run: give each document its own id",
            )
            return None
        return await self._prepare(document, source, tally, embedder)

    async def _prepare(
        self, document: Document, source: str, tally: Tally, embedder: Embedder | None
    ) -> _Prepared | None:
        """Chunks for a document that is new or changed; None for one that is done."""
        started = self._clock.now_ns()
        # The way a document is cut is part of what it must be stored as: other sizes, other chunks.
        cut = f"{document.content_hash} {self._chunk_options}"
        document = replace(document, content_hash=hashlib.sha256(cut.encode()).hexdigest())
        records = await self._guards.bulk_store.call(self._store.records, [document.id], collection=document.collection)
        record = records.get(document.id)
        wanted = embedder.id if embedder is not None else None
        # Without an embedder a document that has vectors stays as it is: losing them would make the search worse.
        as_it_was = (
            record is not None and record.content_hash == document.content_hash and wanted in {None, record.embedder_id}
        )
        # A document that comes from elsewhere now must be known as such, or the file it was in would take it along.
        if as_it_was and record is not None and record.source == source:
            tally.documents["unchanged"] += 1
            return None
        with tally.timed("parse"):
            chunks = await self._blocking.run("ingest.chunk", chunk, document, self._chunk_options)
        if not chunks:
            tally.without_text(document)
            self.skip(tally, document.uri, "it holds no text that could be searched")
            return None
        return _Prepared(document=document, source=source, chunks=chunks, known=record is not None, started_ns=started)

    async def _store_batch(
        self, batch: Sequence[_Prepared], tally: Tally, embedder: Embedder | None, *, patient: bool
    ) -> list[Document]:
        if not batch:
            return []
        try:
            embedded = await self._embed(batch, tally, embedder)
        except HoldfastError as error:
            if patient and isinstance(error, _OUTAGES):
                raise
            if len(batch) == 1:
                self._fail(tally, batch[0].document, f"it could not be embedded: {sentence_of(error)}")
                return [batch[0].document]
            # One document must not take its neighbours down with it.
            middle = len(batch) // 2
            return [
                *await self._store_batch(batch[:middle], tally, embedder, patient=patient),
                *await self._store_batch(batch[middle:], tally, embedder, patient=patient),
            ]
        for one, chunks in zip(batch, embedded, strict=True):
            await self._store_one(one, chunks, tally, embedder, patient=patient)
        return [one.document for one in batch]

    async def _store_one(
        self,
        one: _Prepared,
        chunks: Sequence[EmbeddedChunk],
        tally: Tally,
        embedder: Embedder | None,
        *,
        patient: bool,
    ) -> None:
        try:
            with tally.timed("store"):
                await self._guards.bulk_store.call(
                    self._store.put,
                    one.document,
                    chunks,
                    embedder_id=embedder.id if embedder is not None else None,
                    source=one.source,
                )
        except HoldfastError as error:
            if patient and isinstance(error, _OUTAGES):
                raise
            self._fail(tally, one.document, f"it could not be stored: {sentence_of(error)}")
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

    async def _remove_gone(self, ends: Sequence[EndOfSource], tally: Tally) -> None:
        """Remove what these sources held before and hold no more, unless something of them could not be stored now."""
        for end in ends:
            if tally.any_failed(end.collection, end.document_ids):
                continue
            try:
                with tally.timed("store"):
                    await self._remove_gone_of(end, tally)
            except HoldfastError as error:
                reason = f"what it does not hold any more could not be removed: {sentence_of(error)}"
                tally.failed.append(Problem(end.uri, reason))
                self._narrator.document_skipped(end.uri, reason)

    async def _remove_gone_of(self, end: EndOfSource, tally: Tally) -> None:
        stored = await self._guards.bulk_store.call(self._store.ids_from, end.source, collection=end.collection)
        for each in stored:
            if not tally.is_held(end.collection, each) and await self._guards.bulk_store.call(
                self._store.delete, each, collection=end.collection
            ):
                tally.documents["removed"] += 1

    def _fail(self, tally: Tally, document: Document, reason: str) -> None:
        tally.fail(document, reason)
        self._narrator.document_skipped(document.uri, reason)
