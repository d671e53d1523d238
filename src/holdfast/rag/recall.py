"""The engine's memory of answers: the cache behind its guard, best effort both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.rag.cache import CachedAnswer
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.cache import AnswerCache
    from holdfast.rag.guards import Guards
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Answer

__all__ = ["Recall", "Remembered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is remembered of a question.

    Attributes:
        answer: the earlier answer, if there is one that has not expired.
        age_seconds: how old it is.
        young: it is younger than ``cache_ttl``.
        current: it is young and made from the documents as they are now: as good as a new one.
        generation: the store's generation now, or None when the store cannot tell.
    """

    answer: Answer | None = None
    age_seconds: float = 0.0
    young: bool = False
    current: bool = False
    generation: int | None = None


class Recall:
    """Looks answers up and keeps them; never fails a question.

    Args:
        cache: None to remember nothing.
        ttl: seconds for which an answer is young.
        stale_ttl: seconds after which an answer is worse than nothing.
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
    ) -> None:
        self._cache = cache
        self._store = store
        self._guards = guards
        self._clock = clock
        self._narrator = narrator
        self._ttl = ttl
        self._stale_ttl = stale_ttl

    async def look_up(self, key: str) -> Remembered:
        """What is remembered under this key."""
        if self._cache is None:
            return Remembered()
        entry, generation = await self._entry(self._cache, key), await self._generation()
        age = (self._clock.wall_ns() - entry.stored_ns) / 1e9 if entry is not None else 0.0
        if age < 0:  # the wall clock was set back: nobody knows how old it is
            entry, age = None, 0.0
        young = entry is not None and age <= self._ttl
        current = young and entry is not None and entry.generation == generation
        self._narrator.cache_lookup(self._cache.name, hit=current)
        usable = entry is not None and (young or age <= self._stale_ttl)
        return Remembered(
            answer=entry.answer if entry is not None and usable else None,
            age_seconds=age,
            young=young,
            current=current,
            generation=generation,
        )

    async def keep(self, key: str, answer: Answer, generation: int | None) -> None:
        """Keep an answer that was made from the documents of this generation."""
        if self._cache is None or generation is None:
            return
        entry = CachedAnswer(answer=answer, generation=generation, stored_ns=self._clock.wall_ns())
        try:
            await self._guards.cache.call(self._cache.put, key, entry)
        except Exception as error:  # noqa: BLE001 - writing the cache is best effort
            self._narrator.stage_failed("cache", self._cache.name, Reason.CACHE_UNAVAILABLE, error)

    async def forget(self, document_id: str) -> None:
        """Forget answers that cite a document which was deleted: not even an outage may bring it back."""
        if self._cache is not None:
            await self._guards.cache.call(self._cache.forget, document_id)

    async def _entry(self, cache: AnswerCache, key: str) -> CachedAnswer | None:
        try:
            return await self._guards.cache.call(cache.get, key)
        except Exception as error:  # noqa: BLE001 - a question never fails because of its cache
            self._narrator.stage_failed("cache", cache.name, Reason.CACHE_UNAVAILABLE, error)
            return None

    async def _generation(self) -> int | None:
        try:
            return await self._guards.store.call(self._store.generation)
        except Exception as error:  # noqa: BLE001 - the search, which comes next, has its own way out
            self._narrator.stage_failed("cache", self._store.name, Reason.VECTOR_STORE_UNAVAILABLE, error)
            return None
