"""The index of earlier questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import ConfigError
from holdfast.rag.caching.semantic import SemanticIndex
from holdfast.rag.query import Query

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors


def at(degrees: float) -> Vectors:
    """A unit vector in the plane."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def index(**options: Any) -> SemanticIndex:
    return SemanticIndex(embedder_id="e", dimension=2, **options)


def asked(question: str, **where: Any) -> Query:
    return Query(question=question, **where)


def test_finds_the_same_question() -> None:
    """A question that is close and the same in other words is found with its key, its words and its cosine."""
    known = index()
    known.add(asked("How do I return an item?"), at(0), top_k=5, key="k")
    near = known.find(asked("How can I return items?"), at(10), top_k=5)
    assert near is not None
    assert (near.key, near.question) == ("k", "How do I return an item?")
    assert near.cosine == pytest.approx(np.cos(np.radians(10)))


@pytest.mark.parametrize(
    ("query", "degrees", "top_k"),
    [
        (asked("How can I return items?"), 19, 5),
        (asked("How can I not return items?"), 0, 5),
        (asked("How can I return items?", collection="other"), 0, 5),
        (asked("How can I return items?", filters={"lang": "en"}), 0, 5),
        (asked("How can I return items?"), 0, 6),
    ],
    ids=["too far", "other words", "other collection", "other filters", "other passages"],
)
def test_anything_else_is_not_found(query: Query, degrees: float, top_k: int) -> None:
    """What is farther than the threshold, or says something else, or is asked of something else, is not found."""
    known = index()
    known.add(asked("How do I return an item?"), at(0), top_k=5, key="k")
    assert known.find(query, at(degrees), top_k=top_k) is None


def test_an_empty_index() -> None:
    """Where nothing was asked, nothing is found; also after everything was forgotten."""
    known = index()
    assert known.find(asked("a question"), at(0), top_k=5) is None
    known.add(asked("a question"), at(0), top_k=5, key="k")
    known.clear()
    assert known.find(asked("a question"), at(0), top_k=5) is None
    assert len(known) == 0


def test_the_nearest_of_the_same_is_taken() -> None:
    """Of several that are the same, the nearest is found, though others lie nearer that are not the same."""
    known = index()
    known.add(asked("How do I return items?"), at(8), top_k=5, key="far")
    known.add(asked("How can I return an item?"), at(4), top_k=5, key="near")
    known.add(asked("How do I return no items?"), at(0), top_k=5, key="other")
    near = known.find(asked("how do I return an item"), at(0), top_k=5)
    assert near is not None
    assert near.key == "near"


def test_only_some_neighbours_are_tried() -> None:
    """In a crowd of others the search ends after eight of them."""
    known = index()
    for number in range(8):
        known.add(asked(f"What is item {number}?"), at(0), top_k=5, key=str(number))
    known.add(asked("What is item 8?"), at(1), top_k=5, key="8")
    assert known.find(asked("What is item 8?"), at(0), top_k=5) is None
    known.discard(asked("any"), top_k=5, key="0")
    near = known.find(asked("What is item 8?"), at(0), top_k=5)
    assert near is not None
    assert near.key == "8"


def test_it_is_bounded() -> None:
    """Above max_entries the question goes that was longest neither added nor found; rows are used again."""
    known = index(max_entries=100)
    for number in range(100):
        known.add(asked(f"question {number}"), at(0), top_k=number, key="k")
    assert known.find(asked("question 0"), at(0), top_k=0) is not None
    known.add(asked("question 100"), at(0), top_k=100, key="k")
    assert len(known) == 100
    assert known.find(asked("question 1"), at(0), top_k=1) is None
    assert known.find(asked("question 0"), at(0), top_k=0) is not None
    assert known.find(asked("question 100"), at(0), top_k=100) is not None
    assert len(known._vectors) == 100


def test_a_key_is_remembered_once() -> None:
    """Adding under a key again replaces the question; discarding it twice is no error."""
    known = index()
    known.add(asked("old question"), at(0), top_k=5, key="k")
    known.add(asked("new question"), at(0), top_k=5, key="k")
    assert len(known) == 1
    assert known.find(asked("old question"), at(0), top_k=5) is None
    known.discard(asked("any"), top_k=5, key="k")
    known.discard(asked("any"), top_k=5, key="k")
    assert known.find(asked("new question"), at(0), top_k=5) is None


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 1.1}, {"max_entries": 0}], ids=str)
def test_impossible_options(options: dict[str, Any]) -> None:
    """An option out of its range is a ConfigError that names it."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        index(**options)
