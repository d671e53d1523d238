"""Entries of an FAQ: what they may be, and what is said of those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.rag.faq import FaqEntry

GOOD: dict[str, Any] = {"id": "returns", "questions": ("How do I return it?",), "answer": "Send it back."}


def test_an_entry_keeps_what_it_was_given_without_white_space_around_it() -> None:
    """Lists become tuples and texts lose the white space at their ends; what was not given has its default."""
    entry = FaqEntry(id="returns", questions=[" How? "], answer="\nBack.\n", keywords=["money back "])  # type: ignore[arg-type]
    assert (entry.questions, entry.answer, entry.keywords) == (("How?",), "Back.", ("money back",))
    assert (entry.uri, entry.collection) == ("", None)


@pytest.mark.parametrize(
    ("changed", "field", "rule"),
    [
        ({"id": ""}, "id", "letters, digits"),
        ({"id": "a b"}, "id", "letters, digits"),
        ({"id": 7}, "id", "must be text"),
        ({"uri": 7}, "uri", "must be text"),
        ({"questions": "How?"}, "questions", "list of 1 to 30 texts"),
        ({"questions": ()}, "questions", "list of 1 to 30 texts"),
        ({"questions": ("Q",) * 31}, "questions", "list of 1 to 30 texts"),
        ({"questions": ("Q", " ")}, "questions[1]", "one line of 1 to 300"),
        ({"questions": ("x" * 301,)}, "questions[0]", "one line of 1 to 300"),
        ({"keywords": ("two\nlines",)}, "keywords[0]", "one line of 1 to 60"),
        ({"keywords": ("k",) * 51}, "keywords", "list of 0 to 50 texts"),
        ({"answer": " "}, "answer", "1 to 4,000 characters"),
        ({"answer": "x" * 4_001}, "answer", "1 to 4,000 characters"),
        ({"answer": "bell \x07"}, "answer", "control character U+0007"),
        ({"answer": None}, "answer", "1 to 4,000 characters"),
        ({"uri": "a\u202eb"}, "uri", "address or a path"),
        ({"uri": "x" * 2_001}, "uri", "address or a path"),
        ({"collection": ""}, "collection", "one line of 1 to 100"),
        ({"collection": "x" * 101}, "collection", "one line of 1 to 100"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(changed: dict[str, Any], field: str, rule: str) -> None:
    """An entry that cannot be used says which field is wrong, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        FaqEntry(**GOOD | changed)
    assert caught.value.field == field
    assert rule in caught.value.rule
