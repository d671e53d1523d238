"""What was said before a question, as much of it as a prompt may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from holdfast.rag.answering.prompting import tokens_of
from holdfast.rag.types import Source, Tier

if TYPE_CHECKING:
    from holdfast.rag.records.base import Turn

__all__ = ["MAX_CONTEXT_TOKENS", "Context", "told"]

MAX_CONTEXT_TOKENS = 1_000
"""The most that a conversation takes of a prompt, however large the model's window is."""

_DEGRADED_TURNS = 2
_QUESTION_CHARS = 400
_ANSWER_CHARS = 600
_SUMMARY_SHARE = 3
"""The summary takes at most this part of the room: a third. What was said last says most about what is meant now."""

_SHORTEST_SUMMARY = 20
"""Tokens below which a summary that has to be cut says nothing any more."""

_MARKS = re.compile(r"[ \t]*\[\d+\]")
_NOTHING_SAID = "(no answer could be given)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is remembered of a conversation.

    Attributes:
        turns: the last ones, in the order in which they were asked.
        summary: what the turns before them said, in short; empty when nobody summarised them.
        unsummarised: turns of the whole conversation that the summary says nothing of.
        complete: False when the store could not be read: then only what this process itself remembers is here.
    """

    turns: tuple[Turn, ...] = ()
    summary: str = ""
    unsummarised: int = 0
    complete: bool = True

    def __bool__(self) -> bool:
        """Whether anything was said before."""
        return bool(self.turns or self.summary)

    def at(self, tier: Tier) -> Context:
        """As much as a service at this tier gives to a model: all, the last two turns, or nothing."""
        if tier is Tier.FULL:
            return self
        turns = self.turns[-_DEGRADED_TURNS:] if tier is Tier.DEGRADED else ()
        return replace(self, turns=turns, summary="")

    def for_prompt(self, tokens: int | None = None) -> str:
        """The conversation as text, oldest first, a line for each text in it.

        The last turn comes first to its room, then the summary, then earlier turns as far back as there is room. Long
        texts are cut.

        Args:
            tokens: how many it may have, and ``MAX_CONTEXT_TOKENS`` at most.

        Returns:
            An empty text when nothing was said, or not even the last turn has room.
        """
        room = MAX_CONTEXT_TOKENS if tokens is None else min(tokens, MAX_CONTEXT_TOKENS)
        texts = [told(turn) for turn in self.turns]
        if texts and tokens_of(texts[-1]) > room:
            return ""
        shown = texts[-1:]
        summary = _summary(self.summary, room // _SUMMARY_SHARE)
        if summary and tokens_of("\n".join([summary, *shown])) > room:
            summary = ""
        head = [summary] if summary else []
        for text in reversed(texts[:-1]):
            if tokens_of("\n".join([*head, text, *shown])) > room:
                break
            shown.insert(0, text)
        return "\n".join([*head, *shown])


def told(turn: Turn) -> str:
    """A turn on two lines, so that nothing in a text can look like a turn of its own.

    Long texts are cut, and the marks of citations left out: they mean nothing elsewhere.
    """
    unanswered = turn.source in {Source.STATIC, Source.REJECTED} or turn.tier == Tier.OFFLINE
    answer = _NOTHING_SAID if unanswered else _short(_MARKS.sub("", turn.answer), _ANSWER_CHARS)
    return f"User: {_short(turn.question, _QUESTION_CHARS)}\nAssistant: {answer}"


def _summary(summary: str, tokens: int) -> str:
    """The summary on one line; cut when it is longer than its share of the room."""
    text = " ".join(summary.split())
    if not text:
        return ""
    line = f"Before that: {text}"
    asked = tokens_of(line)
    return line if asked <= tokens else _short(line, len(line) * tokens // asked) if tokens >= _SHORTEST_SUMMARY else ""


def _short(text: str, chars: int) -> str:
    """``text`` on one line, cut to ``chars`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"
