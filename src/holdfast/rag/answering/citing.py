"""From the marks in a written answer to the sentences that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.answering.composing import cite
from holdfast.rag.answering.supporting import statement_at_end
from holdfast.rag.answering.terms import stems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.answering.candidates import Candidate
    from holdfast.rag.types import Citation, Hit

__all__ = ["citations"]


def citations(
    text: str, cited: Sequence[int], hits: Sequence[Hit], candidates: Sequence[Candidate]
) -> tuple[Citation, ...]:
    """A citation for each mark ``[1]``, ``[2]``, ... of ``text``: the sentence of the passage that says it best.

    Best is the sentence that shares most words with the statement before the mark; among equals, the one that fits the
    question best. A passage without sentences is cited as a whole.

    Args:
        text: the answer, with its marks numbered as in the result.
        cited: for each mark, the number of the passage, from 1.
        hits: the passages.
        candidates: their sentences, best first.
    """
    return tuple(
        _citation(_statement(text, mark), hits[number - 1], [one for one in candidates if one.hit == number - 1])
        for mark, number in enumerate(cited, start=1)
    )


def _citation(statement: str, hit: Hit, sentences: Sequence[Candidate]) -> Citation:
    if not sentences:
        return cite(hit, hit.stored.chunk.start, hit.stored.chunk.end)
    said = stems(statement)
    best = max(sentences, key=lambda one: len(one.words & said))  # the first of equals, which is the best one
    return cite(hit, best.span.start, best.span.end)


def _statement(text: str, mark: int) -> str:
    """What stands before the first ``[mark]``, back to the end of the statement before."""
    return statement_at_end(text.partition(f"[{mark}]")[0])
