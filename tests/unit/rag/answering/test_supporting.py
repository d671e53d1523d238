"""Which passage a statement can rest on."""

from __future__ import annotations

import pytest
from tests.unit.rag.answering.conftest import make_hit

from holdfast.rag.answering.marking import Marks
from holdfast.rag.answering.supporting import Support, statement_at_end

HITS = [
    make_hit("Most products can be sent back within 30 days of delivery.", name="returns", title="Return an item"),
    make_hit("Kitchen appliances carry a warranty of three years.", name="warranty", title="Warranty"),
]


@pytest.mark.parametrize(
    ("statement", "number", "supported"),
    [
        ("Products can be sent back within 30 days", 1, True),
        ("Products can be sent back within 30 days", 2, False),
        ("Kitchen appliances have three years of warranty", 1, False),
        ("Returning an item is easy", 1, True),
        ("Produkte können binnen eines Monats zurück", 2, True),
        ("Nothing that any passage mentions at all", 2, True),
        ("It depends", 2, True),
        ("Within 30", 2, True),
        ("", 2, True),
    ],
)
def test_a_mark_is_wrong_when_only_another_passage_says_so(statement: str, number: int, *, supported: bool) -> None:
    """No word in the cited passage, half of them in another: that is a wrong number. Anything less is no proof."""
    assert Support(HITS)(statement, number) is supported


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("It opens at nine. It closes at six", "It closes at six"),
        ("It opens at nine [1]. It closes at six [1][2]", " It closes at six "),
        ("One\nTwo", "Two"),
        ("One. ", "One. "),
        ("", ""),
    ],
)
def test_a_statement_goes_back_to_the_end_of_the_one_before(text: str, statement: str) -> None:
    """Sentences, lines and marks end statements; the marks at the end of the text belong to the last one."""
    assert statement_at_end(text).strip(" .") == statement.strip(" .")


def test_an_unsupported_mark_is_left_out_and_counted() -> None:
    """A mark behind a statement that its passage does not make is taken out; the one beside it that fits stays."""
    marks = Marks(2, Support(HITS))
    out = marks.push("Products can be sent back within 30 days [2]. Appliances have a warranty of three years [1][2].")
    out += marks.finish()
    assert out == "Products can be sent back within 30 days. Appliances have a warranty of three years [1]."
    assert (marks.cited, marks.removed) == ([2], 2)


def test_a_mark_is_judged_by_what_came_in_earlier_pieces() -> None:
    """The statement may have been given out long before its mark comes."""
    marks = Marks(2, Support(HITS))
    pieces = ["Products can be ", "sent back ", "within 30 days", " [", "2", "]", "."]
    assert "".join(marks.push(piece) for piece in pieces) + marks.finish() == (
        "Products can be sent back within 30 days."
    )
