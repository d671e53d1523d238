"""A codec with a memory: what is read often is decoded once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from holdfast.state.typed import Codec

__all__ = ["RememberingCodec"]

T = TypeVar("T")

_VALUES = 256
_MOST_BYTES = 8_192
"""Larger values are decoded each time, so that what is remembered takes some 10 MB at most."""


class RememberingCodec(Generic[T]):
    """Gives the same object for the same bytes while it is among the last that were read.

    For values that nobody changes. Bytes that a cache in memory gives out again have their hash already, so that
    finding them costs next to nothing.

    Args:
        codec: does the work.
    """

    def __init__(self, codec: Codec[T]) -> None:
        self._codec = codec
        self._read = lru_cache(_VALUES)(codec.decode)
        self.version = codec.version

    def encode(self, value: T, /) -> bytes:
        """The bytes to keep."""
        return self._codec.encode(value)

    def decode(self, data: bytes, /) -> T:
        """The value.

        Raises:
            ValueError: as the codec does.
        """
        if len(data) > _MOST_BYTES or not isinstance(data, bytes):  # a backend of somebody else's may give a bytearray
            return self._codec.decode(data)
        return self._read(data)

    def forget(self) -> None:
        """Hold no value any more: call it where what was kept is to be gone, and not only out of reach."""
        self._read.cache_clear()
