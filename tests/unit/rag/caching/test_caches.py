"""The caches of answers, searches and embeddings, on the cache in memory."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import StateUnavailableError
from holdfast.llm.messages import Usage
from holdfast.rag.cache import AnswerCache, CachedAnswer
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.caching.embedder import CachedEmbedder
from holdfast.rag.caching.searches import SearchCache
from holdfast.rag.query import Query
from holdfast.rag.search import Found
from holdfast.rag.types import Answer, Chunk, Citation, Hit, Mime, Reason, Source, Span, StoredChunk, Tier
from holdfast.state.embeddings import EmbeddingCache
from holdfast.state.memory import MemoryCache
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedder_conformance import check_embedder
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.llm.embedding import EmbedKind, Vectors


def citation(document_id: str) -> Citation:
    return Citation(
        document_id=document_id,
        chunk_id=f"{document_id}/1",
        title="Title",
        uri="https://example.com",
        text="text",
        start=1,
        end=5,
        score=0.5,
        heading="A › B",
    )


ANSWER = Answer(
    text="Ja – 30 Tage [1].",
    citations=(citation("d1"), citation("d2")),
    answered=False,
    source=Source.OTHER_PROVIDER,
    tier=Tier.DEGRADED,
    degraded=True,
    reasons=(Reason.ANSWER_CUT, Reason.STORE_EMPTY),
    notice="a notice",
    age_seconds=1.5,
    confidence=0.25,
    conversation_id="c",
    request_id="r",
    model="m",
    usage=Usage(prompt_tokens=1, completion_tokens=2, cached_tokens=3, estimated=True),
    cost_usd=0.001,
    timings_ms={"total": 1.25},
)
ENTRY = CachedAnswer(answer=ANSWER, generation=7, stored_ns=1_767_225_600_000_000_123)


async def test_answers_come_back_whole() -> None:
    """Every field of an answer comes back, and none was left at its default in this test."""
    cache = BackedAnswerCache(MemoryCache(clock=FakeClock()))
    bare = Answer(text="", source=Source.LIVE, tier=Tier.FULL)
    assert [each.name for each in fields(Answer) if getattr(ANSWER, each.name) == getattr(bare, each.name)] == []
    assert isinstance(cache, AnswerCache)
    await cache.put("k", ENTRY)
    assert await cache.get("k") == ENTRY
    assert await cache.get("other") is None
    assert (cache.name, cache.unreadable, cache.alone) == ("cache:memory", 0, False)


async def test_an_answer_can_be_dropped_or_replaced() -> None:
    """A later answer takes the place of an earlier one, and one that is dropped is gone."""
    cache = BackedAnswerCache(MemoryCache(clock=FakeClock()))
    await cache.put("k", ENTRY)
    await cache.put("k", replace(ENTRY, generation=8))
    assert await cache.get("k") == replace(ENTRY, generation=8)
    await cache.drop("k")
    assert await cache.get("k") is None


async def test_an_answer_of_a_deleted_document_is_gone() -> None:
    """Answers that cite a document are forgotten with it, others stay; none is kept that was under way meanwhile."""
    clock = FakeClock()
    cache = BackedAnswerCache(MemoryCache(clock=clock))
    other = replace(ENTRY, answer=replace(ANSWER, citations=(citation("d3"),)))
    await cache.put("k", ENTRY)
    await cache.put("other", other)
    await cache.forget("d2")
    await cache.put("late", ENTRY)
    assert [await cache.get(key) for key in ("k", "other", "late")] == [None, other, None]
    clock.advance(601)
    await cache.put("later", ENTRY)
    assert await cache.get("later") == ENTRY
    await cache.clear()
    assert await cache.get("other") is None


@pytest.mark.parametrize("how", ["drop", "forget", "clear"])
async def test_what_was_read_is_not_held_after_it_is_to_be_gone(how: str) -> None:
    """The texts of a deleted document leave the memory of decoded answers, too: the same bytes are decoded anew."""
    cache = BackedAnswerCache(MemoryCache(clock=(clock := FakeClock())))
    await cache.put("key", ENTRY)
    read = await cache.get("key")
    assert await cache.get("key") is read
    await {"drop": lambda: cache.drop("key"), "forget": lambda: cache.forget("d1"), "clear": cache.clear}[how]()
    assert await cache.get("key") is None
    clock.advance(3_600)
    await cache.put("key", ENTRY)
    again = await cache.get("key")
    assert again == read
    assert again is not read


def found(*, reasons: tuple[Reason, ...] = ()) -> Found:
    vector = np.array([0.6, 0.8], np.float32)
    chunk = Chunk(
        id="d/1", document_id="d", ordinal=0, start=0, end=9, heading="h", text="Some text", sentences=(Span(0, 9),)
    )
    stored = StoredChunk(chunk=chunk, title="T", uri="u", mime=Mime.PLAIN, sentence_vectors=vector[None, :])
    return Found(
        hits=[Hit(stored=stored, score=0.5, lexical=None, cosine=0.9)],
        query_vector=vector,
        document_frequency={"text": 3},
        chunk_count=10,
        reasons=reasons,
        timings_ms={"search": 1.0},
    )


async def test_search_results_come_back() -> None:
    """What was found comes back with its vectors, for the same question in the same documents."""
    cache = SearchCache(MemoryCache(clock=FakeClock()))
    where: dict[str, Any] = {"k": 5, "generation": 3, "embedder_id": "e"}
    query = Query(question="Which text?", filters={"lang": "en"})
    await cache.put(query, found(), **where)
    back = await cache.get(query, **where)
    assert back is not None
    (hit,) = back.hits
    assert hit.stored.chunk == found().hits[0].stored.chunk
    assert hit.stored.sentence_vectors is not None
    assert hit.stored.sentence_vectors.tolist() == found().hits[0].stored.sentence_vectors.tolist()  # type: ignore[union-attr]
    assert back.query_vector is not None
    assert (back.document_frequency, back.chunk_count, cache.name) == ({"text": 3}, 10, "cache:memory")


@pytest.mark.parametrize(
    "other",
    [
        {"generation": 4},
        {"k": 6},
        {"embedder_id": None},
        {"question": "which text?"},
        {"collection": "x"},
        {"filters": {"lang": "de"}},
    ],
    ids=str,
)
async def test_another_search_is_not_found(other: dict[str, Any]) -> None:
    """Other documents, another number of passages, another embedder, question, collection or filter: not found."""
    cache = SearchCache(MemoryCache(clock=FakeClock()))
    asked: dict[str, Any] = {"question": "Which text?", "filters": {"lang": "en"}}
    where: dict[str, Any] = {"k": 5, "generation": 3, "embedder_id": "e"}
    await cache.put(Query(**asked), found(), **where)
    query = Query(**{**asked, **{name: value for name, value in other.items() if name not in where}})
    assert await cache.get(query, **{**where, **{name: other[name] for name in other if name in where}}) is None


async def test_a_poor_result_is_not_kept() -> None:
    """A result that lacks something is not kept: the next question may be luckier."""
    cache = SearchCache(MemoryCache(clock=FakeClock()))
    query = Query(question="Which text?")
    await cache.put(query, found(reasons=(Reason.EMBEDDER_UNAVAILABLE,)), k=5, generation=3, embedder_id="e")
    assert await cache.get(query, k=5, generation=3, embedder_id="e") is None


class Counting(HashEmbedder):
    """Notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(dimension=64)
        self.asked: list[list[str]] = []
        self.closed = False

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        self.asked.append(list(texts))
        return await super().embed(texts, kind=kind)

    async def close(self) -> None:
        self.closed = True


class Down(MemoryCache):
    """A cache that cannot be reached."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        raise StateUnavailableError("down")

    async def set_many(self, values: Mapping[str, bytes], *, ttl: float, tags: Collection[str] = ()) -> None:
        raise StateUnavailableError("down")


def remembering(backend: MemoryCache) -> tuple[CachedEmbedder, Counting]:
    inner = Counting()
    cache = EmbeddingCache(backend, embedder_id=inner.id, dimension=inner.dimension)
    return CachedEmbedder(inner, cache), inner


async def test_the_cached_embedder_keeps_the_contract() -> None:
    """An embedder behind a cache is an embedder, with a cache that works and with one that does not."""
    for backend in (MemoryCache(clock=FakeClock()), Down(clock=FakeClock())):
        await check_embedder(remembering(backend)[0])


async def test_each_text_is_embedded_once() -> None:
    """What is known is not embedded again, what occurs twice is embedded once, and kinds are kept apart."""
    embedder, inner = remembering(MemoryCache(clock=FakeClock()))
    first = await embedder.embed(["a", "b", "a"])
    again = await embedder.embed(["b", "c", "a"])
    assert inner.asked == [["a", "b"], ["c"]]
    assert (again[0] == first[1]).all()
    assert (again[2] == first[0]).all()
    assert (first[0] == first[2]).all()
    await embedder.embed(["a", "b"], kind="query")
    assert inner.asked[2:] == [["a", "b"]]
    await embedder.close()
    assert inner.closed
    assert (embedder.id, embedder.name, embedder.dimension) == (inner.id, inner.name, 64)


async def test_a_single_text_always_asks_the_embedder() -> None:
    """Who embeds one text wants to know whether the embedder works: that is not answered from the cache."""
    embedder, inner = remembering(MemoryCache(clock=FakeClock()))
    await embedder.embed(["warm up", "b"])
    await embedder.embed(["warm up"])
    assert inner.asked == [["warm up", "b"], ["warm up"]]


async def test_a_cache_that_is_down_knows_nothing() -> None:
    """Embedding works while the cache is down."""
    embedder, inner = remembering(Down(clock=FakeClock()))
    for number in range(3):
        assert (await embedder.embed([str(number), "same"])).shape == (2, 64)
    assert len(inner.asked) == 3
    assert (await embedder.embed([])).shape == (0, 64)
