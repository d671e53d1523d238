"""One entry of an FAQ, checked when it is made."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from holdfast.core._options import text
from holdfast.errors import ConfigError
from holdfast.rag.names import is_plain_name

__all__ = ["FaqEntry", "collection_name"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_QUESTIONS, _QUESTION_CHARS = 30, 300
_MOST_KEYWORDS, _KEYWORD_CHARS = 50, 60
_ANSWER_CHARS = 4_000
_URI_CHARS = 2_000
_COLLECTION_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FaqEntry:
    """A question that many ask, and its answer.

    Attributes:
        id: names it in logs and errors: 1 to 64 letters, digits, dots, hyphens and underscores.
        questions: ways to ask it, 1 to 30, of up to 300 characters each.
        answer: what the user is told, up to 4,000 characters; may have several lines.
        keywords: words, or a few words in a row, that make this entry likely, up to 50, of up to 60 characters each:
            ``"refund"``, ``"money back"``. Case, accents and endings do not count.
        uri: where it says so at more length; empty for nowhere.
        collection: the only collection whose questions it answers; None answers those of all.

    Raises:
        ConfigError: a value is wrong.
    """

    id: str
    questions: tuple[str, ...]
    answer: str
    keywords: tuple[str, ...] = ()
    uri: str = ""
    collection: str | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(text("id", self.id)):
            rule = "must be 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or a digit"
            raise ConfigError("id", self.id, rule)
        object.__setattr__(self, "questions", _lines("questions", self.questions, 1, _MOST_QUESTIONS, _QUESTION_CHARS))
        object.__setattr__(self, "keywords", _lines("keywords", self.keywords, 0, _MOST_KEYWORDS, _KEYWORD_CHARS))
        object.__setattr__(self, "answer", _prose("answer", self.answer, _ANSWER_CHARS))
        if len(text("uri", self.uri)) > _URI_CHARS or not is_plain_name(self.uri):
            raise ConfigError("uri", self.uri, f"must be an address or a path of up to {_URI_CHARS:,} characters")
        if self.collection is not None:
            collection_name("collection", self.collection)


def collection_name(field: str, value: object) -> str:
    """``value``, when it can be the name of a collection.

    Raises:
        ConfigError: it cannot.
    """
    return _line(field, value, _COLLECTION_CHARS)


def _lines(field: str, value: object, least: int, most: int, chars: int) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not least <= len(value) <= most:
        raise ConfigError(field, value, f"must be a list of {least} to {most} texts")
    return tuple(_line(f"{field}[{number}]", one, chars) for number, one in enumerate(value))


def _line(field: str, value: object, chars: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= chars or not is_plain_name(value):
        raise ConfigError(field, value, f"must be one line of 1 to {chars} printable characters")
    return value.strip()


def _prose(field: str, value: object, chars: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= chars:
        raise ConfigError(field, value, f"must be text of 1 to {chars:,} characters")
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\r\t":
            raise ConfigError(field, value, f"holds the control character U+{ord(character):04X}: remove it")
    return value.strip()
