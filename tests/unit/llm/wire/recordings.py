"""Streams and answers as providers send them, for the tests of the wires."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from holdfast.llm.wire.base import Chunk, Quirks, StreamReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUIRKS = Quirks(name="acme")
LENIENT = Quirks(name="acme", finish_required=False)


def sse(*events: object) -> bytes:
    """Events of a chat stream; a text is sent as it is."""
    lines = (each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in events)
    return b"".join(f"data: {each}\n\n".encode() for each in lines)


def named(*events: Mapping[str, Any]) -> bytes:
    """Events with names, as Anthropic and the Responses API send them."""
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def openai_chunk(delta: object = None, finish: object = None, *, index: int = 0, **more: object) -> dict[str, Any]:
    """A chunk of a chat stream."""
    choice = {"index": index, "delta": {} if delta is None else delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    return {**head, "choices": [choice], **more}


ROLE = openai_chunk({"role": "assistant", "content": ""})
OPENAI_USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
}
COUNTED = {**openai_chunk(), "choices": [], "usage": OPENAI_USAGE}
OPENAI_TEXT = sse(
    ROLE,
    openai_chunk({"content": "Grüße"}, usage=None),
    openai_chunk({"content": ", 世界 🙂"}),
    openai_chunk({}, "stop"),
    COUNTED,
    "[DONE]",
)
OPENAI_TOOLS = sse(
    ROLE,
    openai_chunk(
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    ),
    openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
    openai_chunk(
        {"tool_calls": [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]}
    ),
    openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
    openai_chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
    openai_chunk({}, "tool_calls"),
    "[DONE]",
)


def openai_answer(message: object = None, finish: object = "stop", **more: object) -> dict[str, Any]:
    """A whole chat completion."""
    said = {"role": "assistant", "content": "Hello"} if message is None else message
    choice = {"index": 0, "message": said, "finish_reason": finish, "logprobs": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1"}
    return {**head, "choices": [choice], "usage": OPENAI_USAGE, **more}


def message_start(**usage: object) -> dict[str, Any]:
    """How Anthropic's streams begin."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "content": []}
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {
        "type": "message_start",
        "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": counts},
    }


def block_start(index: int, block: object) -> dict[str, Any]:
    """A block begins."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index: int, delta: object) -> dict[str, Any]:
    """A block goes on."""
    return {"type": "content_block_delta", "index": index, "delta": delta}


def text_delta(text: str, index: int = 0) -> dict[str, Any]:
    """A block of text goes on."""
    return block_delta(index, {"type": "text_delta", "text": text})


def message_delta(reason: object, **usage: object) -> dict[str, Any]:
    """Why a message ends."""
    counts = {"output_tokens": 7, **usage}
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts}


TEXT_BLOCK = block_start(0, {"type": "text", "text": ""})
MESSAGE_STOP = {"type": "message_stop"}
ANTHROPIC_TEXT = named(
    message_start(cache_read_input_tokens=5, cache_creation_input_tokens=2),
    TEXT_BLOCK,
    {"type": "ping"},
    text_delta("Grüße, "),
    text_delta("Welt"),
    {"type": "content_block_stop", "index": 0},
    message_delta("end_turn"),
    MESSAGE_STOP,
)
ANTHROPIC_TOOLS = named(
    message_start(),
    block_start(0, {"type": "thinking", "thinking": "", "signature": ""}),
    block_delta(0, {"type": "thinking_delta", "thinking": "hm"}),
    block_delta(0, {"type": "signature_delta", "signature": "x"}),
    {"type": "content_block_stop", "index": 0},
    block_start(1, {"type": "tool_use", "id": "t1", "name": "f", "input": {}}),
    block_delta(1, {"type": "input_json_delta", "partial_json": ""}),
    block_delta(1, {"type": "input_json_delta", "partial_json": '{"a":'}),
    block_delta(1, {"type": "input_json_delta", "partial_json": " 1}"}),
    {"type": "content_block_stop", "index": 1},
    message_delta("tool_use"),
    MESSAGE_STOP,
)
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "m-1",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Grüße, Welt", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    },
}


def response_event(kind: str, **fields: object) -> dict[str, Any]:
    """An event of the Responses API."""
    return {"type": f"response.{kind}", "sequence_number": 0, **fields}


UNDER_WAY = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
WHERE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
RESPONSES_TEXT = named(
    response_event("created", response=UNDER_WAY),
    response_event("in_progress", response=UNDER_WAY),
    response_event(
        "output_item.added",
        output_index=0,
        item={"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []},
    ),
    response_event("content_part.added", **WHERE, part={"type": "output_text", "text": "", "annotations": []}),
    response_event("output_text.delta", **WHERE, delta="Grüße, ", logprobs=[]),
    response_event("output_text.delta", **WHERE, delta="Welt", logprobs=[]),
    response_event("output_text.done", **WHERE, text="Grüße, Welt", logprobs=[]),
    response_event(
        "content_part.done", **WHERE, part={"type": "output_text", "text": "Grüße, Welt", "annotations": []}
    ),
    response_event("output_item.done", output_index=0, item=RESPONSE["output"][0]),  # type: ignore[index]
    response_event("completed", response=RESPONSE),
)


def drain(reader: StreamReader, *pieces: bytes) -> list[Chunk]:
    """All chunks of a stream, to its end."""
    chunks: list[Chunk] = []
    for piece in pieces:
        chunks += reader.feed(piece)
    return [*chunks, *reader.end()]


def texts(chunks: Sequence[Chunk]) -> str:
    """What the chunks say together."""
    return "".join(each.text for each in chunks)
