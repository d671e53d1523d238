"""What comes over the API: an upload is read, and its documents go the way of all documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.rag.ingest.report import Fallen
from holdfast.rag.ingest.sources import Sourced
from holdfast.rag.loaders import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.rag.ingest.sources import Incoming
    from holdfast.rag.store.jobs import JobItem
    from holdfast.rag.types import Document

__all__ = ["ItemReader", "ReadItem", "each_of"]


@dataclass(frozen=True, slots=True)
class ReadItem:
    """What came out of an upload: its documents, and what was wrong."""

    documents: Sequence[Document]
    fallen: Sequence[Fallen]


class ItemReader:
    """Reads uploads.

    Args:
        max_file_bytes: the largest that is read.
    """

    def __init__(self, *, blocking: Blocking, max_file_bytes: int) -> None:
        self._blocking = blocking
        self._max_file_bytes = max_file_bytes

    async def read(self, item: JobItem, *, collection: str) -> ReadItem:
        """The documents of an upload. Bad content never raises."""
        loaded = await self._blocking.run(
            "ingest.load",
            load,
            item.payload,
            name=item.name,
            uri=item.uri or item.name,
            document_id=item.document_id,
            title=item.title,
            mime=item.mime,
            collection=collection,
            metadata=item.metadata,
            max_bytes=self._max_file_bytes,
        )
        problems = [
            Fallen(uri=each.uri, reason=each.reason, kind="unreadable", stage="read") for each in loaded.problems
        ]
        return ReadItem(loaded.documents, problems)


async def each_of(documents: Sequence[Document]) -> AsyncIterator[Incoming]:
    """Documents that come from no file."""
    for document in documents:
        yield Sourced(document)
