"""What a question may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.rag.query import QUESTION_MAX_CHARS, Query


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("question", {"question": ""}),
        ("question", {"question": " \n\t "}),
        ("question", {"question": "x" * (QUESTION_MAX_CHARS + 1)}),
        ("question", {"question": "where is\x00 my parcel"}),
        ("question", {"question": "bell \x07"}),
        ("question", {"question": "lone surrogate \ud800"}),
        ("collection", {"collection": ""}),
        ("collection", {"collection": "a\nb"}),
        ("collection", {"collection": "x" * 101}),
        ("top_k", {"top_k": 0}),
        ("top_k", {"top_k": 51}),
        ("filters", {"filters": {str(n): n for n in range(17)}}),
        ("deadline_seconds", {"deadline_seconds": 0.0}),
        ("deadline_seconds", {"deadline_seconds": float("nan")}),
        ("deadline_seconds", {"deadline_seconds": 601.0}),
        ("priority", {"priority": -1}),
        ("priority", {"priority": 10}),
    ],
)
def test_a_field_out_of_range_is_named(field: str, options: dict[str, Any]) -> None:
    """Every field that is out of its range is refused by an error that names it."""
    with pytest.raises(InvalidInputError) as caught:
        Query(**{"question": "Where is my parcel?", **options})
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_the_position_of_a_control_character_is_told() -> None:
    """A control character is refused with its code point and its position."""
    with pytest.raises(InvalidInputError, match=r"U\+001B at position 2"):
        Query(question="hi\x1b[31m")


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200))
def test_any_printable_text_is_a_question(text: str) -> None:
    """Any text without control characters that is not blank is a legal question, in any script."""
    if text.strip():
        assert Query(question=text).question == text


def test_tabs_and_line_ends_are_allowed() -> None:
    """A pasted question may hold tabs and line ends."""
    assert Query(question="first\r\n\tsecond").scope.collection == "default"
