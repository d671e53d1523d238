"""What a search found as bytes: the format is that of the dataclasses, with each passage written once."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.rag.caching import found as module
from holdfast.rag.caching.found import FoundCodec
from holdfast.rag.search import Found
from holdfast.rag.types import Chunk, Hit, Reason, Span, StoredChunk
from holdfast.state.dataclass_codec import DataclassCodec


def stored(number: int) -> StoredChunk:
    """A passage."""
    chunk = Chunk(
        id=f"c{number}", document_id="d", ordinal=number, start=0, end=9, heading="Größe", text="Fünf Tage",
        sentences=(Span(0, 9),),
    )  # fmt: skip
    vectors = None if number % 2 else np.array([[0.6, 0.8]], np.float32)
    return StoredChunk(chunk=chunk, title="T", uri="u", sentence_vectors=vectors)


def found(*passages: StoredChunk) -> Found:
    """A result with these passages."""
    hits = [
        Hit(stored=each, score=1 / (place + 1), lexical=None if place else 2.5, cosine=0.5 if place else None)
        for place, each in enumerate(passages)
    ]
    return Found(
        hits=hits,
        query_vector=np.array([1.0, 0.0], np.float32),
        document_frequency={"tage": 3},
        chunk_count=4,
        reasons=(Reason.VECTORS_MISSING,),
        timings_ms={"search": 1.5},
    )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_format_is_that_of_the_dataclasses(count: int) -> None:
    """The bytes and the version are those of ``DataclassCodec``: also the second time, and read back the same."""
    plain: DataclassCodec[Found] = DataclassCodec(Found, names={"Hit": Hit, "Reason": Reason})
    codec, value = FoundCodec(), found(*map(stored, range(count)))
    assert codec.version == plain.version
    assert codec.encode(value) == codec.encode(value) == plain.encode(value)
    back = codec.decode(codec.encode(value))
    assert [hit.stored.chunk for hit in back.hits] == [hit.stored.chunk for hit in value.hits]
    assert back.reasons == value.reasons


def test_a_passage_is_known_by_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passages are told apart, and the oldest ones are forgotten."""
    monkeypatch.setattr(module, "_WRITTEN", 2)
    plain: DataclassCodec[Found] = DataclassCodec(Found, names={"Hit": Hit, "Reason": Reason})
    codec = FoundCodec()
    for number in (*range(5), *range(5)):
        value = found(stored(number), stored(number + 1))
        assert codec.encode(value) == plain.encode(value)
    assert len(codec._known) == 2
