"""A document made ready: compared with what is stored, and cut into chunks when it is new or changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.ingest.batch import Prepared, Writing

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.rag.ingest.bulk_store import BulkStore
    from holdfast.rag.ingest.sources import Sourced
    from holdfast.rag.store.base import DocumentRecord
    from holdfast.rag.types import Document

__all__ = ["Preparer"]


class Preparer:
    """Makes documents ready.

    Args:
        chunk_options: how they are cut.
    """

    def __init__(self, store: BulkStore, *, blocking: Blocking, clock: Clock, chunk_options: ChunkOptions) -> None:
        self._store = store
        self._blocking = blocking
        self._clock = clock
        self._chunk_options = chunk_options

    async def prepare(self, incoming: Sourced, how: Writing) -> Prepared | None:
        """The document with its chunks, none where there is nothing to search; None when it is stored as it should be.

        Raises:
            StoreError: the store cannot be asked.
        """
        started = self._clock.now_ns()
        document, record = await self._compared(incoming, how)
        if document is None:
            return None
        with how.tally.timed("parse"):
            chunks = await self._blocking.run("ingest.chunk", chunk, document, self._chunk_options)
        return Prepared(
            incoming=incoming, document=document, chunks=chunks, known=record is not None, started_ns=started
        )

    async def _compared(self, incoming: Sourced, how: Writing) -> tuple[Document | None, DocumentRecord | None]:
        """The document as it is to be stored, None when it is; and what is known of it."""
        document = incoming.document
        if incoming.stored is not None:
            return document, incoming.stored
        # The way a document is cut is part of what it must be stored as: other sizes, other chunks.
        cut = f"{document.content_hash} {self._chunk_options}"
        document = replace(document, content_hash=hashlib.sha256(cut.encode()).hexdigest())
        record = await self._store.record(document)
        wanted = how.embedder.id if how.embedder is not None else None
        # Without an embedder a document that has vectors stays as it is: losing them would make the search worse.
        as_it_was = (
            record is not None and record.content_hash == document.content_hash and wanted in {None, record.embedder_id}
        )
        # A document that comes from elsewhere now must be known as such, or the file it was in would take it along.
        done = as_it_was and record is not None and record.source == incoming.source
        return (None if done else document), record
