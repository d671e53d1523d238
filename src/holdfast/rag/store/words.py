"""A question in plain words, made into a full-text query that no text can break.

Splitting here only has to find where words begin and end: folding of case and accents and the stemming (Porter) are
left to FTS5 itself, because a second implementation would differ from it ("technology", "possibly", "is").
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STOP_WORDS", "match_any", "quoted", "terms"]

_WORD = re.compile(r"[^\W_]+")

_STOP_LINES = """
a about after again all also am an and any are aren as at be because been before being between both but by can
cannot could couldn did didn do does doesn doing don down during each few for from further had hadn has hasn
have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll me more
most mustn my myself no nor not of off on once only or other ought our ours ourselves out over own re s same
shan she should shouldn so some such t than that the their theirs them themselves then there these they this
those through to too under until up us ve very was wasn we were weren what when where which while who whom whose
why will with won would wouldn you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_LINES.split())
"""English words that say nothing about a subject, and the pieces that contractions fall into."""


def terms(question: str) -> list[str]:
    """The question's words that carry meaning, each once whatever its case, in order, as they are written."""
    words: dict[str, str] = {}
    for word in _WORD.findall(unicodedata.normalize("NFC", question)):
        folded = word.lower()
        if folded not in STOP_WORDS and folded not in words:
            words[folded] = word
    return list(words.values())


def quoted(word: str) -> str:
    """``word`` as an FTS5 string: taken literally, whatever is in it."""
    text = word.encode("utf-8", "replace").decode()  # a lone surrogate is in no index
    return '"' + text.replace("\0", " ").replace('"', '""') + '"'


def match_any(words: Iterable[str]) -> str:
    """An FTS5 query for the rows that hold any of the words."""
    return " OR ".join(map(quoted, words))
