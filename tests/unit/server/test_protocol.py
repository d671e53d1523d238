"""Bounds on what a connection may send that is not a body, over a real connection."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.server import run
from holdfast.server.security import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEAD = b"POST /v1/query HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


@asynccontextmanager
async def connection(app: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the application, served for real."""
    ready = asyncio.Event()
    with run.bind("127.0.0.1", 0) as listener:
        server = run.Server(app, announce=ready.set, grace_seconds=0.01)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.wait_for(ready.wait(), 10)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await asyncio.wait_for(task, 10)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nx-endless: ", b"GET /", b"GET / HTTP/1.1\r\nhost: a\r\n"])
async def test_head_without_end_is_a_431(app: Any, start: bytes) -> None:
    """An address or a header that never ends is refused with a problem, and the connection ends."""
    async with connection(app) as (reader, writer):
        writer.write(start + b"a" * (MAX_HEAD_BYTES + 1))
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    problem = json.loads(body)
    assert problem["type"].endswith("head-too-large")
    assert f"x-request-id: {problem['request_id']}".encode() in head


async def test_trailers_without_end_close_the_connection(app: Any, engine: Any) -> None:
    """What follows a body in pieces is bounded like a head."""
    async with connection(app) as (reader, writer):
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-endless: ")
        writer.write(b"a" * (64 * MAX_HEAD_BYTES))  # more than is read at once
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:  # what was still on its way was thrown away
            answer = b""
        assert answer == b""
    assert engine.queries == []


async def test_bodies_are_no_heads(app: Any, engine: Any) -> None:
    """A body that is larger than a head may be is read as ever, one after the other on one connection."""
    body = b'{"question": "q"' + b" " * (2 * MAX_HEAD_BYTES) + b"}"
    async with connection(app) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 ")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(length)
    assert len(engine.queries) == 2


async def test_head_over_a_real_connection_has_no_body(app: Any) -> None:
    """The answer to HEAD ends with its headers, which tell the length that GET would have."""
    async with connection(app) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 0" not in head
    assert body == b""


async def test_unfinished_body_is_told_when_the_service_stops(app: Any, lines: Any) -> None:
    """A client that never finishes its body gets a 503 problem at the stop, not a bare 500 after it."""
    ready = asyncio.Event()
    with run.bind("127.0.0.1", 0) as listener:
        server = run.Server(app, announce=ready.set, grace_seconds=0.01)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await asyncio.wait_for(ready.wait(), 10)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(HEAD + b"content-length: 100\r\n\r\n{")
        for _ in range(1_000):
            if server.server_state.tasks:
                break
            await asyncio.sleep(0.001)
        server.should_exit = True
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await asyncio.wait_for(task, 10)
    assert response.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in response
    assert not any(line.get("exc_info") for line in lines)
