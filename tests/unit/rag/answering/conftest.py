"""Passages of Markdown as an answerer gets them, with vectors that are bags of words."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.rag.answering.base import AnswerRequest
from holdfast.rag.sentences import sentence_spans
from holdfast.rag.types import Chunk, Hit, Mime, Span, StoredChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.llm.embedding import Vectors

DIMENSION = 512


def bag_of_words(text: str) -> Vectors:
    """A unit vector in which every word has its place."""
    vector = np.zeros(DIMENSION, np.float32)
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % DIMENSION] += 1
    return (vector / max(1.0, float(np.linalg.norm(vector)))).astype(np.float32)


def make_hit(
    text: str,
    *,
    name: str = "doc",
    title: str = "Title",
    heading: str = "",
    at: int = 100,
    question: str | None = None,
    score: float = 0.5,
    lexical: float | None = 12.0,
) -> Hit:
    """A passage that begins at character ``at`` of its document; with vectors when a question is given."""
    spans = tuple(Span(span.start + at, span.end + at) for span in sentence_spans(text, Mime.MARKDOWN))
    chunk = Chunk(
        id=f"chk_{name}",
        document_id=f"doc_{name}",
        ordinal=0,
        start=at,
        end=at + len(text),
        heading=heading,
        text=text,
        sentences=spans,
    )
    vectors = None
    cosine = None
    if question is not None:
        rows = [bag_of_words(text[span.start - at : span.end - at]) for span in spans]
        vectors = np.stack(rows) if rows else np.zeros((0, DIMENSION), np.float32)
        cosine = float(bag_of_words(text) @ bag_of_words(question))
    stored = StoredChunk(chunk=chunk, title=title, uri=f"{name}.md", sentence_vectors=vectors)
    return Hit(stored=stored, score=score, lexical=lexical, cosine=cosine)


def make_request(question: str, texts: Sequence[str], *, vectors: bool = True) -> AnswerRequest:
    """A request in which each text is the passage of a document of its own, best first."""
    hits = [
        make_hit(text, name=f"d{n}", title=f"Title {n}", question=question if vectors else None, score=0.9 - 0.1 * n)
        for n, text in enumerate(texts)
    ]
    return AnswerRequest(
        question=question, hits=hits, query_vector=bag_of_words(question) if vectors else None, chunk_count=100
    )


@pytest.fixture
def hit() -> Callable[..., Hit]:
    """Makes a passage, see :func:`make_hit`."""
    return make_hit


@pytest.fixture
def request_of() -> Callable[..., AnswerRequest]:
    """Makes a request, see :func:`make_request`."""
    return make_request
