"""The lab's questions: each is about one sentence of the sample's articles, and that sentence has the fact.

They are easy on purpose. While nothing fails, the service answers every one of them with its fact, whichever model or
search does it; so an answer without the fact tells of a fault, and not of how well a small model searches. (How well
it does is measured by ``holdfast eval``, on other questions.)
"""

from __future__ import annotations

import json
from bisect import bisect_left
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from holdfast.lab.world.questions import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.draws import Draws

__all__ = ["Asker", "lab_questions", "worded_anew"]

_MARKS = ".,;:!?-/"
"""One for each octal digit."""


@cache
def lab_questions() -> tuple[Question, ...]:
    """All of them, in no order."""
    text = files("holdfast.lab.scenarios").joinpath("questions.jsonl").read_text(encoding="utf-8")
    return tuple(Question(row["question"], tuple(row["facts"])) for row in map(json.loads, text.splitlines()))


class Asker:
    """Draws a question for each request, by its number.

    Args:
        draws: chance.
        questions: what may be asked.
        skew, new_share: see :class:`holdfast.lab.scenarios.traffic.Traffic`.
    """

    def __init__(
        self, draws: Draws, *, skew: float, new_share: float, questions: Sequence[Question] | None = None
    ) -> None:
        self._draws = draws
        self._questions = tuple(questions or lab_questions())
        self._new_share = new_share
        total = 0.0
        self._bounds = [total := total + (place + 1) ** -skew for place in range(len(self._questions))]

    def of(self, number: int) -> Question:
        """The question of a request; always the same."""
        wanted = self._draws.uniform("users", "question", number) * self._bounds[-1]
        question = self._questions[min(bisect_left(self._bounds, wanted), len(self._questions) - 1)]
        if self._draws.chance(self._new_share, "users", "wording", number):
            return Question(worded_anew(question.text, number), question.facts)
        return question


def worded_anew(text: str, number: int) -> str:
    """``text`` with marks behind it that say ``number``: another text for caches, and the same words for searches.

    No number is written out: it would be a word more that no document has, and make every answer less sure.
    """
    return f"{text} ({''.join(_MARKS[int(digit)] for digit in f'{number:o}')})"
