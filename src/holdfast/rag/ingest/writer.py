"""Documents in, stored documents out; each one whole or not at all.

A document is done when the store holds it under the same content hash with vectors of the same embedder. That is asked
before anything is paid for, so a second run does nothing, a run that was killed is completed by the next one, and a run
after the embedding model was changed embeds everything anew, document by document.

A document is removed when its file was read whole and does not hold it any more; not before what the file holds now is
stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, ModelUnavailableError
from holdfast.rag.ingest.batch import Prepared, Writing, embed_batch
from holdfast.rag.ingest.bulk_store import BulkStore
from holdfast.rag.ingest.embedding import BulkEmbedder, Refused
from holdfast.rag.ingest.faults import (
    STORE_OUTAGES,
    AbandonedError,
    IngestStoppedError,
    OutageError,
    kind_of,
    sentence_of,
)
from holdfast.rag.ingest.journal import owner_of
from holdfast.rag.ingest.preparing import Preparer
from holdfast.rag.ingest.report import Fallen, Tally
from holdfast.rag.ingest.sources import EndOfSource
from holdfast.rag.types import EmbeddedChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.chunking import ChunkOptions
    from holdfast.rag.guards import Guards
    from holdfast.rag.ingest.journal import EmbeddingJournal
    from holdfast.rag.ingest.sources import Incoming, Sourced
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Document

__all__ = ["DocumentWriter"]

_CHUNKS_A_BATCH = 64
"""Small documents are embedded together until they have this many chunks; each is still stored by itself."""

_STORE_FAILURES_IN_A_ROW = 3
"""So many documents that the store does not take, one after the other, end a run: the next would not fare better."""


class DocumentWriter:
    """Puts documents into the store, in batches that are embedded together.

    Args:
        embedder: None to store documents without vectors, by choice.
        chunk_options: how documents are cut.
        journal: where vectors are written down until their documents are stored; None to keep none.
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
        journal: EmbeddingJournal | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        self._narrator = narrator
        self._journal = journal
        self._bulk_store = BulkStore(store, guard=guards.bulk_store, clock=clock)
        self._preparer = Preparer(self._bulk_store, blocking=blocking, clock=clock, chunk_options=chunk_options)
        self._bulk = (
            None
            if embedder is None
            else BulkEmbedder(embedder, guard=guards.bulk_embedder, journal=journal, clock=clock)
        )

    @property
    def embeds(self) -> bool:
        """Whether there is meant to be an embedder."""
        return self._embedder is not None

    @property
    def store(self) -> BulkStore:
        """The store that is written to."""
        return self._bulk_store

    async def begin(self, *, fail_fast: bool = False) -> tuple[Tally, Embedder | None]:
        """Look at the store and the embedder before anything is paid for.

        Returns:
            an empty tally, and the embedder to use: None when the local model is not there.

        Raises:
            StoreError: the store is not usable; nothing was read.
            OutageError: the embedder does not work.
        """
        await self._store.open()
        tally = Tally(self._clock)
        embedder = self._embedder
        if self._bulk is not None:
            try:
                await self._bulk.probe(fail_fast=fail_fast)
            except ModelUnavailableError:
                embedder = None
        if self._journal is not None:
            await self._journal.tidy()
        tally.embedded = embedder is not None
        return tally, embedder

    async def put_all(self, incoming: AsyncIterator[Incoming], how: Writing) -> AsyncIterator[Document]:
        """Store every document; yields each one when it is settled, whatever became of it (see the tally).

        Args:
            incoming: documents, and marks where a source ends: what it held before and holds no more is then removed.

        Raises:
            OutageError: the store or the embedder is down, and we are patient.
            IngestStoppedError: something failed, and ``fail_fast`` is set.
        """
        batch: list[Prepared] = []
        ends: list[EndOfSource] = []
        try:
            async for each in incoming:
                if isinstance(each, EndOfSource):
                    ends.append(each)
                    if batch:
                        continue  # what the source holds now is stored first
                else:
                    prepared = await self._take(each, how)
                    if how.tally.stopped:
                        return
                    if prepared is None:
                        yield each.document
                        continue
                    batch.append(prepared)
                    if sum(len(one.chunks) for one in batch) < _CHUNKS_A_BATCH:
                        continue
                for settled in await self._write(batch, ends, how):
                    yield settled
                batch, ends = [], []
                if how.tally.stopped:
                    return
            for settled in await self._write(batch, ends, how):
                yield settled
        except AbandonedError:
            return

    def skip(self, tally: Tally, fallen: Fallen, *, fail_fast: bool = False) -> None:
        """Note something that cannot be used.

        Raises:
            IngestStoppedError: ``fail_fast`` is set.
        """
        if fail_fast:
            raise IngestStoppedError(uri=fallen.uri, stage=fallen.stage, reason=fallen.reason)
        tally.skip(fallen)
        self._narrator.document_skipped(fallen.uri, fallen.reason)

    async def forget(self, document_id: str, *, collection: str) -> None:
        """Forget what is kept of a document on its way in."""
        if self._journal is not None:
            await self._journal.strike([owner_of(collection, document_id)])

    # -- one document ------------------------------------------------------------------------------------------------

    async def _take(self, incoming: Sourced, how: Writing) -> Prepared | None:
        """The document made ready, or None when there is nothing to store."""
        tally, document = how.tally, incoming.document
        if not tally.first_time(document):
            reason = f"its id {document.id} was already used in this run: give each document its own id"
            self._unusable(incoming, reason, how)
            return None
        try:
            prepared = await self._preparer.prepare(incoming, how)
        except STORE_OUTAGES as error:
            if how.fail_fast:
                raise IngestStoppedError(uri=document.uri, stage="store", reason=sentence_of(error)) from error
            outage = self._bulk_store.outage(error)
            if how.patient_with_store:
                raise outage from error
            tally.stop(str(outage))
            return None
        if prepared is None:
            tally.documents["unchanged"] += 1
            tally.settle(document)
        elif not prepared.chunks:
            tally.without_text(document)
            self._unusable(incoming, "it holds no text that could be searched", how)
            return None
        return prepared

    # -- a batch -----------------------------------------------------------------------------------------------------

    async def _write(self, batch: Sequence[Prepared], ends: Sequence[EndOfSource], how: Writing) -> list[Document]:
        settled = await self._store_batch(batch, how) if batch else []
        if not how.tally.stopped:
            await self._finish_sources(ends, how)
        return settled

    async def _store_batch(self, batch: Sequence[Prepared], how: Writing) -> list[Document]:
        if not await how.course.go_on():
            raise AbandonedError("It is not wanted any more.")
        try:
            embedded = await self._embedded(batch, how)
        except OutageError as error:
            if how.patient_with_embedder:
                raise
            for one in batch:
                self._fail(one, "embed", f"it could not be embedded: {error}", error, how, kind=error.kind)
            how.tally.stop(str(error))
            return [one.document for one in batch]
        settled: list[Document] = []
        stored: list[bytes] = []
        try:
            for one, chunks in zip(batch, embedded, strict=True):
                if how.tally.stopped:
                    break
                if isinstance(chunks, Refused):
                    reason = f"it could not be embedded ({chunks.place}): {sentence_of(chunks.error)}"
                    self._fail(one, "embed", reason, chunks.error, how)
                elif await self._store_one(one, chunks, how):
                    stored.append(one.owner)
                settled.append(one.document)
        finally:
            if self._journal is not None:
                await self._journal.strike(stored)
        return settled

    async def _store_one(self, one: Prepared, chunks: Sequence[EmbeddedChunk], how: Writing) -> bool:
        """Whether the document is stored, or need not be any more."""
        tally = how.tally
        if not await how.course.go_on():
            raise AbandonedError("It is not wanted any more.")
        how.course.doing("store")
        try:
            with tally.timed("store"):
                if not await self._still_wanted(one, how):
                    tally.documents["unchanged"] += 1
                    return True
                await self._put(one, chunks, how)
                if await how.course.is_void(one.document):  # between the look and the put: whoever deletes, wins
                    await self._bulk_store.call(self._store.delete, one.document.id, collection=one.document.collection)
                    return True
        except HoldfastError as error:
            is_outage = isinstance(error, STORE_OUTAGES)
            if how.patient_with_store and is_outage:
                raise self._bulk_store.outage(error) from error
            self._fail(one, "store", f"it could not be stored: {sentence_of(error)}", error, how)
            tally.store_failures = tally.store_failures + 1 if is_outage else 0
            if tally.store_failures >= _STORE_FAILURES_IN_A_ROW:
                tally.stop(sentence_of(error))
            return False
        tally.store_failures = 0
        tally.documents["changed" if one.known else "added"] += 1
        tally.chunks += len(chunks)
        tally.sentences += sum(len(each.chunk.sentences) for each in chunks)
        tally.settle(one.document)
        how.course.did(documents=1)
        latency_ms = (self._clock.now_ns() - one.started_ns) / 1e6
        self._narrator.document_ingested(self._store.name, one.document.id, len(chunks), latency_ms)
        return True

    async def _put(self, one: Prepared, chunks: Sequence[EmbeddedChunk], how: Writing) -> None:
        embedder_id = how.embedder.id if how.embedder is not None else None
        if how.fail_fast:
            await self._store.put(one.document, chunks, embedder_id=embedder_id, source=one.incoming.source)
        else:
            await self._bulk_store.call(
                self._store.put, one.document, chunks, embedder_id=embedder_id, source=one.incoming.source
            )

    async def _still_wanted(self, one: Prepared, how: Writing) -> bool:
        """False when somebody deleted the document, or stored another version of one that is only embedded anew."""
        if await how.course.is_void(one.document):
            return False
        before = one.incoming.stored
        if before is None:
            return True
        now = await self._bulk_store.record(one.document)
        return now is not None and (now.content_hash, now.embedder_id) == (before.content_hash, before.embedder_id)

    async def _embedded(self, batch: Sequence[Prepared], how: Writing) -> list[list[EmbeddedChunk] | Refused]:
        if how.embedder is None or self._bulk is None:
            return [[EmbeddedChunk(chunk=each) for each in one.chunks] for one in batch]
        return await embed_batch(self._bulk, batch, how)

    # -- the end of a source -----------------------------------------------------------------------------------------

    async def _finish_sources(self, ends: Sequence[EndOfSource], how: Writing) -> None:
        """Remove what these sources held before and hold no more, unless something of them could not be stored now."""
        tally = how.tally
        for end in ends:
            tally.was_read(end.source)
            if not end.whole or tally.any_failed(end.collection, end.document_ids):
                continue
            try:
                with tally.timed("store"):
                    await self._remove_gone_of(end, tally)
            except HoldfastError as error:
                reason = f"what it does not hold any more could not be removed: {sentence_of(error)}"
                if how.fail_fast:
                    raise IngestStoppedError(uri=end.uri, stage="store", reason=reason) from error
                tally.fail(Fallen(uri=end.uri, reason=reason, kind=kind_of(error, self._clock), stage="store"))
                self._narrator.document_skipped(end.uri, reason)

    async def _remove_gone_of(self, end: EndOfSource, tally: Tally) -> None:
        stored = await self._bulk_store.call(self._store.ids_from, end.source, collection=end.collection)
        for each in stored:
            if not tally.is_held(end.collection, each) and await self._bulk_store.call(
                self._store.delete, each, collection=end.collection
            ):
                tally.documents["removed"] += 1

    # -- what fails --------------------------------------------------------------------------------------------------

    def _unusable(self, incoming: Sourced, reason: str, how: Writing) -> None:
        fallen = Fallen(
            uri=incoming.document.uri,
            reason=reason,
            kind="unusable",
            stage="read",
            source=incoming.source,
            file=incoming.file,
        )
        self.skip(how.tally, fallen, fail_fast=how.fail_fast)

    def _fail(
        self, one: Prepared, stage: str, reason: str, error: Exception, how: Writing, *, kind: str | None = None
    ) -> None:
        uri = one.document.uri
        if how.fail_fast:
            raise IngestStoppedError(uri=uri, stage=stage, reason=reason) from error
        fallen = Fallen(
            uri=uri,
            reason=reason,
            kind=kind or kind_of(error, self._clock),
            stage=stage,
            document=one.incoming.document,
            source=one.incoming.source,
            file=one.incoming.file,
        )
        how.tally.fail(fallen)
        self._narrator.document_skipped(uri, reason)
