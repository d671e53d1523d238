"""The official SDKs, as judges: they accept what we send, and read the same in what providers send."""

from __future__ import annotations

import json
import typing
from typing import Any

import anthropic
import httpx2
import openai
import pydantic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from tests.unit.llm.wire.recordings import (
    ANTHROPIC_TEXT,
    ANTHROPIC_TOOLS,
    OPENAI_TEXT,
    OPENAI_TOOLS,
    QUIRKS,
    RESPONSE,
    RESPONSES_TEXT,
    drain,
    openai_answer,
)

from holdfast.llm.messages import ChatRequest, Message, ToolCall
from holdfast.llm.wire.anthropic_messages import AnthropicMessages
from holdfast.llm.wire.openai_chat import OpenAIChat
from holdfast.llm.wire.openai_embeddings import OpenAIEmbeddings
from holdfast.llm.wire.openai_models import OpenAIModels
from holdfast.llm.wire.openai_responses import OpenAIResponses

REQUEST = ChatRequest(
    messages=(
        Message(role="system", content="s"),
        Message(role="user", content="hi"),
        Message(role="assistant", content="", tool_calls=(ToolCall(id="c1", name="f", arguments='{"a": 1}'),)),
        Message(role="tool", content="42", tool_call_id="c1"),
        Message(role="user", content="so?"),
    ),
    max_tokens=5,
    temperature=0.5,
    stop=("x",),
    tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    json_mode=True,
)
HI: list[Any] = [{"role": "user", "content": "hi"}]


def transport(content: bytes, kind: str = "application/json") -> httpx2.Client:
    """A client of HTTP that answers with these bytes."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=content, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_with(content: bytes, kind: str = "application/json") -> openai.OpenAI:
    """OpenAI's SDK, which is answered with these bytes."""
    return openai.OpenAI(api_key="k", http_client=transport(content, kind))


def anthropic_with(content: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    """Anthropic's SDK, which is answered with these bytes."""
    return anthropic.Anthropic(api_key="k", http_client=transport(content, kind))


def accepted(kind: Any, body: dict[str, Any]) -> None:
    """Make sure that ``body`` is of the SDK's type, with no field that it does not know."""
    if kind.__module__.startswith("anthropic"):
        body = {name: value for name, value in body.items() if name != "temperature"}  # not a name there any more
    adapter = pydantic.TypeAdapter(kind)
    adapter.validate_python(body)
    assert set(body) <= set(typing.get_type_hints(kind))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prefix", ["", "so far "])
def test_bodies_are_accepted(stream: bool, prefix: str) -> None:
    """What we send is of the types that the SDKs send."""
    chat = (
        completion_create_params.CompletionCreateParamsStreaming
        if stream
        else completion_create_params.CompletionCreateParamsNonStreaming
    )
    accepted(chat, OpenAIChat().encode(REQUEST, model="m", stream=stream, prefix=prefix))
    responses = (
        response_create_params.ResponseCreateParamsStreaming
        if stream
        else response_create_params.ResponseCreateParamsNonStreaming
    )
    accepted(responses, OpenAIResponses().encode(REQUEST, model="m", stream=stream, prefix=prefix))
    messages = MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming
    accepted(messages, AnthropicMessages().encode(REQUEST, model="m", stream=stream, prefix=prefix))
    accepted(embedding_create_params.EmbeddingCreateParams, OpenAIEmbeddings().encode(["a"], model="m", dimensions=5))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "Grüße 🙂"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
    ],
)
def test_whole_chats(message: dict[str, Any]) -> None:
    """We read in a chat completion what OpenAI's SDK reads in it."""
    content = json.dumps(openai_answer(message)).encode()
    theirs = openai_with(content).chat.completions.create(model="m", messages=HI)
    ours = OpenAIChat().read(200, {}, content, QUIRKS).completion
    assert ours is not None
    assert theirs.usage is not None
    choice = theirs.choices[0]
    assert (ours.text, ours.finish, ours.id, ours.model) == (
        choice.message.content or "",
        choice.finish_reason,
        theirs.id,
        theirs.model,
    )
    calls = choice.message.tool_calls or []
    assert [(each.id, each.name, each.arguments) for each in ours.tool_calls] == [
        (each.id, each.function.name, each.function.arguments) for each in calls if each.type == "function"
    ]
    assert (ours.usage.prompt_tokens, ours.usage.completion_tokens, ours.usage.total_tokens) == (
        theirs.usage.prompt_tokens,
        theirs.usage.completion_tokens,
        theirs.usage.total_tokens,
    )


@pytest.mark.parametrize("stream", [OPENAI_TEXT, OPENAI_TOOLS])
def test_streamed_chats(stream: bytes) -> None:
    """We read in a streamed chat completion what OpenAI's SDK reads in it."""
    reader = OpenAIChat().reader(QUIRKS)
    chunks = drain(reader, stream)
    theirs = list(openai_with(stream, "text/event-stream").chat.completions.create(model="m", messages=HI, stream=True))
    deltas = [each.choices[0].delta for each in theirs if each.choices]
    assert [each.text for each in chunks[: len(deltas)]] == [each.content or "" for each in deltas]
    fragments = [
        (call.index, call.function.arguments if call.function else "")
        for each in deltas
        for call in each.tool_calls or []
    ]
    assert [(call.index, call.arguments) for each in chunks for call in each.tool_calls] == fragments
    reasons = [each.choices[0].finish_reason for each in theirs if each.choices]
    assert [each.finish for each in chunks[: len(reasons)]] == reasons


def test_responses() -> None:
    """We read in a response, whole and streamed, what OpenAI's SDK reads in it."""
    content = json.dumps(RESPONSE).encode()
    theirs = openai_with(content).responses.create(model="m", input="hi")
    ours = OpenAIResponses().read(200, {}, content, QUIRKS).completion
    assert ours is not None
    assert theirs.usage is not None
    assert (ours.text, ours.id, ours.model) == (theirs.output_text, theirs.id, theirs.model)
    assert ours.usage.total_tokens == theirs.usage.total_tokens
    reader = OpenAIResponses().reader(QUIRKS)
    chunks = drain(reader, RESPONSES_TEXT)
    events = list(openai_with(RESPONSES_TEXT, "text/event-stream").responses.create(model="m", input="hi", stream=True))
    assert len(events) == len(chunks)
    assert [each.text for each in chunks if each.text] == [
        each.delta for each in events if each.type == "response.output_text.delta"
    ]


def test_embeddings_and_models() -> None:
    """We read in packed numbers and in a list of models what OpenAI's SDK reads in them."""
    body = {"object": "list", "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    content = json.dumps({**body, "data": [{"object": "embedding", "index": 0, "embedding": "AADAPwAAAMA="}]}).encode()
    theirs = openai_with(content).embeddings.create(model="m", input="x")
    assert [list(each) for each in OpenAIEmbeddings().read(200, {}, content, QUIRKS).vectors] == [
        theirs.data[0].embedding
    ]
    models = json.dumps(
        {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
    ).encode()
    assert list(OpenAIModels().read(200, {}, models, QUIRKS).models) == [
        each.id for each in openai_with(models).models.list()
    ]


def test_whole_messages() -> None:
    """We read in a message what Anthropic's SDK reads in it."""
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": [{"type": "text", "text": "Grüße"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    content = json.dumps(body).encode()
    theirs = anthropic_with(content).messages.create(model="m", max_tokens=5, messages=HI)
    ours = AnthropicMessages().read(200, {}, content, QUIRKS).completion
    assert ours is not None
    assert (ours.id, ours.model) == (theirs.id, theirs.model)
    assert [ours.text] == [each.text for each in theirs.content if each.type == "text"]
    assert [(each.id, json.loads(each.arguments)) for each in ours.tool_calls] == [
        (each.id, each.input) for each in theirs.content if each.type == "tool_use"
    ]
    assert (ours.usage.prompt_tokens, ours.usage.completion_tokens) == (
        theirs.usage.input_tokens,
        theirs.usage.output_tokens,
    )


@pytest.mark.parametrize("stream", [ANTHROPIC_TEXT, ANTHROPIC_TOOLS])
def test_streamed_messages(stream: bytes) -> None:
    """We put together of a streamed message what Anthropic's SDK puts together of it."""
    reader = AnthropicMessages().reader(QUIRKS)
    drain(reader, stream)
    ours = reader.completion
    with anthropic_with(stream, "text/event-stream").messages.stream(model="m", max_tokens=5, messages=HI) as opened:
        theirs = opened.get_final_message()
    assert ours.text == "".join(each.text for each in theirs.content if each.type == "text")
    assert [(each.id, each.name, json.loads(each.arguments)) for each in ours.tool_calls] == [
        (each.id, each.name, each.input) for each in theirs.content if each.type == "tool_use"
    ]
    assert ours.usage.completion_tokens == theirs.usage.output_tokens
    assert (ours.id, ours.model) == (theirs.id, theirs.model)
