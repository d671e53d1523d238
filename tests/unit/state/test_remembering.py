"""A codec with a memory."""

from __future__ import annotations

import pytest

from holdfast.state.remembering import _MOST_BYTES, _VALUES, RememberingCodec
from holdfast.state.typed import JsonCodec


def test_the_same_bytes_are_decoded_once() -> None:
    """Equal bytes give one object, whoever holds them; others give their own, and are written as without a memory."""
    plain = JsonCodec("7")
    codec: RememberingCodec[list[int]] = RememberingCodec(plain)
    data = codec.encode([1, 2])
    first = codec.decode(data)
    assert (data, first, codec.version) == (plain.encode([1, 2]), [1, 2], "7")
    assert codec.decode(bytes(bytearray(data))) is first
    assert codec.decode(codec.encode([1, 3])) == [1, 3]


def test_the_memory_is_bounded() -> None:
    """What was not read for the longest time is decoded anew, and so is what is large."""
    codec: RememberingCodec[list[int]] = RememberingCodec(JsonCodec("7"))
    first = codec.decode(b"[0]")
    for number in range(_VALUES):
        codec.decode(codec.encode([0, number]))
    assert codec.decode(b"[0]") is not first
    large = codec.encode([1] * _MOST_BYTES)
    assert codec.decode(large) is not codec.decode(large)


def test_what_cannot_be_read_is_said_each_time() -> None:
    """Bytes that are no value raise again whenever they come."""
    codec: RememberingCodec[list[int]] = RememberingCodec(JsonCodec("7"))
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting"):
            codec.decode(b"{")


def test_what_is_forgotten_is_held_no_more() -> None:
    """After that the same bytes are decoded anew."""
    codec: RememberingCodec[list[int]] = RememberingCodec(JsonCodec("7"))
    first = codec.decode(b"[0]")
    codec.forget()
    assert codec.decode(b"[0]") is not first
