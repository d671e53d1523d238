"""Transports for clients of httpx and httpx2, which are told apart by nothing but their package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import openai
import pytest

from holdfast.core.deadline import deadline_scope
from holdfast.errors import ConfigError
from holdfast.llm.dropin.http_modules import module_of, plain_errors
from holdfast.llm.dropin.transport import AsyncHoldfastTransport, HoldfastTransport
from holdfast.llm.routing.options import RetryOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "https://gateway.example.com/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hel"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
ONCE: Any = {"retry": RetryOptions(max_retries=0)}
Answering = Any


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def package(request: pytest.FixtureRequest) -> Any:
    return request.param


class Upstream:
    """A mock transport that notes what it is sent."""

    def __init__(self, package: Any, answer: Callable[[Any], Any]) -> None:
        self.requests: list[Any] = []

        def handle(request: Any) -> Any:
            request.read()
            self.requests.append(request)
            return answer(request)

        async def handle_async(request: Any) -> Any:
            await request.aread()
            self.requests.append(request)
            return answer(request)

        self.sync = package.MockTransport(handle)
        self.asynchronous = package.MockTransport(handle_async)


def test_a_question_is_answered(package: Any) -> None:
    """A client with the transport gets the provider's answer, byte for byte, and the request is the client's own."""
    content = json.dumps(ANSWER, indent=1).encode()
    upstream = Upstream(package, lambda _: package.Response(200, content=content, headers={"x-request-id": "r"}))
    with package.Client(transport=HoldfastTransport(upstream.sync)) as client:
        response = client.post(URL, json=ASKED, headers={"authorization": "Bearer k", "x-own": "1"})
    assert response.content == content
    assert response.headers["x-request-id"] == "r"
    (sent,) = upstream.requests
    assert (sent.headers["authorization"], sent.headers["x-own"]) == ("Bearer k", "1")
    assert json.loads(sent.content) == ASKED


async def test_a_question_of_an_async_client(package: Any) -> None:
    """The same for an async client, streamed."""
    upstream = Upstream(
        package, lambda _: package.Response(200, content=STREAM, headers={"content-type": "text/event-stream"})
    )
    transport = AsyncHoldfastTransport(upstream.asynchronous)
    async with (
        package.AsyncClient(transport=transport) as client,
        client.stream("POST", URL, json={**ASKED, "stream": True}) as response,
    ):
        assert await response.aread() == STREAM
    assert [each.calls for each in transport.models.snapshot()] == [1]


def test_a_stream_of_a_sync_client(package: Any) -> None:
    """A sync client reads a stream as it comes."""
    upstream = Upstream(
        package, lambda _: package.Response(200, content=STREAM, headers={"content-type": "text/event-stream"})
    )
    with (
        package.Client(transport=HoldfastTransport(upstream.sync)) as client,
        client.stream("POST", URL, json={**ASKED, "stream": True}) as response,
    ):
        assert b"".join(response.iter_bytes()) == STREAM


@pytest.mark.parametrize(
    ("method", "url", "content"),
    [
        ("GET", URL, b""),
        ("POST", "https://gateway.example.com/v1/files", b"{}"),
        ("POST", "https://gateway.example.com/v1/messages/batches", b"{}"),
        ("POST", URL, b"not json"),
        ("POST", URL, b"[]"),
        ("POST", URL, b'{"model": " m"}'),
        ("POST", URL, b'{"model": 1}'),
        ("POST", "https://gateway.example.com:0/v1/chat/completions", b'{"model": "m"}'),
        ("POST", "https://user:secret@gateway.example.com/v1/chat/completions", b'{"model": "m"}'),
        ("POST", "https://gateway.example.com/with space/chat/completions?x=%20", b'{"model": "m\\u00e9"}'),
    ],
)
async def test_everything_else_passes(package: Any, method: str, url: str, content: bytes) -> None:
    """What is not plainly a question to a model goes through once, unchanged, and its failure is not repeated."""
    upstream = Upstream(package, lambda _: package.Response(500, content=b"no"))
    with package.Client(transport=HoldfastTransport(upstream.sync)) as client:
        assert client.request(method, url, content=content).status_code == 500
    async with package.AsyncClient(transport=AsyncHoldfastTransport(upstream.asynchronous)) as later:
        assert (await later.request(method, url, content=content)).content == b"no"
    assert [each.content for each in upstream.requests] == [content, content]


def test_a_streamed_upload_passes(package: Any) -> None:
    """A body of unknown length passes as it is, through a client as through a transport."""
    upstream = Upstream(package, lambda _: package.Response(200))

    def pieces() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    inner = package.Client(transport=upstream.sync, headers={"x-of-inner": "1"})
    with package.Client(transport=HoldfastTransport(inner)) as client:
        client.post("https://gateway.example.com/v1/files", content=pieces())
    (sent,) = upstream.requests
    assert sent.content == b"ab"
    assert (sent.headers["transfer-encoding"], sent.headers["x-of-inner"]) == ("chunked", "1")
    assert "content-length" not in sent.headers
    assert not inner.is_closed  # it is not ours


def test_failures_are_those_of_the_package(package: Any) -> None:
    """A refused connection, a broken one and a timeout raise what the client's package raises for them."""
    kinds = iter([package.ConnectError, package.ReadError, package.ReadTimeout, package.PoolTimeout])

    def fail(request: Any) -> Any:
        raise next(kinds)("no luck with sk-1234567890", request=request)

    upstream = Upstream(package, fail)
    with package.Client(transport=HoldfastTransport(upstream.sync, **ONCE)) as client:
        for expected in (package.ConnectError, package.ConnectError, package.ReadTimeout, package.ConnectError):
            with pytest.raises(expected, match="No target of m gave an answer") as caught:
                client.post(URL, json=ASKED)
            assert "sk-1234567890" not in str(caught.value)


async def test_failures_of_an_async_client(package: Any) -> None:
    """An async client sees the same."""

    def fail(request: Any) -> Any:
        raise package.ReadTimeout("late", request=request)

    upstream = Upstream(package, fail)
    async with package.AsyncClient(transport=AsyncHoldfastTransport(upstream.asynchronous, **ONCE)) as client:
        with pytest.raises(package.ReadTimeout):
            await client.post(URL, json=ASKED)


def test_an_error_of_the_users_own_code_passes(package: Any) -> None:
    """An exception of an event hook is not taken for a provider's failure: it comes out as it was raised."""

    class OwnError(Exception):
        pass

    def hook(_: Any) -> None:
        raise OwnError

    upstream = Upstream(package, lambda _: package.Response(200, json=ANSWER))
    inner = package.Client(transport=upstream.sync, event_hooks={"request": [hook]})
    with package.Client(transport=HoldfastTransport(inner)) as client, pytest.raises(OwnError):
        client.post(URL, json=ASKED)


def test_the_callers_deadline_holds(package: Any) -> None:
    """A deadline of the caller's own context is there behind the thread that does the work."""
    upstream = Upstream(package, lambda _: package.Response(200, json=ANSWER))
    with (
        package.Client(transport=HoldfastTransport(upstream.sync)) as client,
        deadline_scope(0.0),
        pytest.raises(package.ReadTimeout),
    ):
        client.post(URL, json=ASKED)


def test_a_timeout_of_the_client_is_for_each_attempt(package: Any) -> None:
    """The client's own timeouts bound each attempt, and are handed to the inner transport."""
    upstream = Upstream(package, lambda _: package.Response(200, json=ANSWER))
    with package.Client(transport=HoldfastTransport(upstream.sync), timeout=None) as client:
        client.post(URL, json=ASKED)
        client.post(URL, json=ASKED, timeout=package.Timeout(None, connect=0.25))
        client.post(URL, json=ASKED, timeout=3.0)
    connects = [each.extensions["timeout"]["connect"] for each in upstream.requests]
    assert connects == [5.0, 0.25, 3.0]


def test_a_transport_of_its_own(package: Any) -> None:
    """Without an inner transport it makes the package's own, and closes it."""
    transport = HoldfastTransport(**ONCE)
    with package.Client(transport=transport, trust_env=False) as client, pytest.raises(package.ConnectError):
        client.post("http://127.0.0.1:9/v1/chat/completions", json=ASKED)
    assert module_of(transport._inner.through.inner) is package


async def test_an_async_transport_of_its_own(package: Any) -> None:
    """The same for an async client."""
    transport = AsyncHoldfastTransport(**ONCE)
    async with package.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises(package.ConnectError):
            await client.post("http://127.0.0.1:9/v1/chat/completions", json=ASKED)
    async with transport:  # it can be closed twice
        assert transport.models.snapshot()


def test_an_inner_client_of_another_package() -> None:
    """A transport around one package is not for clients of the other, nor around anything else."""
    with HoldfastTransport(httpx.Client()) as transport:
        client = httpx2.Client(transport=transport)
        with pytest.raises(ConfigError, match="must be for clients of httpx"):
            client.get("https://example.com")
    with pytest.raises(ConfigError, match="must be a sync client or transport"):
        HoldfastTransport(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be an async client or transport"):
        AsyncHoldfastTransport(object())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be one of httpx or httpx2"):
        HoldfastTransport().handle_request(object())
    with pytest.raises(ConfigError, match="must be a target by its name"):
        HoldfastTransport(fallbacks=[openai.OpenAI(api_key="k")])  # type: ignore[list-item]


def test_other_errors_pass(package: Any) -> None:
    """Only exceptions of the two packages are translated."""
    with pytest.raises(KeyError), plain_errors("https://example.com"):
        raise KeyError
    with pytest.raises(ConnectionResetError), plain_errors("https://example.com"):
        raise package.DecodingError("bad")


def test_many_models_and_addresses(package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers may ask for any number of models: what is known of those that were not asked for lately is dropped."""
    monkeypatch.setattr("holdfast.llm.dropin.route_book._MOST_ROUTES", 5)
    upstream = Upstream(package, lambda _: package.Response(200, json=ANSWER))
    transport = HoldfastTransport(upstream.sync)
    with package.Client(transport=transport) as client:
        for number in range(8):
            client.post(URL, json={**ASKED, "model": f"m{number}"})
        names = [each.name for each in transport.models.snapshot()]
        assert len(names) == 5
        assert names[-1] == "gateway.example.com/m7"
        client.post("https://gateway.example.com/other/chat/completions", json=ASKED)
    assert str(upstream.requests[-1].url) == "https://gateway.example.com/other/chat/completions"
    last = transport.models.snapshot()[-1]
    assert last.provider.startswith("gateway.example.com-")
