"""The standby as the engine sees it: it follows the store in the background, and is searched where the store fails."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, StoreCorruptError
from holdfast.rag.answering.terms import question_words
from holdfast.rag.retrieval import fuse
from holdfast.rag.search import Found
from holdfast.rag.types import Hit, Reason

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.search import ByWords
    from holdfast.rag.standby.copy import DocumentCopy
    from holdfast.rag.standby.follower import Follower, FollowerSnapshot
    from holdfast.rag.store.base import Store
    from holdfast.rag.store.repeating import Repeating

__all__ = ["Standby"]


class Standby:
    """A copy of the documents, and who keeps it like the store.

    Args:
        copy: what is searched.
        follower: makes it like the store.
        following: calls the follower every so often.
        guard: the pipeline around searches of the copy.
        store: what is copied, asked for its generation through ``guards``.
    """

    def __init__(
        self,
        copy: DocumentCopy,
        follower: Follower,
        following: Repeating,
        *,
        guard: Pipeline,
        store: Store,
        guards: Guards,
        narrator: Narrator,
        clock: Clock,
    ) -> None:
        self.guard = guard
        self._copy = copy
        self._follower = follower
        self._following = following
        self._store = store
        self._guards = guards
        self._narrator = narrator
        self._clock = clock

    @property
    def ready(self) -> bool:
        """Whether there is anything to find in it."""
        return any(held.chunks for held in self._follower.held.values())

    def snapshot(self) -> FollowerSnapshot:
        """What is copied."""
        return self._follower.snapshot()

    async def open(self, *, at_once: bool) -> None:
        """Make what is copied already ready to be searched, and begin to follow the store. Never raises.

        Args:
            at_once: whether the first look comes now, or after a pause: who asks one question and goes needs none.
        """
        with suppress(HoldfastError):  # none is made yet, or it is damaged: whoever follows sees to it
            await self._follower.look()
        self._following.start()
        if at_once:
            self._following.soon()

    async def close(self) -> None:
        """Stop following, and release the copy. Idempotent."""
        await self._following.stop()
        await self._copy.close()

    async def catch_up(self) -> bool:
        """Make the copy like the store now, without waiting for the time; whether it is."""
        return await self._follower.turn()

    def asked(self, collection: str) -> None:
        """A collection that has documents was asked: it is copied from now on."""
        if self._follower.follow(collection):
            self._following.soon()

    async def forget(self, document_id: str, *, collection: str) -> None:
        """Let a document that was deleted never be found again. Never raises."""
        try:
            await self._follower.forget(document_id, collection=collection)
        except HoldfastError as error:  # it is not given out, and is removed when the copy can be written again
            self._failed(error)
        self._following.soon()

    async def search(self, query: Query, *, k: int) -> Found | None:
        """The ``k`` passages that fit best by their words; None where the copy has none, or fails. Never raises."""
        held = self._follower.held.get(query.collection)
        if held is None or not held.chunks:
            return None
        started = self._clock.now_ns()
        try:
            found: Found = await self.guard.call(self._searched, query, k)
        except Exception as error:  # noqa: BLE001 - whatever it is, there are other ways to stand in
            self._failed(error)
            return None
        taken = (self._clock.now_ns() - started) / 1e6
        self._narrator.searched(self._copy.name, len(found.hits), taken)
        return replace(found, timings_ms={"search": taken}) if found.hits else None

    async def by_words(self, query: Query, *, k: int) -> ByWords | None:
        """The ``k`` best passages by their words, where the store failed at that alone; None as for :meth:`search`."""
        held = self._follower.held.get(query.collection)
        if held is None or not held.chunks:
            return None
        try:
            found: ByWords = await self.guard.call(self._by_words, query, k)
        except Exception as error:  # noqa: BLE001 - whatever it is, the search by vectors stands
            self._failed(error)
            return None
        return found

    async def instead_of_nothing(self, query: Query, found: Found, generation: int | None, *, k: int) -> Found | None:
        """The passages of the copy where the store, which did not fail, found none and should have; else None.

        That is when its index is damaged, or lags behind its documents. When its documents are other ones than those of
        the copy, it is right until the copy is like them.

        Args:
            found: what the store found: nothing.
            generation: the store's, where it is known.
        """
        if Reason.VECTOR_STORE_UNAVAILABLE not in found.reasons:
            if generation is None:
                generation = await self._generation()
            if generation is not None and not self._follower.is_even(query.collection, generation):
                return None
        return await self.search(query, k=k)

    # --- the parts ----------------------------------------------------------------------------------------------------

    async def _by_words(self, query: Query, k: int) -> ByWords:
        lexical = await self._copy.lexical(query.question, k=k, scope=query.scope)
        frequencies, count = await self._copy.document_frequency(
            question_words(query.question), collection=query.collection
        )
        return lexical, frequencies, count

    async def _searched(self, query: Query, k: int) -> Found:
        lexical, frequencies, count = await self._by_words(query, k)
        fused = fuse(lexical, (), k=k)
        chunks = await self._copy.fetch([one.chunk_id for one in fused], collection=query.collection)
        stored = {one.chunk.id: one for one in chunks}
        hits = [
            Hit(stored=stored[one.chunk_id], score=one.score, lexical=one.lexical)
            for one in fused
            if one.chunk_id in stored
            and not self._follower.is_forgotten(query.collection, stored[one.chunk_id].chunk.document_id)
        ]
        return Found(
            hits=hits,
            query_vector=None,
            document_frequency=frequencies,
            chunk_count=count,
            reasons=(Reason.VECTOR_STORE_UNAVAILABLE,),
        )

    async def _generation(self) -> int | None:
        try:
            return await self._guards.store.call(self._store.generation)
        except Exception:  # noqa: BLE001 - it failed after all, and tells so by itself
            return None

    def _failed(self, error: Exception) -> None:
        if isinstance(error, StoreCorruptError):
            self._follower.damaged()
        self._narrator.stage_failed("search", self._copy.name, Reason.VECTOR_STORE_UNAVAILABLE, error)
