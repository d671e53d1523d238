"""Questions with known answers, read from JSON Lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Question", "read_questions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and what a right answer to it is.

    Attributes:
        article: the stem of the file or uri that holds the answer (``return-an-item`` for
            ``articles/return-an-item.md``); empty when no document answers it.
        facts: phrases of which a right answer contains at least one; empty when only the search is to be judged.
        style: what sort of question it is (``plain``, ``paraphrase``, ...), for the breakdown; may be empty.
    """

    id: str
    question: str
    article: str = ""
    facts: tuple[str, ...] = ()
    style: str = ""


def read_questions(path: Path, *, answerable: bool = True) -> tuple[Question, ...]:
    """Read one question a line: ``{"id", "question", "article", "facts": [...], "style"?}``.

    Blocks while it reads.

    Args:
        path: a UTF-8 file; empty lines are skipped, unknown fields ignored.
        answerable: whether each question must name the article that answers it; False for a file of questions that no
            document answers, where ``article`` and ``facts`` are not read.

    Raises:
        InvalidInputError: the file cannot be read, holds no question, or a line is wrong; the message names the file,
            the line and the field.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(
            "questions", f"{path} cannot be read ({error.strerror}): name a JSON Lines file"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError("questions", f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    questions: list[Question] = []
    lines_by_id: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        question = _parse(line, f"{path.name}, line {number}", answerable=answerable)
        if question.id in lines_by_id:
            raise InvalidInputError(
                "id",
                f"{path.name}, line {number}: “{question.id}” is the id of line {lines_by_id[question.id]} already",
            )
        lines_by_id[question.id] = number
        questions.append(question)
    if not questions:
        raise InvalidInputError("questions", f"{path.name} holds no question: write one JSON object a line")
    return tuple(questions)


def _parse(line: str, place: str, *, answerable: bool) -> Question:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidInputError("line", f"{place}: is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise InvalidInputError("line", f'{place}: must be a JSON object such as {{"id": "q1", "question": "..."}}')
    return Question(
        id=_text(record, "id", place),
        question=_text(record, "question", place),
        article=_text(record, "article", place) if answerable else "",
        facts=_facts(record, place) if answerable else (),
        style=_text(record, "style", place) if "style" in record else "",
    )


def _text(record: dict[str, object], field: str, place: str) -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(field, f"{place}: must be a text that is not empty, got {value!r}")
    return value.strip()


def _facts(record: dict[str, object], place: str) -> tuple[str, ...]:
    facts = record.get("facts", [])
    if not isinstance(facts, list) or not all(isinstance(fact, str) and fact.strip() for fact in facts):
        raise InvalidInputError("facts", f"{place}: must be a list of texts that are not empty, got {facts!r}")
    return tuple(facts)
