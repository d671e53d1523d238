"""The splitter of server-sent events."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigError, MalformedAnswerError
from holdfast.llm.wire.sse import Event, EventSplitter

LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def split(*pieces: bytes, limit: int = 1 << 20) -> list[Event]:
    """All events of a stream, what is left at its end included."""
    splitter = EventSplitter(limit=limit)
    events = [event for piece in pieces for event in splitter.feed(piece)]
    rest = splitter.end()
    return events if rest is None else [*events, rest]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_line_ends(end: bytes) -> None:
    """LF, CR LF and CR end a line, and a blank line ends an event."""
    stream = end.join([b"data: one", b"", b"event: x", b"data: two", b"data:three", b"", b""])
    assert [(event.name, event.data) for event in split(stream)] == [("", b"one"), ("x", b"two\nthree")]


@pytest.mark.parametrize(
    ("block", "name", "data"),
    [
        (b"data:x", "", b"x"),
        (b"data:  x", "", b" x"),
        (b"data", "", b""),
        (b"data:", "", b""),
        (b"data: a: b", "", b"a: b"),
        (b"id: 7\nretry: 3\ndata: x", "", b"x"),
        (b": note\ndata: x", "", b"x"),
        (b"event:a\nevent: b\ndata: x", "b", b"x"),
        (b"\xef\xbb\xbfdata: x", "", b"x"),
        (b"event: \xff\ndata: x", "\ufffd", b"x"),
        (b": note", "", None),
        (b"event: x", "x", None),
        (b"nothing", "", None),
        (b"\n\ndata: x", "", None),
    ],
)
def test_fields(block: bytes, name: str, data: bytes | None) -> None:
    """Fields are read as the standard says, and what is none is passed over."""
    event = split(block + b"\n\n")[0]
    assert (event.name, event.data) == (name, data)


def test_byte_order_mark_only_at_the_beginning() -> None:
    """A byte order mark belongs to the stream and not to its second event."""
    assert [event.data for event in split(b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n")] == [b"1", None]


def test_comments_are_told_from_other_events_without_data() -> None:
    """An event of comments alone says so, and a line that is no field does not pass for one."""
    assert [event.is_comment for event in split(b"\xef\xbb\xbf: a\n: b\n\n<html>\n\ndata: x\n\n")] == [
        True,
        False,
        False,
    ]


def test_a_cr_at_the_end_waits_for_its_lf() -> None:
    """A CR that ends a piece belongs to the LF that begins the next one."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: x\r\n\r") == []
    assert splitter.feed(b"\ndata: y") == [Event(b"data: x\r\n\r\n", "", b"x")]


def test_the_end() -> None:
    """What has no blank line behind it is given at the end, and blank lines alone are nothing."""
    assert split(b"data: x\n\ndata: y") == [Event(b"data: x\n\n", "", b"x"), Event(b"data: y", "", b"y")]
    assert split(b"data: x\n\n\n") == [Event(b"data: x\n\n", "", b"x")]
    assert split() == []


def test_a_limit() -> None:
    """Events before the one that is too large are given, and the error by the next call and at the end."""
    splitter = EventSplitter(limit=10, provider="acme")
    assert [event.data for event in splitter.feed(b"data: 1\n\ndata: 456789\n\n")] == [b"1"]
    for call in (lambda: splitter.feed(b"x"), splitter.end):
        with pytest.raises(MalformedAnswerError, match="acme sent an event of more than 10 bytes") as raised:
            call()
        assert raised.value.provider == "acme"


def test_a_limit_without_an_end() -> None:
    """An event that never ends is refused as soon as it is too large."""
    splitter = EventSplitter(limit=10)
    splitter.feed(b"data: 1234")
    with pytest.raises(MalformedAnswerError):
        splitter.feed(b"5")
    with pytest.raises(ConfigError, match="limit=0"):
        EventSplitter(limit=0)


def test_many_small_pieces_take_time_with_their_number() -> None:
    """An event in very many pieces is not searched from its beginning for each of them."""
    splitter = EventSplitter()
    began = time.process_time()
    for _ in range(100_000):
        splitter.feed(b"1234567890")
    assert time.process_time() - began < 5


STREAMS = st.lists(
    st.sampled_from(
        [b"data", b":", b" ", b"x", b"\n", b"\r", b"\r\n", b"event: e", b"\n\n", b"\xef\xbb\xbf", b"\xff", b"\r\n\r\n"]
    ),
    max_size=30,
).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 120), max_size=8))
def test_any_cut_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """Where a stream is cut changes nothing in its events, and together they are the stream."""
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    whole = split(stream)
    assert split(*pieces) == whole
    assert split(*(bytes([each]) for each in stream)) == whole
    assert b"".join(event.raw for event in whole) == stream[: sum(len(event.raw) for event in whole)]
    assert not stream[sum(len(event.raw) for event in whole) :].strip(b"\r\n")
