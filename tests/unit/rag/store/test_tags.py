"""Metadata values as marks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.rag.store.tags import mark_of, tags_of


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (2**70, float(2**70), True),
        (2**70, 2**70 + 1, False),
        (0.5, 0.5, True),
        ("a", "A", False),
        (float("inf"), float("inf"), True),
    ],
)
def test_tags_are_equal_exactly_when_values_are(one: object, other: object, equal: bool) -> None:
    """Numbers are numbers whatever their type, truth values are not, text is text."""
    assert (tags_of("filters", {"n": one}) == tags_of("filters", {"n": other})) is equal  # type: ignore[dict-item]
    assert tags_of("filters", {"n": one}) != tags_of("filters", {"m": one})  # type: ignore[dict-item]


def test_a_value_of_another_kind_is_refused() -> None:
    """A list is no metadata value."""
    with pytest.raises(InvalidInputError):
        tags_of("filters", {"n": ["a"]})  # type: ignore[dict-item]


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_marks_are_equal_exactly_when_their_parts_are(one: list[str], other: list[str]) -> None:
    """They are hexadecimal digits, whatever the parts hold, so that they can stand in a condition."""
    assert (mark_of(*one) == mark_of(*other)) is (one == other)
    assert re.fullmatch(r"[0-9a-f]{32}", mark_of(*one))
