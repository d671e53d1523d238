"""The stream by itself: its framing, its keep-alive, its end."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.rag.types import Answer, Source, Tier
from holdfast.server.lifetime import Drain
from holdfast.server.sse import AnswerFeed, AnswerStream, frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER = Answer(text="ab", source=Source.EXTRACT, tier=Tier.FULL)


def test_frame() -> None:
    """An event is its name, its data and an empty line."""
    assert frame("delta", b'{"text":"a"}') == b'event: delta\ndata: {"text":"a"}\n\n'


async def quiet(release: asyncio.Event) -> AsyncIterator[str | Answer]:
    yield "ab"
    await release.wait()
    yield ANSWER


async def test_comments_while_nothing_comes() -> None:
    """While the engine is silent, comments go out; afterwards the stream goes on as if nothing had been."""
    release = asyncio.Event()
    feed = AnswerFeed(quiet(release))
    stream = AnswerStream(feed, first=await feed.next(), request_id="r", drain=Drain(), keep_alive=0.0)
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if sent.count(b": still working\n\n") == 3:
            release.set()

    async def receive() -> Any:
        await asyncio.Event().wait()

    await stream({"type": "http"}, receive, send)
    names = [piece.split(b"\n")[0] for piece in sent if piece.startswith(b"event")]
    assert names == [b"event: delta", b"event: answer", b"event: done"]
    assert sent.count(b": still working\n\n") >= 3


async def test_slow_reader_slows_the_work() -> None:
    """Pieces that nobody takes are not made: the memory that a stream needs is bounded."""
    made = 0

    async def endless() -> AsyncIterator[str | Answer]:
        nonlocal made
        while True:
            made += 1
            yield "x"

    feed = AnswerFeed(endless())
    for _ in range(200):
        await asyncio.sleep(0)
    assert made <= 20
    await feed.close()


async def test_stream_is_read_and_closed_in_one_context() -> None:
    """Context variables that the engine sets while it streams can be put back when it is closed early."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    closed = []

    async def scoped() -> AsyncIterator[str | Answer]:
        token = variable.set(1)
        try:
            while True:
                yield "x"
        finally:
            variable.reset(token)
            closed.append(True)

    feed = AnswerFeed(scoped())
    assert await feed.next() == "x"
    await feed.close()
    assert closed == [True]


async def test_failure_is_raised_where_it_is_read() -> None:
    """What the engine raises comes out of the feed, after the pieces before it."""

    async def broken() -> AsyncIterator[str | Answer]:
        yield "x"
        raise ValueError("boom")

    feed = AnswerFeed(broken())
    assert await feed.next() == "x"
    with pytest.raises(ValueError, match="boom"):
        await feed.next()
    await feed.close()


async def test_end_is_none() -> None:
    """After the answer there is nothing more."""
    release = asyncio.Event()
    release.set()
    feed = AnswerFeed(quiet(release))
    assert [await feed.next(), await feed.next(), await feed.next()] == ["ab", ANSWER, None]
    await feed.close()
