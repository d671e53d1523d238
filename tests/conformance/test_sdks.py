"""The official SDKs, wrapped, over real sockets: what an application sees of a provider that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from tests.simulators import served

import holdfast as hf
from holdfast.errors import ConfigError
from holdfast.lab.simulator.calls import fingerprint_of
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.llm.routing.options import RetryOptions, StreamTimers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.simulators import Served

    from holdfast.llm.dropin.options import Keywords

HI: Any = [{"role": "user", "content": "Which city is the capital of France?"}]
QUICK: Keywords = {
    "attempt_seconds": 1.0,
    "timers": StreamTimers(connect=1.0, headers=1.0, first_token=1.0, inter_token=1.0, total=10.0),
    "retry": RetryOptions(max_retries=0),
}
INVISIBLE = [
    "rate_limited",
    "quota",
    "overloaded",
    "server_error",
    "bad_gateway_html",
    "auth",
    "refused",
    "reset",
    "reset_after_headers",
    "error_in_200",
    "empty_body",
    "not_json",
    "wrong_schema",
    "empty_content",
    "slow_headers",
]
IN_STREAMS = [*INVISIBLE, "role_then_stall", "empty_stream", "slow_first_token"]
TRUNCATIONS = ["cut", "eof", "eof_half_event", "no_finish", "stall", "error_event"]
SORTS = ["openai", "openai async", "anthropic", "anthropic async"]


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Served]]:
    with served(SimulatorOptions(speed=0), SimulatorOptions(speed=0, keys=["key-of-b"])) as both:
        yield both


@pytest.fixture
def first(pair: list[Served]) -> Served:
    pair[0].fault("")
    pair[0].simulator.calls.clear()
    return pair[0]


@pytest.fixture
def second(pair: list[Served]) -> Served:
    pair[1].fault("")
    pair[1].simulator.calls.clear()
    return pair[1]


MADE: list[Any] = []


@pytest.fixture(autouse=True)
async def everything_is_closed() -> AsyncIterator[None]:
    yield
    while MADE:
        closing = MADE.pop().close()
        if closing is not None:
            await closing


def made(client: Any) -> Any:
    """``client``, to be closed after the test."""
    MADE.append(client)
    return client


def open_ai(at: Served, key: str = "key-of-a", **options: Any) -> openai.OpenAI:
    client: openai.OpenAI = made(openai.OpenAI(base_url=f"{at.url}/v1", api_key=key, **options))
    return client


class App:
    """An application with one of the SDKs: the same questions, in the words of each."""

    def __init__(self, sort: str) -> None:
        self.package = anthropic if sort.startswith("anthropic") else openai
        self.asynchronous = sort.endswith("async")
        name = {openai: "OpenAI", anthropic: "Anthropic"}[self.package]
        self.type: Any = getattr(self.package, f"Async{name}" if self.asynchronous else name)

    def client(self, at: Served, key: str, **options: Any) -> Any:
        base = at.url if self.package is anthropic else f"{at.url}/v1"
        return made(self.type(base_url=base, api_key=key, **options))

    async def ask(self, client: Any, model: str = "model-a", **options: Any) -> str:
        """The model that answered a question."""
        create, extra = self._create(client)
        answer = create(model=model, messages=HI, **extra, **options)
        return str((await answer if self.asynchronous else answer).model)

    async def stream(self, client: Any, model: str = "model-a") -> list[Any]:
        """The events of a streamed answer."""
        create, extra = self._create(client)
        stream = create(model=model, messages=HI, stream=True, **extra)
        if self.asynchronous:
            return [event async for event in await stream]
        return list(stream)

    def model_of(self, events: list[Any]) -> str:
        return str(events[0].message.model if self.package is anthropic else events[0].model)

    def _create(self, client: Any) -> tuple[Any, dict[str, Any]]:
        if self.package is anthropic:
            return client.messages.create, {"max_tokens": 100}
        return client.chat.completions.create, {}


@pytest.fixture(params=SORTS)
def app(request: pytest.FixtureRequest) -> App:
    return App(request.param)


async def test_a_wrapped_client_is_what_it_was(app: App, first: Served) -> None:
    """Wrapping gives a client of the same type without retries of its own, and changes nothing about the given one."""
    plain = app.client(first, "key-of-a", timeout=7.0)
    client = hf.wrap(plain)
    assert type(client) is app.type
    assert (client.max_retries, plain.max_retries) == (0, 2)
    assert (client.api_key, client.timeout, client.base_url) == (plain.api_key, 7.0, plain.base_url)
    assert await app.ask(client) == await app.ask(plain) == "model-a"
    assert app.model_of(await app.stream(client)) == "model-a"


@pytest.mark.parametrize("fault", INVISIBLE)
async def test_a_failure_is_invisible(app: App, first: Served, second: Served, fault: str) -> None:
    """With a healthy fallback a failing provider costs one call, and the caller sees nothing of it."""
    first.fault(fault)
    backup = hf.Backup(app.client(second, "key-of-b"), model="model-b")
    assert await app.ask(hf.wrap(app.client(first, "key-of-a"), [backup], **QUICK)) == "model-b"
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize("fault", IN_STREAMS)
async def test_a_failure_before_the_first_token_is_invisible(
    app: App, first: Served, second: Served, fault: str
) -> None:
    """A stream that fails before its first token is another provider's stream."""
    first.fault(fault)
    backup = hf.Backup(app.client(second, "key-of-b"), model="model-b")
    events = await app.stream(hf.wrap(app.client(first, "key-of-a"), [backup], **QUICK))
    assert app.model_of(events) == "model-b"
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize("fault", TRUNCATIONS)
async def test_a_truncated_stream_raises(app: App, first: Served, second: Served, fault: str) -> None:
    """A stream that breaks off after output was given out raises the SDK's own error, and never just ends."""
    first.fault(fault)
    client = hf.wrap(app.client(first, "key-of-a"), [app.client(second, "key-of-b")], **QUICK)
    with pytest.raises(app.package.APIError, match="broke off after"):
        await app.stream(client)
    assert (first.calls, second.calls) == (1, 0)


async def test_a_broken_stream_is_continued_when_that_is_wanted(app: App, first: Served, second: Served) -> None:
    """With ``continue_streams`` the fallback writes on, and the caller sees one answer."""
    first.fault("eof")
    options: Keywords = {**QUICK, "continue_streams": True}
    client = hf.wrap(app.client(first, "key-of-a"), [app.client(second, "key-of-b")], **options)
    assert app.model_of(await app.stream(client)) == "model-a"
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("rate_limited_bare", "RateLimitError", 429),
        ("auth", "AuthenticationError", 401),
        ("server_error", "InternalServerError", 500),
        ("context_length", "BadRequestError", 400),
        ("empty_content", "InternalServerError", 502),
        ("not_json", "InternalServerError", 502),
    ],
)
async def test_errors_keep_their_classes(app: App, first: Served, fault: str, error: str, status: int) -> None:
    """A sole provider's last word is the SDK's exception that it has always been, and the SDK does not ask again."""
    first.fault(fault)
    with pytest.raises(getattr(app.package, error)) as caught:
        await app.ask(hf.wrap(app.client(first, "key-of-a"), **QUICK))
    assert caught.value.status_code == status
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert first.calls == 1


@pytest.mark.parametrize(("fault", "error"), [("reset", "APIConnectionError"), ("slow_headers", "APITimeoutError")])
async def test_errors_without_an_answer(app: App, first: Served, fault: str, error: str) -> None:
    """A connection that fails and an answer that does not come raise what they always did, and say why below."""
    first.fault(fault)
    with pytest.raises(getattr(app.package, error)) as caught:
        await app.ask(hf.wrap(app.client(first, "key-of-a"), **QUICK))
    assert "No target of model-a gave an answer" in str(caught.value.__cause__)


async def test_an_open_breaker_answers_at_once(app: App, first: Served) -> None:
    """With every breaker open the SDK raises its error for a 503, and nobody is called."""
    first.fault("server_error")
    client = hf.wrap(app.client(first, "key-of-a"), **QUICK)
    for _ in range(5):
        with pytest.raises(app.package.InternalServerError):
            await app.ask(client)
    with pytest.raises(app.package.InternalServerError, match="circuit breaker is open") as caught:
        await app.ask(client)
    assert caught.value.status_code == 503
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 30
    assert "holdfast_targets_exhausted" in caught.value.response.text
    assert first.calls == 5


async def test_a_refused_key_is_heard_of_until_it_is_tried_again(app: App, first: Served) -> None:
    """A key that was refused is left alone for a while, the caller hears its refusal again, and other keys go on."""
    first.fault("auth")
    client = hf.wrap(app.client(first, "wrong"), **QUICK)
    for _ in range(3):
        with pytest.raises(app.package.AuthenticationError):
            await app.ask(client)
    assert first.calls == 1
    first.fault("")
    assert await app.ask(client.with_options(api_key="right")) == "model-a"


async def test_credentials_stay_at_home(app: App, first: Served, second: Served) -> None:
    """The fallback sees its own key and nothing that the caller has put into header fields for the first provider."""
    seen: list[httpx2.Request] = []
    module: Any = httpx2
    if app.asynchronous:

        async def note(request: httpx2.Request) -> None:
            seen.append(request)
    else:

        def note(request: httpx2.Request) -> None:  # type: ignore[misc]
            seen.append(request)

    kind = module.AsyncClient if app.asynchronous else module.Client
    backup = app.client(second, "key-of-b", http_client=kind(event_hooks={"request": [note]}))
    own = app.client(first, "key-of-a", default_headers={"x-gateway-key": "of-a"})
    first.fault("server_error")
    assert await app.ask(hf.wrap(own, [backup], **QUICK), extra_headers={"x-secret": "of-a"}) == "model-a"
    assert [call.key for call in first.simulator.calls] == [fingerprint_of("key-of-a")]
    assert [call.key for call in second.simulator.calls] == [fingerprint_of("key-of-b")]
    assert "of-a" not in str(dict(seen[0].headers))


async def test_the_users_http_client_sends(app: App, first: Served) -> None:
    """Event hooks, header fields and cookies of the user's HTTP client are there in every request."""
    heard: list[str] = []
    if app.asynchronous:

        async def hook(response: httpx2.Response) -> None:
            heard.append(response.request.headers["x-of-client"] + response.request.headers["cookie"])

        inner: Any = httpx2.AsyncClient(
            headers={"x-of-client": "1"}, cookies={"c": "2"}, event_hooks={"response": [hook]}
        )
    else:

        def plain_hook(response: httpx2.Response) -> None:
            heard.append(response.request.headers["x-of-client"] + response.request.headers["cookie"])

        inner = httpx2.Client(headers={"x-of-client": "1"}, cookies={"c": "2"}, event_hooks={"response": [plain_hook]})
    client = hf.wrap(app.client(first, "key-of-a", http_client=inner))
    await app.ask(client)
    models = client.models.list()
    if app.asynchronous:
        await models
    assert heard == ["1c=2", "1c=2"]


async def test_closing_a_stream_tells_the_provider(app: App) -> None:
    """A consumer that closes its stream early closes the provider's connection."""
    with served(SimulatorOptions(first_token=0.0, per_token=0.2)) as (provider,):
        client = hf.wrap(app.client(provider, "key-of-a"))
        create, extra = app._create(client)
        stream = create(model="model-a", messages=HI, stream=True, **extra)
        if app.asynchronous:
            stream = await stream
            await anext(aiter(stream))
            await stream.close()
        else:
            next(iter(stream))
            stream.close()
        assert provider.outcomes() == ["cancelled"]


async def test_raw_and_streaming_responses(app: App, first: Served) -> None:
    """``with_raw_response`` and ``with_streaming_response`` give the provider's response."""
    client = hf.wrap(app.client(first, "key-of-a"))
    resource = client.messages if app.package is anthropic else client.chat.completions
    extra = {"max_tokens": 100} if app.package is anthropic else {}
    made = resource.with_raw_response.create(model="model-a", messages=HI, **extra)
    raw = await made if app.asynchronous else made
    assert any(name in raw.headers for name in ("x-request-id", "request-id"))
    parsed = raw.parse()
    assert (await parsed if hasattr(parsed, "__await__") else parsed).model == "model-a"
    if app.asynchronous:
        async with resource.with_streaming_response.create(model="model-a", messages=HI, **extra) as response:
            assert b"model-a" in await response.read()
    else:
        with resource.with_streaming_response.create(model="model-a", messages=HI, **extra) as response:
            assert b"model-a" in response.read()


async def test_other_requests_pass_once(first: Served, second: Served) -> None:
    """A file's upload that fails is not sent again, here or elsewhere, and its error is the SDK's."""
    calls: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.read())
        return httpx2.Response(500, json={"error": {"message": "no"}})

    inner = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = hf.wrap(made(openai.OpenAI(api_key="k", http_client=inner)), [open_ai(second)])
    with pytest.raises(openai.InternalServerError, match="no"):
        client.files.create(file=b'{"a": 1}', purpose="batch")
    assert len(calls) == 1
    assert b'{"a": 1}' in calls[0]


def test_embeddings_go_to_the_same_model_only(first: Served, second: Served) -> None:
    """Embeddings fail over to a fallback with the same model, and to none that stands for a chat model."""
    first.fault("server_error")
    own, other = open_ai(first), open_ai(second, "key-of-b")
    same = hf.wrap(own, [other], **QUICK).embeddings.create(model="text-embedding-3-small", input="x")
    assert len(same.data[0].embedding) == 1536
    with pytest.raises(openai.InternalServerError):
        hf.wrap(own, [hf.Backup(other, model="gpt-b")], **QUICK).embeddings.create(model="e", input="x")
    named = hf.Backup(other, model={"e": "text-embedding-3-large"})
    vectors = hf.wrap(own, [named], **QUICK).embeddings.create(model="e", input="x")
    assert len(vectors.data[0].embedding) == 3072


def test_the_responses_api(first: Served, second: Served) -> None:
    """Responses fail over, except those that go on from one that only their provider has."""
    own, other = open_ai(first), open_ai(second, "key-of-b")
    client = hf.wrap(own, [other], **QUICK)
    first.fault("server_error")
    assert client.responses.create(model="m", input="hello?").output_text
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="m", input="hello?", previous_response_id="resp_1")
    first.fault("eof")
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.responses.create(model="other", input="hello?", stream=True))


def test_a_fallback_by_its_name(first: Served) -> None:
    """A fallback may be a name; its key comes from the environment, and what it costs is entered."""
    first.fault("server_error")
    options: Keywords = {**QUICK, "environ": {}}
    client = made(hf.wrap(open_ai(first), ["ollama/m"], **options))
    with pytest.raises(openai.APIConnectionError):  # nobody listens there
        client.chat.completions.create(model="gpt-4o", messages=HI)
    names = [each.provider for each in hf.wrapped(client).snapshot()]
    assert names[1:] == ["ollama"]


def test_azure(first: Served, second: Served) -> None:
    """A client for Azure fails over as any other, and is a fallback whose model is its deployment's name."""
    asked: list[httpx2.URL] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url)
        return httpx2.Response(500, json={"error": {"message": "no"}})

    def azure() -> openai.AzureOpenAI:
        inner = httpx2.Client(transport=httpx2.MockTransport(answer))
        where = "https://example.openai.azure.com"
        client = openai.AzureOpenAI(azure_endpoint=where, api_key="k", api_version="2024-10-21", http_client=inner)
        MADE.append(client)
        return client

    plain = open_ai(second, "key-of-b")
    client = hf.wrap(azure(), [hf.Backup(plain, model="model-b")], **QUICK)
    assert isinstance(client, openai.AzureOpenAI)
    assert client.chat.completions.create(model="deployed", messages=HI).model == "model-b"
    assert str(asked[0]).endswith("/openai/deployments/deployed/chat/completions?api-version=2024-10-21")
    first.fault("server_error")
    own = open_ai(first)
    with pytest.raises(openai.InternalServerError):
        hf.wrap(own, [hf.Backup(azure(), model="deployed")], **QUICK).chat.completions.create(model="m", messages=HI)
    assert str(asked[1]) == str(asked[0])


def test_the_older_http_client(first: Served, second: Served) -> None:
    """An SDK that was given a client of httpx stays on it."""
    inner = httpx.Client()
    plain = open_ai(first, http_client=inner)
    first.fault("overloaded")
    other = open_ai(second, "key-of-b")
    client = hf.wrap(plain, [other], **QUICK)
    assert type(client._client).__module__ == "httpx"
    assert client.chat.completions.create(model="m", messages=HI).model == "m"
    assert second.calls == 1


def test_what_cannot_be_wrapped(first: Served) -> None:
    """Other clients, wrapped ones, fallbacks of another kind, and unknown options are refused with a sentence."""
    client = open_ai(first)
    with pytest.raises(ConfigError, match="must be a client of openai"):
        hf.wrap("client")  # type: ignore[type-var, unused-ignore]
    with pytest.raises(ConfigError, match="not wrapped already"):
        hf.wrap(hf.wrap(client))
    with pytest.raises(ConfigError, match="must be OpenAI as the client is"):
        hf.wrap(client, [made(openai.AsyncOpenAI(api_key="k"))])
    with pytest.raises(ConfigError, match="must speak the protocol of the client"):
        hf.wrap(client, ["anthropic/claude"], environ={"ANTHROPIC_API_KEY": "k"})
    with pytest.raises(ConfigError, match="did you mean"):
        hf.wrap(client, max_call=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"must be one that holdfast\.wrap has made"):
        hf.wrapped(client)
