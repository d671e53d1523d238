"""Dataclasses as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from holdfast.errors import ConfigError
from holdfast.state.dataclass_codec import DataclassCodec


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    number: int
    maybe: str | None = None


@dataclass(frozen=True)
class Outer:
    text: str
    share: float
    flag: bool
    colour: Colour
    inner: Inner
    many: tuple[Inner, ...]
    named: Mapping[str, str | int | float | bool]
    listed: Sequence[float] = ()
    perhaps: Inner | None = None
    counts: dict[str, int] = field(default_factory=dict)


SAMPLE = Outer(
    text="ü🦊\ud800",
    share=0.1,
    flag=True,
    colour=Colour.BLUE,
    inner=Inner(1, "x"),
    many=(Inner(2), Inner(3, "")),
    named={"a": "b", "c": 1, "d": 0.5, "e": False},
    listed=(1.0, 2.5),
    perhaps=Inner(-4),
    counts={"n": 2},
)


def test_what_is_encoded_comes_back() -> None:
    """Every kind of field comes back equal and of the same type, None included."""
    codec = DataclassCodec(Outer)
    back = codec.decode(codec.encode(SAMPLE))
    assert back == SAMPLE
    assert back.colour is Colour.BLUE
    assert [type(value) for value in back.named.values()] == [str, int, float, bool]
    empty = Outer("", 1, False, Colour.RED, Inner(0), (), {})
    assert codec.decode(codec.encode(empty)) == empty


@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 4)])
def test_arrays_come_back(shape: tuple[int, ...]) -> None:
    """float32 arrays come back bit for bit, in their shape."""
    holder = make_dataclass("holder", [("vectors", np.ndarray)])
    codec: DataclassCodec[Any] = DataclassCodec(holder)
    array = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    back: Any = codec.decode(codec.encode(holder(array)))
    assert back.vectors.dtype == np.float32
    assert np.array_equal(back.vectors, array)


def test_the_version_follows_the_shape() -> None:
    """Another field, name, type or enumeration value, at any depth, is another version; the same shape is the same."""
    shapes: list[list[tuple[str, Any]]] = [
        [("a", int)],
        [("b", int)],
        [("a", str)],
        [("a", int), ("b", int)],
        [("a", int | None)],
        [("a", tuple[int, ...])],
        [("a", dict[str, int])],
        [("a", Inner)],
        [("a", Colour)],
        [("a", make_dataclass("Inner", [("number", int)]))],
        [("a", StrEnum("Colour", {"RED": "red"}))],
    ]
    versions = [DataclassCodec(make_dataclass("d", shape)).version for shape in shapes]
    assert len(set(versions)) == len(shapes)
    assert DataclassCodec(make_dataclass("d", shapes[0])).version == versions[0]


def _with(position: int, value: object) -> bytes:
    plain = json.loads(DataclassCodec(Outer).encode(SAMPLE))
    plain[position] = value
    return json.dumps(plain).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        _with(0, 1),
        _with(1, "x"),
        _with(1, True),
        _with(2, 1),
        _with(3, "green"),
        _with(4, None),
        _with(4, [1]),
        _with(5, {}),
        _with(6, {"a": None, "b": []}),
        _with(8, [1, 2]),
    ],
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    """What is not such an object is a ValueError, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r".+"):
        DataclassCodec(Outer).decode(data)


@pytest.mark.parametrize("hint", [bytes, Callable[[], int], tuple[int, str], dict[int, str], Inner | str, set[int]])
def test_types_that_cannot_be_cached(hint: Any) -> None:
    """A field of a type that it cannot write is a ConfigError when the codec is made."""
    with pytest.raises(ConfigError):
        DataclassCodec(make_dataclass("d", [("a", hint)]))
