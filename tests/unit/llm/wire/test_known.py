"""What all wires have in common."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.llm.wire.recordings import (
    ANTHROPIC_TEXT,
    ANTHROPIC_TOOLS,
    LENIENT,
    OPENAI_TEXT,
    OPENAI_TOOLS,
    QUIRKS,
    RESPONSES_TEXT,
    drain,
)

from holdfast.errors import ConfigError, ProviderError
from holdfast.llm.wire.base import ChatWire, EmbeddingWire, StreamReader
from holdfast.llm.wire.known import WIRES, wire_named

CHATS = ["openai.chat", "openai.responses", "anthropic.messages"]
STREAMS = [
    ("openai.chat", OPENAI_TEXT),
    ("openai.chat", OPENAI_TOOLS),
    ("openai.responses", RESPONSES_TEXT),
    ("anthropic.messages", ANTHROPIC_TEXT),
    ("anthropic.messages", ANTHROPIC_TOOLS),
]


def reader(name: str) -> StreamReader:
    """A reader of the wire of that name."""
    return wire_named(name).reader(QUIRKS)


def test_names() -> None:
    """Every wire is found by its name, and an unknown name lists the known ones."""
    assert [wire_named(name).name for name in WIRES] == list(WIRES)
    assert all(wire.path.startswith("/") for wire in WIRES.values())
    assert [name for name, wire in WIRES.items() if isinstance(wire, ChatWire | EmbeddingWire)] == [
        "openai.chat",
        "openai.responses",
        "openai.embeddings",
        "anthropic.messages",
        "voyage.embeddings",
    ]
    with pytest.raises(
        ConfigError, match=r"wire='x': must be one of openai.chat, openai.responses, .*voyage.embeddings"
    ):
        wire_named("x")


@pytest.mark.parametrize(("name", "stream"), STREAMS)
@given(data=st.data())
def test_any_cut_gives_the_same_chunks(name: str, stream: bytes, data: st.DataObject) -> None:
    """Where a stream is cut changes nothing in its chunks."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole, cut = reader(name), reader(name)
    assert drain(cut, *pieces) == drain(whole, stream)
    assert cut.completion == whole.completion


@pytest.mark.parametrize(("name", "stream"), STREAMS)
def test_every_other_line_end_gives_the_same_texts(name: str, stream: bytes) -> None:
    """A stream with other line ends says the same, byte by byte, too."""
    whole = reader(name)
    drain(whole, stream)
    for end in (b"\r\n", b"\r"):
        other = reader(name)
        drain(other, *(bytes([each]) for each in stream.replace(b"\n", end)))
        assert other.completion == whole.completion


@pytest.mark.parametrize(("name", "stream"), STREAMS)
def test_no_beginning_of_a_stream_passes_for_the_whole(name: str, stream: bytes) -> None:
    """Wherever a stream is cut off, its text is whole, or an error says that it is not."""
    whole = reader(name)
    drain(whole, stream)
    expected = whole.completion
    for length in range(len(stream)):
        cut = reader(name)
        try:
            drain(cut, stream[:length])
        except ProviderError:
            continue
        assert (cut.completion.text, cut.completion.tool_calls) == (expected.text, expected.tool_calls)
        assert cut.completion.finish is expected.finish


NOISE = st.binary() | st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"event: error",
            b"{",
            b"}",
            b'{"choices": [',
            b'{"delta": ',
            b'"content": ',
            b"null",
            b"\n",
            b"\n\n",
            b"[DONE]",
            b'"type": "',
            b"message_stop",
            b'"',
            b"]",
            b"1",
            b'{"error": {}}',
            b'{"choices":[{"index":0,"delta":{"content":"x"}}]}',
            b'{"choices":[{"finish_reason":"stop"}]}',
            b'{"type":"message_delta","delta":{"stop_reason":5}}',
            b'{"type":"response.completed","response":5}',
        ]
    )
).map(b"".join)


@pytest.mark.parametrize("name", CHATS)
@given(pieces=st.lists(NOISE, max_size=6))
def test_noise_in_a_stream(name: str, pieces: list[bytes]) -> None:
    """Whatever comes in a stream, a reader raises nothing but what a provider's failure is."""
    for quirks in (QUIRKS, LENIENT):
        with suppress(ProviderError):
            drain(wire_named(name).reader(quirks), *pieces)


@pytest.mark.parametrize("name", list(WIRES))
@given(content=NOISE, status=st.integers(200, 599))
def test_noise_in_a_body(name: str, content: bytes, status: int) -> None:
    """Whatever a body is, a wire raises nothing but what a provider's failure is."""
    with suppress(ProviderError):
        wire_named(name).read(status, {}, content, QUIRKS)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["stop", "error", "text", "message", "function_call", "tool_use", "completed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "index",
                    "finish_reason",
                    "usage",
                    "data",
                    "embedding",
                    "output",
                    "status",
                    "response",
                    "type",
                    "text",
                    "stop_reason",
                    "id",
                    "model",
                    "item",
                    "content_block",
                    "error",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("name", list(WIRES))
@given(value=JSON)
def test_any_json(name: str, value: object) -> None:
    """JSON of any shape, as a body or as an event, raises nothing but what a provider's failure is."""
    wire = wire_named(name)
    content = json.dumps(value).encode()
    with suppress(ProviderError):
        wire.read(200, {}, content, QUIRKS)
    if name in CHATS:
        for kind in ("", "response.completed", "response.output_item.added", "message_delta", "content_block_start"):
            typed = json.dumps({**value, "type": kind}).encode() if isinstance(value, dict) else content
            with suppress(ProviderError):
                drain(wire.reader(QUIRKS), b"data: " + typed + b"\n\n")
