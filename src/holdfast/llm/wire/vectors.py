"""Reading vectors from the answer of an embeddings endpoint, and judging whether they can be used."""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from typing import TYPE_CHECKING

from holdfast.errors import EmptyAnswerError, MalformedAnswerError
from holdfast.llm.messages import Usage
from holdfast.llm.wire._openai import usage_of
from holdfast.llm.wire.base import Quirks, Reply
from holdfast.llm.wire.failures import answer_error, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check", "read_vectors"]

_ANYBODY = Quirks()


def read_vectors(status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
    """The vectors of ``{"data": [{"index", "embedding"}, ...]}``, in the order of their indices.

    An embedding is a list of numbers, or base64 of 32-bit floats, the lowest byte first.

    Raises:
        EmptyAnswerError: there is no vector.
        MalformedAnswerError: the body is not a list of embeddings, an embedding cannot be read, or the indices are not
            those of so many inputs.
        ProviderError: everything else that is an error.
    """
    body = read_object(status, headers, content, quirks)
    data = body.get("data")
    if not isinstance(data, list):
        raise _malformed("answered with an object that holds no embeddings", quirks, headers, content)
    if not data:
        what = "gave an empty list of embeddings"
        raise answer_error(EmptyAnswerError, what, quirks, headers=headers, content=content)
    vectors: dict[int, Sequence[float]] = {}
    for place, item in enumerate(data):
        vector = _vector(item.get("embedding")) if isinstance(item, dict) else None
        if vector is None:
            raise _malformed(f"gave an embedding that cannot be read, at place {place}", quirks, headers, content)
        index = item.get("index", place)
        if not isinstance(index, int) or not 0 <= index < len(data) or index in vectors:
            raise _malformed("gave embeddings whose indices are not those of a list", quirks, headers, content)
        vectors[index] = vector
    usage = usage_of(body.get("usage")) or Usage()
    return Reply(content=content, vectors=tuple(vectors[index] for index in range(len(data))), usage=usage)


def check(texts: Sequence[str], reply: Reply, dimension: int | None, *, quirks: Quirks = _ANYBODY) -> None:
    """Make sure that ``reply`` has a usable vector for each of ``texts``.

    Args:
        dimension: how many numbers each vector must have; None if that is not known, then all have as many.
        quirks: whom errors name.

    Raises:
        MalformedAnswerError: too few vectors or too many, one of another dimension, one with a number that is not
            finite, or one of nothing but zeros.
    """
    if len(reply.vectors) != len(texts):
        raise _malformed(f"gave {len(reply.vectors)} embeddings for {len(texts)} texts", quirks)
    for place, vector in enumerate(reply.vectors):
        expected = len(reply.vectors[0]) if dimension is None else dimension
        if len(vector) != expected:
            raise _malformed(f"gave an embedding of {len(vector)} numbers where {expected} were expected", quirks)
        # A sum is finite only if all its numbers are, and quicker than looking at each.
        if not math.isfinite(sum(vector)) and not all(map(math.isfinite, vector)):
            raise _malformed(f"gave an embedding with numbers that are not finite, at place {place}", quirks)
        if not any(vector):
            raise _malformed(f"gave an embedding of nothing but zeros, at place {place}", quirks)


def _vector(embedding: object) -> Sequence[float] | None:
    if isinstance(embedding, str):
        try:
            vector = array("f", base64.b64decode(embedding, validate=True))
        except (ValueError, binascii.Error):  # not base64, or not a whole number of floats
            return None
        if sys.byteorder == "big":
            vector.byteswap()
        return vector or None
    if isinstance(embedding, list) and embedding:
        try:
            return array("d", embedding)
        except (TypeError, OverflowError):
            return None
    return None


def _malformed(
    what: str, quirks: Quirks, headers: Mapping[str, str] | None = None, content: bytes = b""
) -> MalformedAnswerError:
    return answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
