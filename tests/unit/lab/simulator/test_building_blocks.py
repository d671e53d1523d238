"""Tokens, draws and vectors: the same every time, and with the properties that the rest relies on."""

from __future__ import annotations

from hashlib import blake2b
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.lab.simulator.draws import Beginning, end_of, hex_of, lognormal, uniform
from holdfast.lab.simulator.tokens import count, pieces_of
from holdfast.lab.simulator.vectors import vector_of

if TYPE_CHECKING:
    import pytest

_PARTS = st.one_of(st.integers(), st.text(), st.tuples(st.text(), st.integers()))


@given(st.text())
def test_tokens_put_together_are_the_text(text: str) -> None:
    """No character is lost or doubled, and the count is the number of pieces."""
    assert "".join(pieces_of(text)) == text
    assert count(text) == len(pieces_of(text))


def test_a_token_is_about_four_characters() -> None:
    """English text has between three and five and a half characters in a token."""
    text = "A customer may return an unused lamp within thirty days, if the receipt is still there. " * 20
    assert 3 < len(text) / count(text) < 5.5


@given(st.integers(0, 1 << 64), st.lists(st.one_of(st.integers(), st.text()), max_size=3))
def test_a_draw_is_between_0_and_1_and_belongs_to_its_key(seed: int, key: list[object]) -> None:
    """The same seed and key give the same number, strictly between 0 and 1."""
    drawn = uniform(seed, *key)
    assert 0 < drawn < 1
    assert drawn == uniform(seed, *key)
    assert drawn != uniform(seed + 1, *key)


def test_a_draw_stays_what_it_was() -> None:
    """A recorded run can be played again under another version: its draws are the same numbers."""
    assert uniform(7, "fault", ("chat", None, 2), ("user-3", 1)) == 0.03928340162459498
    assert hex_of(24, 7, "answer", 3) == "e2029aab20af4547d4a4ba61"


@given(st.integers(0, 1 << 64), st.lists(_PARTS, max_size=3), st.lists(_PARTS, min_size=1, max_size=3))
def test_a_key_may_be_hashed_in_two_parts(seed: int, begun: list[object], rest: list[object]) -> None:
    """With a beginning that was hashed before, the draw is that of the whole key, however often it is used."""
    beginning = Beginning(seed, *begun)
    assert [beginning.uniform(end_of(*rest)) for _ in range(2)] == [uniform(seed, *begun, *rest)] * 2


@given(st.lists(st.one_of(st.none(), st.floats(), st.text(), st.binary(), st.tuples(st.text(), st.integers()))))
def test_a_draw_is_a_hash_of_what_repr_writes(key: list[object]) -> None:
    """Every part counts as ``repr`` writes it, tuples and signs of formats too: draws of years ago stay as they are."""
    written = "\x1f".join(map(repr, (7, *key))).encode()
    digest = blake2b(written, digest_size=16).digest()
    assert hex_of(32, 7, *key) == digest.hex()
    assert uniform(7, *key) == ((int.from_bytes(digest[:8]) >> 12) + 0.5) / (1 << 52)


def test_draws_are_spread_as_asked() -> None:
    """Of many draws the mean is a half, and the median of the log-normal ones is the one asked for."""
    assert abs(sum(uniform(1, number) for number in range(4_000)) / 4_000 - 0.5) < 0.02
    drawn = sorted(lognormal(0.5, 0.9, 1, number) for number in range(4_000))
    assert abs(median(drawn) - 0.5) < 0.04
    assert 3 < drawn[int(len(drawn) * 0.99)] < 6
    assert lognormal(0.5, 0, 1, "any") == 0.5


def test_an_id_has_the_digits_asked_for() -> None:
    """An id is hexadecimal, as long as asked, and differs by its key."""
    assert len(hex_of(24, 7, "a")) == 24
    assert int(hex_of(24, 7, "a"), 16) != int(hex_of(24, 7, "b"), 16)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.integers(1, 300))
def test_a_vector_has_its_dimension_and_length_1(text: str, dimension: int) -> None:
    """Every text, the empty one included, has a vector of the dimension asked for and of length 1."""
    vector = vector_of(text, dimension)
    assert len(vector) == dimension
    assert abs(sqrt(sum(value * value for value in vector)) - 1) < 1e-5


def test_a_text_whose_features_cancel_has_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the signs of all features cancel each other, the first unit vector is given."""
    monkeypatch.setattr("holdfast.lab.simulator.vectors._features", lambda word: [(7, 0.0)])
    assert list(vector_of("any", 3)) == [1.0, 0.0, 0.0]


def test_similar_texts_are_near_each_other() -> None:
    """Texts with words, or parts of words, in common are nearer than texts with none."""

    def near(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(vector_of(one, 512), vector_of(other, 512), strict=True))

    asked = "How do I return a lamp?"
    assert near(asked, "Returning lamps is free") > near(asked, "Our islands have eight ferries") + 0.1
    assert near("shipping to the islands", "the shipping to islands") > 0.8
    assert abs(near("shipping", "umbrella")) < 0.2
