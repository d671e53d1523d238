"""One dead primary and a healthy second provider: what an answer takes, exactly, on a clock that does not wait."""

from __future__ import annotations

from statistics import median

import pytest
from tests.unit.llm.world import ANSWER, REQUEST, World, text_of

from holdfast.core.breaker_options import MODEL
from holdfast.core.faults import WEIGHTS, FaultKind

ATTEMPT = {"whole": 30.0, "stream": 15.0}
DEAD = [
    pytest.param("rate_limited,retry_after=7", "openai", id="429-retry-after"),
    pytest.param("rate_limited_bare", "openai", id="429"),
    pytest.param("server_error", "openai", id="500"),
    pytest.param("overloaded", "openai", id="503"),
    pytest.param("overloaded", "anthropic", id="529"),
    pytest.param("refused", "openai", id="refused"),
    pytest.param("reset", "openai", id="reset"),
    pytest.param("stall,after=0", "openai", id="stall"),
]


async def seconds_of(world: World, mode: str) -> float:
    """How long one whole answer takes."""
    begun = world.seconds
    text = (
        await text_of(world) if mode == "stream" else (await world.client.complete("answers", REQUEST)).completion.text
    )
    assert text == ANSWER
    return world.seconds - begun


def world_of(rule: str, kind: str) -> World:
    return World({"a": [rule], "b": []}, kinds={"a": "anthropic" if kind == "anthropic" else "openai"})


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize(("rule", "kind"), DEAD)
async def test_an_open_breaker_makes_an_answer_as_quick_as_the_healthy_providers_own(
    rule: str, kind: str, mode: str
) -> None:
    """Once the dead primary is left alone, the median answer takes as long as without it, within 50 ms."""
    world = world_of(rule, kind)
    own = await seconds_of(World({"b": []}), mode)
    # a timeout is half a failure; a wish to be left alone is none, and is heeded at once
    failures = MODEL.failure_threshold / WEIGHTS[FaultKind.TIMEOUT if "stall" in rule else FaultKind.TRANSIENT]
    for _ in range(int(failures)):
        await seconds_of(world, mode)
    asked = world.calls("a")
    taken = [await seconds_of(world, mode) for _ in range(20)]
    assert abs(median(taken) - own) <= 0.05
    if "rate_limited" not in rule:
        assert world.calls("a") == asked


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize(("rule", "kind"), DEAD)
async def test_no_answer_takes_longer_than_one_attempt_more(rule: str, kind: str, mode: str) -> None:
    """In minutes with a dead primary, probes included, no answer waits for it longer than one attempt's time."""
    world = world_of(rule, kind)
    own = await seconds_of(World({"b": []}), mode)
    taken = []
    while world.seconds < 500:
        taken.append(await seconds_of(world, mode))
        world.clock.advance(5)
    assert max(taken) <= ATTEMPT[mode] + own + 1e-6


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_a_primary_that_asked_to_be_left_alone_is_asked_once_in_that_time(mode: str) -> None:
    """A Retry-After of 7 s costs one call in 7 s, whoever asks, and nobody waits for it."""
    world = World({"a": ["rate_limited,retry_after=7"], "b": []})
    own = await seconds_of(World({"b": []}), mode)
    taken = []
    while world.seconds < 70:
        taken.append(await seconds_of(world, mode))
    assert world.calls("a") <= 70 / 7 + 1
    assert max(taken) == pytest.approx(own)
