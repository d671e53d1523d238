"""Which questions need their conversation, and what rules make of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.answering.terms import stems
from holdfast.rag.conversations.following import own_words, read
from holdfast.rag.conversations.rules import rewrite_by_rules
from holdfast.rag.query import QUESTION_MAX_CHARS

RETURNS = "How do I return a damaged parcel?"
GERMANY = "How long does shipping to Germany take?"
WARRANTY = "What does the warranty on fridges cover?"
CANCEL = "How do I cancel my subscription?"
EXPORT = "How do I export my data?"
EXPRESS = "How much is express delivery?"
LEEDS = "What are the opening hours of the Leeds shop?"
PRO = "What is the price of the Pro plan?"

# the questions before, the question, words that its search must get, words that it must not get
DIALOGUES = [
    # it points at something
    ([RETURNS], "How long does that take?", "return damaged parcel", ""),
    ([RETURNS], "Who pays for it?", "return damaged parcel", ""),
    ([RETURNS], "Is there a form for this?", "return damaged parcel", ""),
    ([RETURNS], "What do customers say about that?", "return damaged parcel", ""),
    ([WARRANTY], "Is it free?", "warranty fridges", ""),
    ([WARRANTY], "How long is it valid?", "warranty fridges", ""),
    ([WARRANTY], "Does it cover repairs?", "warranty fridges", ""),
    ([EXPORT], "How long do you keep it?", "export data", ""),
    ([EXPORT], "So what happens when they are deleted?", "export data", ""),
    ([EXPRESS], "What if it is late?", "express delivery", ""),
    ([EXPRESS], "Is there anything cheaper?", "express delivery", "much"),
    (["Which payment methods do you accept?"], "Which one is cheapest?", "payment methods", ""),
    (["What is the difference between Basic and Pro?"], "How do I upgrade to the latter?", "Basic Pro", ""),
    (["What is the difference between Basic and Pro?"], "Which is better?", "Basic Pro", ""),
    (["Where is the shop in Leeds?"], "Can I park there?", "shop Leeds", ""),
    (["What is a gift card?"], "How do I use them?", "gift card", ""),
    (["Who is the account manager for schools?"], "How do I reach her?", "account manager schools", ""),
    (["Does the app work offline?"], "Does the website do that too?", "app offline", ""),
    (["How do I reset my router?"], "It still does not work, what else can I do?", "reset router", ""),
    (["How do I reset my router?"], "Explain that again, please", "reset router", ""),
    (["Do you repair phones?"], "Can I cancel that order?", "repair phones", ""),
    (["Do you sell used lamps?"], "And what about new ones?", "sell lamps", ""),
    # it names nothing of its own
    ([CANCEL], "Why?", "cancel subscription", ""),
    ([CANCEL], "Tell me more.", "cancel subscription", ""),
    ([CANCEL], "What is the deadline?", "cancel subscription", ""),
    ([CANCEL], "Are there exceptions?", "cancel subscription", ""),
    ([PRO], "And the deadline?", "Pro plan", "price"),
    ([EXPRESS], "How fast?", "express delivery", "much"),
    ([EXPORT], "What format?", "export data", ""),
    (["Do you ship to Norway?"], "Which countries?", "ship Norway", ""),
    # it leaves out what something is done to
    (["How do I order a sofa?"], "Can I cancel?", "order sofa", ""),
    (["How do I order a sofa?"], "How much does it cost to ship?", "order sofa", ""),
    (["How do I order a sofa?"], "How do I return?", "order sofa", ""),
    # it puts something else into the question before
    ([GERMANY], "And to Austria?", "long shipping", "Germany"),
    ([GERMANY], "What about Austria?", "long shipping", "Germany"),
    ([GERMANY], "And for Austria?", "long shipping", "Germany"),
    (["What is the return period for sofas?"], "And for lamps?", "return period", "sofas"),
    (["How much does the monthly plan cost?"], "And the yearly plan?", "much cost", "monthly"),
    (["How do I change my password?"], "What about my email address?", "change", "password"),
    (["Can I pay with PayPal?"], "With a credit card?", "pay", "PayPal"),
    (["Can I pay with PayPal?"], "And Visa?", "pay", "PayPal"),
    (["Can I return a lamp after 30 days?"], "And after 60 days?", "return lamp", "30"),
    ([PRO], "And in Austria?", "price Pro plan", ""),
    ([PRO], "What about Basic?", "price plan", "Pro"),
    ([LEEDS], "On Sundays?", "opening hours Leeds shop", ""),
    ([LEEDS], "And on bank holidays?", "opening hours Leeds shop", ""),
    ([LEEDS], "Only on weekdays?", "opening hours Leeds shop", ""),
    (["Does the app work offline?"], "And on Android?", "app offline", ""),
    (["How much is delivery with the monthly plan?"], "And with the yearly plan?", "much delivery", "monthly"),
    # the question before was one of small talk, or was itself a follow-up that was understood
    ([RETURNS, "Thanks!"], "How long does that take?", "return damaged parcel", ""),
    ([RETURNS, "How long does that take? (return damaged parcel)"], "And in Austria?", "long return parcel", ""),
    ([GERMANY, PRO], "Is it monthly?", "Pro plan", "Germany"),
]

ALONE = [
    CANCEL,
    GERMANY,
    LEEDS,
    PRO,
    "Is it possible to return a sofa?",
    "How long does it take to get a refund?",
    "If my parcel is damaged, can I return it?",
    "If it arrives late, can I cancel my order?",
    "Where do I find the invoice and how do I print it?",
    "What happens to my data when I delete it?",
    "I bought a lamp. It is broken. What now?",
    "opening hours",
    "return policy",
    "Thanks!",
    "ok",
    "???",
    "Do you deliver this week?",
    "How do I contact someone else in the team?",
    "Can I return items that arrived broken?",
    "How does the app know that I moved?",
    "Do you sell those who order gift cards a cover?",
    "Is there a warranty?",
    "Are there student discounts?",
    "And how do I reset my password?",
    "So what does premium delivery include?",
    "What if my parcel is lost?",
    "Can I change my order after it ships?",
    "How many days do I have to return a lamp?",
    "Why was my card declined?",
    "What's the one day delivery price?",
    "How do I pay?",
    "Wie lange dauert die Lieferung?",
    "word " * 60 + "it?",
]


@pytest.mark.parametrize(("earlier", "question", "wanted", "unwanted"), DIALOGUES, ids=lambda each: str(each)[:40])
def test_a_follow_up_gets_the_words_that_it_needs(
    earlier: list[str], question: str, wanted: str, unwanted: str
) -> None:
    """The rewritten question has the words of the topic, and not those that it put others in the place of."""
    reading = read(question)
    assert reading.follows
    rewritten = rewrite_by_rules(question, reading, earlier)
    assert rewritten.startswith(question)
    assert stems(wanted) <= stems(rewritten)
    added = rewritten.removeprefix(question).casefold()
    assert not [word for word in unwanted.split() if word.casefold() in added]


@pytest.mark.parametrize("question", ALONE, ids=lambda each: str(each)[:40])
def test_a_question_that_stands_on_its_own_needs_nothing(question: str) -> None:
    """An ordinary question is not rewritten, whatever was said before it."""
    assert not read(question).follows


def test_there_is_nothing_to_carry_over_from_small_talk() -> None:
    """When no question before was about anything, the question stays as it is."""
    question = "How long does that take?"
    assert rewrite_by_rules(question, read(question), ["Hello", "Why?"]) == question
    assert rewrite_by_rules(question, read(question), []) == question


def test_what_is_there_already_is_not_added() -> None:
    """Words that stand in the question in another form are not repeated."""
    question = "How do I return it, the parcel?"
    assert rewrite_by_rules(question, read("Why?"), [RETURNS]) == f"{question} (damaged)"


def test_few_words_are_carried_over() -> None:
    """A long question before does not drown the new one."""
    before = "Does " + " ".join(f"word{n}" for n in range(40)) + " work?"
    added = rewrite_by_rules("Why?", read("Why?"), [before]).removeprefix("Why?").split()
    assert len(added) == 8


def test_a_question_never_becomes_longer_than_one_may_be() -> None:
    """What would be too long stays as it is."""
    question = "Why? " + "x" * (QUESTION_MAX_CHARS - 6)
    assert rewrite_by_rules(question, read("Why?"), [RETURNS]) == question


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    """No text breaks the rules, and a rewritten one begins with what was asked."""
    reading = read(text)
    assert rewrite_by_rules(text, reading, [text, RETURNS]).startswith(text.strip())


def test_own_words_say_what_a_question_is_about() -> None:
    """Function words, and words that say what is asked of a thing, are not among them."""
    assert own_words("How much does the yearly plan cost?") == ["yearly", "plan"]
    assert own_words("And what is the price of that?") == []
