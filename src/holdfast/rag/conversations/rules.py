"""Rewriting without a model: a follow-up question gets the words of the question that it follows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.rag.answering.terms import stems
from holdfast.rag.conversations.following import own_words
from holdfast.rag.conversations.vocabulary import listed
from holdfast.rag.query import QUESTION_MAX_CHARS
from holdfast.rag.store.words import STOP_WORDS, terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.conversations.following import Reading

__all__ = ["rewrite_by_rules"]

_MAX_TERMS = 8

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_PREPOSITIONS, _PLACES, _ARTICLES = listed("prepositions"), listed("places"), listed("articles")
_QUANTITIES, _GENERAL = listed("quantities"), listed("general")


def rewrite_by_rules(question: str, reading: Reading, earlier: Sequence[str]) -> str:
    """``question`` with what it needs of an earlier one behind it, in brackets; as it is, where there is nothing.

    Args:
        question: one that follows another.
        reading: how it reads.
        earlier: the questions before, as they were understood, oldest first.
    """
    before = next((one for one in reversed(earlier) if own_words(one)), "")
    carried = _carried(before, question, reading.fragment) if before else []
    there = stems(question)
    missing = [word for word in carried if not stems(word) <= there][:_MAX_TERMS]
    rewritten = f"{question.strip()} ({' '.join(missing)})"
    return rewritten if missing and len(rewritten) <= QUESTION_MAX_CHARS else question


def _carried(before: str, question: str, fragment: Sequence[str]) -> list[str]:
    """The words to carry over.

    A question of its own takes what the earlier one is about. A fragment takes the earlier question whole, but for
    what it puts something else in the place of.
    """
    words = [word for word in terms(before) if len(word) > 1 or word.isdigit()]
    if not fragment:
        about = set(own_words(before))
        return [word for word in words if word.lower() in about]
    asked = [match[0] for match in _WORD.finditer(before) if match[0].lower() in _QUANTITIES]
    replaced = _replaced(before, question, fragment)
    return [word for word in dict.fromkeys([*asked, *words]) if word.lower() not in replaced]


def _replaced(before: str, question: str, fragment: Sequence[str]) -> set[str]:
    """The words of the earlier question in whose place the fragment puts others.

    The phrase behind the same preposition ("with the monthly plan", "and with a yearly one"), or else the last one
    behind the same determiner ("my password", "and my address"); the last name, in the place of which it has another
    ("to Germany", "and for Austria"); and numbers.
    """
    cased = [match[0] for match in _WORD.finditer(before)]
    words = [word.lower() for word in cased]
    out: set[str] = set()
    if any(word.isdigit() for word in fragment):
        out |= {word for word in words if word.isdigit()}
    if any(name.lower() in fragment[:2] for name in _names(question)):
        places = [place for place, word in enumerate(cased) if place and word in _names(before)]
        if fragment[0] in _PREPOSITIONS:
            places = [place for place in places if fragment[0] in _PLACES and words[place - 1] in _PLACES]
        out |= {words[place] for place in places[-1:]}
    for group in (_PREPOSITIONS, _ARTICLES):
        marks = [place for place, word in enumerate(words) if word == fragment[0] and word in group]
        if marks:
            out |= set(_phrase(words, marks[-1] + 1))
            break
    return out - set(fragment)


def _names(text: str) -> list[str]:
    """Words with a capital letter that do not begin the question."""
    words = [match[0] for match in _WORD.finditer(text)][1:]
    return [word for word in words if word[0].isupper() and word.lower() not in STOP_WORDS]


def _phrase(words: Sequence[str], start: int) -> list[str]:
    """The words of meaning from ``start`` on, determiners left out, up to the next word of another kind."""
    phrase: list[str] = []
    for word in words[start:]:
        if word in _ARTICLES and not phrase:
            continue
        if word in STOP_WORDS or word in _PREPOSITIONS or word in _GENERAL:
            break
        phrase.append(word)
    return phrase
