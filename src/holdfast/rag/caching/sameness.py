"""Whether two questions are the same question in other words: the guard of the semantic cache.

Vectors cannot tell: "with" and "without", 30 and 60 days, Austria and Australia lie as close as two ways to say the
same. So the words must agree as well. From both questions everything is taken that carries no meaning of its own
(politeness, articles, "do" and "can"); what is said in one of several known ways is said in one way; and what is left
must be the same: the same words, in the same order, asking for the same kind of thing. Any other word that only one of
them has tells them apart: a negation, a number, a date, a name, a comparison, a quantity, an opposite, another topic.

That recognises fewer questions than lists of forbidden differences would, and needs no such list to be complete. What
may differ stands in ``sameness.toml``. It is English; in another language only case, punctuation and plurals may.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reading", "difference", "read"]

_EDGES = "?!.,;:\"'“”‘’«»()[]{}¿¡…"
_LEADING = "\"'“”‘’«»([{¿¡"
_SUFFIX = re.compile(r"'(?:s|re|d|ve|ll|m)$")
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b|(?<=\s)A\b")
_PRONOUNS = frozenset(["it", "he", "she", "they", "them", "one", "who"])
_PLAIN = re.compile(r"[a-z]+")
_SHORTEST_PLURAL = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What a question says.

    Attributes:
        asked: the kind of thing asked for: ``"how"``, ``"when"``, ...; ``"may"`` or ``"is"`` for yes or no.
        persons: a letter for each "I", "me", "my", "you" and "your", in order, repetitions left out.
        words: what carries meaning, in order.
        ordered: whether turning the words round could turn the meaning round.
    """

    asked: str
    persons: str
    words: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class _Tables:
    phrases: Mapping[str, str]
    phrase: re.Pattern[str]
    empty: frozenset[str]
    past: frozenset[str]
    asked: Mapping[str, str]
    allowed: frozenset[str]
    persons: Mapping[str, str]
    order: frozenset[str]
    fronted: frozenset[str]
    alike: Mapping[str, str]


@cache
def _tables() -> _Tables:
    data = tomllib.loads(files("holdfast.rag.caching").joinpath("sameness.toml").read_text("utf-8"))
    phrases = dict.fromkeys(data["around"], "") | data["phrases"]
    longest_first = sorted(phrases, key=len, reverse=True)
    synonyms = {word: line["words"][0] for line in data["synonyms"] for word in line["words"]}
    return _Tables(
        phrases=phrases,
        phrase=re.compile(rf"(?<![\w'-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w'-])"),
        empty=frozenset(data["empty"]),
        past=frozenset(data["past"]),
        asked=data["asked"],
        allowed=frozenset(data["allowed"]),
        persons=data["persons"],
        order=frozenset(data["order"]),
        fronted=frozenset(data["fronted"]),
        alike=synonyms | data["numbers"],
    )


def read(question: str) -> Reading:
    """What ``question`` says, without what carries no meaning."""
    tables = _tables()
    if not question.isupper():
        question = _ACRONYM.sub(_kept, question)
    text = " ".join(question.replace("’", "'").casefold().split())
    text = tables.phrase.sub(lambda found: tables.phrases[found[0]], _without_contractions(text))
    asked, persons, ordered, allowed = "", "", False, False
    words: list[str] = []
    before = ""
    for raw in text.split():
        previous, word = before, raw.lstrip(_LEADING).rstrip(_EDGES)
        before = word
        ordered = ordered or word in tables.order
        if word in tables.asked and not asked:
            asked = tables.asked[word]
        elif word in tables.allowed and (not words or previous in tables.asked):  # elsewhere it is a tin, or a month
            allowed = True
        elif word in tables.persons:
            persons += "" if persons.endswith(tables.persons[word]) else tables.persons[word]
        elif word in tables.past:
            words.append("<past>")
        elif word and word not in tables.empty:
            words.append(_singular(tables.alike.get(word, word), tables.alike))
    return Reading(asked or ("may" if allowed else "is"), persons, tuple(words), ordered)


def difference(one: Reading, other: Reading) -> str | None:
    """What tells two questions apart, in words; None when they are the same question."""
    if one.asked != other.asked:
        return f"{one.asked} / {other.asked}"
    if not one.persons.startswith(other.persons) and not other.persons.startswith(one.persons):
        return "who does it"
    if one.words == other.words:
        return None if one.words else "nothing is left to compare"
    if sorted(one.words) != sorted(other.words):
        mine, theirs = set(one.words) - set(other.words), set(other.words) - set(one.words)
        return f"{' '.join(sorted(mine)) or '-'} / {' '.join(sorted(theirs)) or '-'}"
    if one.ordered or other.ordered or not _is_turned(one.words, other.words):
        return "the order of the words"
    return None


def _kept(found: re.Match[str]) -> str:
    """The IT department is not it, the US is not us, and plan A is not a plan."""
    tables, word = _tables(), found[0].casefold()
    small = word in tables.empty or word in tables.persons or word in tables.asked or word in tables.allowed
    return f"={word}" if small or word in _PRONOUNS else found[0]


def _without_contractions(text: str) -> str:
    words = []
    for word in text.split():
        bare = word.rstrip(_EDGES)
        if bare in {"can't", "cannot", "won't", "shan't"}:
            words.append({"can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not"}[bare])
        elif bare.endswith("n't"):
            words.append(bare[:-3] + " not")
        else:
            words.append(_SUFFIX.sub("", word) if word == bare else _SUFFIX.sub("", bare) + word[len(bare) :])
    return " ".join(words)


def _singular(word: str, alike: Mapping[str, str]) -> str:
    if len(word) < _SHORTEST_PLURAL or not _PLAIN.fullmatch(word) or not word.endswith("s"):
        return word
    if word.endswith(("ss", "us", "is")):
        return word
    single = f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
    return alike.get(single, single)


def _is_turned(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a part was moved from the end to the front: "in Rust, how ..." and "how ... in Rust"."""
    fronted = _tables().fronted
    return any(
        one[cut:] + one[:cut] == other and (one[cut] in fronted or other[len(one) - cut] in fronted)
        for cut in range(1, len(one))
    )
