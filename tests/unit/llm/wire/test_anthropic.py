"""Anthropic's messages, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.llm.wire.recordings import (
    ANTHROPIC_TEXT,
    ANTHROPIC_TOOLS,
    LENIENT,
    MESSAGE_STOP,
    QUIRKS,
    TEXT_BLOCK,
    block_delta,
    block_start,
    drain,
    message_delta,
    message_start,
    named,
    text_delta,
    texts,
)

from holdfast.core.classify import FaultKind as K
from holdfast.core.classify import classify
from holdfast.errors import (
    ContentFilteredError,
    EmptyAnswerError,
    MalformedAnswerError,
    ProviderError,
    TruncatedAnswerError,
)
from holdfast.llm.messages import ChatRequest, Completion, Finish, Message, ToolCall, Usage
from holdfast.llm.wire.anthropic_messages import AnthropicMessages
from holdfast.llm.wire.anthropic_turns import split_prefix
from holdfast.llm.wire.base import Chunk, Quirks, ToolDelta

WIRE = AnthropicMessages()
HI = Message(role="user", content="hi")
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-1",
    "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2},
}
USAGE = Usage(prompt_tokens=17, completion_tokens=7, cached_tokens=5)


def encode(*messages: Message, **options: Any) -> dict[str, Any]:
    """The body of a question."""
    return WIRE.encode(ChatRequest(messages=messages, **options), model="m", stream=False)


def read(body: object, quirks: Quirks = QUIRKS) -> Completion:
    """The completion that ``body`` is."""
    completion = WIRE.read(200, {}, json.dumps(body).encode(), quirks).completion
    assert completion is not None
    return completion


def test_a_plain_question() -> None:
    """A question without options has a model, messages and the limit that the protocol wants."""
    assert encode(HI) == {"model": "m", "max_tokens": 1024, "messages": [{"role": "user", "content": "hi"}]}
    assert WIRE.headers("k") == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": "k",
    }
    assert "x-api-key" not in WIRE.headers("")


def test_every_option() -> None:
    """Every option has its field, JSON is asked for in words, and extra fields win except over the model."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "g"}},
        {"name": "h", "input_schema": schema},
    ]
    request = ChatRequest(
        messages=(Message(role="system", content="one"), HI, Message(role="system", content="two")),
        max_tokens=5,
        temperature=1.5,
        stop=("x", "\n"),
        tools=tools,
        json_mode=True,
        extra={"top_k": 3, "model": "z"},
    )
    assert WIRE.encode(request, model="m", stream=True) == {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "one\n\ntwo\n\nAnswer with one JSON object and nothing else: no text around it and no code fence.",
        "temperature": 1.0,
        "stop_sequences": ["x"],
        "tools": [
            {"name": "f", "input_schema": schema, "description": "d", "strict": True},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}},
            {"name": "h", "input_schema": schema},
        ],
        "stream": True,
        "top_k": 3,
    }
    assert "stop_sequences" not in encode(HI, stop=("\n",))


def test_turns_alternate() -> None:
    """Messages of one role become one turn, results of tools are the user's, and empty messages are left out."""
    calls = (ToolCall(id="1", name="f", arguments='{"a": 1}'), ToolCall(id="2", name="g", arguments=""))
    odd = (ToolCall(id="3", name="f", arguments="not json"), ToolCall(id="4", name="f", arguments="[1]"))
    turns = encode(
        HI,
        Message(role="user", content="there"),
        Message(role="assistant", content=" "),
        Message(role="assistant", content="ok", tool_calls=calls),
        Message(role="assistant", tool_calls=odd),
        Message(role="tool", content="42", tool_call_id="1"),
        Message(role="tool", content="", tool_call_id="2"),
        Message(role="user", content="so?"),
        Message(role="assistant", content="well"),
    )["messages"]
    assert turns == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "2", "name": "g", "input": {}},
                {"type": "tool_use", "id": "3", "name": "f", "input": {"arguments": "not json"}},
                {"type": "tool_use", "id": "4", "name": "f", "input": {"arguments": "[1]"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "42"},
                {"type": "tool_result", "tool_use_id": "2", "content": ""},
                {"type": "text", "text": "so?"},
            ],
        },
        {"role": "assistant", "content": "well"},
    ]


def test_a_prefix() -> None:
    """A prefix is the end of the assistant's last turn, without the white space at its end, which is remembered."""
    assert split_prefix("so \n") == ("so", " \n")
    user, said = {"role": "user", "content": "x"}, {"role": "assistant", "content": "so"}
    for messages, prefix, expected in [
        ([user], "so \n", [user, said]),
        ([user], " \n", [user]),
        ([], "so", [said]),
        ([user, {"role": "assistant", "content": "I"}], " say ", [user, {"role": "assistant", "content": "I say"}]),
        (
            [{"role": "assistant", "content": [{"a": 1}]}],
            "so ",
            [{"role": "assistant", "content": [{"a": 1}, {"type": "text", "text": "so"}]}],
        ),
        ([{"role": "assistant", "content": [{"a": 1}]}], " ", [{"role": "assistant", "content": [{"a": 1}]}]),
    ]:
        body = {"model": "a", "messages": messages, "thinking": {"type": "disabled"}}
        aimed = WIRE.retarget(body, model="b", prefix=prefix)
        assert aimed == {**body, "model": "b", "messages": expected}
    assert WIRE.retarget({"model": "a", "messages": 5}, model="b") == {"model": "b", "messages": 5}


def test_a_whole_answer() -> None:
    """Text, reason, tokens, model and id are read; tokens of the cache count as read; the answer stays as it came."""
    assert read(ANSWER) == Completion(text="Hello", usage=USAGE, model="claude-1", id="msg_1", raw=ANSWER)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.UNKNOWN),
        ("something_new", Finish.UNKNOWN),
    ],
)
def test_reasons(reason: str, finish: Finish) -> None:
    """A reason to stop is read, and one that nobody knows is no fault."""
    assert read({**ANSWER, "stop_reason": reason}).finish is finish


def test_calls_and_tools_of_the_provider() -> None:
    """Calls are translated, thoughts are left out, and what the provider's own tools did is output."""
    content = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "ü"}},
    ]
    completion = read({**ANSWER, "content": content, "stop_reason": "tool_use"})
    assert (completion.text, completion.tool_calls) == ("", (ToolCall(id="t", name="f", arguments='{"a": "ü"}'),))
    assert read({**ANSWER, "content": [{"type": "server_tool_use", "id": "s"}], "stop_reason": "pause_turn"}).text == ""


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"content": None}, MalformedAnswerError),
        ({"content": "text"}, MalformedAnswerError),
        ({"content": []}, EmptyAnswerError),
        ({"content": [{"type": "text", "text": ""}]}, EmptyAnswerError),
        ({"content": [{"type": "thinking", "thinking": "hm"}], "stop_reason": "max_tokens"}, EmptyAnswerError),
        ({"content": [5]}, EmptyAnswerError),
        ({"stop_reason": None}, TruncatedAnswerError),
        ({"stop_reason": "refusal", "content": []}, ContentFilteredError),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, ProviderError),
    ],
)
def test_answers_that_cannot_be_used(change: dict[str, object], kind: type[ProviderError]) -> None:
    """A success with no answer in it, or half of one, raises what it is."""
    with pytest.raises(kind) as raised:
        read({**ANSWER, **change})
    assert type(raised.value) is kind


def test_servers_without_reasons() -> None:
    """A server that never says why an answer ends is believed that it does."""
    assert read({**ANSWER, "stop_reason": None}, LENIENT).finish is Finish.UNKNOWN
    chunks = drain(WIRE.reader(LENIENT), named(message_start(), text_delta("x"), MESSAGE_STOP))
    assert chunks[-1].last


def test_a_stream() -> None:
    """A text is read piece by piece, every event is passed on, and tokens are added up."""
    reader = WIRE.reader(QUIRKS)
    chunks = drain(reader, ANTHROPIC_TEXT)
    assert b"".join(each.raw for each in chunks) == ANTHROPIC_TEXT
    assert texts(chunks) == "Grüße, Welt"
    assert [each.real for each in chunks] == [False, False, False, True, True, False, False, False]
    assert chunks[0].usage == Usage(prompt_tokens=17, completion_tokens=1, cached_tokens=5)
    assert (chunks[-2].finish, chunks[-2].usage, chunks[-1].last) == (Finish.STOP, USAGE, True)
    assert reader.completion == Completion(text="Grüße, Welt", usage=USAGE, model="claude-1", id="msg_1")


def test_streamed_calls() -> None:
    """Thoughts are reasoning, and the pieces of a tool call are put together."""
    reader = WIRE.reader(QUIRKS)
    chunks = drain(reader, ANTHROPIC_TOOLS)
    assert (chunks[2].reasoning, chunks[2].real, chunks[3].real) == ("hm", True, False)
    assert chunks[5].tool_calls == (ToolDelta(index=1, id="t1", name="f"),)
    assert (chunks[5].real, chunks[6].real, chunks[7].real) == (True, False, True)
    assert reader.completion.tool_calls == (ToolCall(id="t1", name="f", arguments='{"a": 1}'),)
    assert reader.completion.finish is Finish.TOOL_CALLS


@pytest.mark.parametrize(
    ("event", "real"),
    [
        (block_start(0, {"type": "text", "text": "x"}), True),
        (block_start(0, {"type": "thinking", "thinking": "x"}), True),
        (block_start(0, {"type": "redacted_thinking", "data": "x"}), False),
        (block_start(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}), True),
        (block_start(0, None), False),
        (block_delta(0, {"type": "input_json_delta", "partial_json": "{"}), True),
        (block_delta(0, {"type": "citations_delta", "citation": {}}), False),
        (block_delta(0, {"type": "brand_new"}), False),
        ({"type": "brand_new"}, False),
        ({"type": "message_start"}, False),
        ({"type": "content_block_delta"}, False),
    ],
)
def test_events_of_all_kinds(event: dict[str, Any], real: bool) -> None:
    """Output is real, and an event that nobody knows is passed on."""
    raw = named(event)
    (chunk,) = WIRE.reader(QUIRKS).feed(raw)
    assert (chunk.raw, chunk.real, chunk.tool_calls) == (raw, real, ())


def test_an_event_without_a_type() -> None:
    """Where the data does not name its type, the event's name does."""
    raw = b'event: content_block_delta\ndata: {"delta": {"type": "text_delta", "text": "x"}}\n\n'
    assert WIRE.reader(QUIRKS).feed(raw) == [Chunk(raw=raw, text="x", real=True)]


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([message_start(), TEXT_BLOCK, text_delta("x")], TruncatedAnswerError),
        ([message_start(), TEXT_BLOCK, text_delta("x"), message_delta("end_turn")], TruncatedAnswerError),
        ([message_start(), text_delta("x"), MESSAGE_STOP], TruncatedAnswerError),
        ([message_start(), text_delta("x"), message_delta(None), MESSAGE_STOP], TruncatedAnswerError),
        ([message_start(), message_delta("end_turn"), MESSAGE_STOP], EmptyAnswerError),
        ([message_start(), TEXT_BLOCK, message_delta("refusal"), MESSAGE_STOP], ContentFilteredError),
    ],
)
def test_streams_that_cannot_be_used(events: list[dict[str, Any]], kind: type[ProviderError]) -> None:
    """A stream without a reason to stop or without its last event, or with nothing in it, raises what it is."""
    with pytest.raises(kind) as raised:
        drain(WIRE.reader(QUIRKS), named(*events))
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("overloaded_error", K.OVERLOADED),
        ("rate_limit_error", K.THROTTLED),
        ("api_error", K.TRANSIENT),
        ("invalid_request_error", K.BAD_REQUEST),
        ("billing_error", K.QUOTA),
        ("brand_new_error", K.TRANSIENT),
    ],
)
def test_errors_in_a_stream(kind: str, fault: K) -> None:
    """An error after a 200 is classified like the same error by status, and real chunks before it are not lost."""
    event = {"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "r"}
    reader = WIRE.reader(QUIRKS)
    assert texts(reader.feed(named(message_start(), TEXT_BLOCK, text_delta("x"), event))) == "x"
    with pytest.raises(ProviderError, match=rf"\({kind}\): m") as raised:
        reader.feed(b"")
    assert classify(raised.value, provider="anthropic").kind is fault


def test_withheld_after_a_part() -> None:
    """An answer that is withheld after a part of it was given says so in its last chunks."""
    chunks = drain(WIRE.reader(QUIRKS), named(text_delta("x"), message_delta("refusal"), MESSAGE_STOP))
    assert chunks[1].finish is Finish.CONTENT_FILTER


def test_another_text_for_a_chunk() -> None:
    """A chunk gets another text in its event, which keeps its name and everything else."""
    for event in (text_delta("one", 3), block_start(3, {"type": "text", "text": "one"})):
        chunk = WIRE.reader(QUIRKS).feed(named(event))[0]
        other = WIRE.with_text(chunk, "two")
        assert WIRE.reader(QUIRKS).feed(other.raw) == [other]
        assert other.text == "two"
        assert b'"index":3' in other.raw
