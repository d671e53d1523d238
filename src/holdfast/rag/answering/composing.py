"""From ranked sentences to an answer that a person can read, with a citation for every passage it quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.rag.plain import quoted_text
from holdfast.rag.types import Citation, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.rag.answering.candidates import Candidate
    from holdfast.rag.types import Hit, StoredChunk

__all__ = ["cite", "compose", "select"]

_MARGIN = 0.4
"""A further sentence is quoted when its score is less than this below the best one's."""

_SAME_COSINE = 0.92
_SAME_WORDS = 0.75
"""Two sentences say the same above this cosine, or above this share of words in common (Jaccard)."""


class _Quote(NamedTuple):
    """A quoted sentence as plain text; ``item`` for a list item, ``line`` for what stands on a line of its own."""

    text: str
    item: bool
    line: bool


def select(ranked: Sequence[Candidate], *, max_sentences: int, max_chars: int) -> list[Candidate]:
    """The sentences to quote: the best one, and those close behind it that add something, in reading order.

    Passages come in the order of their best sentence, sentences of one passage in the order of the document. The best
    sentence is taken whatever its length. A sentence that only introduces something (it ends with a colon)
    brings the list items, table rows or code that follow it, as far as they fit.
    """
    chosen: list[Candidate] = []
    quoted = length = 0
    for candidate in ranked:
        if quoted == max_sentences or (chosen and candidate.score < chosen[0].score - _MARGIN):
            break
        if chosen and (length + len(candidate.text) > max_chars or any(_same(candidate, one) for one in chosen)):
            continue
        quoted += 1
        for one in (candidate, *_introduced(candidate, ranked)):
            if one not in chosen and (not chosen or length + len(one.text) <= max_chars):
                chosen.append(one)
                length += len(one.text)
    places = list(dict.fromkeys(candidate.hit for candidate in chosen))
    return sorted(chosen, key=lambda candidate: (places.index(candidate.hit), candidate.index))


def compose(chosen: Sequence[Candidate], hits: Sequence[Hit], *, max_chars: int) -> tuple[str, tuple[Citation, ...]]:
    """The answer's text, and its citations in the order of their markers.

    Sentences that follow each other in a passage are quoted and cited as one. Prose runs on; list items, table rows and
    code stand on lines of their own.

    Args:
        chosen: in reading order.
        hits: the passages that the candidates count from.
        max_chars: a single quote that is longer is cut off in the text; its citation has all of it.
    """
    citations: list[Citation] = []
    quotes: list[_Quote] = []
    for run in _runs(chosen):
        hit = hits[run[0].hit]
        quotes += [_quote(candidate, hit.stored, max_chars) for candidate in run]
        citations.append(cite(hit, run[0].span.start, run[-1].span.end))
        quotes[-1] = quotes[-1]._replace(text=f"{quotes[-1].text} [{len(citations)}]")
    text = ""
    line = False
    for quote in quotes:
        separator = "" if not text else "\n" if quote.line or line else " "
        bullet = "- " if quote.item and len(quotes) > 1 else ""
        text += separator + bullet + quote.text
        line = quote.line
    return text, tuple(citations)


def _introduced(candidate: Candidate, ranked: Sequence[Candidate]) -> list[Candidate]:
    """What a sentence that ends with a colon introduces: the list, table or code that follows it, in order."""
    if not candidate.text.rstrip("*_ ").endswith(":"):
        return []
    following = {one.index: one for one in ranked if one.hit == candidate.hit and one.line}
    introduced: list[Candidate] = []
    while (one := following.get(candidate.index + 1 + len(introduced))) is not None:
        introduced.append(one)
    return introduced


def _same(one: Candidate, other: Candidate) -> bool:
    if one.vector is not None and other.vector is not None and float(one.vector @ other.vector) > _SAME_COSINE:
        return True
    return len(one.words & other.words) > _SAME_WORDS * len(one.words | other.words)


def _runs(chosen: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates that stand side by side in one passage, together."""
    run: list[Candidate] = []
    for candidate in chosen:
        if run and (candidate.hit, candidate.index) != (run[-1].hit, run[-1].index + 1):
            yield run
            run = []
        run.append(candidate)
    if run:
        yield run


def _quote(candidate: Candidate, stored: StoredChunk, max_chars: int) -> _Quote:
    start = stored.chunk.start
    span = Span(candidate.span.start - start, candidate.span.end - start)
    text = quoted_text(stored.chunk.text, span, stored.mime)
    if len(text) > max_chars:
        text = text[: max_chars - 1].rsplit(maxsplit=1)[0].rstrip() + "…"
    return _Quote(text, item=candidate.item, line=candidate.line)


def cite(hit: Hit, start: int, end: int) -> Citation:
    """The characters ``start`` to ``end`` of the hit's document, which lie in its passage."""
    chunk = hit.stored.chunk
    return Citation(
        document_id=chunk.document_id,
        chunk_id=chunk.id,
        title=hit.stored.title,
        uri=hit.stored.uri,
        text=chunk.text[start - chunk.start : end - chunk.start],
        start=start,
        end=end,
        score=hit.score,
        heading=chunk.heading,
    )
