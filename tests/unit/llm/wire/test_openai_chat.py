"""OpenAI's chat completions, whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.llm.wire.recordings import LENIENT, QUIRKS, openai_answer, openai_chunk, sse

from holdfast.core.classify import FaultKind, classify
from holdfast.errors import (
    ConfigError,
    ContentFilteredError,
    EmptyAnswerError,
    MalformedAnswerError,
    ProviderError,
    TruncatedAnswerError,
)
from holdfast.llm.messages import ChatRequest, Completion, Finish, Message, ToolCall, Usage
from holdfast.llm.wire.base import Chunk
from holdfast.llm.wire.openai_chat import OpenAIChat

WIRE = OpenAIChat()
HI = (Message(role="user", content="hi"),)


def read(body: object, **kwargs: Any) -> Completion:
    """The completion that ``body`` is."""
    reply = WIRE.read(200, {}, json.dumps(body).encode(), kwargs.get("quirks", QUIRKS))
    assert reply.completion is not None
    assert reply.completion.usage == reply.usage
    return reply.completion


def test_a_plain_question() -> None:
    """A question without options has a model and messages and nothing else."""
    assert WIRE.encode(ChatRequest(messages=HI), model="m", stream=False) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert WIRE.headers("k") == {"content-type": "application/json", "authorization": "Bearer k"}
    assert WIRE.headers("") == {"content-type": "application/json"}


def test_every_option() -> None:
    """Every option has its field, a stream asks for usage, and extra fields win except over the model."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    call = ToolCall(id="c1", name="f", arguments="{}")
    messages = (
        Message(role="system", content="s"),
        *HI,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="42", tool_call_id="c1"),
    )
    request = ChatRequest(
        messages=messages,
        max_tokens=5,
        temperature=0.5,
        stop=("x",),
        tools=tools,
        json_mode=True,
        extra={"seed": 1, "temperature": 0, "model": "z"},
    )
    assert OpenAIChat(limit_field="max_completion_tokens").encode(request, model="m", stream=True) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
        ],
        "max_completion_tokens": 5,
        "temperature": 0,
        "stop": ["x"],
        "tools": tools,
        "response_format": {"type": "json_object"},
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 1,
    }
    with pytest.raises(ConfigError, match="limit_field='tokens'"):
        OpenAIChat(limit_field="tokens")  # type: ignore[arg-type]


def test_retargeting_touches_nothing_else() -> None:
    """Another model is put into a caller's body, a prefix behind its messages, and all else is the caller's."""
    body = {
        "model": "a",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        "logprobs": True,
        "x_new": {"y": 1},
    }
    before = json.dumps(body)
    assert WIRE.retarget(body, model="b") == {**body, "model": "b"}
    assert WIRE.retarget(body, model="b", prefix="so far ")["messages"] == [
        *body["messages"],  # type: ignore[misc]
        {"role": "assistant", "content": "so far "},
    ]
    assert json.dumps(body) == before
    assert WIRE.encode(ChatRequest(messages=HI), model="m", stream=False, prefix="p")["messages"][-1] == {
        "role": "assistant",
        "content": "p",
    }


def test_a_whole_answer() -> None:
    """Text, reason, tokens, model and id are read, and the answer stays as it came."""
    body = openai_answer(system_fingerprint="fp")
    content = json.dumps(body).encode()
    reply = WIRE.read(200, {}, content, QUIRKS)
    usage = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4)
    assert reply.content == content
    assert reply.completion == Completion(text="Hello", usage=usage, model="m-1", id="chatcmpl-1", raw=body)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("tool_calls", Finish.TOOL_CALLS),
        ("eos", Finish.UNKNOWN),
    ],
)
def test_reasons(reason: str, finish: Finish) -> None:
    """A finish reason is read, and one that nobody knows is no fault."""
    assert read(openai_answer(finish=reason)).finish is finish


@pytest.mark.parametrize(
    ("message", "text", "calls"),
    [
        ({"content": None, "refusal": "no"}, "no", ()),
        (
            {
                "content": [
                    {"type": "thinking", "text": "x"},
                    {"type": "text", "text": "a"},
                    {"type": "text", "text": "b"},
                    5,
                ]
            },
            "ab",
            (),
        ),
        (
            {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            "",
            (ToolCall(id="c", name="f", arguments="{}"),),
        ),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
            "",
            (ToolCall(id="c", name="f", arguments="x"),),
        ),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            "",
            (ToolCall(id="", name="f", arguments="{}"),),
        ),
        ({"content": None, "audio": {"id": "a"}}, "", ()),
        ({"content": "\ud83d\ude00\ud83d"}, "😀\ufffd", ()),
    ],
)
def test_output_of_all_kinds(message: object, text: str, calls: tuple[ToolCall, ...]) -> None:
    """A refusal, parts, tool calls old and new, and sound are answers, and every text can be encoded."""
    completion = read(openai_answer(message))
    assert (completion.text, completion.tool_calls) == (text, calls)


def test_the_first_of_several_choices() -> None:
    """Of several choices the one with index 0 is the answer, wherever it stands."""
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (1, 0)]
    completion = read(openai_answer(choices=choices))
    assert completion.text == "0"
    assert len(completion.raw["choices"]) == 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, MalformedAnswerError),
        ({"choices": None}, MalformedAnswerError),
        ({"choices": [5]}, MalformedAnswerError),
        ({"detail": "x"}, MalformedAnswerError),
        ({"choices": [{"text": "legacy"}]}, MalformedAnswerError),
        ({"choices": []}, EmptyAnswerError),
        (openai_answer({"content": None}), EmptyAnswerError),
        (openai_answer({"content": ""}), EmptyAnswerError),
        (openai_answer({"content": "", "reasoning_content": "hm"}, "length"), EmptyAnswerError),
        (openai_answer({"content": []}), EmptyAnswerError),
        (openai_answer(finish=None), TruncatedAnswerError),
        (openai_answer(finish="content_filter"), ContentFilteredError),
        (openai_answer({"content": None}, "content_filter"), ContentFilteredError),
    ],
)
def test_answers_that_cannot_be_used(body: object, kind: type[ProviderError]) -> None:
    """A success with no answer in it, or half of one, raises what it is."""
    with pytest.raises(kind, match=r"^acme ") as raised:
        read(body)
    assert type(raised.value) is kind
    assert raised.value.content == json.dumps(body).encode()


def test_errors_in_a_success() -> None:
    """An error body in a 200, and a choice that ended with an error, are errors."""
    with pytest.raises(ProviderError, match=r"acme answered with an error in a success \(slow_down\): m") as raised:
        read({"error": {"message": "m", "code": "slow_down"}})
    assert classify(raised.value).kind is FaultKind.THROTTLED
    broken = openai_answer(
        choices=[{"message": {"content": "x"}, "finish_reason": "error", "error": {"code": 503, "message": "down"}}]
    )
    with pytest.raises(ProviderError, match="down") as raised:
        read(broken)
    assert classify(raised.value).kind is FaultKind.OVERLOADED
    with pytest.raises(ProviderError, match="finish reason 'error'"):
        read(openai_answer(finish="error"))


def test_servers_without_reasons() -> None:
    """A server that never says why an answer ends is believed that it does."""
    assert read(openai_answer(finish=None), quirks=LENIENT).finish is Finish.UNKNOWN


@pytest.mark.parametrize(
    "usage", [None, {}, 5, {"prompt_tokens": -1, "completion_tokens": "3"}, {"prompt_tokens": True}]
)
def test_usage_that_says_nothing(usage: object) -> None:
    """Counts that are none are 0."""
    assert read(openai_answer(usage=usage)).usage == Usage()


@pytest.mark.parametrize("field", ["content", "refusal"])
def test_another_text_for_a_chunk(field: str) -> None:
    """A chunk gets another text in its event, and everything else of the event stays."""
    raw = sse(
        openai_chunk(
            {field: "one"},
            system_fingerprint="fp",
            choices=[{"index": 1, "delta": {"content": "z"}}, *openai_chunk({field: "one"})["choices"]],
        )
    )
    chunk = WIRE.reader(QUIRKS).feed(raw)[0]
    other = WIRE.with_text(chunk, "zwei ü")
    assert other == Chunk(raw=other.raw, text="zwei ü", real=True)
    body = json.loads(other.raw.removeprefix(b"data: "))
    assert body["choices"][1]["delta"] == {field: "zwei ü"}
    assert body["choices"][0]["delta"] == {"content": "z"}
    assert body["system_fingerprint"] == "fp"
    assert WIRE.reader(QUIRKS).feed(other.raw) == [other]
