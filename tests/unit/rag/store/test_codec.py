"""Vectors, spans and metadata come back as they were written, as closely as promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.rag.store.codec import (
    pack_rows,
    pack_spans,
    pack_vector,
    read_metadata,
    typed_value,
    unpack_rows,
    unpack_spans,
    write_metadata,
)
from holdfast.rag.types import Span

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors


def _unit_rows(count: int, dimension: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    units: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def test_a_vector_is_kept_to_the_bit() -> None:
    """A chunk's own vector is float32, unchanged."""
    vector = _unit_rows(1, 384, 1)[0]
    assert np.array_equal(np.frombuffer(pack_vector(vector), "<f4"), vector)


def test_int8_rows_keep_their_cosines() -> None:
    """One byte a coordinate: a cosine is off by at most 0.003, by less than 0.001 on average; rows have length 1."""
    rows, questions = _unit_rows(600, 384, 2), _unit_rows(20, 384, 3)
    packed = pack_rows(rows)
    assert len(packed) == rows.size
    back = unpack_rows(packed, 384)
    error = np.abs(back @ questions.T - rows @ questions.T)
    assert error.max() < 0.003
    assert error.mean() < 0.001
    assert np.allclose(np.linalg.norm(back, axis=1), 1.0, atol=1e-5)


def test_rows_of_zeros_and_no_rows() -> None:
    """A row of zeros stays one, and nothing stays nothing with its dimension."""
    assert np.array_equal(unpack_rows(pack_rows(np.zeros((2, 8), np.float32)), 8), np.zeros((2, 8)))
    assert unpack_rows(pack_rows(np.empty((0, 8), np.float32)), 8).shape == (0, 8)


@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 1000))))
def test_spans_come_back_and_do_not_depend_on_the_place(origin: int, pairs: list[tuple[int, int]]) -> None:
    """Spans are kept relative to their chunk: moved along with it they are the same bytes."""
    spans = tuple(Span(origin + start, origin + start + length) for start, length in pairs)
    packed = pack_spans(spans, origin)
    assert unpack_spans(packed, origin) == spans
    assert pack_spans([Span(span.start + 7, span.end + 7) for span in spans], origin + 7) == packed


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()))
def test_metadata_come_back_with_their_types(metadata: dict[str, str | int | float | bool]) -> None:
    """Names, values and types survive."""
    back = read_metadata(write_metadata(metadata))
    assert back == metadata
    assert {name: type(value) for name, value in back.items()} == {
        name: type(value) for name, value in metadata.items()
    }


def test_typed_values_are_equal_when_the_values_are() -> None:
    """1 is 1.0 and neither True nor "1"; an integer of any size has a value that SQLite can hold."""
    assert typed_value("f", "n", 1) == typed_value("f", "n", 1.0)
    assert len({typed_value("f", "n", value) for value in (1, True, "1", 2**63, str(2**63))}) == 5
    with pytest.raises(InvalidInputError, match=r"filters: 'n' is NoneType"):
        typed_value("filters", "n", None)
