"""A target that is left alone is asked something small, and is back as soon as it answers."""

from __future__ import annotations

import pytest
from tests.unit.llm.world import REQUEST, World

from holdfast.core.breaker_options import BreakerOptions
from holdfast.errors import HoldfastError
from holdfast.llm.costs import Cause
from holdfast.telemetry.events import ModelCallPriced

PATIENT = BreakerOptions(failure_threshold=2, recovery_timeout=1000.0)


async def down(world: World) -> None:
    """Have the breaker of ``a`` opened by questions."""
    for _ in range(3):
        await world.client.complete("answers", REQUEST)
    assert world.client.network.links(world.route.targets[:1])
    assert world.client.snapshot()[0].state == "open"


async def test_a_target_that_works_again_is_closed_at_once() -> None:
    """One probe closes the breaker of a target that answers, long before its time is over, and costs a few tokens."""
    world = World({"a": ["server_error"], "b": ()}, breaker=PATIENT)
    await down(world)
    world.simulators["a"].faults.clear()
    asked = world.calls("a")
    assert await world.client.probe(world.route, world.route.targets[0])
    assert world.client.snapshot()[0].state == "closed"
    assert world.calls("a") - asked == 3  # past the breaker, and twice through its door
    answered = await world.client.complete("answers", REQUEST)
    assert answered.target.provider.name == "a"
    priced = [event for event in world.recorder.of(ModelCallPriced) if event.cause == Cause.PROBE]
    assert len(priced) == 3
    assert all(event.prompt_tokens + event.completion_tokens < 100 for event in priced)


async def test_a_target_that_still_fails_stays_open() -> None:
    """A probe that fails is raised, changes nothing, and counts as no opening of the breaker."""
    world = World({"a": ["server_error"], "b": ()}, breaker=PATIENT)
    await down(world)
    link = next(iter(world.client.network.links(world.route.targets[:1])))
    before = link.state.breaker.snapshot()
    with pytest.raises(HoldfastError):
        await world.client.probe(world.route, world.route.targets[0])
    after = link.state.breaker.snapshot()
    assert (after.state, after.openings) == (before.state, before.openings)


async def test_a_key_that_was_refused_is_not_tried_by_probes() -> None:
    """A target whose only key is parked said itself when it is back: it is not asked."""
    world = World({"a": ["auth"], "b": ()})
    await world.client.complete("answers", REQUEST)
    asked = world.calls("a")
    assert not await world.client.probe(world.route, world.route.targets[0])
    assert world.calls("a") == asked


async def test_an_embedding_target_is_asked_for_a_vector() -> None:
    """A probe of an embedding route asks for what the route is for."""
    world = World({"a": (), "b": ()})
    route = world.client.routes.embedding("vectors")
    assert await world.client.probe(route, route.targets[0])
    assert world.calls("a") == 1


async def test_a_probe_that_hangs_ends_in_time() -> None:
    """A target that does not answer within five seconds does not work."""
    world = World({"a": ["slow_headers,seconds=60"], "b": ()})
    with pytest.raises(HoldfastError):
        await world.client.probe(world.route, world.route.targets[0])
    assert world.seconds <= 5.5
