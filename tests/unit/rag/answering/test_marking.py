"""Marks of citations in text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.answering.marking import Marks


def read(*pieces: str, passages: int = 3) -> tuple[str, list[int], int]:
    marks = Marks(passages)
    text = "".join([marks.push(piece) for piece in pieces]) + marks.finish()
    return text, marks.cited, marks.removed


@pytest.mark.parametrize(
    ("given_text", "text", "cited", "removed"),
    [
        ("Nine o'clock [2]. Cats [1] sleep [2].", "Nine o'clock [1]. Cats [2] sleep [1].", [2, 1], 0),
        ("Nine [7]. Ten [1].", "Nine. Ten [1].", [1], 1),
        ("Both [1, 3] and [3;2].", "Both [1][2] and [2][3].", [1, 3, 2], 0),
        ("Half [1, 9].", "Half [1].", [1], 1),
        ("Zero [0] and [ 2 ].", "Zero and [1].", [2], 1),
        ("A [link](x), [see], [2", "A [link](x), [see], [2", [], 0),
        ("Use `a[1]` or `b[9]` [1].", "Use `a[1]` or `b[9]` [1].", [1], 0),
        ("```\na[9]\n``` [1]", "```\na[9]\n``` [1]", [1], 0),
        ("A ` alone\nends with the line [1].", "A ` alone\nends with the line [1].", [1], 0),
        ("``` `\n[9] ```[9]", "``` `\n[9] ```", [], 1),
        ("Nine" + " " * 9 + "[9].", "Nine .", [], 1),
        ("Nine [1]" + " " * 9 + "[9].", "Nine [1] .", [1], 1),
        ("Trailing [1] \n\n", "Trailing [1]", [1], 0),
        ("[" + "1," * 30 + "1]", "[" + "1," * 30 + "1]", [], 0),
        ("", "", [], 0),
    ],
)
def test_marks_are_checked_and_numbered_anew(given_text: str, text: str, cited: list[int], removed: int) -> None:
    """Marks are numbered as they are met, those of no passage are left out, and text that is no mark stays."""
    assert read(given_text) == (text, cited, removed)


def test_a_mark_that_comes_in_two_pieces_is_held_back() -> None:
    """Nothing of a mark is given out before it is whole, nor the space before one that may be left out."""
    marks = Marks(2)
    assert [marks.push(piece) for piece in ("Nine", " ", "[", "9", "]", ".", " [1", "] a")] == [
        "Nine", "", "", "", "", ".", "", " [1] a",
    ]  # fmt: skip
    assert marks.removed == 1


def test_what_only_begins_like_a_mark_is_given_out_in_the_end() -> None:
    """A bracket that never closes is text, and is not lost at the end."""
    assert read("See [1", "2") == ("See [12", [], 0)


@given(st.data(), st.text(alphabet="a1290[],; `\n\t.", max_size=120))
def test_it_does_not_matter_how_the_text_is_cut(data: st.DataObject, text: str) -> None:
    """However the text is cut into pieces, the same text comes out, with the same passages cited."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    one, many = read(text), read(*pieces)
    assert (one[0].rstrip(), one[1:]) == (many[0].rstrip(), many[1:])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Three years [9][1].", "Three years [1]."),
        ("Three years [9][8][1].", "Three years [1]."),
        ("Three years [9].[1]", "Three years.[1]"),
        ("Three years [9]\n[1]", "Three years\n[1]"),
        ("Three years[9][1]", "Three years[1]"),
        ("Three years [9] [1]", "Three years [1]"),
    ],
)
def test_the_space_before_a_removed_mark_is_that_of_the_next(text: str, shown: str) -> None:
    """Where the first of several marks is left out, the next one keeps the space, in whatever pieces they come."""
    for pieces in ([text], list(text)):
        marks = Marks(1)
        assert "".join(marks.push(piece) for piece in pieces) + marks.finish() == shown
