"""OpenAI's Responses API, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.llm.wire.recordings import (
    QUIRKS,
    RESPONSE,
    RESPONSES_TEXT,
    UNDER_WAY,
    WHERE,
    drain,
    named,
    response_event,
    texts,
)

from holdfast.core.classify import FaultKind, classify
from holdfast.errors import (
    ContentFilteredError,
    EmptyAnswerError,
    MalformedAnswerError,
    ProviderError,
    TruncatedAnswerError,
)
from holdfast.llm.messages import ChatRequest, Completion, Finish, Message, ToolCall, Usage
from holdfast.llm.wire.base import Chunk, ToolDelta
from holdfast.llm.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
USAGE = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4)
CALL = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}"}
CREATED = response_event("created", response=UNDER_WAY)
DELTA = response_event("output_text.delta", **WHERE, delta="Hello")
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}


def message(**part: str) -> dict[str, Any]:
    """An item of the output."""
    return {"type": "message", "role": "assistant", "content": [part]}


def read(body: object) -> Completion:
    """The completion that ``body`` is."""
    completion = WIRE.read(200, {}, json.dumps(body).encode(), QUIRKS).completion
    assert completion is not None
    return completion


def test_a_question() -> None:
    """Messages, calls and results become items, tools lie flat, and extra fields win."""
    call = ToolCall(id="c1", name="f", arguments="{}")
    request = ChatRequest(
        messages=(
            Message(role="system", content="s"),
            Message(role="user", content="hi"),
            Message(role="assistant", content="let me see", tool_calls=(call,)),
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", content="42", tool_call_id="c1"),
            Message(role="assistant"),
        ),
        max_tokens=20,
        temperature=0.5,
        stop=("x",),
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}, {"type": "web_search"}],
        json_mode=True,
        extra={"store": False},
    )
    item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    assert WIRE.encode(request, model="m", stream=True) == {
        "model": "m",
        "input": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "let me see"},
            item,
            item,
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"role": "assistant", "content": ""},
        ],
        "max_output_tokens": 20,
        "temperature": 0.5,
        "tools": [{"type": "function", "parameters": None, "strict": True, "name": "f"}, {"type": "web_search"}],
        "text": {"format": {"type": "json_object"}},
        "stream": True,
        "store": False,
    }
    assert WIRE.encode(ChatRequest(messages=()), model="m", stream=False) == {"model": "m", "input": []}
    assert WIRE.headers("k")["authorization"] == "Bearer k"


def test_retargeting() -> None:
    """Another model and a prefix are put into a caller's body, whose input may be a text."""
    assert WIRE.retarget({"model": "a", "input": "x", "new": 1}, model="b") == {"model": "b", "input": "x", "new": 1}
    prefix = {"role": "assistant", "content": "p"}
    assert WIRE.retarget({"input": "x"}, model="b", prefix="p")["input"] == [{"role": "user", "content": "x"}, prefix]
    assert WIRE.retarget({"input": [{"a": 1}]}, model="b", prefix="p")["input"] == [{"a": 1}, prefix]


def test_a_whole_answer() -> None:
    """Text, tokens, model and id are read, and the answer stays as it came."""
    assert read(RESPONSE) == Completion(text="Grüße, Welt", usage=USAGE, model="m-1", id="resp_1", raw=RESPONSE)


@pytest.mark.parametrize(
    ("change", "text", "finish"),
    [
        ({"output": [REASONING, CALL]}, "", Finish.TOOL_CALLS),
        (
            {"output": [{"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "{}"}]},
            "",
            Finish.TOOL_CALLS,
        ),
        ({"output": [{"type": "image_generation_call", "result": "x"}]}, "", Finish.STOP),
        ({"output": [message(type="refusal", refusal="no")]}, "no", Finish.STOP),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "Grüße, Welt", Finish.LENGTH),
        ({"status": "incomplete", "incomplete_details": None}, "Grüße, Welt", Finish.UNKNOWN),
        ({"status": "queued", "background": True, "output": []}, "", Finish.UNKNOWN),
    ],
)
def test_answers_of_all_kinds(change: dict[str, object], text: str, finish: Finish) -> None:
    """Calls, images, refusals, answers cut by the limit and answers in the background are answers."""
    completion = read({**RESPONSE, **change})
    assert (completion.text, completion.finish) == (text, finish)
    calls = (ToolCall(id="c1", name="f", arguments="{}"),) if finish is Finish.TOOL_CALLS else ()
    assert completion.tool_calls == calls


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"a": 1}, MalformedAnswerError),
        ({**RESPONSE, "status": 5}, MalformedAnswerError),
        ({**RESPONSE, "output": []}, EmptyAnswerError),
        ({**RESPONSE, "output": [REASONING]}, EmptyAnswerError),
        ({**RESPONSE, "status": "in_progress"}, TruncatedAnswerError),
        ({**RESPONSE, "status": "cancelled"}, TruncatedAnswerError),
        (
            {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            ContentFilteredError,
        ),
        ({**RESPONSE, "status": "failed"}, ProviderError),
        ({**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "m"}}, ProviderError),
    ],
)
def test_answers_that_cannot_be_used(body: object, kind: type[ProviderError]) -> None:
    """A success with no answer in it, or half of one, raises what it is."""
    with pytest.raises(kind) as raised:
        read(body)
    assert type(raised.value) is kind


def test_a_stream() -> None:
    """A text is read piece by piece, every event is passed on, and the last one says how it ends."""
    reader = WIRE.reader(QUIRKS)
    chunks = drain(reader, RESPONSES_TEXT)
    assert b"".join(each.raw for each in chunks) == RESPONSES_TEXT
    assert texts(chunks) == "Grüße, Welt"
    assert [each.real for each in chunks] == [False] * 4 + [True] * 2 + [False] * 4
    assert (chunks[-1].finish, chunks[-1].usage, chunks[-1].last) == (Finish.STOP, USAGE, True)
    assert reader.completion == Completion(text="Grüße, Welt", usage=USAGE, model="m-1", id="resp_1")


def test_a_streamed_call() -> None:
    """A tool call is put together from its pieces, also where the last event does not repeat it."""
    for output in ([CALL], []):
        stream = named(
            CREATED,
            response_event("output_item.added", output_index=1, item={**CALL, "arguments": ""}),
            response_event("function_call_arguments.delta", output_index=1, delta='{"a"'),
            response_event("function_call_arguments.delta", output_index=1, delta=":1}"),
            response_event("completed", response={**RESPONSE, "output": output}),
        )
        reader = WIRE.reader(QUIRKS)
        chunks = drain(reader, stream)
        assert chunks[1].tool_calls == (ToolDelta(index=1, id="c1", name="f"),)
        assert [each.real for each in chunks] == [False, True, True, True, False]
        assert reader.completion.tool_calls == (ToolCall(id="c1", name="f", arguments='{"a":1}'),)
        assert reader.completion.finish is Finish.TOOL_CALLS


def test_a_stream_without_pieces() -> None:
    """Where only the last event has an output, it is given out with it."""
    reader = WIRE.reader(QUIRKS)
    output = [message(type="output_text", text="Hi"), CALL]
    (chunk,) = drain(reader, named(response_event("completed", response={**RESPONSE, "output": output})))
    assert (chunk.text, chunk.real, chunk.tool_calls) == (
        "Hi",
        True,
        [ToolDelta(index=0, id="c1", name="f", arguments="{}")],
    )
    assert reader.completion.text == "Hi"
    other = WIRE.with_text(chunk, "Ho")
    assert WIRE.reader(QUIRKS).feed(other.raw)[0].text == "Ho"


@pytest.mark.parametrize(
    ("event", "chunk"),
    [
        (response_event("reasoning_summary_text.delta", delta="hm"), Chunk(raw=b"", reasoning="hm", real=True)),
        (response_event("refusal.delta", delta="no"), Chunk(raw=b"", text="no", real=True)),
        (response_event("output_text.delta", delta=""), Chunk(raw=b"")),
        (response_event("image_generation_call.partial_image"), Chunk(raw=b"", real=True)),
        (response_event("mcp_call_arguments.delta", delta="x"), Chunk(raw=b"", real=True)),
        (response_event("brand_new", delta="x"), Chunk(raw=b"")),
        ({"type": "keepalive"}, Chunk(raw=b"")),
        (
            response_event("function_call_arguments.delta", delta="x"),
            Chunk(raw=b"", real=True, tool_calls=(ToolDelta(index=0, arguments="x"),)),
        ),
    ],
)
def test_events_of_all_kinds(event: dict[str, Any], chunk: Chunk) -> None:
    """Every piece of output is real, and an event that nobody knows is passed on."""
    raw = named(event)
    (found,) = WIRE.reader(QUIRKS).feed(raw)
    assert found == Chunk(
        raw=raw, text=chunk.text, reasoning=chunk.reasoning, real=chunk.real, tool_calls=chunk.tool_calls
    )


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([CREATED], TruncatedAnswerError),
        ([CREATED, DELTA], TruncatedAnswerError),
        ([CREATED, response_event("completed", response={**RESPONSE, "output": []})], EmptyAnswerError),
        (
            [
                response_event(
                    "incomplete",
                    response={
                        **RESPONSE,
                        "status": "incomplete",
                        "output": [],
                        "incomplete_details": {"reason": "content_filter"},
                    },
                )
            ],
            ContentFilteredError,
        ),
        ([response_event("failed", response={**RESPONSE, "status": "failed", "error": None})], ProviderError),
    ],
)
def test_streams_that_cannot_be_used(events: list[dict[str, Any]], kind: type[ProviderError]) -> None:
    """A stream that ends before its last event, or with nothing in it, raises what it is."""
    with pytest.raises(kind) as raised:
        drain(WIRE.reader(QUIRKS), named(*events), b"data: [DONE]\n\n")
    assert type(raised.value) is kind


def test_an_answer_cut_by_the_limit_or_withheld_after_a_part() -> None:
    """An incomplete answer is whole as a stream, and says why."""
    for reason, finish in (("max_output_tokens", Finish.LENGTH), ("content_filter", Finish.CONTENT_FILTER)):
        response = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": reason}}
        chunks = drain(WIRE.reader(QUIRKS), named(CREATED, DELTA, response_event("incomplete", response=response)))
        assert chunks[-1].finish is finish


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None, "sequence_number": 1},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "m"}},
        response_event("failed", response={**RESPONSE, "error": {"code": "rate_limit_exceeded", "message": "m"}}),
    ],
)
def test_errors_in_a_stream(event: dict[str, Any]) -> None:
    """An error, or a response that failed, is classified like the same error by status."""
    reader = WIRE.reader(QUIRKS)
    assert texts(reader.feed(named(CREATED, DELTA, event))) == "Hello"
    with pytest.raises(ProviderError, match=r"\(rate_limit_exceeded\): m") as raised:
        reader.end()
    assert classify(raised.value).kind is FaultKind.THROTTLED


def test_a_large_last_event() -> None:
    """The last event holds the whole response, which may be large."""
    text = "x" * (1 << 21)
    response = {**RESPONSE, "output": [message(type="output_text", text=text)]}
    assert texts(drain(WIRE.reader(QUIRKS), named(response_event("completed", response=response)))) == text


def test_another_text_for_a_chunk() -> None:
    """A chunk gets another text in its event, which keeps its name and everything else."""
    chunk = WIRE.reader(QUIRKS).feed(named(DELTA))[0]
    assert WIRE.with_text(chunk, "Ho").raw == named({**DELTA, "delta": "Ho"}).replace(b", ", b",").replace(
        b'": ', b'":'
    )
