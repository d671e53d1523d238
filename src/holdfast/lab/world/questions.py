"""What users ask: the sample's questions, drawn for each request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from holdfast.sample import questions_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.draws import Draws

__all__ = ["Question", "Questions", "sample_questions"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, with facts of which a right answer states at least one."""

    text: str
    facts: tuple[str, ...] = ()


@cache
def sample_questions() -> tuple[Question, ...]:
    """The sample's questions that have an answer."""
    rows = map(json.loads, questions_path().read_text(encoding="utf-8").splitlines())
    return tuple(Question(row["question"], tuple(row["facts"])) for row in rows)


class Questions:
    """Draws a question for each request: a few are asked often, most of them seldom.

    Args:
        questions: what may be asked; the sample's by default.
        draws: chance.
        skew: the exponent of Zipf's law: the n-th question is asked in proportion to 1/n**skew; 0: all alike.
        new_share: the share of requests that word it anew, so that no cache of exact questions knows them.
    """

    def __init__(
        self, draws: Draws, questions: Sequence[Question] = (), *, skew: float = 0.0, new_share: float = 0.0
    ) -> None:
        self._draws = draws
        self._questions = tuple(questions) or sample_questions()
        self._new_share = new_share
        total = 0.0
        self._bounds = [total := total + (place + 1) ** -skew for place in range(len(self._questions))]

    def of(self, request: str) -> Question:
        """The question of a request; always the same."""
        wanted = self._draws.uniform("users", "question", request) * self._bounds[-1]
        place = next(place for place, bound in enumerate(self._bounds) if bound >= wanted)
        question = self._questions[place]
        if self._draws.chance(self._new_share, "users", "wording", request):
            return Question(f"{question.text} (Asked as {request}.)", question.facts)
        return question
