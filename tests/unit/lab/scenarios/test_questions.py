"""The lab's questions: right while nothing fails, and drawn by the request's number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from holdfast.lab.draws import Draws
from holdfast.lab.scenarios.questions import Asker, lab_questions, worded_anew
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.vectors import plain
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import run_world
from holdfast.rag.cache import cache_key
from holdfast.rag.query import Query
from holdfast.rag.store.words import terms

if TYPE_CHECKING:
    from holdfast.lab.world.record import Asked
    from holdfast.lab.world.world import World


def test_while_nothing_fails_every_answer_has_its_fact() -> None:
    """Each question, worded anew, gets its fact from the first model: whatever is wrong in a run is a fault's work."""

    async def main(world: World) -> list[Asked]:
        return [
            await world.ask(Question(worded_anew(each.text, number), each.facts), request=f"r{number}")
            for number, each in enumerate(lab_questions())
        ]

    asked = run_world(main, WorldOptions(provider=SimulatorOptions(speed=0))).value
    assert len(asked) >= 100
    assert [each.question for each in asked if not each.fact or each.source != "live"] == []


def test_few_are_asked_often() -> None:
    """By Zipf's law the first question is asked about as often as it says, and some are worded anew."""
    asker = Asker(Draws(1), skew=1.0, new_share=0.25)
    asked = [asker.of(number) for number in range(4_000)]
    originals = {each.text for each in lab_questions()}
    plain = Counter(each.text for each in asked if each.text in originals)
    law = 1 / sum(1 / (place + 1) for place in range(len(lab_questions())))
    expected = 3_000 * law
    assert abs(plain[lab_questions()[0].text] - expected) < 4 * expected**0.5
    assert abs(sum(plain.values()) - 3_000) < 4 * (4_000 * 0.25 * 0.75) ** 0.5
    assert all(each.facts for each in asked)


def test_a_request_always_asks_the_same() -> None:
    """A question belongs to its number, whatever was asked before."""
    assert Asker(Draws(2), skew=0, new_share=0.5).of(17) == Asker(Draws(2), skew=0, new_share=0.5).of(17)


def test_another_wording_has_the_same_words() -> None:
    """Caches of exact questions do not know it; searches and local embedders see the words of the original."""
    text = lab_questions()[0].text
    wordings = [worded_anew(text, number) for number in range(3_000)]
    keys = {cache_key(Query(question=each), top_k=5) for each in (text, *wordings)}
    assert len(keys) == 3_001
    assert {tuple(terms(each)) for each in wordings} == {tuple(terms(text))}
    assert {plain(each) for each in wordings} == {plain(text)}
