"""Where sentences end in a run of prose: rules for full stops that end nothing.

A full stop followed by white space ends a sentence, unless the next word is in lower case or what stands before it is
an abbreviation, an initial, a list number or the like. Abbreviations that can also end a sentence ("p.m.", "U.S.",
"etc.") end one only before a word that commonly begins one. These are the cues of Grefenstette and Tapanainen, "What is
a word, what is a sentence?" (1994), as a fixed rule set: no model, no state, a regular expression over the text and a
look at each full stop.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_SENTENCE", "sentences"]

MAX_SENTENCE = 500
"""Characters; what is longer (a list without full stops, a log line) is cut at a comma or between two words."""

_CLOSERS = r"""["'”’»\u203a)\]}*_~`]*+(?:\[\^?[\w-]{1,20}\])?+"""
_END = re.compile(  # possessive, and tried once for a run of marks: linear on any input
    rf"(?<![.!?…‽])(?P<mark>[.!?…‽]++){_CLOSERS}(?=\s|$)|(?P<wide>[\u3002\uff01\uff1f\uff61]++)[”’\u300d\u300f\uff09]*+"
)
_OPENERS = re.compile(r"""[\s"'“‘«\u2039„(\[{*_~¿¡<-]*""")
_WORD_BEFORE = re.compile(r"[^\s\"'“‘(\[{*_—–/]+$")
_NEXT_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
_ROMAN = re.compile(r"[IVXL]+\b")
_OPENING = "\"'“‘([{*_ \t\n"
_NUMBER = re.compile(r"\(?(?:\d{1,3}|[ivxlIVXL]{1,5}|[a-zA-Z])(?:\.\d{1,3})*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words("""
    mr mrs ms mx messrs mmes dr prof rev hon gen col maj capt cpt lt sgt cpl adm cmdr gov sen rep pres supt
    insp fr mt ft
""")
"""Come before a name: never end a sentence."""

_LEADING = _words("""
    e.g i.e eg ie cf vs viz approx ca resp incl inkl excl esp usu ibid abbr syn ed eds trans tel ext fax avg
    orig temp z.b d.h bzw vgl p.ex
""")
"""Come before what they speak of: never end a sentence."""

_BEFORE_NUMBERS = _words("""
    min max avg no nos nr fig figs eq eqs sec sect ch chap vol vols pp p pg para art app tab ref refs col ver v rev
    op cit nº jan feb mar apr jun jul aug sep sept oct nov dec §
""")
"""Never end a sentence before a number."""

_EITHER = _words("""
    etc inc ltd co corp llc plc bros jr sr esq dept univ assn est al st ave blvd rd hwy apt a.m p.m pm u.s u.k u.n
    e.u d.c ph.d m.d b.a m.a b.sc m.sc b.c a.d jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu
    thur thurs fri min mins sec secs hr hrs yr yrs lb lbs oz kg km cm mm
""")
"""May end a sentence: do so before a word that commonly begins one."""

_STARTERS = _words("""
    a an the this that these those there here it its he his she her they their we our you your i my in on at by
    for from to with without of after before during since until while when where what who why how which if
    unless although though because as so but and or yet nor however therefore thus hence then also moreover
    furthermore meanwhile finally first second third next last now today yes no not all any both each every many
    most some such several few one two three please note see use do does don't did is are was were can could
    should would will may might must have has had let's only even once instead otherwise another other others
""")
"""Words that commonly begin a sentence, and seldom follow an abbreviation in the middle of one with a capital."""

_CUT = re.compile(r"[;,:]\s|\s")


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences between ``start`` and ``end``, as ranges without white space around them, none blank.

    Line ends count as spaces. Takes time linear in the length.
    """
    begun = start
    for match in _END.finditer(text, start, end):
        stop = match.end()
        if stop < end and match["mark"] and not _ends(text, begun, match, end):
            continue
        yield from _trimmed(text, begun, stop)
        begun = stop
    yield from _trimmed(text, begun, end)


def _ends(text: str, begun: int, match: re.Match[str], end: int) -> bool:
    """Whether the mark ends a sentence that began at ``begun``."""
    follows = _OPENERS.match(text, match.end(), end)
    at = follows.end() if follows else match.end()
    if at >= end:
        return True
    first = text[at]
    if first.islower() and not _is_name(text, at, end):
        return False
    if match["mark"] != ".":
        return True
    before = _WORD_BEFORE.search(text, max(begun, match.start("mark") - 40), match.start("mark"))
    if before is None:
        return True
    heads_it = not text[begun : before.start()].strip(_OPENING)
    return _full_stop_ends(before[0], heads_it, text[at : at + 20])


def _full_stop_ends(word: str, heads_it: bool, rest: str) -> bool:  # noqa: FBT001 - private, and named at its definition
    """Whether a single full stop ends the sentence.

    Args:
        word: what stands before it.
        heads_it: whether the word is the sentence's first.
        rest: what follows, from its first letter or digit.
    """
    lower = word.lower()
    if lower in _TITLES or lower in _LEADING:
        return False
    if lower in _BEFORE_NUMBERS and (rest[0].isdigit() or _ROMAN.match(rest)):
        return False
    if heads_it and _NUMBER.fullmatch(word):  # "3. Third thing", "(a. ..."
        return False
    one_letter = len(word) == 1 and word.isalpha()
    if one_letter or lower in _EITHER or _DOTTED.fullmatch(word):
        following = _NEXT_WORD.match(rest)
        return following is not None and following[0].lower().replace("’", "'") in _STARTERS
    return True


def _is_name(text: str, at: int, end: int) -> bool:
    """Whether the word at ``at`` is a name that is written with a small first letter, such as iPhone or eBay."""
    word = _NEXT_WORD.match(text, at, end)
    return word is not None and any(letter.isupper() for letter in word[0][1:])


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > MAX_SENTENCE:
        cut = _cut(text, start)
        yield start, cut
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if end > start:
        yield start, end


def _cut(text: str, start: int) -> int:
    """Where to cut what begins at ``start``: after the last comma in reach, else the last word, else anywhere."""
    word = clause = 0
    for match in _CUT.finditer(text, start + MAX_SENTENCE // 2, start + MAX_SENTENCE):
        if len(match[0]) > 1:
            clause = match.start() + 1
        else:
            word = match.start()
    return clause or word or start + MAX_SENTENCE
