"""The words of a question that carry its meaning: folded, without function words, stemmed, weighted by their rarity."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from math import log
from typing import TYPE_CHECKING

import snowballstemmer

from holdfast.rag.store.words import terms as index_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["QuestionTerms", "question_stems", "question_words", "stem_sequence", "stems", "tokens"]

_TOKEN = re.compile(r"[^\W_]+")
_MAX_TERMS = 64
"""How many different words of a question are looked at: enough for any question, a bound for a pasted page."""

_QUESTIONS = 256
"""Questions, and sentences of answers, whose words are remembered: each is looked at several times."""

_CONVERSATION = frozenset(
    _TOKEN.findall("""
    already anyone anything cant could dont else even ever every everything get gets getting give gives giving go goes
    going got happen happens happened help hello hi into know let like may maybe mean means might mine much many must
    need needs never now nothing one ones onto please say says shall since someone something still tell thank thanks
    thing things till us use want wanted wants whether within without would yes yet
    """)
)
"""Beyond the stop words of the word index: what questions are made with, and what no answer repeats."""


def tokens(text: str) -> list[str]:
    """The runs of letters and digits in ``text``, in order, in lower case, without accents: as the word index folds."""
    if text.isascii():
        return _TOKEN.findall(text.lower())
    return [_without_accents(word) for word in _TOKEN.findall(unicodedata.normalize("NFC", text).lower())]


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    return "".join(part for part in unicodedata.normalize("NFD", word) if not unicodedata.combining(part))


def stems(text: str) -> frozenset[str]:
    """The stems of all words in ``text`` (Porter's algorithm, as in the word index)."""
    return frozenset(map(_stem, tokens(text)))


def stem_sequence(text: str) -> list[str]:
    """The stems of all words in ``text``, in order."""
    return list(map(_stem, tokens(text)))


@lru_cache(_QUESTIONS)
def question_words(question: str) -> tuple[str, ...]:
    """The words that carry the meaning of ``question``, each once, in order: those whose document frequency matters.

    A question made of nothing but function words keeps them all.
    """
    words = [word.lower() for word in index_terms(question)]
    words = [word for word in words if word not in _CONVERSATION] or words or list(dict.fromkeys(tokens(question)))
    return tuple(words[:_MAX_TERMS])


@lru_cache(_QUESTIONS)
def question_stems(question: str) -> tuple[str, ...]:
    """The stems of the :func:`question_words`, each once, in order."""
    return tuple(dict.fromkeys(chain.from_iterable(map(_stems_of_word, question_words(question)))))


# A store's words are few and come back with every question; stemming one takes 20 µs.
@lru_cache(maxsize=32_768)
def _stem(token: str) -> str:
    return str(_PORTER.stemWord(token))


# A word as somebody wrote it: "Returns?" or "e-mail". Those of questions are fewer than those of documents.
@lru_cache(maxsize=4_096)
def _stems_of_word(word: str) -> tuple[str, ...]:
    return tuple(stem_sequence(word))


_PORTER = snowballstemmer.stemmer("porter")


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """The stems of a question with their weights.

    Attributes:
        weights: inverse document frequency by stem, 0 to 1: 1 for a word that no chunk holds, near 0 for one that
            all of them hold.
    """

    weights: Mapping[str, float]
    _stems: frozenset[str] = field(init=False, repr=False, compare=False)
    _total: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_stems", frozenset(self.weights))
        object.__setattr__(self, "_total", sum(self.weights.values()))

    @classmethod
    def of(cls, question: str, document_frequency: Mapping[str, int], chunk_count: int) -> QuestionTerms:
        """Weigh the terms of ``question``.

        A word whose frequency was not given has the middle weight; without any frequencies all words weigh the same.
        """
        frequency: dict[str, int] = {}
        for word, count in document_frequency.items():
            parts = _stems_of_word(word)
            if len(parts) == 1:
                (stem,) = parts
                frequency[stem] = max(count, frequency.get(stem, 0))
        weights: dict[str, float] = {}
        for stem in question_stems(question):
            weights[stem] = _idf(frequency[stem], chunk_count) if stem in frequency and chunk_count > 0 else 0.5
        return cls(weights)

    def coverage(self, words: frozenset[str]) -> float:
        """The share of the question's weight that stands among ``words`` (stems), 0 to 1."""
        if self._total <= 0 or words.isdisjoint(self._stems):  # half of all sentences share no word with the question
            return 0.0
        return sum([weight for stem, weight in self.weights.items() if stem in words]) / self._total


# Words are in some hundred different numbers of chunks, and the number of chunks seldom changes.
@lru_cache(maxsize=1_024)
def _idf(count: int, chunk_count: int) -> float:
    """The inverse document frequency of BM25's probabilistic form, smoothed, scaled so that an unseen word has 1."""
    ceiling = log(1 + (chunk_count + 0.5) / 0.5)
    held = min(max(count, 0), chunk_count)
    return log(1 + (chunk_count - held + 0.5) / (held + 0.5)) / ceiling
