"""How the store's own index sees words and metadata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.rag.store.mongo.layout import key_of, tags_of
from holdfast.rag.store.mongo.stems import index_words, question_stems, stems_of


@pytest.mark.parametrize(
    ("one", "other"),
    [("Retrying", "retried"), ("Résumés", "resume"), ("ﬁles", "file"), ("STRASSE", "straße"), ("cafe\u0301", "CAFÉ")],
)
def test_forms_of_a_word_are_one_word(one: str, other: str) -> None:
    """Case, accents, ligatures and endings make no difference."""
    assert stems_of(one) == stems_of(other)


def test_a_word_counts_by_where_it_stands() -> None:
    """Three for the title, two for a heading, one for the text; the number of words is their plain number."""
    indexed = index_words("Zebra", "zebras and apples", "A zebra. Apples!")
    weights = dict(zip(indexed.words, np.frombuffer(indexed.weights, "<u2").tolist(), strict=True))
    assert weights == {"zebra": 6, "and": 2, "appl": 3, "a": 1}
    assert indexed.words == sorted(indexed.words)
    assert indexed.tokens == 7


def test_a_question_is_each_of_its_words_once_without_stop_words() -> None:
    """Two forms of a word are asked for once."""
    assert question_stems("How are apples and the APPLE retried?") == ["appl", "retri"]
    assert question_stems("the of and") == []


@given(st.text())
@example("0\u328a")
@example("a" * 63 + "\u0301" * 3 + "bcd")
def test_any_text_gives_words_that_can_be_stored(text: str) -> None:
    """No word holds what UTF-8 cannot, and a text's own words are found in its index."""
    indexed = index_words("", "", text)
    assert set(stems_of(text)) == set(indexed.words)
    assert set(question_stems(text)) <= set(indexed.words)
    for word in indexed.words:
        word.encode()


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


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_keys_are_equal_exactly_when_names_are(one: list[str], other: list[str]) -> None:
    """Names may hold anything; a long one makes no long key."""
    assert (key_of(*one) == key_of(*other)) is (one == other)
    assert len(key_of("a" * 10_000, *one)) == 64
