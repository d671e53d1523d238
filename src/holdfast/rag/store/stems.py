"""Words as a store's own index keeps them: without case and accents, stemmed (Porter), counted by where they stand.

For stores whose engine would see words in another way than the embedded store does: they index these instead of the
text, so that the forms of a word are one word everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import snowballstemmer

from holdfast.rag.store.words import terms

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IndexedWords", "index_words", "question_stems", "stems_of", "weighted_words"]

TITLE_WEIGHT, HEADING_WEIGHT, TEXT_WEIGHT = 3, 2, 1

_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD = 64  # of what is longer the beginning counts: such a word is a hash or a table, and stemming is slow
_LARGEST_COUNT = 65_535
_STEMMER = snowballstemmer.stemmer("porter")


@dataclass(frozen=True, slots=True)
class IndexedWords:
    """A chunk's words, ascending; how much each counts (little-endian uint16, same order); how many there are."""

    words: list[str]
    weights: bytes
    tokens: int


def index_words(title: str, heading: str, text: str) -> IndexedWords:
    """The words of a chunk: one in the title counts three times, one in the heading twice."""
    counts: dict[str, int] = {}
    tokens = 0
    for part, weight in ((title, TITLE_WEIGHT), (heading, HEADING_WEIGHT), (text, TEXT_WEIGHT)):
        for word in stems_of(part):
            counts[word] = counts.get(word, 0) + weight
            tokens += 1
    words = sorted(counts)
    weights = np.minimum([counts[word] for word in words], _LARGEST_COUNT).astype("<u2").tobytes()
    return IndexedWords(words, weights, tokens)


def weighted_words(title: str, heading: str, text: str) -> list[str]:
    """The words of a chunk for an index that counts for itself: each as often as it counts."""
    parts = ((title, TITLE_WEIGHT), (heading, HEADING_WEIGHT), (text, TEXT_WEIGHT))
    return [word for part, weight in parts for word in stems_of(part) * weight]


def stems_of(text: str) -> list[str]:
    """The words of a text in their order, stemmed."""
    # Words are cut out as `terms` does it for a question; what a letter unfolds to may hold the end of a word again.
    words = _WORD.findall(unicodedata.normalize("NFC", text))
    return [_stem(part[:_LONGEST_WORD]) for word in words for part in _WORD.findall(_folded(word))]


def question_stems(question: str) -> list[str]:
    """The stems of a question's words that carry meaning, each once."""
    return _each_once(stem for word in terms(question) for stem in stems_of(word))


def _each_once(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in parts if not unicodedata.combining(each))


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem
