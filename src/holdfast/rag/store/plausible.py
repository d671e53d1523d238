"""Reads of a store that are not believed blindly: what is empty or incomplete is asked for again, what is wrong raises.

A store can fail without an error: an index that is being rebuilt finds nothing, a replica lags behind its documents, a
row comes back with the text of another one. An answer written from that is wrong, and nobody notices. Looking again
costs a few milliseconds, and is needed only where something is amiss, or where there is truly nothing to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import StoreCorruptError
from holdfast.rag.chunking import is_intact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import Scored, Store
    from holdfast.rag.types import Scope, StoredChunk

__all__ = ["PlausibleReads"]


class PlausibleReads:
    """The reads of a search.

    Args:
        store: where the passages are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def lexical(self, question: str, *, k: int, scope: Scope) -> Sequence[Scored]:
        """As ``Store.lexical``; where nothing is found, what a second look finds."""
        store = self._store
        return await store.lexical(question, k=k, scope=scope) or await store.lexical(question, k=k, scope=scope)

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> Sequence[Scored]:
        """As ``Store.dense``; where nothing is found, what a second look finds."""
        store = self._store
        return await store.dense(vector, embedder_id=embedder_id, k=k, scope=scope) or await store.dense(
            vector, embedder_id=embedder_id, k=k, scope=scope
        )

    async def fetch(self, chunk_ids: Sequence[str], *, collection: str) -> dict[str, StoredChunk]:
        """The chunks with their sentences' vectors, by their ids; those that are not there at a second look are gone.

        Raises:
            StoreCorruptError: a passage's text is not the one that its id was made of.
        """
        found: dict[str, StoredChunk] = {}
        missing = list(dict.fromkeys(chunk_ids))
        for _ in range(2):
            if not missing:
                break
            for one in await self._store.fetch(missing, collection=collection, sentence_vectors=True):
                chunk = one.chunk
                if not is_intact(chunk):
                    raise StoreCorruptError(
                        f"{self._store.name} gave another text for the passage {chunk.id} than the one that was "
                        f"ingested: check it, and ingest the document {chunk.document_id} again."
                    )
                found[chunk.id] = one
            missing = [each for each in missing if each not in found]
        return found
