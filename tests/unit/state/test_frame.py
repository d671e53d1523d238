"""The wrapping of values."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.state._frame import VERSION, Frame, pack, unpack

TEXTS = st.text(st.characters())


@given(value=st.binary(), epoch=TEXTS, stamps=st.dictionaries(TEXTS, TEXTS, max_size=4))
def test_what_is_packed_comes_back(value: bytes, epoch: str, stamps: dict[str, str]) -> None:
    """Any value with any stamps is the same after the way through bytes."""
    frame = Frame(value, epoch, stamps)
    assert unpack(pack(frame)) == frame


@given(data=st.binary(max_size=200))
def test_anything_else_is_nothing(data: bytes) -> None:
    """Bytes that nobody packed are no value, and no error."""
    assert unpack(data) is None


@pytest.mark.parametrize("head", [b"", b"[", b"[1]", b"[1, 2, 3]", b"7", b"[1, {}]", b'["e", []]', b"\xff\xfe"])
def test_a_head_that_is_none(head: bytes) -> None:
    """A head that is not an epoch and stamps is no value, though its checksum is right."""
    rest = struct.pack(">I", len(head)) + head
    assert unpack(struct.pack(">BI", VERSION, zlib.crc32(rest)) + rest) is None
