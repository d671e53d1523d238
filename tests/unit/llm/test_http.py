"""The production HTTP client, against servers on this machine."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from holdfast.core.ports import Http, HttpRequest, HttpResponse
from holdfast.errors import ConfigError
from holdfast.llm.http import AiohttpHttp

if TYPE_CHECKING:
    from pathlib import Path

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxy settings are not part of these tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def http() -> AsyncIterator[AiohttpHttp]:
    """A client that is closed after the test."""
    client = AiohttpHttp()
    yield client
    await client.close()


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An HTTP server that answers every request with ``handler``; gives its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: bytes) -> AsyncIterator[str]:
    """A server that reads the head of a request, writes ``answer`` and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def read(response: HttpResponse) -> bytes:
    return b"".join([piece async for piece in response.body()])


async def test_it_is_the_http_port(http: AiohttpHttp) -> None:
    """The client satisfies the protocol that the engine is written against."""
    assert isinstance(http, Http)


async def test_a_request_arrives_as_it_was_made(http: AiohttpHttp) -> None:
    """Method, path, headers and body reach the server; status, headers and body come back, names in lower case."""

    async def echo(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        answer = web.Response(status=201, body=request.method.encode() + b" " + request.path.encode() + b" " + body)
        answer.headers["X-Seen"] = request.headers["X-Sent"]
        answer.headers.add("X-Twice", "a")
        answer.headers.add("X-Twice", "b")
        return answer

    async with serving(echo) as address:
        response = await http.send(
            HttpRequest(method="POST", url=f"{address}/v1/x", headers={"X-Sent": "yes"}, body=b'{"a":1}')
        )
        assert isinstance(response, HttpResponse)
        assert response.status == 201
        assert response.headers["x-seen"] == "yes"
        assert response.headers["x-twice"] == "a, b"
        assert await read(response) == b'POST /v1/x {"a":1}'
        await response.close()


async def test_the_body_is_read_as_it_comes(http: AiohttpHttp) -> None:
    """The first piece is there before the server has sent the second."""
    release = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await release.wait()
        await response.write(b"second")
        return response

    async with serving(slow) as address:
        response = await http.send(HttpRequest(method="GET", url=address))
        body = response.body()
        assert await anext(body) == b"first"
        release.set()
        assert [piece async for piece in body] == [b"second"]


@pytest.mark.parametrize("status", [301, 404, 429, 500])
async def test_every_status_is_an_answer(http: AiohttpHttp, status: int) -> None:
    """Errors and redirects are returned, not raised and not followed."""
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(answer) as address:
        response = await http.send(HttpRequest(method="GET", url=f"{address}/here"))
        await response.close()
    assert (response.status, asked) == (status, ["/here"])


async def test_connections_are_used_again(http: AiohttpHttp) -> None:
    """A response read to its end leaves its connection for the next request."""
    ports = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async with serving(answer) as address:
        for _ in range(5):
            response = await http.send(HttpRequest(method="GET", url=address))
            await read(response)
            await response.close()
    assert len(ports) == 1


async def test_an_unread_body_does_not_hold_the_pool() -> None:
    """With one connection, closing a response early makes room for the next request."""
    http = AiohttpHttp(max_connections=1)

    async def large(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 5_000_000)

    async with serving(large) as address:
        for _ in range(3):
            response = await http.send(HttpRequest(method="GET", url=address, timeout=5))
            assert response.status == 200
            await response.close()
        await http.close()


async def test_the_pool_is_bounded() -> None:
    """With every connection in use a request waits, and its wait counts against its timeout."""
    http = AiohttpHttp(max_connections=1)
    hold = asyncio.Event()

    async def held(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await hold.wait()
        return response

    async with serving(held) as address:
        first = await http.send(HttpRequest(method="GET", url=address))
        with pytest.raises(TimeoutError, match=r"127\.0\.0\.1 did not answer within 0\.05 s"):
            await http.send(HttpRequest(method="GET", url=address, timeout=0.05))
        hold.set()
        await first.close()
        await http.close()


async def test_a_refused_connection_sent_nothing(http: AiohttpHttp) -> None:
    """No listener is a ConnectionRefusedError that names the host."""
    with pytest.raises(ConnectionRefusedError, match=r"no connection to 127\.0\.0\.1"):
        await http.send(HttpRequest(method="GET", url=f"http://127.0.0.1:{free_port()}/?key=secret"))


async def test_an_unknown_name_is_a_failed_connection(http: AiohttpHttp) -> None:
    """A name that does not resolve is a failure to connect."""
    with pytest.raises(ConnectionRefusedError, match=r"no connection to nowhere\.invalid"):
        await http.send(HttpRequest(method="GET", url="http://nowhere.invalid/"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
async def test_certificates_are_verified(http: AiohttpHttp, tmp_path: Path) -> None:
    """A server whose certificate nobody vouches for is a failure to connect: no request is sent to it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response()

    async with serving(answer, tls=context) as address:
        with pytest.raises(ConnectionRefusedError, match=r"no connection to localhost: .*(?i:certificate)"):
            await http.send(HttpRequest(method="GET", url=address, timeout=5))
    assert asked == []


async def test_a_server_without_tls_is_no_https_server(http: AiohttpHttp) -> None:
    """What does not speak TLS is a failure to connect over https."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionRefusedError, match=r"no connection to 127\.0\.0\.1"):
            await http.send(HttpRequest(method="GET", url=f"https://127.0.0.1:{port}", timeout=5))


async def test_a_connection_that_does_not_come_is_a_refusal(http: AiohttpHttp) -> None:
    """When connecting alone takes longer than its own timeout, nothing was sent, and the error is that of a refusal."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:  # they fill the line of a server that never accepts
                each.setblocking(False)
                each.connect_ex(address)
            request = HttpRequest(method="GET", url=f"http://127.0.0.1:{address[1]}", timeout=30, connect_timeout=0.1)
            with pytest.raises(ConnectionRefusedError, match=r"within 0\.1 s"):
                await http.send(request)
        finally:
            for each in waiting:
                each.close()


async def test_silence_is_a_timeout(http: AiohttpHttp) -> None:
    """No head within the timeout is a TimeoutError."""

    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never answers")

    async with serving(silent) as address:
        with pytest.raises(TimeoutError, match="did not answer within"):
            await http.send(HttpRequest(method="GET", url=address, timeout=0.05))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"certainly not HTTP\r\n\r\n"])
async def test_a_connection_that_breaks_before_the_head(http: AiohttpHttp, answer: bytes) -> None:
    """A hang-up or nonsense in place of a head is a ConnectionResetError: the request may have been acted on."""
    async with raw(answer) as address:
        with pytest.raises(ConnectionResetError):
            await http.send(HttpRequest(method="POST", url=address, body=b"x"))


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\nonly this", b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"]
)
async def test_a_body_that_breaks_off_is_never_a_whole_one(http: AiohttpHttp, head: bytes) -> None:
    """A body that ends before its end raises; what came before is not passed off as all."""
    async with raw(b"HTTP/1.1 200 OK\r\n" + head) as address:
        response = await http.send(HttpRequest(method="GET", url=address))
        with pytest.raises(ConnectionResetError, match=r"the connection to 127\.0\.0\.1 broke"):
            await read(response)
        await response.close()


@pytest.mark.parametrize("url", ["", "ftp://host/x", "host/x", "http://"])
async def test_only_http_addresses_are_taken(http: AiohttpHttp, url: str) -> None:
    """Anything but an http or https address with a host is a ValueError."""
    with pytest.raises(ValueError, match="not an http or https address"):
        await http.send(HttpRequest(method="GET", url=url))


async def test_messages_hold_no_secret(http: AiohttpHttp) -> None:
    """Credentials in an address do not reach the message of the error."""
    with pytest.raises(ValueError, match="not an http") as caught:
        await http.send(HttpRequest(method="GET", url="ftp://me:secret@host/x?key=secret"))
    assert "secret" not in str(caught.value)


async def test_the_environments_proxy_is_used(http: AiohttpHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is honoured: the proxy is asked for the whole address."""
    asked = []

    async def proxy(request: web.Request) -> web.StreamResponse:
        asked.append(str(request.url))
        return web.Response(text="through the proxy")

    async with serving(proxy) as address:
        monkeypatch.setenv("http_proxy", address)
        response = await http.send(HttpRequest(method="GET", url="http://api.test/v1"))
        assert await read(response) == b"through the proxy"
    assert asked == ["http://api.test/v1"]


async def test_no_cookie_is_kept(http: AiohttpHttp) -> None:
    """A cookie that a server sets is not sent back."""
    cookies = []

    async def answer(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        response = web.Response(text="ok")
        response.set_cookie("session", "1")
        return response

    async with serving(answer) as address:
        for _ in range(2):
            await (await http.send(HttpRequest(method="GET", url=address.replace("127.0.0.1", "localhost")))).close()
    assert cookies == [None, None]


async def test_a_closed_client_is_not_used() -> None:
    """Closing twice is harmless, also without a request; sending after it is a programming error."""
    http = AiohttpHttp()
    await http.close()
    await http.close()
    with pytest.raises(RuntimeError, match="closed"):
        await http.send(HttpRequest(method="GET", url="http://127.0.0.1:1/"))


def test_options_have_ranges() -> None:
    """An option out of its range is refused by name."""
    with pytest.raises(ConfigError, match="max_connections=0: must be at least 1"):
        AiohttpHttp(max_connections=0)
    with pytest.raises(ConfigError, match="idle_seconds=-1: must be at least 0"):
        AiohttpHttp(idle_seconds=-1)
