"""Chunking: a document as passages of about the same size that keep together what belongs together."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.rag.packing import pack
from holdfast.rag.pieces import pieces
from holdfast.rag.sections import Section, sections
from holdfast.rag.sentences import block_spans
from holdfast.rag.types import Chunk, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.rag.types import Document

__all__ = ["CHUNKER_VERSION", "ChunkOptions", "chunk", "is_intact"]

CHUNKER_VERSION = "1"
"""Part of every document's content hash. Raise it with any change that makes other chunks of the same text."""

_OURS = re.compile(r"chk_[0-9a-f]{24}")
_LOOKED_AT = 1_024
"""Passages of which it is remembered whether their texts are their own: the same ones are found for many questions, and
a store that remembers them gives the very same texts. Some MB at most where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOptions:
    """How large chunks are, in characters. Chunks do not overlap.

    Attributes:
        target_chars: the size that is aimed at, 50 to 20,000 (default 750).
        max_chars: no chunk is larger; at least ``target_chars``, at most 20,000 (default 1,200).
        min_chars: sections smaller than this are joined with their neighbours of the same rank, and chunks smaller than
            this are avoided where a section has more text; 0 to ``target_chars`` (default 200).

    Raises:
        ConfigError: a value is out of its range.
    """

    target_chars: int = 750
    max_chars: int = 1200
    min_chars: int = 200

    def __post_init__(self) -> None:
        if not 50 <= self.target_chars <= 20_000:
            raise ConfigError("target_chars", self.target_chars, "must be between 50 and 20,000")
        if not self.target_chars <= self.max_chars <= 20_000:
            raise ConfigError("max_chars", self.max_chars, "must be between target_chars and 20,000")
        if not 0 <= self.min_chars <= self.target_chars:
            raise ConfigError("min_chars", self.min_chars, "must be between 0 and target_chars")


DEFAULTS = ChunkOptions()


def chunk(document: Document, options: ChunkOptions = DEFAULTS) -> list[Chunk]:
    """The chunks of a document, in order.

    They are disjoint and together hold everything but white space; ``document.text[chunk.start:chunk.end]`` is
    ``chunk.text``. A chunk does not span two sections, unless both are small and have the same parent. Cuts fall
    between blocks rather than inside of one, between list items and between sentences rather than inside of one; a
    code block or a table row is cut only when it is longer than the maximum.

    A chunk's id depends on the document's id, its own text and how many equal chunks come before it, so it stays the
    same when something else in the document changes.
    """
    found: list[Chunk] = []
    seen: Counter[str] = Counter()
    text = document.text
    for section in sections(text, document.mime, smallest=options.min_chars, target=options.target_chars):
        spans = [span for block in section.blocks for span in block_spans(text, block, document.mime)]
        starts = [span.start for span in spans]
        for start, end in _ranges(text, section, spans, options):
            passage = text[start:end]
            found.append(
                Chunk(
                    id=_chunk_id(document.id, passage, seen[passage]),
                    document_id=document.id,
                    ordinal=len(found),
                    start=start,
                    end=end,
                    heading=section.heading,
                    text=passage,
                    sentences=_inside(text, spans, starts, start, end),
                )
            )
            seen[passage] += 1
    return found


def _ranges(text: str, section: Section, spans: list[Span], options: ChunkOptions) -> Iterator[tuple[int, int]]:
    parts = pieces(text, section.blocks, spans, largest=options.max_chars)
    packed = pack(parts, target=options.target_chars, smallest=max(options.min_chars, 1), largest=options.max_chars)
    for first, last in packed:
        yield parts[first].start, parts[last - 1].end


def is_intact(chunk: Chunk) -> bool:
    """Whether a chunk's text is the one that its id was made of. An id that was not made here says nothing: True."""
    return _is_made_of(chunk.id, chunk.document_id, chunk.text, chunk.ordinal)


@lru_cache(_LOOKED_AT)
def _is_made_of(chunk_id: str, document_id: str, text: str, ordinal: int) -> bool:
    if not _OURS.fullmatch(chunk_id):
        return True
    # How many equal passages come before it: mostly none, in a document of nothing else all, and never more than that.
    either = chain.from_iterable((few, ordinal - few) for few in range(ordinal // 2 + 1))
    return any(_chunk_id(document_id, text, place) == chunk_id for place in either)


def _chunk_id(document_id: str, text: str, occurrence: int) -> str:
    digest = hashlib.sha256(f"{document_id}\0{occurrence}\0{text}".encode("utf-8", "surrogatepass"))
    return "chk_" + digest.hexdigest()[:24]


def _inside(text: str, spans: list[Span], starts: list[int], start: int, end: int) -> tuple[Span, ...]:
    """What lies of ``spans`` between ``start`` and ``end``; a span that was cut is clipped."""
    clipped = []
    at = max(bisect_left(starts, start) - 1, 0)
    while at < len(spans) and spans[at].start < end:
        span = spans[at]
        at += 1
        first, last = max(span.start, start), min(span.end, end)
        if first >= last:
            continue
        if first > span.start or last < span.end:
            part = text[first:last]
            first += len(part) - len(part.lstrip())
            last -= len(part) - len(part.rstrip())
            if not any(map(str.isalnum, text[first:last])):
                continue
        clipped.append(Span(first, last))
    return tuple(clipped)
