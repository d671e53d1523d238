"""The engine's memory of answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.errors import StateUnavailableError, StoreError
from holdfast.rag.caching.semantic import SemanticIndex
from holdfast.rag.narrator import Narrator
from holdfast.rag.query import Query
from holdfast.rag.recall import Recall, Remembered
from holdfast.rag.types import Answer, Reason, Source, Tier
from holdfast.telemetry.events import CacheLookup, StageFailed
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.cache import CachedAnswer

ANSWER = Answer(
    text="30 days", source=Source.LIVE, tier=Tier.FULL, request_id="req_1", conversation_id="c", timings_ms={"total": 1}
)
KEPT = replace(ANSWER, request_id="", conversation_id=None, timings_ms={})
QUERY = Query(question="How do I return an item?")
SAME = Query(question="How can I return items?")
VECTOR: Vectors = np.array([1, 0], np.float32)


class Cache:
    """Keeps answers in a dictionary, and fails when it is told to."""

    name = "cache:test"

    def __init__(self) -> None:
        self.entries: dict[str, CachedAnswer] = {}
        self.alone = False
        self.error: Exception | None = None
        self.forgotten: list[str] = []

    def _work(self) -> None:
        if self.error is not None:
            raise self.error

    async def get(self, key: str) -> CachedAnswer | None:
        self._work()
        return self.entries.get(key)

    async def put(self, key: str, entry: CachedAnswer) -> None:
        self._work()
        self.entries[key] = entry

    async def drop(self, key: str) -> None:
        self._work()
        self.entries.pop(key, None)

    async def forget(self, document_id: str) -> None:
        self.forgotten.append(document_id)
        self._work()

    async def clear(self) -> None:
        self.entries.clear()


class Store:
    """Tells its generation, or fails."""

    name = "store:test"

    def __init__(self) -> None:
        self.now: int | None = 1

    async def generation(self) -> int:
        if self.now is None:
            raise StoreError("down")
        return self.now


class Bench:
    """A memory, and what a test may break or look at."""

    def __init__(self, *, cached: bool = True, semantic: bool = False, stale_ttl: float = 86_400.0) -> None:
        self.clock, events = FakeClock(), Events()
        self.recorder = EventRecorder(events, CacheLookup, StageFailed)
        self.cache, self.store = Cache(), Store()
        guards: Any = type("Guards", (), {"store": Pipeline(name="store:test", clock=self.clock)})
        some: Any = self.cache
        store: Any = self.store
        self.recall = Recall(
            cache=some if cached else None,
            store=store,
            guards=guards,
            clock=self.clock,
            narrator=Narrator(events, self.clock),
            ttl=300.0,
            stale_ttl=stale_ttl,
            semantic=SemanticIndex(embedder_id="e", dimension=2) if semantic else None,
        )

    @property
    def lookups(self) -> list[tuple[str, bool]]:
        return [(event.cache, event.hit) for event in self.recorder.of(CacheLookup)]


async def test_an_answer_is_remembered_without_what_belongs_to_one_question() -> None:
    """What is kept comes back with its age; the request, the conversation and the times were of another question."""
    bench = Bench()
    assert await bench.recall.look_up("k") == Remembered(generation=1)
    await bench.recall.keep("k", ANSWER, 1)
    bench.clock.advance(7)
    assert await bench.recall.look_up("k") == Remembered(
        answer=KEPT, age_seconds=7.0, young=True, unchanged=True, current=True, generation=1
    )
    assert bench.lookups == [("answer", False), ("answer", True)]


@pytest.mark.parametrize(
    ("age", "generation", "young", "unchanged", "current"),
    [
        (300, 1, True, True, True),
        (300, 2, True, False, False),
        (301, 1, False, True, False),
        (86_400, 2, False, False, False),
        (300, None, True, False, False),
    ],
)
async def test_what_an_answer_is_worth(
    age: float, generation: int | None, *, young: bool, unchanged: bool, current: bool
) -> None:
    """Young by its age, unchanged by the documents, current by both; the last good one is given for a day."""
    bench = Bench()
    await bench.recall.keep("k", ANSWER, 1)
    bench.clock.advance(age)
    bench.store.now = generation
    remembered = await bench.recall.look_up("k")
    assert remembered.answer == KEPT
    assert (remembered.young, remembered.unchanged, remembered.current) == (young, unchanged, current)
    assert remembered.generation == generation


@pytest.mark.parametrize(("stale_ttl", "age"), [(86_400.0, 86_401), (0.0, 301), (60.0, 301)])
async def test_what_is_too_old_is_worse_than_nothing(stale_ttl: float, age: float) -> None:
    """After stale_ttl nothing is given, with 0 nothing that is not young; a young answer is."""
    bench = Bench(stale_ttl=stale_ttl)
    await bench.recall.keep("k", ANSWER, 1)
    bench.clock.advance(300)
    assert (await bench.recall.look_up("k")).answer == KEPT
    bench.clock.advance(age - 300)
    assert (await bench.recall.look_up("k")).answer is None


async def test_a_clock_that_was_set_back() -> None:
    """An answer from the future is of no known age, and not given."""
    bench = Bench()
    await bench.recall.keep("k", ANSWER, 1)
    entry = bench.cache.entries["k"]
    bench.cache.entries["k"] = replace(entry, stored_ns=entry.stored_ns + 1)
    assert await bench.recall.look_up("k") == Remembered(generation=1)


async def test_alone_only_what_cannot_be_of_a_deleted_document_is_given() -> None:
    """Cut off from the others, an answer is given while the documents are as they were seen last, and no longer."""
    bench = Bench()
    await bench.recall.keep("old", ANSWER, 1)
    bench.store.now = 2
    await bench.recall.keep("new", ANSWER, 2)
    await bench.recall.look_up("new")
    bench.cache.alone = True
    for bench.store.now in (2, None):
        assert (await bench.recall.look_up("new")).answer == KEPT
        assert (await bench.recall.look_up("old")).answer is None
    bench.cache.alone = False
    assert (await bench.recall.look_up("old")).answer == KEPT


async def test_an_answer_that_is_no_longer_known_takes_the_old_one_away() -> None:
    """Where the documents do not tell any more, the earlier answer is no last good one."""
    bench = Bench()
    await bench.recall.keep("k", ANSWER, 1)
    await bench.recall.keep("k", replace(ANSWER, answered=False), 2)
    assert (await bench.recall.look_up("k")).answer is None


async def test_without_a_generation_nothing_is_kept() -> None:
    """An answer from documents of an unknown state is not kept."""
    bench = Bench()
    await bench.recall.keep("k", ANSWER, None)
    assert bench.cache.entries == {}


async def test_a_broken_cache_is_told_and_no_failure() -> None:
    """Whatever the cache raises, looking up finds nothing, keeping goes on, and operators hear of both."""
    bench = Bench()
    bench.cache.error = ConnectionError("broken")
    assert await bench.recall.look_up("k") == Remembered(generation=1)
    await bench.recall.keep("k", ANSWER, 1)
    assert [event.reason_code for event in bench.recorder.of(StageFailed)] == [Reason.CACHE_UNAVAILABLE] * 2


async def test_forgetting_says_whether_everybody_knows() -> None:
    """A server that cannot be told yet is told of as an event and by the result; it fails no deletion."""
    bench = Bench()
    assert await bench.recall.forget("d1") is True
    bench.cache.error = StateUnavailableError("down")
    assert await bench.recall.forget("d2") is False
    assert bench.cache.forgotten == ["d1", "d2"]
    assert [event.reason_code for event in bench.recorder.of(StageFailed)] == [Reason.CACHE_UNAVAILABLE]


async def test_without_a_cache_nothing_is_remembered() -> None:
    """Without a cache everything works, and nothing is found."""
    recall = Bench(cached=False, semantic=True).recall
    await recall.keep("k", ANSWER, 1)
    recall.keep_similar("k", QUERY, VECTOR, top_k=5)
    assert await recall.look_up("k") == Remembered()
    assert await recall.look_up_similar(SAME, VECTOR, top_k=5, generation=1) == Remembered(generation=1)
    assert await recall.forget("d") is True


async def test_the_same_question_in_other_words() -> None:
    """With the semantic cache on, a question finds the answer to the same one in other words, judged like any other."""
    bench = Bench(semantic=True)
    await bench.recall.keep("k", ANSWER, 1)
    bench.recall.keep_similar("k", QUERY, VECTOR, top_k=5)
    found = await bench.recall.look_up_similar(SAME, VECTOR, top_k=5, generation=1)
    assert (found.answer, found.current) == (KEPT, True)
    bench.clock.advance(301)
    found = await bench.recall.look_up_similar(SAME, VECTOR, top_k=5, generation=1)
    assert (found.answer, found.current, found.unchanged) == (KEPT, False, True)
    assert bench.lookups == [("semantic", True), ("semantic", False)]


async def test_other_questions_and_no_vector_find_nothing() -> None:
    """The opposite, another number of passages, or a question without a vector finds nothing."""
    bench = Bench(semantic=True)
    await bench.recall.keep("k", ANSWER, 1)
    bench.recall.keep_similar("k", QUERY, VECTOR, top_k=5)
    bench.recall.keep_similar("l", SAME, None, top_k=5)
    opposite = Query(question="How can I not return items?")
    for query, vector, top_k in ((opposite, VECTOR, 5), (SAME, VECTOR, 3), (SAME, None, 5)):
        found = await bench.recall.look_up_similar(query, vector, top_k=top_k, generation=1)
        assert found == Remembered(generation=1)
    assert bench.lookups == [("semantic", False)] * 2


async def test_the_semantic_cache_is_off_by_default() -> None:
    """Without an index nothing is looked up by meaning, and nothing counted."""
    bench = Bench()
    await bench.recall.keep("k", ANSWER, 1)
    bench.recall.keep_similar("k", QUERY, VECTOR, top_k=5)
    assert (await bench.recall.look_up_similar(SAME, VECTOR, top_k=5, generation=1)).answer is None
    assert bench.lookups == []


async def test_a_question_whose_answer_is_gone_is_forgotten() -> None:
    """When the answer is not there any more, its question is not found again; while alone, nobody can say."""
    bench = Bench(semantic=True)
    bench.recall.keep_similar("k", QUERY, VECTOR, top_k=5)
    bench.cache.alone = True
    index = bench.recall._semantic
    assert index is not None
    for left in (1, 0):  # what is remembered after it
        assert (await bench.recall.look_up_similar(SAME, VECTOR, top_k=5, generation=1)).answer is None
        assert len(index) == left
        bench.cache.alone = False
