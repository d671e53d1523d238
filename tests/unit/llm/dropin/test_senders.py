"""Clients of httpx and httpx2 behind the HTTP port."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest
from tests.simulators import served

from holdfast.core.ports import Http, HttpRequest, HttpResponse
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.llm.dropin.own_http import OwnHttp
from holdfast.llm.dropin.sdk import AsyncSdkHttp, sync_opener
from holdfast.llm.dropin.senders import AsyncHttpx, SyncHttpx, Through
from holdfast.llm.dropin.threads import DaemonBlocking
from holdfast.llm.routing.targets import Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

CHAT = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'


@pytest.fixture
async def blocking() -> AsyncIterator[DaemonBlocking]:
    made = DaemonBlocking()
    yield made
    await made.close()


def sync_http(answer: Callable[[Any], Any], blocking: DaemonBlocking) -> SyncHttpx:
    through = Through(httpx2.MockTransport(answer), httpx2, asynchronous=False)
    return SyncHttpx(lambda request: through.send(through.request(request, 5.0)), lambda: blocking)


def to(url: str = "https://example.com/v1/chat/completions", **fields: Any) -> HttpRequest:
    return HttpRequest(method="POST", url=url, **fields)


class Slow(httpx2.SyncByteStream):
    """A body whose second piece comes when it may."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.waits = threading.Event()
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"first"
        self.waits.set()
        self.gate.wait(10)
        yield b"second"

    def close(self) -> None:
        self.closed.set()


async def test_a_response_is_read(blocking: DaemonBlocking) -> None:
    """A response of a sync client is one of the port: its status, its header fields joined, its body."""

    def answer(_: Any) -> httpx2.Response:
        return httpx2.Response(200, headers=[("X-A", "1"), ("x-a", "2")], content=b"body")

    http: Http = sync_http(answer, blocking)
    response: HttpResponse = await http.send(to())
    assert (response.status, response.headers["x-a"]) == (200, "1, 2")
    assert b"".join([piece async for piece in response.body()]) == b"body"
    await response.close()
    await http.close()


async def test_closing_while_a_read_waits(blocking: DaemonBlocking) -> None:
    """A response can be closed while a thread reads from it: nobody waits for the read, which closes it at its end."""
    body = Slow()
    http = sync_http(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body), blocking
    )
    response = await http.send(to())
    pieces = response.body()
    assert await anext(pieces) == b"first"
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.get_running_loop().run_in_executor(None, body.waits.wait, 10)
    waiting.cancel()
    await asyncio.wait([waiting])
    await response.close()
    assert not body.closed.is_set()
    body.gate.set()
    assert await asyncio.get_running_loop().run_in_executor(None, body.closed.wait, 10)
    assert await blocking.run("read", response._read) is None


async def test_an_answer_that_comes_too_late(blocking: DaemonBlocking) -> None:
    """No head in time is a TimeoutError; the response that comes afterwards is closed."""
    gate, closed = threading.Event(), threading.Event()

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"
            yield b"y"

        def close(self) -> None:
            closed.set()

    def answer(_: Any) -> httpx2.Response:
        gate.wait(10)
        return httpx2.Response(200, stream=Body())

    with pytest.raises(TimeoutError):
        await sync_http(answer, blocking).send(to(timeout=0.01))
    gate.set()
    assert await asyncio.get_running_loop().run_in_executor(None, closed.wait, 10)


async def test_a_long_body_is_not_read_at_once(blocking: DaemonBlocking) -> None:
    """A body that is longer than an answer mostly is comes in pieces, and can be left."""
    pieces = [bytes(600_000) for _ in range(4)]

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from pieces

    response = await sync_http(lambda _: httpx2.Response(200, stream=Body()), blocking).send(to())
    assert not response._response.is_closed
    assert sum([len(piece) async for piece in response.body()]) == 2_400_000
    left = await sync_http(lambda _: httpx2.Response(200, stream=Body()), blocking).send(to())
    await left.close()
    assert left._response.is_closed


async def test_a_stall_is_left_at_once(blocking: DaemonBlocking) -> None:
    """Over a real socket a read that waits for the provider is woken, and the provider hears that nobody listens."""
    with served(SimulatorOptions(speed=0)) as (provider,), httpx2.Client(trust_env=False) as client:
        provider.fault("stall", after=1)
        through = Through(client, httpx2, asynchronous=False)
        http = SyncHttpx(lambda request: through.send(through.request(request, 60.0)), lambda: blocking)
        response = await http.send(to(f"{provider.url}/v1/chat/completions", body=CHAT))
        pieces = response.body()
        while b"content" not in await anext(pieces):
            pass
        rest = asyncio.ensure_future(_rest(pieces))
        while not response._reading:  # noqa: ASYNC110  it is a thread that begins to read
            await asyncio.sleep(0)
        rest.cancel()
        await asyncio.wait([rest])
        await response.close()
        assert provider.outcomes() == ["cancelled"]


async def _rest(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


async def test_a_named_target_gets_what_is_its_own() -> None:
    """A request to a named target holds its own header fields and those that tell nothing, and no others."""
    seen: list[httpx2.Request] = []

    class Package:
        """httpx2, with a network that is a list."""

        Request = httpx2.Request

        @staticmethod
        def AsyncClient() -> httpx2.AsyncClient:  # noqa: N802  it stands for the class
            def answer(request: httpx2.Request) -> httpx2.Response:
                seen.append(request)
                return httpx2.Response(200, content=b"{}")

            return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))

    provider = Provider(name="p", base_url="https://p.example.com/v1", headers={"X-Org": "theirs"})
    http = OwnHttp(provider, lambda: Package, read_seconds=5)
    headers = {"authorization": "Bearer theirs", "x-org": "mine", "x-gateway-key": "mine", "traceparent": "00"}
    for _ in range(2):
        response = await http.send(to("https://p.example.com/v1/chat/completions", headers=headers, body=b"{}"))
        assert [piece async for piece in response.body()] == [b"{}"]
        await response.close()
    sent = seen[1].headers
    assert (sent["authorization"], sent["x-org"], sent["traceparent"]) == ("Bearer theirs", "theirs", "00")
    assert "x-gateway-key" not in sent
    await http.close()
    await http.close()


async def test_a_fallbacks_own_client() -> None:
    """A fallback's client puts the question with its own address and key; failures are responses or plain errors."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        if len(asked) == 2:
            raise httpx2.ReadTimeout("late", request=request)
        return httpx2.Response(429, content=b"no")

    base = "https://b.example.com/v1"
    network: Any = httpx2.MockTransport(answer)
    request = to(f"{base}/chat/completions?beta=true", body=CHAT, headers={"x-mine": "1", "traceparent": "00"})
    async with openai.AsyncOpenAI(
        base_url=base, api_key="of-b", http_client=httpx2.AsyncClient(transport=network)
    ) as client:
        http = AsyncSdkHttp(client, base_url=base, read_seconds=5)
        response = await http.send(request)
        assert response.status == 429
        assert [piece async for piece in response.body()] == [b"no"]
        with pytest.raises(TimeoutError):
            await http.send(request)
        await http.close()
    assert str(asked[0].url) == f"{base}/chat/completions?beta=true"
    assert asked[0].headers["authorization"] == "Bearer of-b"
    assert "x-mine" not in asked[0].headers
    with openai.OpenAI(base_url=base, api_key="of-b", http_client=httpx2.Client(transport=network)) as plain:
        assert sync_opener(plain, base_url=base, read_seconds=5)(request).status_code == 429
        with pytest.raises(ValueError, match="Expecting value"):
            sync_opener(plain, base_url=base, read_seconds=5)(to(f"{base}/x", body=b"not json"))


async def test_an_async_client() -> None:
    """An async client is a port as well; a pool without room is a connection that was not made."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/full":
            raise httpx2.PoolTimeout("full", request=request)
        if request.url.path == "/slow":
            await asyncio.Event().wait()
        return httpx2.Response(200, content=b"x")

    through = Through(httpx2.MockTransport(answer), httpx2, asynchronous=True)
    http = AsyncHttpx(through, read_seconds=5)
    response = await http.send(to(connect_timeout=1.0))
    assert [piece async for piece in response.body()] == [b"x"]
    await response.close()
    with pytest.raises(ConnectionRefusedError):
        await http.send(to("https://example.com/full"))
    with pytest.raises(TimeoutError):
        await http.send(to("https://example.com/slow", timeout=0.01))
    await http.close()
