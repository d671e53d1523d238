"""Which words a question is searched by, and how often each stands in the store."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from holdfast.rag.store import lexical
from holdfast.rag.store.lexical import WordCounts, document_frequencies, search_words
from holdfast.rag.store.schema import create_file
from holdfast.rag.store.writer import put_document
from holdfast.rag.types import Scope
from holdfast.testing.store_samples import sample_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """100 chunks: "common" is in 90 of them, "half" in 40, "rare" in 2."""
    create_file(tmp_path / "s.sqlite3")
    connection = sqlite3.connect(tmp_path / "s.sqlite3", isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    texts = [f"{'common ' * (n < 90)}{'half ' * (n >= 60)}{'rare ' * (n in (3, 95))}filler{n}" for n in range(100)]
    document, chunks = sample_document("a", *texts, title="", vectors=False)
    put_document(connection, document, chunks, embedder_id=None, now_ns=0)
    yield connection
    connection.close()


def _search(connection: sqlite3.Connection, question: str) -> int:
    return len(search_words(connection, WordCounts(), question, 1_000, Scope()))


def test_every_word_counts_in_a_small_store(connection: sqlite3.Connection) -> None:
    """With few chunks nothing is left out."""
    assert _search(connection, "common rare") == 91


def test_common_words_are_left_out_when_rarer_ones_remain(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a number of chunks on, words above the share do not widen the search; alone they are searched for."""
    monkeypatch.setattr(lexical, "COMMON_SHARES", ((50, 0.5),))
    assert _search(connection, "common rare") == 2
    assert _search(connection, "common half") == 40
    assert _search(connection, "common") == 90
    assert _search(connection, "common unknown") == 90
    assert _search(connection, "unknown") == 0
    monkeypatch.setattr(lexical, "COMMON_SHARES", ((50, 0.1), (10, 0.5)))
    assert _search(connection, "common half rare") == 2


def test_leaving_out_a_word_in_more_than_half_changes_no_order(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a word weighs nothing in BM25, so the best chunks and their scores stay."""
    whole = search_words(connection, WordCounts(), "common half rare", 40, Scope())
    monkeypatch.setattr(lexical, "COMMON_SHARES", ((50, 0.5),))
    pruned = search_words(connection, WordCounts(), "common half rare", 40, Scope())
    assert [hit.chunk_id for hit in pruned[:2]] == [hit.chunk_id for hit in whole[:2]]
    assert [hit.score for hit in pruned[:40]] == pytest.approx([hit.score for hit in whole[:40]], abs=1e-4)


def test_a_pasted_page_is_searched_by_its_rarest_words(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More words than a query should have are cut to the rarest that are there at all."""
    monkeypatch.setattr(lexical, "MAX_TERMS", 2)
    assert _search(connection, "common half unknown rare filler5") == 3
    assert _search(connection, "nothing of this stands anywhere") == 0


def test_frequencies_follow_the_content(connection: sqlite3.Connection) -> None:
    """Counts are kept while the content stays and counted anew when it changes."""
    counts = WordCounts()
    words = ["RARE", "common", "nowhere", "the", "rare?!", "?"]
    before = {"RARE": 2, "common": 90, "nowhere": 0, "the": 0, "rare?!": 2, "?": 0}
    assert document_frequencies(connection, counts, words, "default") == (before, 100)
    assert document_frequencies(connection, counts, words, "default") == (before, 100)
    document, chunks = sample_document("b", "a rare one", title="", vectors=False)
    put_document(connection, document, chunks, embedder_id=None, now_ns=0)
    assert document_frequencies(connection, counts, ["rare"], "default") == ({"rare": 3}, 101)
    assert document_frequencies(connection, counts, ["rare"], "nowhere") == ({"rare": 0}, 0)
