"""How vectors, spans and metadata are written down.

A chunk's vector is kept as it came (float32): the search over chunks is exact. Sentence vectors are many and only rank
the sentences of a handful of chunks, so each is kept as int8: a vector is divided by its largest absolute coordinate,
times 127, rounded (symmetric scalar quantisation). Reading gives rows of length 1 again.
"""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import InvalidInputError
from holdfast.rag.types import Scalar, Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from holdfast.llm.embedding import Vectors

__all__ = [
    "pack_rows",
    "pack_spans",
    "pack_vector",
    "read_metadata",
    "typed_value",
    "unpack_rows",
    "unpack_spans",
    "write_metadata",
]

_INT8_MAX = 127
_SMALLEST = 1e-30  # what a row of zeros is divided by
_INTEGER_LIMIT = 2**63  # SQLite's integers are 64 bits wide


def pack_vector(vector: Vectors) -> bytes:
    """One vector as little-endian float32."""
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def pack_rows(rows: Vectors) -> bytes:
    """Unit vectors as int8, one byte a coordinate."""
    largest = np.max(np.abs(rows), axis=1, keepdims=True, initial=_SMALLEST)
    codes: NDArray[np.int8] = np.rint(rows * (_INT8_MAX / largest)).astype(np.int8)
    return codes.tobytes()


def unpack_rows(codes: bytes, dimension: int) -> Vectors:
    """What ``pack_rows`` wrote, as float32 rows of length 1 (a row of zeros stays so)."""
    rows = np.frombuffer(codes, dtype=np.int8).reshape(-1, dimension).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.maximum(lengths, np.float32(1.0))[:, np.newaxis]
    return rows


def pack_spans(spans: Sequence[Span], origin: int) -> bytes:
    """Spans relative to ``origin``, so that a chunk that only moved keeps the same bytes."""
    return array("I", [value - origin for span in spans for value in (span.start, span.end)]).tobytes()


def unpack_spans(packed: bytes, origin: int) -> tuple[Span, ...]:
    """What ``pack_spans`` wrote."""
    values = array("I")
    values.frombytes(packed)
    return tuple(Span(values[i] + origin, values[i + 1] + origin) for i in range(0, len(values), 2))


def write_metadata(metadata: Mapping[str, Scalar]) -> str:
    """Metadata as JSON; reading it gives the same types back."""
    return json.dumps(dict(metadata), separators=(",", ":"))


def read_metadata(text: str) -> dict[str, Scalar]:
    """What ``write_metadata`` wrote."""
    metadata: dict[str, Scalar] = json.loads(text)
    return metadata


def typed_value(field: str, name: str, value: object) -> tuple[str, str | int | float]:
    """A metadata value as (kind, value), two of which are equal exactly when the values are.

    Numbers are equal across int and float; a truth value is not a number; text is text.

    Raises:
        InvalidInputError: it is none of these; ``field`` names what it was part of.
    """
    if isinstance(value, bool):
        return "truth", int(value)
    if isinstance(value, str):
        return "text", value
    if isinstance(value, int):
        return ("number", value) if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT else ("digits", str(value))
    if isinstance(value, float):
        return "number", value
    raise InvalidInputError(field, f"{name!r} is {type(value).__name__}: use text, a number, true or false")
