"""Which entry answers a question, and which questions get none."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from benchmarks.rag.faq import sample_questions, short_questions
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError
from holdfast.rag.faq import Faq, FaqEntry
from holdfast.sample import faq_path

if TYPE_CHECKING:
    from collections.abc import Sequence


def entry(name: str, question: str, answer: str = "So it is.", keywords: Sequence[str] = (), **more: str) -> FaqEntry:
    return FaqEntry(id=name, questions=(question,), answer=answer, keywords=tuple(keywords), **more)


SHOP = [
    entry("returns", "How do I return an item?", "Within 30 days.", ["return", "send back"]),
    entry("refunds", "When do I get my money back?", "In 5 days, by PayPal or card.", ["refund"]),
    entry("contact", "How can I reach you?", "Call 0123 456.", ["phone number", "contact", "help"]),
]
SAMPLE = Faq.load(faq_path())


def answered(faq: Faq, question: str, collection: str | None = None) -> str | None:
    match = faq.match(question, collection=collection)
    return None if match is None else match.entry.id


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("How do I return an item?", "returns"),
        ("RETURNED ITEMS?!", "returns"),
        ("I want to send it back", "returns"),
        ("sending back", "returns"),
        ("refunds", "refunds"),
        ("money", "refunds"),
        ("What is your phone number?", "contact"),
        ("help", "contact"),
        ("Who won the World Cup?", None),
        ("How do I return a value from a Python generator in an async context?", None),
        ("?!", None),
        ("", None),
        ("of the and", None),
    ],
)
def test_an_entry_is_found_by_its_words_and_keywords(question: str, found: str | None) -> None:
    """Words count whatever their case and ending, keywords only in a row; a question about something else gets none."""
    assert answered(Faq(SHOP), question) == found


def test_a_match_says_how_good_it_is_and_why() -> None:
    """The score is a share, the keywords are those of the file that stand in the question, each once."""
    match = Faq(SHOP).match("Your phone number to contact you, please: a phone number!")
    assert match is not None
    assert match.keywords == ("phone number", "contact")
    assert 0.9 < match.score <= 1
    by_words = Faq(SHOP).match("money")
    assert by_words is not None
    assert by_words.keywords == ()
    assert 0.4 <= by_words.score < 1


def test_a_keyword_of_several_words_must_stand_in_a_row() -> None:
    """Its words in another order, or with others between, name nothing."""
    faq = Faq([entry("pick-up", "Where?", keywords=["pick up point"]), entry("other", "Point of sale up there?")])
    assert faq.match("pick up points") is not None
    assert faq.match("Is there a point to pick up?").keywords == ()  # type: ignore[union-attr]


def test_entries_of_another_collection_do_not_answer() -> None:
    """An entry with a collection answers its questions only, one without those of all."""
    faq = Faq([entry("a", "Opening hours?", collection="school"), entry("b", "Opening hours of the office?")])
    assert answered(faq, "opening hours", "school") == "a"
    assert answered(faq, "opening hours", "shop") == "b"
    assert answered(faq, "opening hours") == "a"
    assert Faq([entry("a", "Opening hours?", collection="school")]).match("opening hours", collection="x") is None


def test_of_two_that_are_equal_the_first_one_answers() -> None:
    """Equal entries are told apart by their place in the file, so that equal questions get equal answers."""
    assert answered(Faq([entry("b", "Opening hours?"), entry("a", "Opening hours?")]), "opening hours") == "b"


def test_what_stands_behind_the_first_thousand_characters_does_not_count() -> None:
    """A pasted page is read up to its thousandth character."""
    assert answered(Faq(SHOP), "refund" + " " * 2_000 + "unrelated words that nobody knows") == "refunds"


@given(question=st.text(max_size=200))
def test_any_text_is_a_legal_question(question: str) -> None:
    """Whatever is asked, the score of what is found lies between the threshold and 1."""
    match = SAMPLE.match(question)
    assert match is None or SAMPLE.threshold <= match.score <= 1


@pytest.mark.parametrize("every", SAMPLE.entries, ids=lambda one: one.id)
def test_each_entry_of_the_sample_answers_its_own_questions(every: FaqEntry) -> None:
    """A question that stands in the file gets the entry that it stands in."""
    for question in every.questions:
        assert answered(SAMPLE, question) == every.id, question


def test_customers_short_questions_get_the_right_entry_and_foreign_ones_none() -> None:
    """Of 62 short questions at least 57 get their entry; of 68 that no entry answers at most 2 get one."""
    short, sample = short_questions(), sample_questions(SAMPLE)
    right = sum(answered(SAMPLE, one.question) == one.entry for one in short if one.entry)
    foreign = [one for one in (*short, *sample) if not one.entry]
    assert len(foreign) == 68
    assert right >= 57
    assert sum(answered(SAMPLE, one.question) is not None for one in foreign) <= 2


def test_a_match_among_many_entries_is_quick() -> None:
    """Among 200 entries the median of a match is far below a millisecond."""
    many = Faq([replace(one, id=f"{one.id}-{copy}") for copy in range(7) for one in SAMPLE.entries][:200])
    taken = []
    for one in short_questions():
        started = time.perf_counter()
        many.match(one.question)
        taken.append(time.perf_counter() - started)
    assert sorted(taken)[len(taken) // 2] < 0.001


@pytest.mark.parametrize(
    ("entries", "threshold", "field"),
    [([], 0.4, "entries"), ([SHOP[0], SHOP[0]], 0.4, "id"), (SHOP, -0.1, "threshold"), (SHOP, 1.1, "threshold")],
)
def test_what_cannot_be_an_faq_is_refused(entries: list[FaqEntry], threshold: float, field: str) -> None:
    """No entries, two of one id, and a threshold that is no share are named."""
    with pytest.raises(ConfigError) as caught:
        Faq(entries, threshold=threshold)
    assert caught.value.field == field
