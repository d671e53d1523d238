"""Whether a question can be understood without its conversation: a cheap rule, so that ordinary ones cost nothing.

A question follows an earlier one when it points at something that it does not name ("How long does that take?"), when
a part of it is missing ("And in Austria?"), or when it names nothing of its own ("What is the deadline?"). A pronoun
points at something in the question itself when a thing is named there, in another clause ("If a lamp arrives broken,
can I return it?").

The rule reads English. A question in another language counts as one that stands on its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from holdfast.rag.answering.terms import question_words
from holdfast.rag.conversations.vocabulary import any_of, listed
from holdfast.rag.store.words import STOP_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Reading", "own_words", "read"]

_MAX_WORDS = 40
"""A longer question says what it is about."""

_FRAGMENT = 5
"""A fragment has at most so many words."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BOUNDARY = re.compile(
    r"[,;:.!?–—]\s|\b(?:if|when|while|once|after|before|because|since|until|unless|and|but|or|so|then|though|where)\b",
    re.IGNORECASE,
)

_OPENERS, _SOFTENERS, _ADVERBS = listed("openers"), listed("softeners"), listed("adverbs")
_STARTS, _AUXILIARIES, _DOING = listed("starts"), listed("auxiliaries"), listed("doing")
_PREPOSITIONS, _LINKS, _DETERMINERS = listed("prepositions"), listed("links"), listed("determiners")
_POINTERS, _TIMES, _PERSONS = listed("pointers"), listed("times"), listed("persons")
_GENERAL, _CHAT = listed("general"), listed("chat")
_NO_TOPIC = _GENERAL | _CHAT | STOP_WORDS
_ASKING = frozenset(["which", "what", "how", "whose"])

_ABOUT = re.compile(r"^(?:what|how) (?:about|if)\b|^(?:why not|same (?:for|with|in|question))\b")
"""What puts something else, or another case, into the question before it."""

_OBJECTLESS = re.compile(
    rf"\b(?:i|we|you|one|to)\s+(?:(?:still|also)\s+)?(?:{any_of('objects')})"
    r"(?:\s+(?:back|again|now|later|afterwards|instead))?\W*$"
)
"""The thing that something is done to is not named: "Can I cancel?"."""

_EMPTY_IT = re.compile(
    rf"""
      \bit\s+(?:takes?|costs?|make\ssense|matters?)\b.*\bto\b
    | \b(?:is|isn't|was|would|will|be)\s+it\s+(?:be\s+)?(?:(?:still|also)\s+)?(?:{any_of("verdicts")})\b
      .*\b(?:to|that|if|for)\b
    | \bit\s+(?:is|was)\s+(?:{any_of("verdicts")})\b.*\b(?:to|that)\b
    | \bwhat\s+(?:time|day|date)\s+is\s+it\b
    """,
    re.VERBOSE,
)
"""Where "it" stands for nothing: "Is it possible to ...", "How long does it take to ..."."""

_POINTING = re.compile(
    r"""
      \b(?:which|other|another|this|that|these|those|first|second|third|last|next|right|same|new|old|\w+er|\w+est)
      \s+ones?\b(?!\s+of\b)
    | \bones\b
    | \bthe\s+(?:former|latter)\b
    | \bthe\s+others?\W*$
    | \bthe\s+(?:first|second|third|last|same)(?:\s+(?:of|for|in|on|with)\b.*)?\W*$
    | \b(?:what|anything|nothing|something|where)\s+else\b
    | \binstead\W*$
    | \bthe\s+difference\W*$
    | (?<!is\s)(?<!are\s)(?<!was\s)(?<!were\s)(?<!will\s)(?<!isn't\s)(?<!aren't\s)\bthere\b(?!')
    """,
    re.VERBOSE,
)
"""Phrases that point at something named elsewhere: "the cheaper one", "anything else", "there" (but not "there is")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a question reads.

    Attributes:
        follows: whether it needs its conversation.
        fragment: its words in small letters, without what only opens it ("and", "what about"), when it puts something
            else into the question before it: "And in Austria?"; none, when it is a question by itself.
    """

    follows: bool
    fragment: tuple[str, ...] = ()


def read(question: str) -> Reading:
    """Whether ``question`` needs its conversation, and how."""
    text = " ".join(question.replace("’", "'").split()).lower()
    words = _WORD.findall(text)
    if not words or len(words) > _MAX_WORDS or all(word in _CHAT or word in _OPENERS for word in words):
        return Reading(follows=False)
    rest = list(words)
    while len(rest) > 1 and rest[0] in _OPENERS:
        rest.pop(0)
    opened, body = len(rest) < len(words), " ".join(rest)
    about = _ABOUT.search(body) is not None
    if about and rest[1] == "if":
        return Reading(follows=not _is_whole(rest[2:]))
    if _points(text) or not own_words(body) or _OBJECTLESS.search(body):
        return Reading(follows=True)
    if about or _is_fragment(rest, opened=opened):
        return Reading(follows=True, fragment=_without(rest, _SOFTENERS) if about or rest[0] not in _ASKING else ())
    return Reading(follows=False)


def own_words(text: str) -> list[str]:
    """The words of a question that say which thing it is about."""
    return [word for word in question_words(text) if word not in _NO_TOPIC]


def _is_whole(words: Sequence[str]) -> bool:
    """Whether what follows "what if" is a sentence with a thing of its own: "what if my parcel is lost"."""
    return any(word in _AUXILIARIES for word in words) and _names(words) and not _points(" ".join(words))


def _is_fragment(words: Sequence[str], *, opened: bool) -> bool:
    while len(words) > 1 and words[0] in _ADVERBS:
        words = words[1:]
    if len(words) > _FRAGMENT:
        return False
    if words[0] in _ASKING:  # "Which countries?"
        return len(words) <= 3 and not any(word in _AUXILIARIES or word in _DOING for word in words[1:])
    if words[0] in _STARTS or words[0] in _DOING:
        return False
    if words[0] in _PREPOSITIONS:
        return True
    return len(question_words(" ".join(words))) <= 1 or (opened and not any(word in _AUXILIARIES for word in words))


def _points(text: str) -> bool:
    """Whether it points at something that it does not name."""
    plain = _EMPTY_IT.sub(" ", text)
    if _POINTING.search(plain):
        return True
    found = list(_WORD.finditer(plain))
    words = [match[0] for match in found]
    return any(
        _is_pointer(words, place) and not _is_named_elsewhere(plain, found[place].start(), found[place].end())
        for place in range(len(words))
    )


def _is_pointer(words: Sequence[str], place: int) -> bool:
    word = words[place]
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else ""
    if word in {"this", "these", "those"}:
        return after not in _TIMES and after not in _PERSONS
    if word == "that":
        if not before or not after:
            return True
        return before in _AUXILIARIES or before in _PREPOSITIONS or before in _LINKS or before in _DOING
    return word in _POINTERS


def _is_named_elsewhere(text: str, start: int, end: int) -> bool:
    """Whether a thing is named in another clause of the question, which the pronoun there may stand for."""
    before, after = text[:start], text[end:]
    last = max((match.end() for match in _BOUNDARY.finditer(before)), default=0)
    if last and _names(_WORD.findall(before[:last])):
        return True
    following = _BOUNDARY.search(after)
    return following is not None and _names(_WORD.findall(after[following.end() :]))


def _names(words: Sequence[str]) -> bool:
    """Whether a thing is named: a determiner and a word of meaning, or two words of meaning."""
    meaning = set(own_words(" ".join(words)))
    named = (one in _DETERMINERS and other in meaning for one, other in pairwise(words))
    return any(named) or len(meaning) >= 2


def _without(words: Sequence[str], dropped: Iterable[str]) -> tuple[str, ...]:
    """``words`` without those of ``dropped`` at their beginning."""
    kept = list(words)
    while len(kept) > 1 and kept[0] in dropped:
        kept.pop(0)
    return tuple(kept)
