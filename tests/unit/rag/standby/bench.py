"""A store that fails on command, a copy of it, and who keeps the copy like the store."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.unit.rag.conftest import Fault

from holdfast.core.events import Events
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.guards import Guards
from holdfast.rag.identity import content_hash
from holdfast.rag.ingest.bulk_store import BulkStore
from holdfast.rag.standby.copy import DocumentCopy
from holdfast.rag.standby.follower import Follower, FollowerOptions
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import Document, EmbeddedChunk, Mime
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def document(name: str, text: str = "", *, collection: str = "default", **metadata: Any) -> Document:
    """A document called ``name``."""
    text = text or f"# {name}\n\nThis page tells of the {name}.\n"
    return Document(
        id=f"doc_{name}",
        text=text,
        title=name,
        uri=f"{name}.md",
        mime=Mime.MARKDOWN,
        content_hash=content_hash(text=text, title=name, uri=f"{name}.md", mime=Mime.MARKDOWN, metadata=metadata),
        collection=collection,
        metadata=metadata,
    )


class Bench:
    """Everything that a follower needs, on a clock that stands still."""

    def __init__(self, folder: Path, *, characters: int = 1_000_000) -> None:
        self.clock, self.events, self.blocking = FakeClock(), Events(), InlineBlocking()
        self.folder = folder
        self.store: Any = Fault(SqliteStore(folder / "store", blocking=self.blocking, clock=self.clock))
        self.guards = Guards(
            cache="cache:none",
            embedder="embedder:none",
            store="store:sqlite",
            answerer="answerer:extractive",
            clock=self.clock,
            rng=random.Random(7),
            events=self.events,
        )
        self.copy = DocumentCopy(folder / "standby", blocking=self.blocking, clock=self.clock)
        self.follower = self.followed(characters)

    def followed(self, characters: int = 1_000_000, *, copy: DocumentCopy | None = None) -> Follower:
        """Another one who follows, as after a restart or in another process."""
        return Follower(
            BulkStore(self.store, guard=self.guards.bulk_store, clock=self.clock),
            copy or self.copy,
            chunk_options=ChunkOptions(),
            blocking=self.blocking,
            clock=self.clock,
            collections=("default",),
            options=FollowerOptions(characters=characters),
        )

    async def put(self, *documents: Document) -> None:
        """Store documents, as an ingest does."""
        for each in documents:
            chunks = [EmbeddedChunk(chunk=one) for one in chunk(each, ChunkOptions())]
            await self.store.put(each, chunks, embedder_id=None)

    async def copied(self, collection: str = "default") -> dict[str, str]:
        """The texts of the copy, by the names of the documents."""
        page = await self.copy.list(collection=collection, limit=1000)
        found = [await self.copy.get(record.id, collection=collection) for record in page.documents]
        return {each.title: each.text for each in found if each is not None}

    async def close(self) -> None:
        """Release both files."""
        await self.copy.close()
        await self.store.close()
