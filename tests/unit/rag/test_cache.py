"""The keys of the answer cache."""

from __future__ import annotations

import pytest

from holdfast.rag.cache import cache_key
from holdfast.rag.query import Query


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
