"""Requests that are wrong: each is refused in its provider's shape, with the field and the rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.lab.simulator.options import SimulatedModel

if TYPE_CHECKING:
    from tests.unit.lab.simulator.conftest import MakeProvider

USER = [{"role": "user", "content": "Why?"}]
TOOL = [{"type": "function", "function": {"name": "f"}}]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"), ({"model": 3}, "model"), ({"messages": None}, "messages"),
        ({"messages": []}, "messages"), ({"messages": "hi"}, "messages"), ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "boss"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "text"),
        ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": True}, "max_tokens"), ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"), ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"), ({"top_p": 2}, "top_p"), ({"stream": "yes"}, "stream"),
        ({"stream_options": {}}, "stream_options"), ({"stream": True, "stream_options": 3}, "stream_options"),
        ({"stop": 3}, "stop"), ({"stop": [3]}, "stop"), ({"tools": 3}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"), ({"tools": [{"function": {}}]}, "name"),
        ({"tool_choice": "required"}, "tool_choice"), ({"tools": TOOL, "tool_choice": 3}, "tool_choice"),
        ({"tools": TOOL, "tool_choice": {"function": {"name": "g"}}}, "tool_choice"),
        ({"tools": TOOL, "tool_choice": {"function": 3}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": 3}, "response_format.type"),
    ],
)  # fmt: skip
async def test_bad_chats(provider: MakeProvider, fields: dict[str, Any], param: str) -> None:
    """A chat with a field that is wrong is a 400 in OpenAI's shape that names the field."""
    reply = await provider().chat(**fields)
    error = reply.json["error"]
    assert (reply.status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": [*USER, {"role": "assistant", "content": "So "}]}, "messages: final assistant content"),
        ({"max_tokens": None}, "max_tokens: Field required"), ({"messages": []}, "messages: at least one message"),
        ({"messages": [{"role": "boss"}]}, "messages.0.role: Input should be"), ({"temperature": 2}, "temperature"),
        ({"system": 3}, "system"), ({"tools": [{}]}, "name"), ({"tool_choice": 3}, "tool_choice.type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: Tool not found"), ({"model": ""}, "model"),
        ({"tools": [{"name": "f"}], "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice: Tool not found"),
    ],
)  # fmt: skip
async def test_bad_messages(provider: MakeProvider, fields: dict[str, Any], words: str) -> None:
    """A message request with a field that is wrong is a 400 in Anthropic's shape that names the field."""
    reply = await provider().messages(**fields)
    assert (reply.status, reply.json["type"]) == (400, "error")
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert reply.json["error"]["message"].startswith(words)
    assert reply.json["request_id"] == reply.headers["request-id"]


@pytest.mark.parametrize(
    "fields",
    [{"input": None}, {"input": 3}, {"instructions": 3}, {"text": {"format": {"type": "x"}}}, {"tools": [{}]},
     {"input": [{"role": "user", "content": 3}]}, {"temperature": 9}],
)  # fmt: skip
async def test_bad_responses(provider: MakeProvider, fields: dict[str, Any]) -> None:
    """A responses request with a field that is wrong is a 400."""
    assert (await provider().responses(**fields)).status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"n": ' + b"9" * 5_000 + b"}"])
async def test_bodies_that_are_no_object(provider: MakeProvider, body: bytes) -> None:
    """What is not a JSON object is a 400, however it is broken."""
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        assert (await provider().send("POST", path, body)).status == 400
    assert (await provider().send("POST", "/v1/messages", body, VERSION)).json["type"] == "error"


KEYS = ["type", "role", "content", "text", "name", "function"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "messages",
    "input",
    "tools",
    "tool_choice",
    "response_format",
    "text",
    "stop",
    "stream",
    "stream_options",
    "n",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
async def test_no_body_breaks_it(provider: MakeProvider, fields: dict[str, Any]) -> None:
    """Whatever stands in a body, the answer is a 200 or a 400, and the call has its record."""
    some = provider()
    for send in (some.chat, some.responses, some.messages, some.embed):
        assert (await send(**fields)).status in {200, 400}
    assert all(call.outcome.value == "completed" for call in some.simulator.calls)


async def test_keys(provider: MakeProvider) -> None:
    """With keys set, only they are taken, in each provider's header; others are a 401 in its shape."""
    some = provider(keys=["sk-right", "sk-ünïcode"])
    body = {"model": "m", "messages": USER, "max_tokens": 9}

    async def status(path: str, headers: dict[str, str]) -> int:
        return (await some.send("POST", path, body, headers)).status

    assert await status("/v1/chat/completions", {"Authorization": "Bearer sk-right"}) == 200
    assert await status("/v1/chat/completions", {"authorization": "bearer sk-ünïcode"}) == 200
    assert await status("/v1/messages", {"x-api-key": "sk-right", **VERSION}) == 200
    wrong = await some.send("POST", "/v1/chat/completions", body, {"Authorization": "Bearer sk-wrong"})
    assert (wrong.status, wrong.json["error"]["code"]) == (401, "invalid_api_key")
    assert "sk-wrong" not in wrong.content.decode()
    none = await some.send("POST", "/v1/messages", body, VERSION)
    assert (none.status, none.json["error"]["type"]) == (401, "authentication_error")
    voyage = await some.send(
        "POST", "/voyage/v1/embeddings", {"model": "v", "input": "a"}, {"authorization": "Basic x"}
    )
    assert (voyage.status, list(voyage.json)) == (401, ["detail"])
    assert "sk-" not in repr(list(some.simulator.calls)) + repr(some.simulator.options)


async def test_addresses_and_methods(provider: MakeProvider) -> None:
    """An unknown address is a 404, a wrong method a 405, and a missing version header a 400."""
    some = provider()
    lost = await some.send("POST", "/v1/nothing?x=1", {})
    assert (lost.status, "/nothing" in lost.json["error"]["message"]) == (404, True)
    assert (await some.send("GET", "/v1/nothing", headers=VERSION)).json["type"] == "error"
    assert (await some.send("GET", "/v1/chat/completions")).status == 405
    assert (await some.send("POST", "/v1/models")).status == 405
    assert "anthropic-version: header" in (await some.send("POST", "/v1/messages", {})).json["error"]["message"]
    assert [call.endpoint for call in some.simulator.calls] == ["unknown", "unknown", "chat", "models", "messages"]


async def test_the_context_is_bounded(provider: MakeProvider) -> None:
    """A prompt that does not fit with its max_tokens is a 400 in each provider's words; each model has its bound."""
    some = provider(context_tokens=50, models=[SimulatedModel("large", 10_000), SimulatedModel("small")])
    long = "word " * 60
    chat = await some.chat(long, model="small")
    assert (chat.status, chat.json["error"]["code"]) == (400, "context_length_exceeded")
    message = await some.messages(long, model="small", max_tokens=5)
    assert (message.status, message.json["error"]["message"][:18]) == (400, "prompt is too long")
    assert "and 45 for the answer" in (await some.chat("Why?", model="small", max_tokens=45)).json["error"]["message"]
    assert (await some.chat(long, model="large")).status == 200
    assert (await some.chat("Why?", model="small")).status == 200


async def test_the_body_is_bounded(provider: MakeProvider) -> None:
    """A body above the bound is a 413 in each provider's shape."""
    some = provider(body_bytes=200)
    chat, message = await some.chat("x" * 300), await some.messages("x" * 300)
    assert (chat.status, chat.json["error"]["code"]) == (413, "request_too_large")
    assert (message.status, message.json["error"]["type"]) == (413, "request_too_large")


async def test_lone_surrogates_are_answered(provider: MakeProvider) -> None:
    """Text that JSON can hold and UTF-8 cannot is answered all the same."""
    sent = b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800?"}], "logprobs": true}'
    assert (await provider().send("POST", "/v1/chat/completions", sent)).status == 200
    assert (await provider().embed("\ud800")).status == 200
