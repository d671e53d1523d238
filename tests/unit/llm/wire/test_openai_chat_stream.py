"""OpenAI's chat completions, streamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.llm.wire.recordings import (
    COUNTED,
    LENIENT,
    OPENAI_TEXT,
    OPENAI_TOOLS,
    QUIRKS,
    ROLE,
    drain,
    openai_chunk,
    sse,
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
from holdfast.llm.messages import Finish, ToolCall, Usage
from holdfast.llm.wire.base import Chunk, Quirks, ToolDelta
from holdfast.llm.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.llm.wire.openai_chat_stream import OpenAIChatReader

HELLO = openai_chunk({"content": "Hello"})
STOP = openai_chunk({}, "stop")
DONE = "[DONE]"


def reader(quirks: Quirks = QUIRKS) -> OpenAIChatReader:
    """A reader for one stream."""
    return OpenAIChat().reader(quirks)


def test_a_text() -> None:
    """A text is read piece by piece; the role is not real; the last chunks say why, how much, and that it is over."""
    read = reader()
    chunks = drain(read, OPENAI_TEXT)
    usage = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4)
    assert b"".join(each.raw for each in chunks) == OPENAI_TEXT
    assert [(each.text, each.real, each.finish, each.usage, each.last) for each in chunks] == [
        ("", False, None, None, False),
        ("Grüße", True, None, None, False),
        (", 世界 🙂", True, None, None, False),
        ("", False, Finish.STOP, None, False),
        ("", False, None, usage, False),
        ("", False, None, None, True),
    ]
    done = read.completion
    assert (done.text, done.finish, done.usage, done.model, done.id) == (
        "Grüße, 世界 🙂",
        Finish.STOP,
        usage,
        "m-1",
        "chatcmpl-1",
    )
    assert read.feed(b"data: more\n\n") == ()
    assert read.end() == ()
    assert read.skipped == 0


def test_tool_calls() -> None:
    """Pieces of tool calls are real, and are put together by their index."""
    read = reader()
    chunks = drain(read, OPENAI_TOOLS)
    assert chunks[1].tool_calls == (ToolDelta(index=0, id="c1", name="f"),)
    assert [each.real for each in chunks] == [False, True, True, True, True, True, False, False]
    assert read.completion.tool_calls == (
        ToolCall(id="c1", name="f", arguments='{"a": 1}'),
        ToolCall(id="c2", name="g", arguments="{}"),
    )
    assert read.completion.finish is Finish.TOOL_CALLS


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}},
                {"index": 0, "id": "b", "function": {"name": "f", "arguments": "2"}},
            ],
            [("a", "f", "1"), ("b", "f", "2")],
        ),
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "1"}},
                {"index": 0, "id": "z", "function": {"arguments": "2"}},
            ],
            [("a", "f", "12")],
        ),
        ([{"id": "a", "function": {"name": "f", "arguments": "1"}}], [("a", "f", "1")]),
        ([{"index": 0, "id": "a", "custom": {"name": "f", "input": "1"}}], [("a", "f", "1")]),
        ([5], [("", "", "")]),
    ],
)
def test_tool_calls_of_odd_servers(pieces: Sequence[object], calls: Sequence[tuple[str, str, str]]) -> None:
    """Calls that share an index, pieces with new ids and calls without an index are put together, too."""
    read = reader()
    drain(read, sse(*(openai_chunk({"tool_calls": [each]}) for each in pieces), STOP, DONE))
    assert [(each.id, each.name, each.arguments) for each in read.completion.tool_calls] == list(calls)


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"refusal": "no"}, Chunk(raw=b"", text="no", real=True)),
        ({"content": None, "reasoning_content": "hm"}, Chunk(raw=b"", reasoning="hm", real=True)),
        ({"content": "", "reasoning": "hm"}, Chunk(raw=b"", reasoning="hm", real=True)),
        ({"content": [{"type": "text", "text": "a"}]}, Chunk(raw=b"", text="a", real=True)),
        ({"role": "assistant", "content": "a"}, Chunk(raw=b"", text="a", real=True)),
        ({"audio": {"data": "x"}}, Chunk(raw=b"", real=True)),
        (
            {"function_call": {"name": "f", "arguments": ""}},
            Chunk(raw=b"", tool_calls=(ToolDelta(index=0, name="f"),), real=True),
        ),
        ({"content": ""}, Chunk(raw=b"")),
        ({}, Chunk(raw=b"")),
    ],
)
def test_deltas_of_all_kinds(delta: object, expected: Chunk) -> None:
    """What is output is real, under whatever name it comes."""
    raw = sse(openai_chunk(delta))
    (chunk,) = reader().feed(raw)
    assert chunk == Chunk(
        raw=raw, text=expected.text, reasoning=expected.reasoning, tool_calls=expected.tool_calls, real=expected.real
    )


@pytest.mark.parametrize(
    "noise",
    [
        b": keep-alive\n\n",
        b"\n\n",
        b"data:\n\n",
        sse({**openai_chunk(), "choices": []}),
        sse({**openai_chunk(), "choices": None}),
        sse({**openai_chunk(), "choices": [5]}),
        sse({"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]}),
        sse({"something": "new"}),
    ],
)
def test_what_says_nothing_is_passed_on(noise: bytes) -> None:
    """Comments, empty events, Azure's metadata and events that nobody knows are given on and are not real."""
    read = reader()
    chunks = drain(read, noise, OPENAI_TEXT)
    assert b"".join(each.raw for each in chunks) == noise + OPENAI_TEXT
    assert not chunks[0].real
    assert (texts(chunks), read.skipped, read.completion.model) == ("Grüße, 世界 🙂", 0, "m-1")


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: 5\n\n", b"data: \xff\n\n", b'data: {"a": 1} x\n\n'])
def test_one_bad_line(bad: bytes) -> None:
    """An event that cannot be read is left out and counted."""
    read = reader()
    chunks = drain(read, sse(HELLO), bad, sse(HELLO, STOP, DONE))
    assert (texts(chunks), read.skipped) == ("HelloHello", 1)
    assert b"".join(each.raw for each in chunks) == sse(HELLO, HELLO, STOP, DONE)


def test_many_bad_lines() -> None:
    """More than three events that cannot be read are not an accident."""
    with pytest.raises(MalformedAnswerError, match="4 events that cannot be read"):
        drain(reader(), sse(HELLO, "{", "{", "{", "{", STOP, DONE))


@pytest.mark.parametrize(
    "stream", [[HELLO], [ROLE], [HELLO, DONE], [ROLE, DONE], [DONE], [COUNTED, DONE], [HELLO, "{"], ["x"]]
)
def test_truncated(stream: list[object]) -> None:
    """Without a finish reason an answer is not whole, whether the stream just ends or says that it is done."""
    read = reader()
    with pytest.raises(TruncatedAnswerError, match=r"^acme ended its stream") as raised:
        drain(read, sse(*stream))
    assert classify(raised.value).kind is K.TRUNCATED


@pytest.mark.parametrize("cut", range(1, len(sse(openai_chunk({"content": "x"}))) - 2))
def test_half_an_event(cut: int) -> None:
    """Half an event at the end is never taken for the end, not even where no finish reason is needed."""
    for quirks in (QUIRKS, LENIENT):
        with pytest.raises(TruncatedAnswerError, match="within an event"):
            drain(reader(quirks), sse(HELLO), sse(openai_chunk({"content": "x"}))[:cut])


def test_half_an_event_alone() -> None:
    """Half an event and nothing else is no stream of events, or a truncated one."""
    with pytest.raises(TruncatedAnswerError):
        drain(reader(), b'data: {"choi')
    with pytest.raises(MalformedAnswerError):
        drain(reader(), b"dat")


@pytest.mark.parametrize("tail", [b"", sse(COUNTED), b"\n", b": bye", sse(COUNTED)[:20], b"data: [DO"])
def test_finished_without_an_end_mark(tail: bytes) -> None:
    """After the finish reason nothing of the answer can follow: what is missing then is not missed."""
    read = reader()
    chunks = drain(read, sse(HELLO, STOP), tail)
    assert texts(chunks) == "Hello"
    assert read.skipped == 0


def test_the_last_blank_line_forgotten() -> None:
    """A whole event without a blank line behind it counts."""
    read = reader()
    assert drain(read, OPENAI_TEXT.rstrip())[-1].last
    assert drain(reader(), sse(HELLO, STOP).rstrip())[-1].finish is Finish.STOP
    with pytest.raises(TruncatedAnswerError):
        drain(reader(), sse(HELLO, HELLO).rstrip())


def test_servers_without_reasons() -> None:
    """Where no finish reason is needed, a clean end of the stream is believed, with or without an end mark."""
    for end in ([], [DONE]):
        read = reader(LENIENT)
        assert texts(drain(read, sse(HELLO, *end))) == "Hello"
        assert read.completion.finish is Finish.UNKNOWN


@pytest.mark.parametrize(
    "stream", [[ROLE, STOP, DONE], [ROLE, STOP], [STOP, COUNTED, DONE], [openai_chunk({"reasoning": "x"}), STOP, DONE]]
)
def test_empty(stream: list[object]) -> None:
    """An answer without text and tool calls is empty, thoughts or not, and its end mark is not given out."""
    read = reader()
    with pytest.raises(EmptyAnswerError, match="nothing in it") as raised:
        drain(read, sse(*stream))
    assert classify(raised.value).kind is K.EMPTY


def test_empty_because_of_the_limit() -> None:
    """An answer whose limit was used up by reasoning says so."""
    with pytest.raises(EmptyAnswerError, match="reached the limit of tokens"):
        drain(reader(), sse(openai_chunk({}, "length"), DONE))


@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n"])
def test_nothing_at_all(body: bytes) -> None:
    """A stream without a single event is empty."""
    for quirks in (QUIRKS, LENIENT):
        with pytest.raises(EmptyAnswerError, match="without sending anything"):
            drain(reader(quirks), body)


def test_a_body_that_is_no_stream() -> None:
    """A JSON error in the place of a stream is that error, and a page of HTML cannot be read."""
    error = json.dumps({"error": {"message": "m", "code": "slow_down"}}, indent=1).encode()
    for body in (error, error + b"\n\n"):
        with pytest.raises(ProviderError) as raised:
            drain(reader(), body)
        assert classify(raised.value).kind is K.THROTTLED
    with pytest.raises(MalformedAnswerError, match="not a stream of events"):
        drain(reader(), b"<html>\n\n<p>busy</p>\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "type": "server_error", "code": "server_is_overloaded"}, K.OVERLOADED),
        ({"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}, K.THROTTLED),
        ({"message": "m", "type": "insufficient_quota", "code": None}, K.QUOTA),
        ({"message": "m", "type": "invalid_request_error", "code": "context_length_exceeded"}, K.CONTEXT_TOO_LONG),
        ({"message": "m", "type": "server_error"}, K.TRANSIENT),
        ({"message": "m", "code": 503}, K.OVERLOADED),
        ("m", K.TRANSIENT),
    ],
)
def test_errors_in_a_stream(error: object, kind: K) -> None:
    """An error in a stream is classified like the same error by status, and real chunks before it are not lost."""
    read = reader()
    assert read.feed(sse(ROLE, HELLO, {"error": error}))[-1].text == "Hello"
    calls: list[Callable[[], object]] = [lambda: read.feed(b""), read.end]
    for call in calls:
        with pytest.raises(ProviderError, match=r"^acme broke off its stream with an error.*: m$") as raised:
            call()
        assert classify(raised.value).kind is kind
        assert classify(raised.value).transient == (kind not in {K.QUOTA, K.CONTEXT_TOO_LONG})
    with pytest.raises(ProviderError):
        reader().feed(sse(ROLE, {"error": error}, HELLO))  # nothing real was there yet


@pytest.mark.parametrize(
    "event",
    [
        b"event: error\ndata: gone\n\n",
        b'event: error\ndata: {"message": "gone"}\n\n',
        b'data: {"object": "error", "message": "gone"}\n\n',
    ],
)
def test_errors_of_odd_servers(event: bytes) -> None:
    """An event that calls itself an error is one, readable or not."""
    with pytest.raises(ProviderError, match="gone"):
        reader().feed(event)


def test_a_finish_reason_that_is_an_error() -> None:
    """A choice that ends with an error ends the answer with it."""
    with pytest.raises(ProviderError, match="finish reason 'error'"):
        reader().feed(sse(openai_chunk({}, "error")))


def test_withheld() -> None:
    """An answer that is withheld from its beginning raises at once; after a part of it, the last chunk says so."""
    with pytest.raises(ContentFilteredError) as raised:
        reader().feed(sse(ROLE, openai_chunk({}, "content_filter")))
    assert classify(raised.value).kind is K.CONTENT_FILTERED
    chunks = drain(reader(), sse(HELLO, openai_chunk({}, "content_filter"), DONE))
    assert chunks[1].finish is Finish.CONTENT_FILTER


def test_several_choices() -> None:
    """The first choice is the answer; the others pass, are output, and must end, too."""
    other = openai_chunk({"content": "B"}, index=1)
    read = reader()
    chunks = drain(read, sse(other, HELLO, STOP, openai_chunk({}, "length", index=1), DONE))
    assert [(each.text, each.real) for each in chunks[:2]] == [("", True), ("Hello", True)]
    assert (read.completion.text, read.completion.finish) == ("Hello", Finish.STOP)
    with pytest.raises(TruncatedAnswerError):
        drain(reader(), sse(other, HELLO, STOP, DONE))
    tool = openai_chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}, index=1)
    assert drain(reader(), sse(tool, STOP, openai_chunk({}, "stop", index=1), DONE))


def test_too_large_an_event() -> None:
    """An event of more than 1 MiB is refused, after what came before it."""
    read = reader()
    assert texts(read.feed(sse(HELLO) + b"data: " + b"x" * (1 << 20))) == "Hello"
    with pytest.raises(MalformedAnswerError, match="acme sent an event of more than 1,048,576 bytes"):
        read.feed(b"x")


def test_text_that_cannot_be_encoded() -> None:
    """Half a surrogate pair in a chunk is replaced, so that every text can be sent on."""
    (chunk,) = reader().feed(b'data: {"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}\n\n')
    assert chunk.text == "\ufffd"
