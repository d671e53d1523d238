"""Providers that fail on purpose: the model layer sees what it would see of the real ones."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.llm.world import ANSWER, REQUEST, World

from holdfast.core.classify import FaultKind, classify
from holdfast.core.ports import HttpRequest
from holdfast.errors import StreamInterruptedError, TargetsExhaustedError
from holdfast.llm.client import ModelClient
from holdfast.llm.routing.options import RetryOptions, RouteOptions
from holdfast.llm.routing.targets import EmbeddingRoute, Provider, Routes, Target
from holdfast.rag.injection.kinds import Kind
from holdfast.rag.injection.switchboard import Injections
from holdfast.rag.injection.wire import injectable_https
from holdfast.rag.models import Configured

if TYPE_CHECKING:
    from holdfast.llm.routing.targets import Kind as Protocol

MEANS = {
    Kind.THROTTLED: FaultKind.THROTTLED,
    Kind.UNAVAILABLE: FaultKind.OVERLOADED,
    Kind.CONNECTION: FaultKind.CONNECT,
    Kind.TIMEOUT: FaultKind.TIMEOUT,
    Kind.MALFORMED: FaultKind.MALFORMED,
    Kind.EMPTY: FaultKind.EMPTY,
    Kind.TRUNCATED: FaultKind.CONNECT,
    Kind.AUTH: FaultKind.AUTH,
    Kind.QUOTA: FaultKind.QUOTA,
}


class Desk:
    """Simulated providers, and a client whose requests can fail before they reach them."""

    def __init__(self, protocol: Protocol = "openai", *, names: tuple[str, ...] = ("a",), embeds: bool = False) -> None:
        self.world = World(
            dict.fromkeys(names, ()),
            kinds=dict.fromkeys(names, protocol),
            options=RouteOptions(retry=RetryOptions(max_retries=0)),
        )
        routes = self.world.client.routes
        self.injections = Injections(clock=self.world.clock, rng=random.Random(7), events=self.world.events)
        configured = Configured(routes=routes, answers="answers", embeds="vectors" if embeds else None)
        self.client = ModelClient(
            routes,
            http=self.world.http,
            https=injectable_https(self.world.http, configured, self.injections),
            clock=self.world.clock,
            rng=random.Random(7),
            events=self.world.events,
        )


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("kind", MEANS)
async def test_a_fault_is_what_the_provider_would_send(kind: Kind, protocol: Protocol) -> None:
    """Each kind is classified as the provider's own failure is, says that it was injected, and never reaches it."""
    desk = Desk(protocol)
    fault = desk.injections.inject("model", kind, seconds=3_600)
    with pytest.raises(TargetsExhaustedError) as caught:
        await desk.client.complete("answers", REQUEST)
    cause = caught.value.__cause__
    assert cause is not None
    assert classify(cause, provider=protocol).kind is MEANS[kind]
    assert fault.hits == 1
    if kind not in {Kind.EMPTY, Kind.MALFORMED, Kind.TIMEOUT}:  # what cannot be read, or does not come, says nothing
        assert "injected" in str(cause)
    assert desk.world.calls("a") == (kind is Kind.TRUNCATED)


async def test_the_answer_comes_when_nothing_is_injected() -> None:
    """Without a fault, and after one, a request goes through as it is."""
    desk = Desk()
    assert (await desk.client.complete("answers", REQUEST)).completion.text == ANSWER
    fault = desk.injections.inject("model", "malformed", seconds=60)
    with pytest.raises(TargetsExhaustedError):
        await desk.client.complete("answers", REQUEST)
    desk.injections.clear(fault)
    assert (await desk.client.complete("answers", REQUEST)).completion.text == ANSWER


async def test_a_throttled_call_says_when_to_come_back() -> None:
    """The Retry-After of an injected 429 is the one that was asked for."""
    desk = Desk()
    desk.injections.inject("model", "throttled", seconds=60, retry_after=12)
    with pytest.raises(TargetsExhaustedError) as caught:
        await desk.client.complete("answers", REQUEST)
    assert caught.value.retry_after == pytest.approx(12, abs=0.1)


async def test_a_slow_provider_answers_late_or_too_late() -> None:
    """A delay within the timers is only waited for; beyond them it is a timeout."""
    desk = Desk()
    fault = desk.injections.inject("model", "slow", seconds=600, delay=4)
    assert (await desk.client.complete("answers", REQUEST)).completion.text == ANSWER
    assert desk.world.seconds >= 4
    desk.injections.clear(fault)
    desk.injections.inject("model", "slow", seconds=600, delay=300)
    with pytest.raises(TargetsExhaustedError) as caught:
        await desk.client.complete("answers", REQUEST)
    cause = caught.value.__cause__
    assert cause is not None
    assert classify(cause).kind is FaultKind.TIMEOUT


async def test_a_hanging_provider_is_let_go_when_its_fault_ends() -> None:
    """A hang that ends within the client's patience ends as a lost connection."""
    desk = Desk()
    desk.injections.inject("model", "timeout", seconds=2)
    with pytest.raises(TargetsExhaustedError) as caught:
        await desk.client.complete("answers", REQUEST)
    assert "injected: the connection to a.test broke" in str(caught.value.__cause__)
    assert desk.world.seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("after", [0, 1, 700, 1_000_000])
async def test_a_cut_stream_is_never_whole(after: int) -> None:
    """However many bytes may come, the stream breaks before its end: invisibly before the first token, or told."""
    desk = Desk()
    desk.injections.inject("model", "truncated", seconds=60, after_bytes=after)
    text = ""

    async def read() -> None:
        nonlocal text
        async for chunk in desk.client.stream("answers", REQUEST):
            text += chunk.text

    with pytest.raises((TargetsExhaustedError, StreamInterruptedError)) as caught:
        await read()
    assert ANSWER.startswith(text)
    assert isinstance(caught.value, StreamInterruptedError) == bool(text)
    assert bool(text) == (after >= 700)


async def test_another_provider_answers_for_the_one_that_fails() -> None:
    """A fault of one provider is failed over from, as a real one is."""
    desk = Desk(names=("a", "b"))
    fault = desk.injections.inject("model:a", "auth", seconds=60)
    answered = await desk.client.complete("answers", REQUEST)
    assert answered.target.provider.name == "b"
    assert fault.hits == 1
    assert set(desk.injections.in_use()) == {"model", "model:a", "model:b"}


@pytest.mark.parametrize("kind", [kind for kind in MEANS if kind is not Kind.TIMEOUT])
async def test_embeddings_fail_apart_from_chats(kind: Kind) -> None:
    """A fault of the embedder meets requests for vectors only, and one of the model does not meet them."""
    desk = Desk(embeds=True)
    assert set(desk.injections.in_use()) == {"model", "model:a", "embedder"}
    fault = desk.injections.inject("embedder", kind, seconds=3_600)
    assert (await desk.client.complete("answers", REQUEST)).completion.text == ANSWER
    with pytest.raises(TargetsExhaustedError):
        await desk.client.embed("vectors", ["lamp"])
    desk.injections.clear(fault)
    desk.client.network.release_keys()
    desk.world.clock.advance(300)  # what was held or opened is asked again
    desk.injections.inject("model", kind, seconds=3_600)
    assert len((await desk.client.embed("vectors", ["lamp"])).vectors) == 1


@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.THROTTLED, 429), (Kind.UNAVAILABLE, 503), (Kind.AUTH, 401), (Kind.QUOTA, 402)]
)
async def test_voyage_refuses_in_its_own_words(kind: Kind, status: int) -> None:
    """Voyage's errors are a status and a detail."""
    provider = Provider(name="voyage", kind="voyage", base_url="https://voyage.test/v1")
    route = EmbeddingRoute(name="vectors", model_id="v", dimension=8, targets=(Target(provider=provider, model="v"),))
    world = World()
    injections = Injections(clock=world.clock, rng=random.Random(7), events=world.events)
    configured = Configured(routes=Routes(embeddings={"vectors": route}), embeds="vectors")
    http = injectable_https(world.http, configured, injections)["voyage"]
    injections.inject("embedder", kind, seconds=60)
    response = await http.send(HttpRequest(method="POST", url="https://voyage.test/v1/embeddings"))
    body = b"".join([piece async for piece in response.body()])
    await response.close()
    await http.close()
    assert response.status == status
    assert json.loads(body)["detail"].startswith("injected: ")
