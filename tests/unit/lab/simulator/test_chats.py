"""The wire formats of the three chat endpoints, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.lab.simulator.conftest import ANSWER, MakeProvider

TOOL: dict[str, Any] = {"type": "object", "properties": {"query": {"type": "string"}}}
OPENAI_TOOLS = [{"type": "function", "function": {"name": name, "parameters": TOOL}} for name in ("look", "search")]
FLAT_TOOLS = [{"type": "function", "name": "search", "parameters": TOOL}]
ANTHROPIC_TOOLS = [{"name": "look"}, {"name": "search", "input_schema": TOOL}]


async def test_chat_json(provider: MakeProvider) -> None:
    """A chat that is not streamed has one choice, a finish reason, the token counts, and a request id in the head."""
    reply = await provider().chat()
    body = reply.json
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.headers["content-length"] == str(len(reply.content))
    assert reply.headers["x-request-id"].startswith("req_")
    assert (body["object"], body["model"], body["created"]) == ("chat.completion", "gpt-sim", 1_767_225_600)
    assert body["id"].startswith("chatcmpl-")
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []}
    assert (choice["finish_reason"], choice["logprobs"], choice["index"]) == ("stop", None, 0)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == 15


async def test_chat_stream(provider: MakeProvider) -> None:
    """A stream has a chunk with the role, one for each token, one with the finish reason, and the end mark."""
    reply = await provider().chat(stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in reply.headers
    *chunks, done = [value for _, value in reply.events]
    assert done == "[DONE]"
    assert all(name is None for name, _ in reply.events)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta["content"] for delta in deltas[1:-1]) == ANSWER
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_chat_stream_with_usage(provider: MakeProvider) -> None:
    """With include_usage a last chunk without choices has the counts of the JSON answer; the others have null."""
    whole = (await provider().chat()).json["usage"]
    events = (await provider().chat(stream=True, stream_options={"include_usage": True})).events
    *chunks, last, _ = [value for _, value in events]
    assert (last["choices"], last["usage"]) == ([], whole)
    assert all(chunk["usage"] is None for chunk in chunks)
    without = (await provider().chat(stream=True, stream_options={})).events
    assert len(without) == len(events) - 1


async def test_chat_tool(provider: MakeProvider) -> None:
    """A required tool is called, and the stream's fragments put together are the same call."""
    choice = {"type": "function", "function": {"name": "search"}}
    message = (await provider().chat("Why?", tools=OPENAI_TOOLS, tool_choice=choice)).json["choices"][0]
    call = message["message"]["tool_calls"][0]
    assert (message["finish_reason"], message["message"]["content"]) == ("tool_calls", None)
    assert (call["type"], call["function"]["name"]) == ("function", "search")
    assert json.loads(call["function"]["arguments"]) == {"query": "Why?"}

    events = (await provider().chat("Why?", tools=OPENAI_TOOLS, tool_choice=choice, stream=True)).events
    deltas = [value["choices"][0]["delta"] for _, value in events[:-1]]
    pieces = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert deltas[0]["content"] is None
    assert {piece["index"] for piece in pieces} == {0}
    assert (pieces[0]["id"], pieces[0]["function"]["name"]) == (call["id"], "search")
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]
    assert events[-2][1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(("choice", "called"), [("required", True), ("auto", False), ("none", False), (None, False)])
async def test_chat_tool_only_when_required(provider: MakeProvider, choice: object, called: bool) -> None:
    """A tool is called when one is required, and not when the model is free."""
    answered = (await provider().chat(tools=OPENAI_TOOLS, tool_choice=choice)).json["choices"][0]["message"]
    assert ("tool_calls" in answered) is called


async def test_chat_logprobs(provider: MakeProvider) -> None:
    """Asked for, every token has a log probability, streamed or not."""
    content = (await provider().chat(logprobs=True)).json["choices"][0]["logprobs"]["content"]
    assert "".join(each["token"] for each in content) == ANSWER
    events = (await provider().chat(logprobs=True, stream=True)).events
    streamed = [value["choices"][0]["logprobs"] for _, value in events[:-1]]
    assert [each["content"][0] for each in streamed if each] == content


async def test_chat_json_mode(provider: MakeProvider) -> None:
    """JSON mode and a JSON schema give objects; the form "text" gives text."""

    async def content(form: object) -> Any:
        return (await provider().chat(response_format=form)).json["choices"][0]["message"]["content"]

    schema = {"type": "object", "properties": {"reply": {"type": "string"}}}
    assert json.loads(await content({"type": "json_object"}))["citations"] == [2]
    assert json.loads(await content({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})) == {
        "reply": ANSWER
    }
    assert await content({"type": "text"}) == ANSWER


async def test_content_parts_are_text(provider: MakeProvider) -> None:
    """A message in parts is its text; images are passed over."""
    parts = [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": ""}]
    messages = [{"role": "developer", "content": None}, {"role": "user", "content": parts}]
    reply = await provider().chat(messages=messages, temperature=0.5, top_p=1)
    assert '"Why?"' in reply.json["choices"][0]["message"]["content"]


async def test_messages_json(provider: MakeProvider) -> None:
    """An Anthropic message has its text block, its stop reason and its counts."""
    reply = await provider().messages(system="Be brief.")
    body = reply.json
    assert reply.headers["request-id"].startswith("req_")
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "claude-sim")
    assert body["content"] == [{"type": "text", "text": ANSWER, "citations": None}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert body["usage"]["output_tokens"] == 15
    assert body["usage"]["input_tokens"] == (await provider().messages()).json["usage"]["input_tokens"] + 3 + 3


async def test_messages_stream(provider: MakeProvider) -> None:
    """A stream has Anthropic's events in their order, each named as its type, and the text in its deltas."""
    whole = (await provider().messages()).json
    events = (await provider().messages(stream=True)).events
    names = [name for name, _ in events]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert all(value["type"] == name for name, value in events)
    assert "".join(value["delta"]["text"] for name, value in events if name == "content_block_delta") == ANSWER
    start = events[0][1]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    delta = events[-2][1]
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


async def test_messages_stop(provider: MakeProvider) -> None:
    """A stop sequence and the limit of tokens each have their stop reason."""
    stopped = (await provider().messages(stop_sequences=[" takes"])).json
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", " takes")
    assert (await provider().messages(max_tokens=3)).json["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "search"}])
async def test_messages_tool(provider: MakeProvider, choice: dict[str, str]) -> None:
    """A required tool is called with its input, streamed as JSON fragments; cut short, its input is empty."""
    name = choice.get("name", "look")
    made = await provider().messages("Why?", tools=ANTHROPIC_TOOLS, tool_choice=choice)
    block = made.json["content"][0]
    assert (block["type"], block["name"], made.json["stop_reason"]) == ("tool_use", name, "tool_use")
    events = (await provider().messages("Why?", tools=ANTHROPIC_TOOLS, tool_choice=choice, stream=True)).events
    assert events[1][1]["content_block"] == {**block, "input": {}}
    pieces = [value["delta"]["partial_json"] for event, value in events if event == "content_block_delta"]
    assert json.loads("".join(pieces)) == block["input"]
    cut = await provider().messages("Why?", tools=ANTHROPIC_TOOLS, tool_choice=choice, max_tokens=1)
    assert (cut.json["content"][0]["input"], cut.json["stop_reason"]) == ({}, "max_tokens")


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "none"}])
async def test_messages_tool_only_when_required(provider: MakeProvider, choice: object) -> None:
    """A tool is not called when the model is free."""
    made = await provider().messages(tools=ANTHROPIC_TOOLS, tool_choice=choice)
    assert made.json["content"][0]["type"] == "text"


async def test_messages_tool_results_are_read(provider: MakeProvider) -> None:
    """The text of a tool's result counts as passages to answer from."""
    result = {"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "[1] The lamp is blue."}]}
    messages = [
        {"role": "user", "content": "Which colour has the lamp?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "look", "input": {}}]},
        {"role": "user", "content": [result, {"type": "text", "text": "Which colour has the lamp?"}]},
    ]
    assert (await provider().messages(messages=messages)).json["content"][0]["text"] == "The lamp is blue [1]."


async def test_count_tokens(provider: MakeProvider) -> None:
    """Counting gives what the message will count, and needs no max_tokens."""
    asked = {"model": "claude-sim", "messages": [{"role": "user", "content": "How long is this?"}]}
    version = {"anthropic-version": "2023-06-01"}
    counted = await provider().send("POST", "/v1/messages/count_tokens", asked, version)
    answered = await provider().messages(**asked)
    assert counted.json == {"input_tokens": answered.json["usage"]["input_tokens"]}


async def test_responses_json(provider: MakeProvider) -> None:
    """A response has one message with its text and the counts."""
    body = (await provider().responses(instructions="Be brief.")).json
    assert (body["object"], body["status"], body["incomplete_details"]) == ("response", "completed", None)
    assert body["output"][0]["content"] == [{"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}]
    assert body["usage"]["output_tokens"] == 15


async def test_responses_stream(provider: MakeProvider) -> None:
    """The events come in their order, numbered from 0, named as their type; the last one repeats the JSON answer."""
    whole = (await provider().responses()).json
    events = (await provider().responses(stream=True)).events
    names = [name for name, _ in events]
    assert names[:4] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    assert set(names[4:-4]) == {"response.output_text.delta"}
    assert names[-4:] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert [value["sequence_number"] for _, value in events] == list(range(len(events)))
    assert all(value["type"] == name for name, value in events)
    assert "".join(value["delta"] for name, value in events if name == "response.output_text.delta") == ANSWER
    assert events[-1][1]["response"] == whole


async def test_responses_incomplete(provider: MakeProvider) -> None:
    """An answer that reaches its limit is incomplete, and says why, streamed too."""
    body = (await provider().responses(max_output_tokens=2)).json
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (await provider().responses(max_output_tokens=2, stream=True)).events[-1][0] == "response.incomplete"


async def test_responses_tool(provider: MakeProvider) -> None:
    """A required tool is a function call, streamed as fragments of its arguments."""
    fields: dict[str, Any] = {"tools": [*FLAT_TOOLS, {"type": "web_search"}], "tool_choice": "required"}
    item = (await provider().responses("Why?", **fields)).json["output"][0]
    assert (item["type"], item["name"]) == ("function_call", "search")
    assert json.loads(item["arguments"]) == {"query": "Why?"}
    events = (await provider().responses("Why?", **fields, stream=True)).events
    pieces = [value["delta"] for name, value in events if name == "response.function_call_arguments.delta"]
    assert "".join(pieces) == item["arguments"]
    named = await provider().responses("Why?", **{**fields, "tool_choice": {"type": "function", "name": "search"}})
    assert named.json["output"][0]["name"] == "search"


async def test_responses_input_items(provider: MakeProvider) -> None:
    """A list of items is read: messages in parts, the output of functions; other items are passed over."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Which colour has the lamp?"}]},
        {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": "[1] The lamp is blue."},
    ]
    body = (await provider().responses(input=items, text={"format": {"type": "json_object"}})).json
    assert json.loads(body["output"][0]["content"][0]["text"])["answer"] == "The lamp is blue [1]."


async def test_the_same_request_has_the_same_bytes(provider: MakeProvider) -> None:
    """Two providers with one seed give the same bytes; with another seed the ids differ and the answer does not."""
    one, same, other = [await provider(seed=seed).chat() for seed in (1, 1, 2)]
    assert (one.content, one.headers) == (same.content, same.headers)
    assert one.json["id"] != other.json["id"]
    assert one.json["choices"] == other.json["choices"]
