"""Embeddings, of OpenAI's protocol and of Voyage's."""

from __future__ import annotations

import base64
import json
import struct
from array import array
from typing import Any

import pytest
from tests.unit.llm.wire.recordings import QUIRKS

from holdfast.core.classify import FaultKind, classify
from holdfast.errors import ConfigError, EmptyAnswerError, MalformedAnswerError, ProviderError
from holdfast.llm.messages import Usage
from holdfast.llm.wire.base import Chunk, Quirks, Reply
from holdfast.llm.wire.openai_embeddings import OpenAIEmbeddings, check
from holdfast.llm.wire.openai_models import OpenAIModels
from holdfast.llm.wire.voyage_embeddings import VoyageEmbeddings

WIRE = OpenAIEmbeddings()


def packed(*numbers: float) -> str:
    """Numbers as providers pack them."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def item(embedding: object, **fields: object) -> dict[str, Any]:
    """One embedding."""
    return {"object": "embedding", "embedding": embedding, **fields}


def read(*data: object, usage: object = None) -> Reply:
    """What a list of embeddings is read as."""
    body = {"object": "list", "data": list(data), "model": "m", "usage": usage}
    return WIRE.read(200, {}, json.dumps(body).encode(), QUIRKS)


def test_questions() -> None:
    """Both protocols ask for packed numbers; Voyage is told what the texts are for."""
    assert WIRE.encode(("a", "b"), model="m", dimensions=5) == {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 5,
    }
    assert "dimensions" not in WIRE.encode(("a",), model="m", kind="query")
    voyage = VoyageEmbeddings()
    common = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    assert voyage.encode(["a"], model="m", dimensions=5) == {**common, "input_type": "document", "output_dimension": 5}
    assert voyage.encode(["a"], model="m", kind="query") == {**common, "input_type": "query"}
    for wire in (WIRE, voyage):
        assert wire.retarget({"model": "m", "input": "a", "new": 1}, model="b") == {
            "model": "b",
            "input": "a",
            "new": 1,
        }
        assert wire.headers("k")["authorization"] == "Bearer k"


def test_vectors_in_the_order_of_the_inputs() -> None:
    """Packed numbers and lists are read, and put into the order of their indices."""
    reply = read(
        item([0.1, 0.2], index=1), item(packed(1.5, -2.0), index=0), usage={"prompt_tokens": 3, "total_tokens": 3}
    )
    assert [list(each) for each in reply.vectors] == [[1.5, -2.0], [0.1, 0.2]]
    assert reply.usage == Usage(prompt_tokens=3)
    assert [list(each) for each in read(item([1]), item([2])).vectors] == [[1.0], [2.0]]


def test_the_order_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest byte comes first on the wire, whatever the machine."""
    monkeypatch.setattr("sys.byteorder", "big")
    swapped = array("f", [1.5])
    swapped.byteswap()
    assert read(item(packed(1.5))).vectors[0] == swapped


@pytest.mark.parametrize(
    "data",
    [
        [item(None)],
        [item("not base64!")],
        [item("AAAA")],
        [item("")],
        [item([])],
        [item(["x"])],
        [item([10**400])],
        [item([[1.0]])],
        [5],
        [item([1.0], index=1)],
        [item([1.0], index="0")],
        [item([1.0], index=-1)],
        [item([1.0], index=0), item([1.0], index=0)],
    ],
)
def test_data_that_cannot_be_read(data: list[object]) -> None:
    """An embedding that is no vector, and indices that are not those of a list, are refused."""
    with pytest.raises(MalformedAnswerError, match=r"^acme gave"):
        read(*data)


def test_bodies_without_embeddings() -> None:
    """A body without a list cannot be read, and an empty list is empty."""
    with pytest.raises(EmptyAnswerError):
        read()
    with pytest.raises(MalformedAnswerError, match="holds no embeddings"):
        WIRE.read(200, {}, b'{"detail": "x"}', QUIRKS)


def test_errors_of_voyage() -> None:
    """Voyage's errors carry their words in ``detail``, and its one count is of tokens read."""
    voyage, quirks = VoyageEmbeddings(), Quirks(name="voyage", provider="voyage")
    with pytest.raises(ProviderError, match="voyage answered 429: slow down") as raised:
        voyage.read(429, {}, b'{"detail": "slow down"}', quirks)
    assert classify(raised.value, provider="voyage").kind is FaultKind.THROTTLED
    body = {"object": "list", "data": [item(packed(1.0), index=0)], "model": "v", "usage": {"total_tokens": 7}}
    assert voyage.read(200, {}, json.dumps(body).encode(), quirks).usage == Usage(prompt_tokens=7)


def test_usable_vectors() -> None:
    """Vectors of the right number and dimension pass, also where their sum is larger than a number can be."""
    reply = Reply(content=b"", vectors=((1.0, 0.0), (1e308, 1e308)))
    check(["a", "b"], reply, 2)
    check(["a", "b"], reply, None)
    check([], Reply(content=b""), 2)


@pytest.mark.parametrize(
    ("texts", "found", "dimension", "said"),
    [
        (1, ((1.0,), (1.0,)), 1, "2 embeddings for 1 texts"),
        (2, ((1.0,),), 1, "1 embeddings for 2 texts"),
        (1, ((1.0, 2.0),), 3, "2 numbers where 3 were expected"),
        (2, ((1.0, 2.0), (1.0,)), None, "1 numbers where 2 were expected"),
        (1, ((1.0, float("nan")),), 2, "not finite, at place 0"),
        (1, ((float("inf"), 1.0),), 2, "not finite"),
        (1, ((float("inf"), float("-inf")),), 2, "not finite"),
        (2, ((1.0, 0.0), (0.0, -0.0)), 2, "nothing but zeros, at place 1"),
    ],
)
def test_vectors_that_cannot_be_used(
    texts: int, found: tuple[tuple[float, ...], ...], dimension: int | None, said: str
) -> None:
    """A wrong number, another dimension, numbers that are none and zeros are refused."""
    with pytest.raises(MalformedAnswerError, match=rf"^acme gave .*{said}"):
        check(["x"] * texts, Reply(content=b"", vectors=found), dimension, quirks=QUIRKS)


def test_models() -> None:
    """The names of a provider's models are listed, and what is no list is refused."""
    wire = OpenAIModels()
    body = {"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b"}]}
    assert wire.read(200, {}, json.dumps(body).encode(), QUIRKS).models == ("a", "b")
    assert wire.read(200, {}, b'{"data": []}', QUIRKS).models == ()
    assert wire.headers("k")["authorization"] == "Bearer k"
    assert wire.retarget({"a": 1}, model="m") == {"a": 1}
    for bad in (b"{}", b'{"data": [{}]}', b'{"data": [5]}'):
        with pytest.raises(MalformedAnswerError, match="not a list of models"):
            wire.read(200, {}, bad, QUIRKS)


def test_what_is_not_streamed() -> None:
    """Endpoints that answer at once say that they have no streams."""
    for wire in (WIRE, VoyageEmbeddings(), OpenAIModels()):
        with pytest.raises(ConfigError, match=f"nothing is streamed over {wire.name}"):
            wire.reader(QUIRKS)
        with pytest.raises(ConfigError):
            wire.with_text(Chunk(raw=b""), "x")
