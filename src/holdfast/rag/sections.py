"""A document's sections: what stands under a heading, with the path of headings above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.rag.blocks import Block, blocks
from holdfast.rag.plain import heading_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.rag.types import Mime

__all__ = ["SEPARATOR", "Section", "sections"]

MAX_BLOCKS = 5_000
"""Blocks of a section; a longer one goes on in a second with the same path. Bounds the memory that packing takes."""

SEPARATOR = " › "
"""Between the headings of a path."""

MAX_TITLE = 120
"""Characters of a heading that the path keeps."""


@dataclass(slots=True)
class Section:
    """Blocks that may share a chunk.

    Attributes:
        path: the headings above, from the top, its own included.
        parent: which heading it stands under: equal for siblings only.
        level: its heading's level, 0 for what stands before the first heading.
        blocks: its own heading and what follows, at least one.
        has_body: whether there is more than headings.
        small: whether each of the sections that it was joined from is small.
    """

    path: tuple[str, ...]
    parent: int
    level: int
    blocks: list[Block]
    has_body: bool = False
    small: bool = False

    @property
    def heading(self) -> str:
        """The path as one line."""
        return SEPARATOR.join(self.path)

    @property
    def length(self) -> int:
        """Characters from its start to its end."""
        return self.blocks[-1].end - self.blocks[0].start


def sections(text: str, mime: Mime, *, smallest: int, target: int) -> Iterator[Section]:
    """The sections of ``text`` in order, small neighbours joined.

    A heading with nothing under it but a further heading goes with that one. Sections of less than ``smallest``
    characters that follow each other under the same parent are joined while the whole stays within ``target``; the
    path of the whole is what their paths share.
    """
    joined: Section | None = None
    for section in _complete(_split(text, mime)):
        section.small = section.length < smallest
        if joined is not None and _belong_together(joined, section, target):
            joined.path = _shared(joined.path, section.path)
            joined.blocks += section.blocks
            continue
        if joined is not None:
            yield joined
        joined = section
    if joined is not None:
        yield joined


def _split(text: str, mime: Mime) -> Iterator[Section]:
    """One section a heading, and one for what stands before the first."""
    above: list[tuple[int, int, str]] = []  # level, number and title of the headings above
    current = Section((), -1, 0, [])
    number = 0
    for block in blocks(text, mime):
        if not block.level:
            if len(current.blocks) >= MAX_BLOCKS:
                yield current
                current = Section(current.path, current.parent, current.level, [])
            current.blocks.append(block)
            current.has_body = True
            continue
        if current.blocks:
            yield current
        while above and above[-1][0] >= block.level:
            above.pop()
        parent = above[-1][1] if above else 0
        number += 1
        above.append((block.level, number, _title(text, block)))
        path = tuple(title for _, _, title in above if title)
        current = Section(path, parent, block.level, [block])
    if current.blocks:
        yield current


def _complete(split: Iterator[Section]) -> Iterator[Section]:
    """Sections with headings that have nothing under them put before the next section, or after the last."""
    waiting: list[Block] = []
    held: Section | None = None
    path: tuple[str, ...] = ()
    for section in split:
        if not section.has_body and len(waiting) < MAX_BLOCKS:
            waiting += section.blocks
            path = section.path
            continue
        if held is not None:
            yield held
        section.blocks[:0] = waiting
        waiting = []
        held = section
    if held is None and waiting:
        held = Section(path, 0, 0, [])
    if held is not None:
        held.blocks += waiting
        yield held


def _belong_together(first: Section, second: Section, target: int) -> bool:
    siblings = (first.parent, first.level) == (second.parent, second.level)
    return siblings and first.small and second.small and second.blocks[-1].end - first.blocks[0].start <= target


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return first[:count]


def _title(text: str, block: Block) -> str:
    title = heading_text(text[block.body : block.end])
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"
