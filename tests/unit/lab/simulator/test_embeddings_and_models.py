"""The wire formats of embeddings and of the list of models."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.simulator.options import SimulatedModel

if TYPE_CHECKING:
    from tests.unit.lab.simulator.conftest import MakeProvider


async def test_embeddings(provider: MakeProvider) -> None:
    """Each text has its vector in its place, and the tokens are counted."""
    body = (await provider().embed("a lamp", "the islands")).json
    assert (body["object"], body["model"]) == ("list", "text-embedding-sim")
    assert [(each["object"], each["index"]) for each in body["data"]] == [("embedding", 0), ("embedding", 1)]
    assert {len(each["embedding"]) for each in body["data"]} == {1_536}
    assert body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert body["data"][0]["embedding"] == (await provider().embed("a lamp")).json["data"][0]["embedding"]


async def test_base64_is_the_same_vector(provider: MakeProvider) -> None:
    """In base64 the numbers are 32-bit floats, little end first, and the same ones."""
    numbers = (await provider().embed("a lamp", dimensions=8)).json["data"][0]["embedding"]
    packed = (await provider().embed("a lamp", dimensions=8, encoding_format="base64")).json["data"][0]["embedding"]
    assert list(struct.unpack("<8f", base64.b64decode(packed))) == numbers


async def test_base64_on_a_big_endian_machine(provider: MakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that puts the big end first turns the numbers round."""
    little = (await provider().embed("a lamp", dimensions=4, encoding_format="base64")).json["data"][0]["embedding"]
    monkeypatch.setattr("holdfast.lab.simulator.embeddings_wire.sys.byteorder", "big")
    turned = (await provider().embed("a lamp", dimensions=4, encoding_format="base64")).json["data"][0]["embedding"]
    assert struct.unpack("<4f", base64.b64decode(little)) == struct.unpack(">4f", base64.b64decode(turned))


@pytest.mark.parametrize(("given", "count"), [("a lamp", 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["one", [4, 5]], 2)])
async def test_inputs(provider: MakeProvider, given: Any, count: int) -> None:
    """A text, token ids, and lists of either are taken."""
    assert len((await provider().embed(input=given)).json["data"]) == count


@pytest.mark.parametrize(
    "fields",
    [
        {"input": None}, {"input": ""}, {"input": []}, {"input": [""]}, {"input": [[]]}, {"input": 3}, {"input": [1.5]},
        {"input": [True]}, {"input": ["x"] * 2_049}, {"encoding_format": "int8"}, {"dimensions": 0},
        {"dimensions": 9_999}, {"model": None},
    ],
)  # fmt: skip
async def test_bad_embedding_requests(provider: MakeProvider, fields: dict[str, Any]) -> None:
    """What cannot be embedded is a 400 that names the field."""
    reply = await provider().embed(**fields)
    assert reply.status == 400
    assert reply.json["error"]["param"] == next(iter(fields))


@pytest.mark.parametrize(("path", "model"), [("/v1/embeddings", "voyage-3"), ("/voyage/v1/embeddings", "any")])
async def test_voyage(provider: MakeProvider, path: str, model: str) -> None:
    """Voyage's protocol answers below its path, and for models of its name, with its own counts and dimension."""
    sent = {"model": model, "input": ["a lamp"], "input_type": "query"}
    body = (await provider().send("POST", path, sent)).json
    assert body["usage"] == {"total_tokens": 2}
    assert len(body["data"][0]["embedding"]) == (1_024 if model == "voyage-3" else 1_536)
    packed = {**sent, "encoding_format": "base64", "output_dimension": 4}
    data = (await provider().send("POST", path, packed)).json["data"]
    assert len(base64.b64decode(data[0]["embedding"])) == 16


@pytest.mark.parametrize(
    "fields", [{"input": []}, {"input": [""]}, {"input": 3}, {"input_type": "x"}, {"encoding_format": "float"}]
)
async def test_bad_voyage_requests(provider: MakeProvider, fields: dict[str, Any]) -> None:
    """A bad request is a 400 with Voyage's `detail`."""
    reply = await provider().send("POST", "/v1/embeddings", {"model": "voyage-3", "input": "a", **fields})
    assert (reply.status, list(reply.json)) == (400, ["detail"])


async def test_models(provider: MakeProvider) -> None:
    """The models are listed and can be asked for by name; unknown ones are a 404 that lists the known ones."""
    some = provider(models=[SimulatedModel("a"), SimulatedModel("b")])
    listed = (await some.send("GET", "/v1/models")).json
    assert [(each["id"], each["object"]) for each in listed["data"]] == [("a", "model"), ("b", "model")]
    assert (await some.send("GET", "/v1/models/b")).json == listed["data"][1]
    missing = await some.send("GET", "/models/c")
    assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")
    assert "There are: a, b." in missing.json["error"]["message"]
    assert len((await provider().send("GET", "/v1/models")).json["data"]) == 4


async def test_anthropic_models(provider: MakeProvider) -> None:
    """With Anthropic's version header the models have Anthropic's shape."""
    version = {"anthropic-version": "2023-06-01"}
    listed = (await provider().send("GET", "/v1/models", headers=version)).json
    assert (listed["has_more"], listed["first_id"]) == (False, listed["data"][0]["id"])
    one = (await provider().send("GET", "/v1/models/claude%2Fx", headers=version)).json
    assert (one["type"], one["id"], one["created_at"]) == ("model", "claude/x", "2026-01-01T00:00:00Z")


async def test_unknown_models_are_404_everywhere(provider: MakeProvider) -> None:
    """A model that is not there is refused in each provider's shape."""
    some = provider(models=[SimulatedModel("only")])
    chat, message = await some.chat(), await some.messages()
    voyage = await some.send("POST", "/v1/embeddings", {"model": "voyage-3", "input": "a"})
    assert (chat.status, chat.json["error"]["code"]) == (404, "model_not_found")
    assert (message.status, message.json["error"]["type"]) == (404, "not_found_error")
    assert (voyage.status, "only" in voyage.json["detail"]) == (400, True)
    assert (await some.embed()).status == 404


async def test_dimensions_by_model(provider: MakeProvider) -> None:
    """A well-known model has its own dimension, and an option overrides all."""
    assert len((await provider().embed(model="text-embedding-3-large")).json["data"][0]["embedding"]) == 3_072
    assert len((await provider(dimension=5).embed()).json["data"][0]["embedding"]) == 5
