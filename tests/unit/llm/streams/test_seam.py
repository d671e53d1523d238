"""Joining the text of two answers: nothing twice, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.llm.streams.seam import Seam

GIVEN = "The library opens at nine and closes at six. On Sundays it"
REST = " stays shut, except in the weeks before the examinations."


def through(given_out: str, pieces: list[str]) -> str:
    """What comes out for text that arrives in ``pieces``."""
    seam = Seam(given_out)
    return "".join(map(seam.push, pieces)) + (seam.finish() if seam.undecided else "")


def in_pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 7, 50, 1000])
class TestWhateverThePieces:
    def test_a_model_that_goes_on_is_let_through(self, size: int) -> None:
        """Text that continues what was given out comes out whole."""
        assert through(GIVEN, in_pieces(REST, size)) == REST

    def test_a_model_that_begins_again_gives_only_what_is_new(self, size: int) -> None:
        """An answer that repeats everything from its start is cut where the first one ended."""
        assert through(GIVEN, in_pieces(GIVEN + REST, size)) == REST

    def test_a_model_that_says_the_last_words_again_is_not_heard_twice(self, size: int) -> None:
        """The overlap of the end with the beginning of the new text is left out."""
        assert through(GIVEN, in_pieces("On Sundays it" + REST, size)) == REST

    def test_a_blank_at_the_joint_stands_there_once(self, size: int) -> None:
        """Text that was given out up to a blank is not followed by another."""
        assert through(GIVEN + " ", in_pieces(REST, size)) == REST.lstrip()

    def test_a_short_likeness_is_no_repetition(self, size: int) -> None:
        """A few letters that happen to be the same are kept: "bon" + "bon" is "bonbon"."""
        assert through("He gave her a bon", in_pieces("bon, and left.", size)) == "bon, and left."


def test_an_answer_that_only_says_the_old_text_again_adds_nothing() -> None:
    """A second answer that ends inside what was given out already is empty."""
    assert through(GIVEN, [GIVEN[:30]]) == ""


def test_nothing_is_held_back_when_nothing_was_given_out() -> None:
    """Without a first answer the seam is open from the start."""
    seam = Seam("")
    assert not seam.undecided
    assert seam.push("T") == "T"


def test_text_flows_freely_once_it_is_plain_what_it_is() -> None:
    """After the first new words nothing is held back any more."""
    seam = Seam(GIVEN)
    assert seam.push(" stays shut") == " stays shut"
    assert not seam.undecided
    assert seam.push(" ") == " "


@given(
    st.text("ab .", min_size=20, max_size=60),
    st.text("cd .", min_size=1, max_size=60).filter(lambda text: text.strip(" .") != ""),
    st.integers(1, 10),
)
def test_a_repetition_of_all_is_left_out_whatever_the_text(given_out: str, rest: str, size: int) -> None:
    """Given text T and a second answer T + R, exactly R comes out, but for blanks at the joint."""
    fresh = through(given_out, in_pieces(given_out + rest, size))
    assert fresh.strip() == rest.strip() or (given_out.strip() == "" and fresh.strip().endswith(rest.strip()))


@given(st.text("abc .", max_size=60), st.lists(st.text("cde .", min_size=1, max_size=9), max_size=12))
def test_nothing_is_held_back_for_ever(given_out: str, pieces: list[str]) -> None:
    """What comes out is always an end of what went in."""
    assert "".join(pieces).endswith(through(given_out, pieces))
