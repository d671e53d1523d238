"""The answer cache and its keys."""

from __future__ import annotations

import pytest

from holdfast.errors import ConfigError
from holdfast.rag.cache import AnswerCache, CachedAnswer, MemoryAnswerCache, cache_key
from holdfast.rag.query import Query
from holdfast.rag.types import Answer, Source, Tier


def entry(text: str) -> CachedAnswer:
    return CachedAnswer(answer=Answer(text=text, source=Source.EXTRACT, tier=Tier.FULL), generation=1, stored_ns=0)


async def test_the_least_recently_used_answer_goes_first() -> None:
    """A full cache forgets the answer that was not asked for the longest."""
    cache = MemoryAnswerCache(size=2)
    await cache.put("a", entry("a"))
    await cache.put("b", entry("b"))
    await cache.get("a")
    await cache.put("c", entry("c"))
    assert await cache.get("b") is None
    kept = [await cache.get("a"), await cache.get("c")]
    assert [one.answer.text for one in kept if one is not None] == ["a", "c"]


async def test_a_later_answer_takes_the_place_of_an_earlier_one() -> None:
    """Putting twice under one key keeps the second, and clearing forgets it."""
    cache: AnswerCache = MemoryAnswerCache(size=1)
    await cache.put("a", entry("old"))
    await cache.put("a", entry("new"))
    found = await cache.get("a")
    assert found is not None
    assert found.answer.text == "new"
    await cache.clear()
    assert await cache.get("a") is None


def test_a_cache_of_no_size_is_refused() -> None:
    """A cache that can keep nothing is a mistake that is named."""
    with pytest.raises(ConfigError, match="size=0"):
        MemoryAnswerCache(size=0)


def test_spelling_of_a_question_does_not_change_its_key() -> None:
    """Case, spacing and the closing mark do not make another question."""
    key = cache_key(Query(question="Where is my parcel?"), top_k=5)
    assert cache_key(Query(question="  where IS\n my parcel "), top_k=5) == key


@pytest.mark.parametrize(
    "other",
    [
        (Query(question="Where is my refund?"), 5),
        (Query(question="Where is my parcel?", collection="other"), 5),
        (Query(question="Where is my parcel?", filters={"lang": "en"}), 5),
        (Query(question="Where is my parcel?"), 6),
    ],
)
def test_whatever_changes_the_answer_changes_the_key(other: tuple[Query, int]) -> None:
    """Another question, collection, filter or number of passages has another key."""
    query, top_k = other
    assert cache_key(query, top_k=top_k) != cache_key(Query(question="Where is my parcel?"), top_k=5)
