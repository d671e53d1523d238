"""What a prompt asks, and the passages that it gives to answer from."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.lab.simulator.prompt import Turn

__all__ = ["Passage", "passages_in", "question_in"]

_NUMBERED = re.compile(r"^[ \t]*\[(\d{1,4})\]:?[ \t]*", re.MULTILINE)
_TAGGED = re.compile(
    r"<(?P<tag>[A-Za-z_]\w{0,30})\b[^<>]*?\b(?:id|index|number|n)=[\"']?(?P<label>\d{1,4})[\"']?[^<>]*>", re.ASCII
)
_CONTEXT_TAG = re.compile(r"<(?P<tag>context|documents|passages|sources)>", re.IGNORECASE)
_CONTEXT_WORD = re.compile(r"^[ \t]*(?:#+[ \t]*)?context[ \t]*:?[ \t]*(?:\n|(?<=:))", re.MULTILINE | re.IGNORECASE)
_QUESTION = re.compile(r"[ \t]*(?:#+[ \t]*)?question[ \t]*:[ \t]*", re.IGNORECASE)
"""At the beginning of a line."""
_QUESTION_TAG = re.compile(r"<(?P<tag>question)>", re.IGNORECASE)
_END = re.compile(r"\n[ \t]*(?:</\w+>|(?:#+[ \t]*)?question[ \t]*:|<question>)", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_ASKED_BY = {"user"}
_TOLD_BY = {"system", "developer", "user", "tool"}


class Passage(NamedTuple):
    """A text to answer from; ``label`` is its number in the prompt, None where it has none."""

    label: str | None
    text: str


def question_in(turns: Sequence[Turn]) -> str:
    """The question: what follows the last ``Question:`` of the last user turn, or its last paragraph that asks."""
    text = next((turn.text for turn in reversed(turns) if turn.role in _ASKED_BY), "")
    if tagged := [inside for _, inside in _elements(text, _QUESTION_TAG)]:
        return tagged[-1]
    if (begin := _after_mark(text)) is not None:
        return text[begin:].strip()
    paragraphs = [each.strip() for each in _PARAGRAPH.split(text) if each.strip()]
    own = [each for each in paragraphs if not each.startswith(("[", "<"))] or paragraphs
    asking = [each for each in own if each.endswith("?")] or own
    return asking[-1] if asking else ""


def passages_in(turns: Sequence[Turn]) -> list[Passage]:
    """The passages of all turns, in order: numbered ones, or else what is marked as context."""
    texts = [turn.text for turn in turns if turn.role in _TOLD_BY]
    for find in (_tagged, _numbered, _context):
        if found := [passage for text in texts for passage in find(text)]:
            return found
    return []


def _after_mark(text: str) -> int | None:
    """Where the last ``Question:`` ends that begins a line; it is mostly on the last one."""
    line = len(text)
    while line >= 0:
        line = text.rfind("\n", 0, line)
        if mark := _QUESTION.match(text, line + 1):
            return mark.end()
    return None


def _elements(text: str, opening: re.Pattern[str]) -> list[tuple[re.Match[str], str]]:
    """What stands between a tag that ``opening`` finds and the next one that closes it, in time linear in the text."""
    found: list[tuple[re.Match[str], str]] = []
    place, unclosed = 0, set()
    while match := opening.search(text, place):
        tag, place = match["tag"], match.end()
        end = -1 if tag in unclosed else text.find(f"</{tag}>", place)
        if end < 0:
            unclosed.add(tag)
            continue
        found.append((match, text[place:end].strip()))
        place = end
    return found


def _tagged(text: str) -> list[Passage]:
    return [Passage(match["label"], inside) for match, inside in _elements(text, _TAGGED)]


def _numbered(text: str) -> Iterator[Passage]:
    starts = list(_NUMBERED.finditer(text))
    for match, following in zip_longest(starts, starts[1:]):
        rest = text[match.end() : following.start() if following else len(text)]
        end = _END.search(rest)
        body = (rest[: end.start()] if end else rest).strip()
        if body:
            yield Passage(match[1], body)


def _context(text: str) -> Iterator[Passage]:
    if elements := _elements(text, _CONTEXT_TAG):
        yield Passage(None, elements[0][1])
    elif start := _CONTEXT_WORD.search(text):
        rest = text[start.end() :]
        end = _END.search(rest)
        yield Passage(None, (rest[: end.start()] if end else rest).strip())
