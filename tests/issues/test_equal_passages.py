"""A document with more than a hundred equal passages was taken for a damaged one, and its questions failed."""

from __future__ import annotations

from dataclasses import replace

from holdfast.rag.chunking import chunk, is_intact
from holdfast.rag.types import Chunk, Document, Mime

_PAGE = "This page was left blank by intention, as the printer asked for it in his letter. " * 12


def chunks_of(text: str) -> list[Chunk]:
    made = Document(id="doc_1", text=text, title="t", uri="t.txt", mime=Mime.PLAIN, content_hash="0")
    return chunk(made)


def test_passages_that_are_equal_hundreds_of_times_are_intact() -> None:
    """The text of each is the one that its id was made of, wherever it stands among its equals."""
    made = chunks_of(f"{_PAGE}\n\n" * 300)
    assert len(made) == 300
    assert all(is_intact(each) for each in made)


def test_another_text_among_hundreds_of_equal_passages_is_noticed() -> None:
    """How many equal ones there are excuses no other text."""
    made = chunks_of(f"{_PAGE}\n\n" * 120)
    assert not any(is_intact(replace(each, text=each.text + ".")) for each in made)
