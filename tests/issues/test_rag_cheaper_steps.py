"""What making a question cheaper had changed: for parts that are not ours, and for input that is large or no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag import conftest

from holdfast.rag.answering.base import Draft
from holdfast.rag.answering.links import REMOVED, LinkGuard
from holdfast.rag.cache import CachedAnswer
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.query import Query
from holdfast.rag.retrieval import fuse
from holdfast.rag.store.base import Scored
from holdfast.rag.types import Answer, Reason, Source, Tier
from holdfast.state.memory import MemoryCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.unit.rag.conftest import MakeEngine, Parts

make_engine = conftest.make_engine

QUERY = Query(question="Within how many days of delivery can most products be sent back?")


@pytest.fixture
async def parts(make_engine: MakeEngine) -> AsyncIterator[Parts]:
    made = make_engine()
    await made.engine.open()
    await made.engine.ingestor.ingest_paths([made.documents])
    yield made
    await made.engine.close()


class _Unnamed:
    """An embedder that is down, and can only tell its space when it was asked once."""

    name, dimension = "embedder:late", 256

    @property
    def id(self) -> str:
        raise ConnectionError("down")

    async def embed(self, texts: Any, **_: Any) -> Any:
        raise ConnectionError("down")


async def test_an_embedder_that_cannot_tell_its_space_leaves_the_search_by_words(parts: Parts) -> None:
    """Without a vector nobody needs the space, and the question is answered by its words as in any other outage."""
    searcher: Any = parts.engine._searcher
    searcher._embedder = _Unnamed()
    found = await searcher.search(QUERY, k=3)
    assert found.hits
    assert found.reasons == (Reason.EMBEDDER_UNAVAILABLE,)


async def test_an_answerer_that_goes_on_after_its_draft_keeps_no_place_in_the_line(parts: Parts) -> None:
    """A stream of somebody else's making is read to its end: the question's place is free when it is answered."""

    async def stream(_: Any) -> Any:
        yield "Within 30 days."
        for _again in range(2):
            yield Draft(text="Within 30 days.", citations=(), confidence=1.0, answered=True)

    parts.answerer.stream = stream
    items = parts.engine.stream(Query(question=QUERY.question, deadline_seconds=1.0))
    given = [item async for item in items]
    assert [item for item in given if isinstance(item, str)] == ["Within 30 days."]
    assert isinstance(given[-1], Answer)
    assert parts.engine.line.snapshot().running == 0


class _Foreign(MemoryCache):
    """A backend of somebody else's making: its bytes come in a buffer."""

    async def get_many(self, keys: Sequence[str]) -> list[Any]:
        return [None if data is None else bytearray(data) for data in await super().get_many(keys)]


async def test_an_answer_that_a_backend_gives_as_a_bytearray_is_read() -> None:
    """What is remembered by its bytes is decoded each time where these cannot be hashed."""
    cache = BackedAnswerCache(_Foreign())
    entry = CachedAnswer(answer=Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL), generation=1, stored_ns=1)
    await cache.put("key", entry)
    assert await cache.get("key") == entry
    assert cache.unreadable == 0


@pytest.mark.parametrize("place", range(6))
def test_scores_that_are_no_numbers_push_nobody_out(place: int) -> None:
    """Wherever they stand in a search that lets them through, as many passages come out as were asked for."""
    nan = float("nan")
    scores = [0.2, 0.3, nan, 0.3, nan, 0.2, 0.2, 0.1, nan, nan, 0.3]
    lexical = [Scored(f"c{number}", score) for number, score in enumerate(scores[place:] + scores[:place])]
    dense = [Scored("c6", 0.2), Scored("c1", nan), Scored("c13", nan), Scored("c2", 0.9), Scored("c20", 0.5)]
    for k in range(1, 14):
        assert len(fuse(lexical, dense, k=k)) == min(k, 13), k


class _Counted(str):
    """A text that counts the characters that are looked at to see what it holds, its continuations included."""

    __slots__ = ()
    looked = 0

    def __add__(self, more: str) -> _Counted:
        return _Counted(str(self) + more)

    def __contains__(self, part: object) -> bool:
        _Counted.looked += len(self)
        return str.__contains__(self, part)  # type: ignore[operator]

    def lower(self) -> str:
        _Counted.looked += len(self)
        return str.lower(self)


def test_a_long_answer_full_of_addresses_is_looked_through_once() -> None:
    """A model that writes one address after the other keeps the event loop busy for a moment, and not for a minute."""
    guard, text = LinkGuard(frozenset()), "www.a " * 1_000
    guard._given = _Counted()
    assert (guard.push(text) + guard.finish()).count(REMOVED) == 1_000
    assert _Counted.looked < 20 * len(text)
