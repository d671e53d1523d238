"""How a store's own index sees words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.rag.store.stems import index_words, question_stems, stems_of, weighted_words


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


def test_words_for_an_index_that_counts_stand_as_often_as_they_count() -> None:
    """The same words with the same weights."""
    words = weighted_words("Zebra", "zebras and apples", "A zebra. Apples!")
    assert {word: words.count(word) for word in words} == {"zebra": 6, "and": 2, "appl": 3, "a": 1}
    assert weighted_words("", "", "") == []


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
