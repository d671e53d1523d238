"""What a search found as bytes: as ``DataclassCodec`` writes it, with each passage written once."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.rag.search import Found
from holdfast.rag.types import Hit, Reason, StoredChunk
from holdfast.state.dataclass_codec import DataclassCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FoundCodec"]

_WRITTEN = 512
"""Passages that are kept as they were written: the same ones are found for many questions. Some 10 MB at most."""

_as_json: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode


class FoundCodec:
    """Turns a ``Found`` into bytes and back, in the format of ``DataclassCodec``.

    The passages are nearly all of it: their texts, and a vector for each sentence. A store gives the same object for
    the same passage as long as it remembers it; its bytes are remembered for as long, by its identity.
    """

    def __init__(self) -> None:
        names = {"Hit": Hit, "Reason": Reason}
        self._found: DataclassCodec[Found] = DataclassCodec(Found, names=names)
        self._stored: DataclassCodec[StoredChunk] = DataclassCodec(StoredChunk)
        self._known: OrderedDict[int, tuple[StoredChunk, bytes]] = OrderedDict()
        self.version = self._found.version

    def encode(self, value: Found, /) -> bytes:
        """The bytes to keep."""
        without = self._found.encode(replace(value, hits=()))  # its first field, so that they begin with "[[]"
        parts = [b"[["]
        for hit, scores in zip(value.hits, _scores(value.hits), strict=True):
            parts += b",[" if len(parts) > 1 else b"[", self._passage(hit.stored), b",", scores, b"]"
        parts.append(without[2:])
        return b"".join(parts)  # once: the passages are long

    def decode(self, data: bytes, /) -> Found:
        """The object.

        Raises:
            ValueError: the bytes are not such an object.
        """
        return self._found.decode(data)

    def _passage(self, stored: StoredChunk) -> bytes:
        known = self._known.get(id(stored))
        if known is not None and known[0] is stored:
            return known[1]
        data = self._stored.encode(stored)
        self._known[id(stored)] = stored, data  # it is kept alive with its id
        if len(self._known) > _WRITTEN:
            self._known.popitem(last=False)
        return data


def _scores(hits: Sequence[Hit]) -> list[bytes]:
    """What each hit's JSON ends with, written at once: numbers only, so that the brackets tell them apart."""
    if not hits:
        return []
    return _as_json([[hit.score, hit.lexical, hit.cosine] for hit in hits])[2:-2].encode().split(b"],[")
