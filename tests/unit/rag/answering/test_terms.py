"""The words of a question: what counts, how it is folded, and what each is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.rag.answering.terms import QuestionTerms, question_stems, question_words, stems, tokens


def test_words_are_folded_as_the_index_folds_them() -> None:
    """Case and accents do not matter, and everything but letters and digits separates."""
    assert tokens("Café, E-MAIL: 12.50€ snake_case") == ["cafe", "e", "mail", "12", "50", "snake", "case"]


def test_stems_join_the_forms_of_a_word() -> None:
    """Plural, past and present of a word have one stem."""
    assert stems("return returns returned returning") == {"return"}


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How long do I have to return an item?", ("long", "return", "item")),
        ("Please tell me what happens if my parcel gets lost", ("parcel", "lost")),
        ("What is Rust?", ("rust",)),
        ("refund refund REFUND", ("refund",)),
    ],
)
def test_function_words_carry_no_meaning(question: str, words: tuple[str, ...]) -> None:
    """Function words and the verbs that questions are built with are left out; each other word is there once."""
    assert question_words(question) == words


def test_a_question_of_function_words_keeps_them() -> None:
    """When nothing else is there, function words are all there is to go by."""
    assert question_words("Who are you?") == ("who", "are", "you")
    assert question_words("???") == ()


def test_the_stems_of_a_question_are_those_of_its_words() -> None:
    """Two forms of one word are one stem; accents do not count."""
    assert question_stems("Which returned café parcels did you return?") == ("return", "cafe", "parcel")


def test_a_pasted_page_is_bounded() -> None:
    """Of a very long question only the first words count."""
    assert len(question_words(" ".join(f"word{n}" for n in range(1_000)))) == 64


def test_rare_words_weigh_more() -> None:
    """A word that no passage holds weighs 1, one that all hold next to nothing, an unknown one the middle."""
    terms = QuestionTerms.of("unicorn refund parcel socks", {"unicorn": 0, "refund": 5, "parcel": 100}, 100)

    assert terms.weights["unicorn"] == pytest.approx(1.0)
    assert 0.3 < terms.weights["refund"] < 0.7
    assert terms.weights["parcel"] < 0.01
    assert terms.weights["sock"] == 0.5


def test_frequencies_are_matched_by_stem() -> None:
    """A frequency that was given for another form of the word, or with marks around it, counts; the largest wins."""
    terms = QuestionTerms.of("returns?", {"returned": 3, "Returns?": 90, "e-mail": 1}, 100)

    assert terms.weights["return"] < 0.05


def test_no_frequencies_weigh_all_alike() -> None:
    """Without a store's counts all words of the question weigh the same."""
    assert set(QuestionTerms.of("blue parcel refund", {}, 0).weights.values()) == {0.5}


def test_coverage_is_the_share_of_the_weight() -> None:
    """Coverage is 1 when all words are there, 0 when none is, and follows the weights between."""
    terms = QuestionTerms({"rare": 0.9, "common": 0.1})

    assert terms.coverage(frozenset({"rare", "common", "other"})) == pytest.approx(1.0)
    assert terms.coverage(frozenset({"common"})) == pytest.approx(0.1)
    assert terms.coverage(frozenset()) == 0.0
    assert QuestionTerms({}).coverage(frozenset({"rare"})) == 0.0


@given(question=st.text(max_size=200), text=st.text(max_size=200), count=st.integers(min_value=-5, max_value=500))
def test_any_text_is_a_question(question: str, text: str, count: int) -> None:
    """Whatever is asked of whatever text, the coverage lies from 0 to 1; a question covers itself."""
    terms = QuestionTerms.of(question, dict.fromkeys(question.split(), count), 100)

    assert all(0.0 < weight <= 1.0 + 1e-9 for weight in terms.weights.values())
    assert 0.0 <= terms.coverage(stems(text)) <= 1.0 + 1e-9
    if terms.weights:
        assert terms.coverage(stems(question)) == pytest.approx(1.0)
