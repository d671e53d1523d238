"""Limits of rate, of ours and of providers: what is reserved, what is learned, who waits and who does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.llm.scripted import Script, Stage, event, whole
from tests.unit.llm.world import REQUEST, World, text_of

from holdfast.core.demand import demand_scope
from holdfast.core.rate_limiter import RateLimiterSnapshot
from holdfast.errors import TargetsExhaustedError

if TYPE_CHECKING:
    from holdfast.llm.routing.link import Link


def link_of(world: World | Stage, index: int = 0) -> Link:
    """A link of the route."""
    return list(world.client.network.links(world.route.targets))[index]


def tokens_left(world: World) -> float:
    """What is left in the bucket of tokens of the first target."""
    limiter = link_of(world).guard.snapshot().policies["rate_limiter"]
    assert isinstance(limiter, RateLimiterSnapshot)
    assert limiter.tokens is not None
    return limiter.tokens.available


def limited(**limits: float) -> World:
    """A sole provider with limits that are known beforehand."""
    return World({"a": []}, providers={"a": limits}, first_token=0.001, per_token=0.0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_tokens_are_charged_as_they_were_used(streamed: bool) -> None:
    """A target with tokens_per_minute is charged what the provider counted, not one token a call."""
    world = limited(tokens_per_minute=6_000)
    if streamed:
        await text_of(world)
    else:
        await world.client.complete("answers", REQUEST)
    used = world.client.costs().total.usage.total_tokens
    assert used > 20
    assert tokens_left(world) == pytest.approx(6_000 - used, abs=2)


async def test_tokens_are_reserved_while_the_call_runs() -> None:
    """What a question may cost is taken from the bucket before the call, so that calls at once do not overdraw it."""
    world = limited(tokens_per_minute=6_000)
    async with world.client.stream("answers", REQUEST) as chunks:
        await anext(chunks)
        assert tokens_left(world) <= 6_000 - 200


async def test_a_failed_call_that_cost_nothing_gives_its_tokens_back() -> None:
    """A 500 uses no tokens."""
    world = World({"a": ["server_error"], "b": []}, providers={"a": {"tokens_per_minute": 6_000}})
    await world.client.complete("answers", REQUEST)
    assert tokens_left(world) == pytest.approx(6_000, abs=1)


async def test_a_question_beyond_the_limit_is_asked_elsewhere() -> None:
    """A target whose tokens_per_minute can never hold the question is left out, and the next one answers."""
    world = World(providers={"a": {"tokens_per_minute": 100}})
    assert (await world.client.complete("answers", REQUEST)).target.name == "b/model-b"
    assert world.calls("a") == 0


async def test_a_question_beyond_every_limit_says_so() -> None:
    """When no target's limit can hold the question, the error names the limit, and nobody waits."""
    world = limited(tokens_per_minute=100)
    with pytest.raises(TargetsExhaustedError, match="tokens_per_minute"):
        await world.client.complete("answers", REQUEST)
    assert world.seconds == 0


@pytest.mark.parametrize("limits", [{"requests_per_minute": 60}, {"max_concurrent": 1}, {"tokens_per_minute": 300}])
async def test_a_sole_target_is_waited_for_when_a_limit_of_ours_is_reached(limits: dict[str, float]) -> None:
    """With nobody else to ask, a question waits for room in our own limit instead of failing at once."""
    world = limited(**limits)
    answers = await asyncio.gather(*(world.client.complete("answers", REQUEST) for _ in range(3)))
    assert [each.calls for each in answers] == [1, 1, 1]
    assert world.calls("a") == 3


async def test_nobody_waits_for_a_limit_while_another_target_is_ready() -> None:
    """A target that is full is passed over at once."""
    world = World(providers={"a": {"max_concurrent": 1}})
    answers = await asyncio.gather(*(world.client.complete("answers", REQUEST) for _ in range(2)))
    assert {each.target.name for each in answers} == {"a/model-a", "b/model-b"}
    assert world.seconds < 2


async def test_what_the_caller_demands_of_its_own_limits_is_not_charged_to_ours() -> None:
    """A cost that a caller names for a limiter of its own, in whatever unit, does not count as requests here."""
    world = limited(requests_per_minute=600)
    with demand_scope(cost=1_200) as demand:
        assert (await world.client.complete("answers", REQUEST)).calls == 1
    assert demand.actual is None


async def test_a_rate_limit_without_retry_after_is_held_as_its_headers_say() -> None:
    """A 429 whose headers say that nothing is left for 6 s keeps everybody away for 6 s."""
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6s"}
    stage = Stage(a=[Script([(0, b"{}")], 429, headers), Script([(0, whole("A"))])], b=Script([(0, whole("B"))]))
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"
    stage.clock.advance(5)
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"
    stage.clock.advance(1.1)
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "A"


@pytest.mark.parametrize("what", ["requests", "tokens"])
async def test_a_limit_that_resets_in_hours_is_looked_at_again_in_minutes(what: str) -> None:
    """However far away the reset is that headers name, a target is asked again after two minutes."""
    headers = {f"x-ratelimit-remaining-{what}": "0", f"x-ratelimit-reset-{what}": "7h0m0s"}
    stage = Stage(
        a=[Script([(0, whole("A"))], headers=headers), Script([(0, whole("A"))])], b=Script([(0, whole("B"))])
    )
    texts = []
    for seconds in (0, 0, 119, 1.5):
        stage.clock.advance(seconds)
        texts.append((await stage.client.complete("answers", REQUEST)).completion.text)
    assert texts == ["A", "B", "B", "A"]


async def test_a_key_is_parked_for_minutes_at_most() -> None:
    """A permanent error with a Retry-After of hours does not lose a key for hours."""
    body = b'{"error": {"code": "insufficient_quota", "message": "no money"}}'
    stage = Stage(a=[Script([(0, body)], 429, {"retry-after": "86400"}), Script([(0, whole("A"))])])
    with pytest.raises(TargetsExhaustedError) as caught:
        await stage.client.complete("answers", REQUEST)
    assert caught.value.retry_after == pytest.approx(300)
    stage.clock.advance(300.1)
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "A"


async def test_a_model_that_a_key_may_not_use_does_not_park_the_key() -> None:
    """A 403 is about one model: the provider's other models are still asked with the key."""
    body = b'{"error": {"message": "no access to this model"}}'
    stage = Stage(a=Script([(0, body)], 403), b=Script([(0, whole("B"))]))
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"
    assert link_of(stage).key.parked_until_ns == 0
    assert link_of(stage).ready_at_ns(stage.clock.now_ns()) > stage.clock.now_ns()


@pytest.mark.parametrize("status", [302, 404, 405, 408, 409, 410, 425, 499, 501, 505])
async def test_what_is_wrong_with_one_endpoint_is_asked_at_another(status: int) -> None:
    """A status that says nothing of the question is failed over, 499 and redirects included."""
    stage = Stage(a=Script([(0, b"{}")], status), b=Script([(0, whole("B"))]))
    assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"


@pytest.mark.parametrize("hang", [1e6, 0.0])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error_is_known_by_its_status_though_its_body_never_ends(streamed: bool, hang: float) -> None:
    """A 429 whose body stalls or breaks is a 429: another target answers soon, and its Retry-After is heeded."""
    rest: tuple[float, bytes | Exception] = (hang, b"" if hang else ConnectionResetError("cut"))
    refusal = Script([(0, b'{"error"'), rest], 429, {"retry-after": "7"})
    sse = Script([(0, event("B", finish="stop"))], headers={"content-type": "text/event-stream"})
    stage = Stage(a=refusal, b=sse if streamed else Script([(0, whole("B"))]))
    if streamed:
        async with stage.client.stream("answers", REQUEST) as chunks:
            assert [chunk.text async for chunk in chunks] == ["B"]
    else:
        await stage.client.complete("answers", REQUEST)
    assert stage.seconds <= 2.5
    assert link_of(stage).not_before_ns >= 7e9
