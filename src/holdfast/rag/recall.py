"""The engine's memory of answers, best effort both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from holdfast.core.deadline import deadline_scope
from holdfast.errors import StateUnavailableError
from holdfast.rag.cache import CachedAnswer
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.cache import AnswerCache
    from holdfast.rag.caching.semantic import SemanticIndex
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.query import Query
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Answer

__all__ = ["Recall", "Remembered"]

_GLANCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is remembered of a question.

    Attributes:
        answer: the earlier answer, if there is one that has not expired.
        age_seconds: how old it is.
        young: it is younger than ``cache_ttl``.
        unchanged: it was made from the documents as they are now, however old it is.
        current: it is young and unchanged: as good as a new one.
        generation: the store's generation now, or None when the store cannot tell.
    """

    answer: Answer | None = None
    age_seconds: float = 0.0
    young: bool = False
    unchanged: bool = False
    current: bool = False
    generation: int | None = None


class Recall:
    """Looks answers up and keeps them; never fails a question.

    Args:
        cache: None to remember nothing. It bounds the time that it takes by itself.
        ttl: seconds for which an answer is young.
        stale_ttl: seconds after which an answer is worse than nothing.
        semantic: knows which questions are the same in other words; None when that is off.
    """

    def __init__(
        self,
        *,
        cache: AnswerCache | None,
        store: Store,
        guards: Guards,
        clock: Clock,
        narrator: Narrator,
        ttl: float,
        stale_ttl: float,
        semantic: SemanticIndex | None = None,
    ) -> None:
        self._cache = cache
        self._store = store
        self._guards = guards
        self._clock = clock
        self._narrator = narrator
        self._ttl = ttl
        self._stale_ttl = stale_ttl
        self._semantic = semantic
        self._last_generation: int | None = None

    @property
    def knows_similar(self) -> bool:
        """Whether questions are recognised in other words, so that :meth:`look_up_similar` is worth a vector."""
        return self._cache is not None and self._semantic is not None

    async def look_up(self, key: str) -> Remembered:
        """What is remembered under this key."""
        if self._cache is None:
            return Remembered()
        entry = await self._entry(self._cache, key)
        remembered = self._judged(self._cache, entry, await self._generation())
        self._narrator.cache_lookup(self._cache.name, hit=remembered.current)
        return remembered

    async def look_up_similar(
        self, query: Query, vector: Vectors | None, *, top_k: int, generation: int | None
    ) -> Remembered:
        """What is remembered of an earlier question that is the same in other words; nothing where that is off.

        Args:
            vector: the question's; None: nothing is remembered.
            top_k: passages that the answer would rest on.
            generation: the store's generation, as :meth:`look_up` gave it.
        """
        if self._cache is None or self._semantic is None or vector is None:
            return Remembered(generation=generation)
        near = self._semantic.find(query, vector, top_k=top_k)
        entry = None if near is None else await self._entry(self._cache, near.key)
        if near is not None and entry is None and not self._cache.alone:
            self._semantic.discard(query, top_k=top_k, key=near.key)
        remembered = self._judged(self._cache, entry, generation)
        self._narrator.cache_lookup(self._cache.name, cache="semantic", hit=remembered.current)
        return remembered

    async def keep(self, key: str, answer: Answer, generation: int | None) -> None:
        """Keep an answer that was made from the documents of this generation, and lacks nothing.

        One that says that the documents do not tell takes the earlier one away: they do not tell that any more.
        """
        if self._cache is None or generation is None:
            return
        kept = replace(answer, request_id="", conversation_id=None, timings_ms={})  # those are of one question
        entry = CachedAnswer(answer=kept, generation=generation, stored_ns=self._clock.wall_ns())
        try:
            await (self._cache.put(key, entry) if answer.answered else self._cache.drop(key))
        except Exception as error:  # noqa: BLE001 - writing the cache is best effort
            self._narrator.stage_failed("cache", self._cache.name, Reason.CACHE_UNAVAILABLE, error)

    def keep_similar(self, key: str, query: Query, vector: Vectors | None, *, top_k: int) -> None:
        """Have the answer that was kept under ``key`` found by the same question in other words, where that is on."""
        if self._cache is not None and self._semantic is not None and vector is not None:
            self._semantic.add(query, vector, top_k=top_k, key=key)

    async def forget(self, document_id: str) -> bool:
        """Forget answers that cite a document which was deleted: not even an outage may bring it back.

        Returns:
            False when a server could not be told yet. This process gives no such answer all the same, and tells the
            server as soon as it can.
        """
        if self._cache is None:
            return True
        try:
            await self._cache.forget(document_id)
        except StateUnavailableError as error:
            self._narrator.stage_failed("cache", self._cache.name, Reason.CACHE_UNAVAILABLE, error)
            return False
        return True

    def _judged(self, cache: AnswerCache, entry: CachedAnswer | None, generation: int | None) -> Remembered:
        if generation is not None:
            self._last_generation = generation
        if entry is None:
            return Remembered(generation=generation)
        age = (self._clock.wall_ns() - entry.stored_ns) / 1e9
        young = age <= self._ttl
        unchanged = entry.generation == generation
        # The wall clock was set back: nobody knows how old it is. Or documents changed since, and nobody could say
        # whether those that it cites were deleted.
        unsure = age < 0 or (cache.alone and entry.generation != self._last_generation)
        if unsure or not (young or age <= self._stale_ttl):
            return Remembered(generation=generation)
        return Remembered(
            answer=entry.answer,
            age_seconds=age,
            young=young,
            unchanged=unchanged,
            current=young and unchanged,
            generation=generation,
        )

    async def _entry(self, cache: AnswerCache, key: str) -> CachedAnswer | None:
        try:
            return await cache.get(key)
        except Exception as error:  # noqa: BLE001 - a question never fails because of its cache
            self._narrator.stage_failed("cache", cache.name, Reason.CACHE_UNAVAILABLE, error)
            return None

    async def _generation(self) -> int | None:
        try:
            # One row: a store that cannot give it in this time is asked no more of for an answer that is at hand.
            with deadline_scope(_GLANCE_SECONDS, clock=self._clock):
                return await self._guards.store.call(self._store.generation)
        except Exception as error:  # noqa: BLE001 - the search, which comes next, has its own way out
            self._narrator.stage_failed("cache", self._store.name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            return None
