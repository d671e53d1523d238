"""The last resort of the answer stage: the best passages as they are, without any composing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.answering.base import Draft
from holdfast.rag.answering.composing import cite
from holdfast.rag.answering.links import quoted_links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.types import Hit

__all__ = ["excerpt"]

_PASSAGES = 2
_LONGEST = 400


def excerpt(hits: Sequence[Hit]) -> Draft:
    """A draft that quotes the beginning of the best passages, word for word."""
    citations = []
    for hit in hits[:_PASSAGES]:
        chunk = hit.stored.chunk
        end = min(chunk.end, chunk.start + _LONGEST)
        citations.append(cite(hit, chunk.start, end))
    text = "\n\n".join(f"{citation.text.strip()} [{number}]" for number, citation in enumerate(citations, 1))
    return Draft(text=quoted_links(text), citations=tuple(citations), confidence=0.0, answered=False)
