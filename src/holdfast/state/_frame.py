"""How a value is wrapped in Redis: with the stamps that make it valid, and a checksum.

    version (1 byte) | CRC-32 of all that follows (4) | length of the head (4) | head: JSON | value

The head is ``[epoch, {tag: stamp, ...}]``. What does not fit to the byte is no value: damage, a stranger's key, or an
entry of another version of Holdfast are misses, never errors.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "Frame", "pack", "unpack"]

VERSION = 1
_START = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Frame:
    """A value with the stamp of everything (``epoch``) and those of its tags."""

    value: bytes
    epoch: str
    stamps: Mapping[str, str]


def pack(frame: Frame) -> bytes:
    """The bytes to keep."""
    head = json.dumps([frame.epoch, dict(frame.stamps)], separators=(",", ":")).encode()  # escapes half surrogates
    rest = b"".join((_LENGTH.pack(len(head)), head, frame.value))
    return _START.pack(VERSION, zlib.crc32(rest)) + rest


def unpack(data: bytes) -> Frame | None:
    """What was packed; None when it is anything else."""
    begin = _START.size + _LENGTH.size
    if len(data) < begin or _START.unpack_from(data) != (VERSION, zlib.crc32(memoryview(data)[_START.size :])):
        return None
    end = begin + _LENGTH.unpack_from(data, _START.size)[0]
    try:
        epoch, stamps = json.loads(data[begin:end])
    except (ValueError, TypeError):  # a checksum by chance, or by malice
        return None
    if not isinstance(epoch, str) or not isinstance(stamps, dict):
        return None
    return Frame(data[end:], epoch, stamps)
