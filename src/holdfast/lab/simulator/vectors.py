"""Embeddings without a model: words and pieces of words, counted in buckets that their hash chooses.

The "hashing trick" (Weinberger et al. 2009), with signs: texts that share words, or word stems, are near each other,
and texts that share nothing are nearly at a right angle.
"""

from __future__ import annotations

import re
import zlib
from array import array
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["plain", "vector_of"]

_WORD = re.compile(r"\w+")
_GRAM = 4
_GRAM_WEIGHT = 0.3
_MOST_WORDS = 8_192
_SIGN = 1 << 31
_SHORT = 50
"""Longer words are hardly ever words."""


def plain(text: str) -> str:
    """What counts of ``text`` for its vector: a text that differs only in case and marks has the same."""
    text = text.lower()
    return " ".join(_WORD.findall(text)) or text


def vector_of(text: str, dimension: int) -> array[float]:
    """The vector of ``text``: ``dimension`` numbers of 32 bits, of length 1, always the same."""
    sums = [0.0] * dimension
    text = text.lower()
    for word in _WORD.findall(text)[:_MOST_WORDS] or [text]:
        for code, weight in _features(word) if len(word) <= _SHORT else _features_of(word):
            sums[code % dimension] += weight
    length = sqrt(sum(value * value for value in sums))
    if length == 0:
        sums[0] = length = 1.0
    return array("f", (value / length for value in sums))


@lru_cache(8_192)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    """Words come again."""
    return tuple(_features_of(word))


def _features_of(word: str) -> Iterator[tuple[int, float]]:
    """The hashes of a word and of its pieces, each with its weight, and the sign that the hash chooses."""
    yield _signed(word, 1.0)
    framed = f"<{word}>"
    for start in range(len(framed) - _GRAM + 1):
        yield _signed(framed[start : start + _GRAM], _GRAM_WEIGHT)


def _signed(feature: str, weight: float) -> tuple[int, float]:
    code = zlib.crc32(feature.encode("utf-8", "replace"))
    return code, weight if code & _SIGN else -weight
