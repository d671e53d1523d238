"""Documents that nobody wrote: words that fall off as in a language, vectors that stand in clusters. Seeded.

A document has 20 chunks of about 110 words. Its words are drawn by Zipf's law from 30,000 made of syllables; a tenth of
them from the 300 of its subject, so that documents differ in more than chance. Its vectors lie around its subject's.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from holdfast.rag.types import Chunk, Document, EmbeddedChunk, Mime, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from holdfast.llm.embedding import Vectors

__all__ = ["CHUNKS", "EMBEDDER", "Corpus"]

CHUNKS = 20
EMBEDDER = "synthetic:clusters"

_WORDS = 30_000
_COMMON = 50  # the first so many are what stop words are in a language: no question holds them
_SUBJECTS = 400
_SUBJECT_WORDS = 300
_WORDS_A_CHUNK = 110
_SENTENCES = 6
_DIMENSION = 384
_SYLLABLES = [first + vowel for first in "bdfghklmnprstvz" for vowel in "aeiou"]


class Corpus:
    """Makes the same documents and questions every time.

    Args:
        seed: of everything.
    """

    def __init__(self, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        words: dict[str, None] = {}
        while len(words) < _WORDS:
            words["".join(rng.choice(_SYLLABLES, rng.integers(2, 5)))] = None
        self._words = np.array(list(words))
        weights = 1.0 / np.arange(1, _WORDS + 1)
        self._cumulative = np.cumsum(weights / weights.sum())
        self._subjects = rng.integers(_COMMON, _WORDS, (_SUBJECTS, _SUBJECT_WORDS))
        self._centres = _units(rng.standard_normal((_SUBJECTS, _DIMENSION)))

    def document(self, number: int) -> tuple[Document, list[EmbeddedChunk]]:
        """The document of a number, with its chunks."""
        rng = np.random.default_rng((self._seed, number))
        subject = number % _SUBJECTS
        passages = [self._passage(rng, subject) for _ in range(CHUNKS)]
        vectors = _units(self._centres[subject] + rng.standard_normal((CHUNKS, _DIMENSION)) / np.sqrt(_DIMENSION))
        name = f"d{number}"
        text = "\n\n".join(" ".join(words) + "." for words in passages)
        chunks: list[EmbeddedChunk] = []
        start = 0
        for ordinal, words in enumerate(passages):
            passage = " ".join(words) + "."
            chunk = Chunk(
                id=f"{name}/{zlib.crc32(passage.encode()):08x}-{ordinal}",
                document_id=name,
                ordinal=ordinal,
                start=start,
                end=start + len(passage),
                heading=" ".join(words[:2]),
                text=passage,
                sentences=_sentences(len(passage), start),
            )
            sentences = np.repeat(vectors[ordinal][np.newaxis], _SENTENCES, axis=0)
            chunks.append(EmbeddedChunk(chunk=chunk, vector=vectors[ordinal], sentence_vectors=sentences))
            start = chunk.end + 2
        document = Document(
            id=name,
            text=text,
            title=" ".join(passages[0][:4]),
            uri=f"file:///{name}",
            mime=Mime.PLAIN,
            content_hash=f"{zlib.crc32(text.encode()):08x}",
            metadata={"subject": subject},
        )
        return document, chunks

    def question(self, number: int, documents: int) -> tuple[str, Vectors]:
        """Four to eight words of one chunk of the first so many documents, and a vector near that chunk's."""
        rng = np.random.default_rng((self._seed, 1, number))
        _, chunks = self.document(int(rng.integers(documents)))
        item = chunks[int(rng.integers(CHUNKS))]
        common = set(self._words[:_COMMON].tolist())
        words = [word for word in dict.fromkeys(item.chunk.text.rstrip(".").split()) if word not in common]
        assert item.vector is not None
        near = item.vector + 0.7 * rng.standard_normal(_DIMENSION) / np.sqrt(_DIMENSION)
        return " ".join(rng.choice(words, rng.integers(4, 9), replace=False)), _units(near[np.newaxis])[0]

    def _passage(self, rng: np.random.Generator, subject: int) -> list[str]:
        places = np.searchsorted(self._cumulative, rng.random(_WORDS_A_CHUNK))
        own = rng.random(_WORDS_A_CHUNK) < 0.1
        places[own] = rng.choice(self._subjects[subject], int(own.sum()))
        words: list[str] = self._words[np.minimum(places, _WORDS - 1)].tolist()
        return words


def _sentences(length: int, start: int) -> tuple[Span, ...]:
    ends = [start + length * (n + 1) // _SENTENCES for n in range(_SENTENCES)]
    return tuple(Span(begin, end) for begin, end in zip([start, *ends], ends, strict=False))


def _units(rows: NDArray[np.float64]) -> Vectors:
    units: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return units
