"""Questions become full-text queries that no text can break."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.store.words import STOP_WORDS, match_any, quoted, terms


def test_terms_keep_what_carries_meaning() -> None:
    """Stop words go, each other word stays once, in order."""
    assert terms("What is the BORROW checker, and why does the borrow-checker complain?") == [
        "BORROW", "checker", "complain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "expected"),
    [("", []), ("of the and", []), ("🍎 !?", []), ("don't panic", ["panic"]), ("e\u0301tude", ["étude"]),
     ("foo_bar", ["foo", "bar"]), ("x86-64", ["x86", "64"]), ("a\ud800b2", ["b2"])],
)  # fmt: skip
def test_terms_of_odd_questions(question: str, expected: list[str]) -> None:
    """Signs separate words, accents do not, and a question may hold no word at all."""
    assert terms(question) == expected


def test_stop_words_are_what_the_splitter_makes() -> None:
    """Every stop word is one lower-case word, else it would never match."""
    assert all(word.isalpha() and word == word.lower() for word in STOP_WORDS)
    assert {"the", "is", "t"} <= STOP_WORDS


def _index(connection: sqlite3.Connection, text: str) -> None:
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='porter unicode61 remove_diacritics 2')")
    connection.execute("INSERT INTO t VALUES (?)", (text,))


@given(st.text())
def test_fts5_takes_any_quoted_text(text: str) -> None:
    """Whatever is quoted is a legal query."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _index(connection, "something")
        for query in (quoted(text), quoted("\ud800" + text), match_any(terms(text)) or '""'):
            connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (query,)).fetchone()


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_fts5_splits_text_where_we_do(text: str) -> None:
    """Every term of a text in Latin script finds that text."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _index(connection, text)
        for word in terms(text):
            found = connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (quoted(word),))
            assert found.fetchone() == (1,)
