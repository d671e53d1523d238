"""Finds the entry of an FAQ that answers a question, or none: by words alone, in well under a millisecond.

The score of an entry is the share of the question that it holds. The words of the question that carry meaning are
weighed by their rarity (the inverse document frequency of BM25; Robertson, Zaragoza: "The Probabilistic Relevance
Framework: BM25 and Beyond", 2009). An entry has of each what BM25 gives for it, with its fields weighed (BM25F), from
0 to 1; of the words of a keyword that stands in the question it has all, and a little more for being named. A word that
no entry knows counts as one that a single entry holds: a question about something else has many of these, and so gets
nothing, whatever words it shares. A question that stands in the file word for word gets its entry in any case.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from holdfast.core._options import number as finite_number
from holdfast.errors import ConfigError
from holdfast.rag.answering.terms import question_words, stem_sequence
from holdfast.rag.faq.file import MAX_ENTRIES, read_faq

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from holdfast.rag.faq.entries import FaqEntry

__all__ = ["THRESHOLD", "Faq", "FaqMatch"]

THRESHOLD = 0.4
"""The least score of an answer. ``python -m benchmarks.rag.faq`` measures what it lets through."""

_QUESTIONS, _ANSWER = 3.0, 1.0
"""What a word counts for in a question or a keyword, and in an answer."""
_NAMED = 0.05
"""What it is worth that a keyword stands in the question: whoever wrote the file knew what people ask."""
_SATURATION, _LENGTH = 1.2, 0.75
"""BM25's k1 and b."""
_MAX_CHARS = 1_000
"""Characters of a question that are read: an FAQ answers short ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaqMatch:
    """The entry that answers a question.

    Attributes:
        score: the share of the question that the entry holds, and a little more for a keyword, 0 to 1.
        keywords: those of its keywords that stand in the question, as they are written in the file.
    """

    entry: FaqEntry
    score: float
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Keyword:
    entry: int
    written: str
    stems: tuple[str, ...]


class Faq:
    """Questions with their answers. Never changed after it is made, so that any number of threads may use it.

    Args:
        entries: 1 to 1,000, each with an id of its own.
        threshold: the least score of a match, 0 to 1.

    Raises:
        ConfigError: there are none or too many entries, or two have one id, or the threshold is out of its range.
    """

    def __init__(self, entries: Iterable[FaqEntry], *, threshold: float = THRESHOLD) -> None:
        self.entries = tuple(entries)
        self.threshold = finite_number("threshold", threshold)
        if not 0 <= self.threshold <= 1:
            raise ConfigError("threshold", threshold, "must be from 0 to 1")
        if not 1 <= len(self.entries) <= MAX_ENTRIES:
            raise ConfigError("entries", len(self.entries), f"must be 1 to {MAX_ENTRIES:,}")
        doubled = [name for name, count in Counter(entry.id for entry in self.entries).items() if count > 1]
        if doubled:
            raise ConfigError("id", doubled[0], "is the id of two entries: give each its own")
        self._credits = _credits(self.entries)
        self._weights = {stem: _rarity(len(held), len(self.entries)) for stem, held in self._credits.items()}
        self._unknown = _rarity(1, len(self.entries))
        self._questions: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._keywords: dict[str, list[_Keyword]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            for question in entry.questions:
                self._questions[tuple(stem_sequence(question))].append(place)
            for written in entry.keywords:
                if stems := stem_sequence(written):
                    self._keywords[stems[0]].append(_Keyword(place, written, tuple(stems)))

    @classmethod
    def load(cls, path: Path) -> Faq:
        """The FAQ of a file. Blocks while it reads.

        Raises:
            ConfigError: the file cannot be read, is too large, or something in it is wrong; with file, entry, field and
                rule of everything that is.
        """
        return cls(read_faq(path))

    def __len__(self) -> int:
        return len(self.entries)

    def match(self, question: str, *, collection: str | None = None) -> FaqMatch | None:
        """The entry that answers ``question``, or None when none does; of two that are equal, the first of the file.

        Args:
            question: as the user wrote it; its first 1,000 characters are read.
            collection: which collection was asked; None matches entries of all.
        """
        text = question[:_MAX_CHARS]
        said = stem_sequence(text)
        keywords = self._keywords_in(said)
        best, score = self._best(text, said, keywords, collection)
        if best is None or score < self.threshold:
            return None
        found = tuple(dict.fromkeys(one.written for one in keywords.get(best, ())))
        return FaqMatch(entry=self.entries[best], score=score, keywords=found)

    def _best(
        self, text: str, said: Sequence[str], keywords: Mapping[int, Sequence[_Keyword]], collection: str | None
    ) -> tuple[int | None, float]:
        for number in self._questions.get(tuple(said), ()) if said else ():
            if self._answers(number, collection):
                return number, 1.0
        terms = dict.fromkeys(stem for word in question_words(text) for stem in stem_sequence(word))
        weights = {stem: self._weights.get(stem, self._unknown) for stem in terms}
        scores = self._scores(weights, keywords)
        eligible = [number for number in sorted(scores) if self._answers(number, collection)]
        best = max(eligible, key=lambda number: scores[number], default=None)  # the first of those that are equal
        return best, 0.0 if best is None else min(1.0, scores[best] / sum(weights.values()))

    def _answers(self, number: int, collection: str | None) -> bool:
        return collection is None or self.entries[number].collection in {None, collection}

    def _keywords_in(self, said: Sequence[str]) -> Mapping[int, Sequence[_Keyword]]:
        """The keywords that stand in a question, by entry."""
        found: dict[int, list[_Keyword]] = defaultdict(list)
        for place, stem in enumerate(said):
            for one in self._keywords.get(stem, ()):
                if tuple(said[place : place + len(one.stems)]) == one.stems:
                    found[one.entry].append(one)
        return found

    def _scores(self, weights: Mapping[str, float], keywords: Mapping[int, Sequence[_Keyword]]) -> Mapping[int, float]:
        """For each entry that holds a word of the question, the weight of what it holds."""
        scores: dict[int, float] = defaultdict(float)
        named = {number: {stem for one in found for stem in one.stems} for number, found in keywords.items()}
        for number, stems in named.items():
            scores[number] = sum(weights.get(stem, 0.0) for stem in stems) + _NAMED * sum(weights.values())
        for stem, weight in weights.items():
            for number, credit in self._credits.get(stem, {}).items():
                if stem not in named.get(number, ()):
                    scores[number] += weight * credit
        return scores


def _rarity(held: int, entries: int) -> float:
    return log(1 + (entries - held + 0.5) / (held + 0.5))


def _credits(entries: Sequence[FaqEntry]) -> dict[str, dict[int, float]]:
    """For each stem, the entries that hold it, with what BM25 gives for it there, 0 to 1."""
    asked = [_counts((*entry.questions, *entry.keywords)) for entry in entries]
    answered = [_counts((entry.answer,)) for entry in entries]
    credit: dict[str, dict[int, float]] = defaultdict(dict)
    usual = [max(1.0, sum(map(Counter.total, field)) / len(entries)) for field in (asked, answered)]
    for number, fields in enumerate(zip(asked, answered, strict=True)):
        lengths = [1 - _LENGTH + _LENGTH * field.total() / mean for field, mean in zip(fields, usual, strict=True)]
        for stem in fields[0] | fields[1]:
            said = _QUESTIONS * fields[0][stem] / lengths[0] + _ANSWER * fields[1][stem] / lengths[1]
            credit[stem][number] = said / (said + _SATURATION)
    return dict(credit)


def _counts(texts: Iterable[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for text in texts:
        meaning = {stem for word in question_words(text) for stem in stem_sequence(word)}
        counted.update(stem for stem in stem_sequence(text) if stem in meaning)
    return counted
