"""The searcher and the caches before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import StateUnavailableError
from holdfast.rag.caching.searches import SearchCache
from holdfast.rag.query import Query
from holdfast.rag.search import Embedded, Searcher
from holdfast.rag.types import Reason
from holdfast.state.embeddings import EmbeddingCache
from holdfast.state.memory import MemoryCache
from holdfast.telemetry.events import CacheLookup, StageFailed

if TYPE_CHECKING:
    from tests.unit.rag.conftest import MakeEngine, Parts

QUERY = Query(question="Within how many days of delivery can most products be sent back?")


class Broken(MemoryCache):
    """A cache whose every call raises."""

    async def get_many(self, keys: Any) -> list[bytes | None]:
        raise StateUnavailableError("down")

    async def set_many(self, values: Any, **how: Any) -> None:
        raise StateUnavailableError("down")


async def ready(make_engine: MakeEngine, *, backend: MemoryCache | None = None, **options: Any) -> tuple[Parts, Any]:
    """An engine with documents, and its searcher with caches on ``backend``."""
    parts = make_engine(**options)
    await parts.engine.open()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    searcher: Any = parts.engine._searcher
    if backend is not None:
        embedder = parts.embedder
        searcher = Searcher(
            store=parts.store,
            embedder=embedder,
            guards=parts.engine._guards,
            clock=parts.clock,
            narrator=parts.engine._narrator,
            vectors=embedder and EmbeddingCache(backend, embedder_id=embedder.id, dimension=embedder.dimension),
            results=SearchCache(backend),
            reranking=searcher._reranking,
        )
    for part in (parts.embedder, parts.store):
        if part is not None:
            part.calls = 0
    parts.recorder.clear()
    return parts, searcher


def lookups(parts: Parts) -> list[tuple[str, bool]]:
    return [(event.cache, event.hit) for event in parts.recorder.of(CacheLookup)]


async def test_embedding_and_searching_apart_is_the_same(make_engine: MakeEngine) -> None:
    """A search with a vector that was made before finds what a search that embeds by itself does."""
    parts, searcher = await ready(make_engine)
    whole = await searcher.search(QUERY, k=3)
    embedded = await searcher.embedded(QUERY)
    apart = await searcher.search(QUERY, k=3, embedded=embedded)
    assert [hit.stored.chunk.id for hit in apart.hits] == [hit.stored.chunk.id for hit in whole.hits]
    assert (apart.query_vector == embedded.vector).all()
    assert set(apart.timings_ms) == set(whole.timings_ms) == {"embed", "search"}
    assert parts.embedder.calls == 2


async def test_without_an_embedder_there_is_no_vector(make_engine: MakeEngine) -> None:
    """Where words are searched by choice, nothing is embedded and nothing is missing."""
    _, searcher = await ready(make_engine, embedder=None, backend=MemoryCache())
    assert await searcher.embedded(QUERY) == Embedded()
    found = await searcher.search(QUERY, k=3)
    assert (found.reasons, set(found.timings_ms)) == ((), {"search"})


async def test_a_known_question_needs_no_embedder(make_engine: MakeEngine) -> None:
    """The vector of a question that was embedded before is there, though the embedder is down."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())
    first = await searcher.embedded(QUERY)
    parts.embedder.error = ConnectionError("down")
    again = await searcher.embedded(QUERY)
    assert (first.vector == again.vector).all()
    assert (first.remembered, again.remembered, again.reasons) == (False, True, ())
    assert lookups(parts) == [("embedding", False), ("embedding", True)]
    other = await searcher.embedded(Query(question="Another one?"))
    assert (other.vector, other.reasons) == (None, (Reason.EMBEDDER_UNAVAILABLE,))


@pytest.mark.parametrize("spoilt", [np.nan, 0.0, 2.0], ids=["not a number", "no direction", "too long"])
async def test_what_is_no_vector_is_a_failure(make_engine: MakeEngine, spoilt: float) -> None:
    """A vector that is not of length 1 counts as a failed embedder, for its breaker too, and is not kept."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())

    async def embed(texts: Any, **_: Any) -> Any:
        return np.full((1, 256), spoilt, np.float32)

    parts.embedder.embed = embed
    found = await searcher.search(QUERY, k=3)
    assert found.reasons == (Reason.EMBEDDER_UNAVAILABLE,)
    assert found.hits
    (failure,) = parts.recorder.of(StageFailed)
    assert "no unit vector of 256 numbers" in failure.error
    for _ in range(5):
        await searcher.embedded(QUERY)
    assert parts.engine._guards.query_embedder.snapshot().breaker.state == "open"  # type: ignore[union-attr]
    del parts.embedder.embed
    parts.clock.advance(60)
    assert not (await searcher.embedded(QUERY)).remembered


async def test_a_known_result_needs_nothing(make_engine: MakeEngine) -> None:
    """What was found in these documents is found again with embedder and store down, and says where it is from."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())
    first = await searcher.search(QUERY, k=3, generation=1)
    parts.embedder.error = parts.store.error = ConnectionError("down")
    again = await searcher.search(QUERY, k=3, generation=1)
    assert [hit.stored.chunk.id for hit in again.hits] == [hit.stored.chunk.id for hit in first.hits]
    assert (first.remembered, again.remembered, again.reasons) == (False, True, ())
    assert set(again.timings_ms) == {"search"}
    with_vector = await searcher.search(QUERY, k=3, generation=1, embedded=Embedded(ms=2.5))
    assert with_vector.timings_ms["embed"] == 2.5
    assert lookups(parts) == [("search", False), ("embedding", False), ("search", True), ("search", True)]


async def test_without_a_generation_no_result_is_looked_for(make_engine: MakeEngine) -> None:
    """Who does not say what the documents are like gets a new search, and nothing of it is kept."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())
    for generation in (None, 1, 2):
        assert not (await searcher.search(QUERY, k=3, generation=generation)).remembered
    assert [lookup for lookup in lookups(parts) if lookup[0] == "search"] == [("search", False)] * 2


async def test_a_poor_result_is_not_kept(make_engine: MakeEngine) -> None:
    """A search that went by words because the embedder was down is made anew when it is back."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())
    parts.embedder.error = ConnectionError("down")
    assert (await searcher.search(QUERY, k=3, generation=1)).reasons
    parts.embedder.error = None
    found = await searcher.search(QUERY, k=3, generation=1)
    assert (found.remembered, found.reasons) == (False, ())


async def test_broken_caches_are_told_and_no_failure(make_engine: MakeEngine) -> None:
    """With every call of the caches raising, a search is as good as ever, and operators hear of it."""
    parts, searcher = await ready(make_engine, backend=Broken())
    found = await searcher.search(QUERY, k=3, generation=1)
    assert (found.reasons, bool(found.hits)) == ((), True)
    codes = [event.reason_code for event in parts.recorder.of(StageFailed)]
    assert codes == [Reason.CACHE_UNAVAILABLE] * 4


class Words:
    """A copy of the documents that gives what the store of the test gives, and counts how often it is asked."""

    def __init__(self, parts: Parts, *, works: bool = True) -> None:
        self.lexical, self.works, self.calls = parts.store.lexical, works, 0

    async def by_words(self, query: Query, *, k: int) -> Any:
        self.calls += 1
        if not self.works:
            return None
        lexical = await self.lexical(query.question, k=k, scope=query.scope)
        return lexical, {"delivery": 3}, 40


def wordless(parts: Parts) -> None:
    """The store finds nothing by words any more."""

    async def lexical(*_: Any, **__: Any) -> Any:
        raise ConnectionError("down")

    parts.store.lexical = lexical


@pytest.mark.parametrize("works", [True, False])
async def test_the_copy_stands_in_for_the_words_alone(make_engine: MakeEngine, works: bool) -> None:
    """Where the store fails at words only, the copy's are fused with its vectors; without one vectors stand alone."""
    parts, searcher = await ready(make_engine)
    whole = await searcher.search(QUERY, k=3)
    searcher._copy = copy = Words(parts, works=works)
    wordless(parts)
    found = await searcher.search(QUERY, k=3)
    assert copy.calls == 1
    assert found.reasons == (Reason.VECTOR_STORE_UNAVAILABLE,)
    if works:
        assert [hit.stored.chunk.id for hit in found.hits] == [hit.stored.chunk.id for hit in whole.hits]
        assert (found.document_frequency, found.chunk_count) == ({"delivery": 3}, 40)
    else:
        assert all(hit.lexical is None for hit in found.hits)


async def test_the_copy_is_not_asked_while_the_words_are_found(make_engine: MakeEngine) -> None:
    """The store is the truth as long as it says anything."""
    parts, searcher = await ready(make_engine)
    searcher._copy = copy = Words(parts)
    await searcher.search(QUERY, k=3)
    assert copy.calls == 0


@pytest.mark.parametrize("looks", [1, 2])
async def test_an_index_that_names_what_is_not_there_is_asked_again(make_engine: MakeEngine, looks: int) -> None:
    """When most passages that a search named are gone it is made once more, and then what is there is what there is."""
    parts, searcher = await ready(make_engine)
    whole = await searcher.search(QUERY, k=3)
    usual, fetched = parts.store.fetch, list[int]()

    async def fetch(ids: Any, **how: Any) -> Any:
        fetched.append(len(ids))
        return [] if len(fetched) <= 2 * looks else await usual(ids, **how)

    parts.store.fetch = fetch
    found = await searcher.search(QUERY, k=3)
    assert len(fetched) == (3 if looks == 1 else 4)
    assert [hit.stored.chunk.id for hit in found.hits] == (
        [hit.stored.chunk.id for hit in whole.hits] if looks == 1 else []
    )


async def test_nothing_found_is_not_kept(make_engine: MakeEngine) -> None:
    """A store that found nothing by mistake is asked again by the next who asks the same."""
    parts, searcher = await ready(make_engine, backend=MemoryCache())
    usual = parts.store.lexical, parts.store.dense

    async def nothing(*_: Any, **__: Any) -> Any:
        return []

    parts.store.lexical = parts.store.dense = nothing
    assert not (await searcher.search(QUERY, k=3, generation=1)).hits
    parts.store.lexical, parts.store.dense = usual
    found = await searcher.search(QUERY, k=3, generation=1)
    assert (found.remembered, bool(found.hits)) == (False, True)
