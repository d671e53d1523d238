"""The MongoDB store's two ways to search: the search engine, and its own.

The engine here is our simulation: it proves what is asked of it and what is done with what it finds, not how it ranks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.mongo.clocks import MovedClock
from tests.mongo.place import REAL, SOCKETS, MongoPlace, audit, mongo_place

from holdfast.errors import InvalidInputError, StoreUnavailableError
from holdfast.rag.store.mongo import lexical
from holdfast.rag.store.mongo.search_indexes import (
    vector_pipeline,
    vectors_definition,
    words_definition,
    words_pipeline,
)
from holdfast.rag.types import Scope
from holdfast.testing.store_samples import DIMENSION, EMBEDDER, sample_document, sample_vector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.mongo.commands import Commands

    from holdfast.rag.store.mongo import MongoStore

simulated = pytest.mark.skipif(bool(REAL), reason="simulates the search engine; here is a real MongoDB")

pytestmark = SOCKETS


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    async with mongo_place(tmp_path) as made:
        yield made


@pytest.fixture
def engine(place: MongoPlace) -> Commands:
    """Our server, with a search engine."""
    assert place.fake is not None
    place.fake.commands.search_engine = True
    return place.fake.commands


def _asked(commands: Commands, stage: str) -> list[dict[str, Any]]:
    """What this stage of a pipeline was given, each time."""
    return [
        each["pipeline"][0][stage] for each in commands.seen if "aggregate" in each and stage in each["pipeline"][0]
    ]


async def _near(store: MongoStore, text: str, **scope: Any) -> list[tuple[str, float]]:
    hits = await store.dense(sample_vector(text), embedder_id=EMBEDDER, k=3, scope=Scope(**scope))
    return [(hit.chunk_id.partition("/")[0], hit.score) for hit in hits]


async def _found(store: MongoStore, question: str, **scope: Any) -> list[str]:
    hits = await store.lexical(question, k=3, scope=Scope(**scope))
    return [hit.chunk_id.partition("/")[0] for hit in hits]


def test_a_question_to_the_vector_index_is_of_one_collection_and_one_embedder() -> None:
    """The pipeline's document, as MongoDB's manual gives it: exact, narrowed, with its score."""
    vector = np.array([0.6, 0.8], dtype=np.float32)
    exact, project = vector_pipeline(vector, collection="c", embedder_id="e", tags=["t"], limit=7, approximate=False)
    assert exact == {
        "$vectorSearch": {
            "index": "holdfast_vectors_2",
            "path": "vector_2",
            "queryVector": pytest.approx([0.6, 0.8]),
            "limit": 7,
            "exact": True,
            "filter": {
                "$and": [{"collection": {"$eq": "c"}}, {"embedder": {"$eq": "e"}}, {"tags": {"$eq": "t"}}],
            },
        }
    }
    assert project["$project"]["score"] == {"$meta": "vectorSearchScore"}
    (approximate, _) = vector_pipeline(vector, collection="c", embedder_id="e", tags=[], limit=20_000, approximate=True)
    assert "exact" not in approximate["$vectorSearch"]
    assert approximate["$vectorSearch"]["numCandidates"] == approximate["$vectorSearch"]["limit"] == 10_000


def test_a_question_to_the_index_of_words_is_plain_text() -> None:
    """Words are given to the ``text`` operator, which has no syntax; filters do not score."""
    search, limit, project = words_pipeline(["NOT", '"*'], collection="c", tags=["t"], limit=7)
    compound = search["$search"]["compound"]
    assert compound["filter"] == [
        {"equals": {"path": "collection", "value": "c"}},
        {"equals": {"path": "tags", "value": "t"}},
    ]
    assert compound["minimumShouldMatch"] == 1
    assert [(each["text"]["path"], each["text"]["query"]) for each in compound["should"]] == [
        ("title", 'NOT "*'),
        ("heading", 'NOT "*'),
        ("text", 'NOT "*'),
    ]
    assert limit == {"$limit": 7}
    assert project["$project"]["score"] == {"$meta": "searchScore"}


def test_the_indexes_hold_what_is_asked_for() -> None:
    """Every path that a pipeline filters by is in the definition of its index."""
    fields = vectors_definition(24)["fields"]
    assert fields[0] == {"type": "vector", "path": "vector_24", "numDimensions": 24, "similarity": "cosine"}
    assert [each["path"] for each in fields if each["type"] == "filter"] == ["collection", "embedder", "tags"]
    mapped = words_definition()["mappings"]["fields"]
    assert {name for name, each in mapped.items() if each["type"] == "string"} == {"title", "heading", "text"}
    assert {name for name, each in mapped.items() if each["type"] == "token"} == {"collection", "tags"}


@simulated
async def test_the_engine_is_used_where_its_indexes_are_ready(place: MongoPlace, engine: Commands) -> None:
    """The indexes are made with the first vectors, cosines come back as cosines, and filters and spaces hold."""
    async with place.opened(search="auto") as store:
        await store.put(*sample_document("a", "Red apple.", metadata={"n": 1}), embedder_id=EMBEDDER)
        await store.put(*sample_document("b", "Red pear."), embedder_id=EMBEDDER)
        await store.put(*sample_document("c", "Red plum."), embedder_id="other")
        assert [each["name"] for each in engine.search_indexes["chunks"]] == ["holdfast_words", "holdfast_vectors_24"]
        near = await _near(store, "Red apple.")
        assert [name for name, _ in near] == ["a", "b"]
        assert near[0][1] == pytest.approx(1.0, abs=1e-6)
        assert near[1][1] == pytest.approx(float(sample_vector("Red apple.") @ sample_vector("Red pear.")), abs=1e-6)
        assert [name for name, _ in await _near(store, "Red apple.", filters={"n": 1})] == ["a"]
        assert await _found(store, "red apple") == ["a", "b", "c"]
        assert await _found(store, "apple", filters={"n": 2}) == []
        assert len(_asked(engine, "$vectorSearch")) == 2
        assert len(_asked(engine, "$search")) == 2
        assert all(each["exact"] for each in _asked(engine, "$vectorSearch"))
        assert await store.document_frequency(["red"]) == ({"red": 3}, 3)
    async with place.opened(search="auto", approximate=True) as store:
        assert [name for name, _ in await _near(store, "Red apple.")] == ["a", "b"]
        assert _asked(engine, "$vectorSearch")[-1]["numCandidates"] == 80


@simulated
async def test_what_the_engine_finds_of_the_past_is_left_out(place: MongoPlace, engine: Commands) -> None:
    """An index that lags behind brings versions that are gone: they are dropped, and more is asked for."""
    async with place.opened(search="auto") as store:
        await store.put(*sample_document("a", "Red apple."), embedder_id=EMBEDDER)
        await store.put(*sample_document("b", "Red pear."), embedder_id=EMBEDDER)
        chunks = engine.client[place.database]["chunks"]
        (old,) = chunks.find({"document": "a"})
        await store.delete("a")
        for n in range(4):
            chunks.insert_one({**old, "_id": f"lagging/{n}"})
        hits = await store.dense(sample_vector("Red apple."), embedder_id=EMBEDDER, k=1, scope=Scope())
        assert [hit.chunk_id.partition("/")[0] for hit in hits] == []
        assert [each["limit"] for each in _asked(engine, "$vectorSearch")] == [2, 4]
        hits = await store.dense(sample_vector("Red apple."), embedder_id=EMBEDDER, k=2, scope=Scope())
        assert [hit.chunk_id.partition("/")[0] for hit in hits] == ["b"]


@simulated
async def test_an_index_that_is_not_ready_or_fails_is_replaced_by_the_stores_own_search(
    place: MongoPlace, engine: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is the same; the engine is looked for again half a minute later."""
    clock = MovedClock()
    engine.queryable = False
    async with place.opened(search="auto", clock=clock) as store:
        await store.put(*sample_document("a", "Red apple."), embedder_id=EMBEDDER)
        assert [name for name, _ in await _near(store, "Red apple.")] == ["a"]
        assert await _found(store, "apple") == ["a"]
        engine.queryable = True
        assert await _found(store, "apple") == ["a"]
        assert _asked(engine, "$search") == []
        clock.ahead = 31.0
        assert await _found(store, "apple") == ["a"]
        assert len(_asked(engine, "$search")) == 1
        async with place.failing("aggregate", mode={"times": 1}, errorCode=8):
            assert await _found(store, "apple") == ["a"]
        assert "the store's own search is used" in caplog.text
        assert await _found(store, "apple") == ["a"]
        assert len(_asked(engine, "$search")) == 1
        clock.ahead = 62.0
        assert await _found(store, "apple") == ["a"]
        assert len(_asked(engine, "$search")) == 2


@simulated
async def test_a_server_without_an_engine_is_searched_by_the_store(
    place: MongoPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """A plain server says so in one of several ways; an unknown way is told in the log, and creation that fails too."""
    for code, told in ((31082, False), (40324, False), (13, True)):
        failing = place.failing("aggregate", mode={"times": 1}, errorCode=code)
        async with failing, place.opened(search="auto") as store:
            await store.put(*sample_document("a", "Red apple."), embedder_id=EMBEDDER)
            assert await _found(store, "apple") == ["a"]
        assert ("cannot be listed" in caplog.text) is told
    assert place.fake is not None
    place.fake.commands.search_engine = True
    async with place.failing("createSearchIndexes", errorCode=13), place.opened(search="auto") as store:
        assert await _found(store, "apple") == ["a"]
    assert "make holdfast_words, holdfast_vectors_24 by hand" in caplog.text


async def test_more_vectors_than_may_be_scored_here_are_refused(place: MongoPlace) -> None:
    """Up to the bound the search is exact; above it the error says what to do."""
    async with place.opened(max_exact_vectors=3) as store:
        await store.put(*sample_document("a", "One.", "Two.", "Three."), embedder_id=EMBEDDER)
        assert len(await _near(store, "One.")) == 3
        await store.put(*sample_document("b", "Four."), embedder_id=EMBEDDER)
        with pytest.raises(StoreUnavailableError, match="max_exact_vectors"):
            await _near(store, "One.")
        assert await _found(store, "four") == ["b"]


async def test_only_new_versions_are_read_into_the_copy(place: MongoPlace) -> None:
    """A change of one document does not read the others' vectors again."""
    if place.fake is None:
        pytest.skip("counts the commands that our server sees; here is a real MongoDB")
    async with place.opened() as store:
        for n in range(4):
            await store.put(*sample_document(f"d{n}", f"Apple {n}."), embedder_id=EMBEDDER)
        await _near(store, "Apple 1.")
        await store.put(*sample_document("d1", "Apple 1.", "Apple more."), embedder_id=EMBEDDER)
        place.fake.commands.seen.clear()
        assert (await _near(store, "Apple more."))[0][0] == "d1"
        (read,) = [each for each in place.fake.commands.seen if each.get("find") == "chunks"]
        assert len(read["filter"]["version"]["$in"]) == 1
        place.fake.commands.seen.clear()
        await _near(store, "Apple 2.")
        assert not [each for each in place.fake.commands.seen if each.get("find") == "chunks"]


async def test_common_words_are_left_out_where_rare_ones_bring_enough(
    place: MongoPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rarest words are searched for first, as long as they bring no more chunks than may be read."""
    monkeypatch.setattr(lexical, "MAX_CANDIDATES", 4)
    async with place.opened() as store:
        for n in range(6):
            await store.put(*sample_document(f"d{n}", f"Common matter {n}."), embedder_id=EMBEDDER)
        await store.put(*sample_document("rare", "A zebra and common things."), embedder_id=EMBEDDER)
        assert await _found(store, "common zebra") == ["rare"]
        assert len(await _found(store, "common")) == 3
        assert await store.document_frequency(["common-zebra", "common", "zebra", "!"]) == (
            {"common-zebra": 1, "common": 7, "zebra": 1, "!": 0},
            7,
        )


async def test_what_mongodb_cannot_hold_is_refused_before_anything_is_written(place: MongoPlace) -> None:
    """A text above 16 MB, or one that is not Unicode, is the caller's error, and leaves no trace."""
    async with place.opened() as store:
        document, chunks = sample_document("a", "One.", vectors=False)
        for text, words in (("a" * 17_000_000, "16 MB"), ("broken \ud800 text", "Unicode")):
            with pytest.raises(InvalidInputError, match=words):
                await store.put(replace(document, text=text), chunks, embedder_id=None)
        with pytest.raises(InvalidInputError, match="share an id"):
            await store.put(document, [*chunks, *chunks], embedder_id=None)
        assert await place.rows("documents") == await place.rows("chunks") == await place.rows("spaces") == []
        await store.put(*sample_document("a", "One."), embedder_id=EMBEDDER)
        with pytest.raises(InvalidInputError, match="numbers"):
            await store.dense(np.full(DIMENSION, np.nan, np.float32), embedder_id=EMBEDDER, k=1, scope=Scope())
        assert await audit(place, tidy=True) == {"a": 1}
