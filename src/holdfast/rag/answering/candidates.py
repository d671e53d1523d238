"""The sentences that an answer could quote, each with what speaks for it."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING

from holdfast.rag.answering.terms import stems

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.answering.base import AnswerRequest
    from holdfast.rag.answering.terms import QuestionTerms
    from holdfast.rag.types import Chunk, Hit, Span

__all__ = ["Candidate", "Sentence", "rank_candidates"]

# A sentence's score is its cosine + _OVERLAP x overlap + _PASSAGE x the passage's score (+ _QUANTITY). On the sample
# knowledge base the optimum is flat: half or double of each changes the answers that hold the fact by 1 to 3 in 100
# (`benchmarks/rag/calibrate.py`).
_OVERLAP = 0.5
_PASSAGE = 0.5
_QUANTITY = 0.2
"""What a number is worth when the question asks for one: 5 more in 100 best sentences hold the fact."""

_ASKS_QUANTITY = re.compile(
    r"\b(?:how (?:many|much|long|often|far|fast|soon|late|early|old|big|large|heavy|high)|when|until|till|deadline"
    r"|what time|prices?|costs?|fees?|charges?|percent(?:age)?|number|limit|maximum|minimum)\b",
    re.IGNORECASE,
)
_QUANTITY_WORD = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|once|twice|half|free)\b", re.IGNORECASE
)

_MOST_READ = 1_024
"""Passages whose sentences are remembered: the same ones are found for many questions. A few MB at most."""

_LIST_MARKER = re.compile(r"[ \t>]*(?:[-+*]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_ROW_OR_FENCE = re.compile(r"`{3}|~{3}|\|[^\n]*\|$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage, with what does not depend on the question.

    Attributes:
        index: its place among the sentences of its passage, from 0.
        span: where it stands in the document.
        text: the document's text there.
        item: whether it is a list item.
        line: whether it stands on a line of its own: a list item, a table row or a code block.
        quantity: whether it holds a number, or a word for one.
        words: the stems of its words.
    """

    index: int
    span: Span
    text: str
    item: bool
    line: bool
    quantity: bool
    words: frozenset[str]


# Not frozen: some thirty are made for each question, and setting the fields of a frozen one takes three times as long.
# Not compared: arrays have no truth value.
@dataclass(slots=True, eq=False)
class Candidate:
    """A sentence, list item, table row or code block of a passage that was found.

    Attributes:
        hit: the place of its passage among the hits, from 0.
        sentence: what is known of it whatever the question; its fields are there under their own names, too.
        vectors: the unit vectors of all sentences of its passage, or None.
        cosine: its similarity to the question, or None when either has no vector.
        score: how well it answers; only the order and the differences mean something.
    """

    hit: int
    sentence: Sentence
    vectors: Vectors | None
    cosine: float | None
    score: float

    @property
    def index(self) -> int:
        """Its place among the sentences of its passage, from 0."""
        return self.sentence.index

    @property
    def span(self) -> Span:
        """Where it stands in the document."""
        return self.sentence.span

    @property
    def text(self) -> str:
        """The document's text there."""
        return self.sentence.text

    @property
    def item(self) -> bool:
        """Whether it is a list item."""
        return self.sentence.item

    @property
    def line(self) -> bool:
        """Whether it stands on a line of its own: a list item, a table row or a code block."""
        return self.sentence.line

    @property
    def words(self) -> frozenset[str]:
        """The stems of its words."""
        return self.sentence.words

    @property
    def vector(self) -> Vectors | None:
        """Its unit vector, or None."""
        return None if self.vectors is None else self.vectors[self.sentence.index]


def rank_candidates(request: AnswerRequest, terms: QuestionTerms) -> list[Candidate]:
    """All sentences of the hits, best first; equal ones in the order of the hits and of their documents."""
    quantity = _QUANTITY if _ASKS_QUANTITY.search(request.question) else 0.0
    candidates: list[Candidate] = []
    for place, hit in enumerate(request.hits):
        candidates += _of_hit(place, hit, request.query_vector, terms, quantity)
    candidates.sort(key=_SCORE, reverse=True)  # equal ones stay in their order
    return candidates


def _of_hit(place: int, hit: Hit, query: Vectors | None, terms: QuestionTerms, quantity: float) -> list[Candidate]:
    chunk = hit.stored.chunk
    vectors = hit.stored.sentence_vectors
    if vectors is None or query is None or vectors.shape != (len(chunk.sentences), *query.shape):
        vectors = None  # none, not these sentences', or of another space than the question
    cosines: list[float] | None = (vectors @ query).tolist() if vectors is not None and query is not None else None
    passage, coverage = _PASSAGE * hit.score, terms.coverage
    candidates = []
    for sentence in _READ.of(chunk):
        score = _OVERLAP * coverage(sentence.words) + passage
        cosine = None
        if cosines is not None:  # a sentence without a vector beside others with one counts as unlike the question
            cosine = cosines[sentence.index]
            score += cosine
        if quantity and sentence.quantity:
            score += quantity
        candidates.append(Candidate(place, sentence, vectors, cosine, score))
    return candidates


_SCORE = attrgetter("score")


# --- what does not depend on the question -----------------------------------------------------------------------------


def _sentences_of(chunk: Chunk) -> tuple[Sentence, ...]:
    sentences = []
    for index, span in enumerate(chunk.sentences):
        text = chunk.text[span.start - chunk.start : span.end - chunk.start]
        words = stems(text)
        if not words:
            continue
        before = chunk.text[chunk.text.rfind("\n", 0, span.start - chunk.start) + 1 : span.start - chunk.start]
        item = _LIST_MARKER.fullmatch(before) is not None
        line = item or _ROW_OR_FENCE.match(text) is not None
        quantity = _QUANTITY_WORD.search(text) is not None
        sentences.append(Sentence(index, span, text, item, line, quantity, words))
    return tuple(sentences)


class _Read:
    """Passages that were taken apart, by identity: to compare their texts would cost a good part of what it saves."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Chunk, tuple[Sentence, ...]]] = OrderedDict()
        self._lock = Lock()

    def of(self, chunk: Chunk) -> tuple[Sentence, ...]:
        known = self._known.get(id(chunk))
        if known is not None and known[0] is chunk:
            return known[1]
        sentences = _sentences_of(chunk)
        with self._lock:
            self._known[id(chunk)] = (chunk, sentences)  # it is kept alive with its id
            if len(self._known) > _MOST_READ:
                self._known.popitem(last=False)
        return sentences


_READ = _Read()
"""Shared by all threads that answer."""
