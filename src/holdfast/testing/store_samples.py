"""Documents, vectors and questions to try a store on: small, and the same every time."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from holdfast.rag.types import Chunk, Document, EmbeddedChunk, Mime, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.embedding import Vectors
    from holdfast.rag.types import Scalar

__all__ = ["DIMENSION", "EMBEDDER", "HOSTILE_QUESTIONS", "sample_document", "sample_vector"]

EMBEDDER = "sample:crc32"
DIMENSION = 24

HOSTILE_QUESTIONS = (
    *(
        "",
        " ",
        "\n\t",
        "the of and",
        '"',
        '""',
        "'",
        "''",
        "*",
        "apple*",
        "^apple",
        "-apple",
        "+apple",
        "apple:",
        "apple?!",
    ),
    *("title:apple", "{title text}: apple", "NEAR", "NEAR(apple pear)", "NEAR/2", "AND", "OR", "NOT", "apple AND"),
    *("NOT apple", "apple OR OR", "(", ")))", "((apple)", "\\", "%", "_", ";", "--", "?", "'; DROP TABLE chunks; --"),
    *("\x00", "apple\x00pear", "\x00\x01\x02", "\ud800", "\ud83d apple", "🍎", "🍎🍐 apple", "e\u0301", "\ufb01"),
    *("日本語", "שלום", "\u202eapple", "<script>alert(1)</script>"),
    *("a" * 70_000, "apple " * 20_000, " ".join(f"word{n}" for n in range(5_000))),
)
"""Questions that break a search which does not quote what it is given."""


def sample_vector(text: str) -> Vectors:
    """A unit vector that depends on nothing but the text."""
    numbers = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(DIMENSION).astype(np.float32)
    vector: Vectors = numbers / np.linalg.norm(numbers)
    return vector


def sample_document(
    document_id: str,
    *passages: str,
    title: str = "A title",
    heading: str = "",
    collection: str = "default",
    metadata: Mapping[str, Scalar] | None = None,
    vectors: bool = True,
) -> tuple[Document, list[EmbeddedChunk]]:
    """A document of one chunk a passage, and its chunks; a sentence ends at each full stop."""
    text = "\n\n".join(passages)
    chunks: list[EmbeddedChunk] = []
    start = 0
    seen: dict[str, int] = {}
    for ordinal, passage in enumerate(passages):
        seen[passage] = seen.get(passage, 0) + 1
        chunk = Chunk(
            id=f"{document_id}/{zlib.crc32(passage.encode()):08x}-{seen[passage]}",
            document_id=document_id,
            ordinal=ordinal,
            start=start,
            end=start + len(passage),
            heading=heading,
            text=passage,
            sentences=_sentences(passage, start),
        )
        sentences = [sample_vector(text[span.start : span.end]) for span in chunk.sentences]
        chunks.append(
            EmbeddedChunk(
                chunk=chunk,
                vector=sample_vector(passage) if vectors else None,
                sentence_vectors=np.stack(sentences) if vectors and sentences else None,
            )
        )
        start = chunk.end + 2
    document = Document(
        id=document_id,
        text=text,
        title=title,
        uri=f"file:///{document_id}",
        mime=Mime.MARKDOWN,
        content_hash=f"{zlib.crc32(text.encode()):08x}",
        collection=collection,
        metadata=metadata or {},
    )
    return document, chunks


def _sentences(passage: str, origin: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    start = 0
    for piece in passage.split(". "):
        spans.append(Span(origin + start, origin + start + len(piece)))
        start += len(piece) + 2
    return tuple(spans)
