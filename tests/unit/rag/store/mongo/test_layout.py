"""How rows are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.store.mongo.layout import key_of


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_keys_are_equal_exactly_when_names_are(one: list[str], other: list[str]) -> None:
    """Names may hold anything; a long one makes no long key."""
    assert (key_of(*one) == key_of(*other)) is (one == other)
    assert len(key_of("a" * 10_000, *one)) == 64
