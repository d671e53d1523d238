"""The simulator behind a real socket: the same bytes as in process, real resets, and clients that go away."""

from __future__ import annotations

import asyncio
import json
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web

from holdfast.core.ports import HttpRequest
from holdfast.errors import ConfigError
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer, _reset
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.http import AiohttpHttp

if TYPE_CHECKING:
    from tests.unit.lab.simulator.conftest import MakeProvider

VERSION = {"anthropic-version": "2023-06-01"}


def simulator(*faults: str, **options: Any) -> Simulator:
    return Simulator(SimulatorOptions(speed=0, faults=[parse_rule(each) for each in faults], **options))


def request(url: str, path: str = "/v1/chat/completions", **fields: Any) -> HttpRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 50, "input": "a", **fields}
    return HttpRequest(
        method="POST", url=url + path, headers=VERSION if "messages" in path else {}, body=json.dumps(body).encode()
    )


async def read_all(reader: asyncio.StreamReader, into: bytearray) -> None:
    while piece := await reader.read(100):
        into += piece


async def exchange(http: AiohttpHttp | SimulatorHttp, sent: HttpRequest) -> tuple[int, dict[str, str], bytes]:
    response = await http.send(sent)
    try:
        content = b"".join([piece async for piece in response.body()])
    finally:
        await response.close()
    headers = dict(response.headers)
    for name in ("date", "server", "transfer-encoding", "connection"):
        headers.pop(name, None)
    return response.status, headers, content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault", ["", "eof", "rate_limited", "bad_gateway_html", "empty_body", "malformed_json", "error_event"]
)
async def test_the_socket_gives_the_bytes_of_the_process(provider: MakeProvider, fault: str, stream: bool) -> None:
    """Over a socket and in process, one seed gives the same status, headers and body on every endpoint."""
    local = provider(*filter(None, [fault]), seed=4, requests_per_minute=100)
    remote = provider(*filter(None, [fault]), seed=4, requests_per_minute=100)
    real = AiohttpHttp()
    async with SimulatorServer(remote.simulator) as server:
        near = SimulatorHttp({server.url: local.simulator})
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"):
            sent = request(server.url, path, stream=stream)
            assert await exchange(real, sent) == await exchange(near, sent)
    await real.close()


@pytest.mark.parametrize("fault", ["reset", "refused", "reset_after_headers", "cut"])
async def test_a_broken_connection_is_a_reset(fault: str) -> None:
    """A connection that a fault breaks ends in an RST: the client reads a reset, after what was sent before."""
    async with SimulatorServer(simulator(fault)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        body = request(server.url, stream=True).body
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        got = bytearray()
        with pytest.raises(ConnectionResetError):
            await read_all(reader, got)
        writer.close()
    assert (b"200 OK" in got) is (fault in {"reset_after_headers", "cut"})
    assert (b"data: " in got) is (fault == "cut")
    assert server.simulator.calls[0].outcome == "broken"


@pytest.mark.parametrize("fault", ["reset", "reset_after_headers", "cut"])
async def test_the_real_client_and_the_process_raise_the_same(fault: str) -> None:
    """What breaks a connection is a ConnectionResetError for the production client as for the one in process."""
    real = AiohttpHttp()
    async with SimulatorServer(simulator(fault)) as server:
        near = SimulatorHttp({server.url: simulator(fault)})
        for http in (real, near):
            with pytest.raises(ConnectionResetError):
                await exchange(http, request(server.url, stream=True))
    await real.close()


@pytest.mark.parametrize("fault", ["stall,after=1", "slow_headers"])
async def test_a_client_that_goes_is_noticed(fault: str) -> None:
    """A client that closes its connection ends the call, while it waits for the head or for a token."""
    heard = asyncio.Event()
    some = simulator(fault)
    some.on_call = lambda call: heard.set()
    async with SimulatorServer(some) as server:
        http = AiohttpHttp()
        if fault == "slow_headers":
            with pytest.raises(TimeoutError):
                await http.send(
                    HttpRequest(
                        method="POST",
                        url=f"{server.url}/v1/embeddings",
                        body=b'{"model":"m","input":"a"}',
                        timeout=0.05,
                    )
                )
        else:
            response = await http.send(request(server.url, stream=True))
            await anext(aiter(response.body()))
            await response.close()
        await http.close()
        await asyncio.wait_for(heard.wait(), 10)
    assert some.calls[0].outcome == "cancelled"


async def test_it_stops_and_starts_on_its_port() -> None:
    """A stopped server refuses connections for real, and a start brings it back at the same address."""
    server = SimulatorServer(simulator())
    await server.start()
    http = AiohttpHttp()
    assert (await exchange(http, request(server.url)))[0] == 200
    await server.stop()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await http.send(request(server.url))
    await server.start()
    assert (await exchange(http, request(server.url)))[0] == 200
    await server.stop()
    await http.close()


async def test_stopping_does_not_wait_for_stalls() -> None:
    """A stop ends calls that would go on for ever."""
    server = SimulatorServer(simulator("stall,after=1"))
    http = AiohttpHttp()
    async with server:
        response = await http.send(request(server.url, stream=True))
        await anext(aiter(response.body()))
    assert server.simulator.calls[0].outcome == "cancelled"
    await response.close()
    await http.close()


async def test_a_taken_port_is_told() -> None:
    """A port that is in use, or that is none, is a ConfigError."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 99_999):
            with pytest.raises(ConfigError, match="cannot be listened on"):
                await SimulatorServer(simulator(), port=port).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.test"])
def test_the_admin_endpoint_stays_on_this_machine(host: str) -> None:
    """An address that other machines reach needs a token for the admin endpoint."""
    with pytest.raises(ConfigError, match="admin_token"):
        SimulatorServer(simulator(admin=True), host=host)
    SimulatorServer(simulator(admin=True, admin_token="t"), host=host)
    SimulatorServer(simulator(), host=host)
    for near in ("127.0.0.1", "::1", "localhost"):
        SimulatorServer(simulator(admin=True), host=near)


async def test_large_bodies_are_refused_in_the_providers_words() -> None:
    """A body above the bound is a 413 in the provider's shape, over a socket too."""
    http = AiohttpHttp()
    async with SimulatorServer(simulator(body_bytes=500)) as server:
        status, _, content = await exchange(http, request(server.url, messages="x" * 1_000))
    await http.close()
    assert (status, json.loads(content)["error"]["code"]) == (413, "request_too_large")


async def test_addresses_are_shown_with_their_brackets() -> None:
    """The address of IPv6 is one that a client can use."""
    assert SimulatorServer(simulator(), host="::1", port=80).url == "http://[::1]:80"


async def test_a_client_that_goes_while_it_is_written_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A write that fails because the client has gone ends the call, without a word in the log."""

    async def write(response: web.StreamResponse, piece: bytes) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    http = AiohttpHttp()
    async with SimulatorServer(simulator()) as server:
        monkeypatch.setattr(web.StreamResponse, "write", write)
        with pytest.raises(ConnectionResetError):
            await exchange(http, request(server.url, stream=True))
    await http.close()
    assert server.simulator.calls[0].outcome == "cancelled"
    assert not caplog.records


def test_a_client_that_has_gone_is_not_reset() -> None:
    """A connection that is closed already is left alone."""
    _reset(cast("web.Request", SimpleNamespace(transport=None)))
