"""A model that is slow but works was never asked again, once its breaker had opened and no question led to it."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from tests.unit.llm.world import REQUEST, World

from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.clock import NS_PER_SECOND
from holdfast.errors import HoldfastError
from holdfast.llm.routing.options import RouteOptions
from holdfast.rag.tiers.wiring import _target
from holdfast.rag.types import Reason

ONE_FAILURE = BreakerOptions(failure_threshold=1, success_threshold=2)


async def test_each_probe_of_a_model_has_its_own_time() -> None:
    """It is asked three times until its breaker closes: a model that takes three seconds for a word is found well."""
    world = World(
        {"a": ["server_error,first=1"]}, first_token=3.0, breaker=ONE_FAILURE, options=RouteOptions(max_calls=1)
    )
    (target,) = world.route.targets
    with suppress(HoldfastError):
        await world.client.complete("answers", REQUEST)
    (link,) = world.client.network.links([target])
    assert link.state.breaker.state == "open"
    models: Any = SimpleNamespace(client=world.client, is_well=lambda _target: True)
    vital = _target(models, world.route, target, Reason.LLM_UNAVAILABLE)
    await vital.revive(world.clock)
    assert link.state.breaker.state == "closed"


async def test_probes_learn_how_slow_a_model_has_become() -> None:
    """One that takes seven seconds since its breaker opened is found well after some probes that ended too early."""
    world = World(
        {"a": ["server_error,first=1"]}, first_token=7.0, breaker=ONE_FAILURE, options=RouteOptions(max_calls=1)
    )
    (target,) = world.route.targets
    with suppress(HoldfastError):
        await world.client.complete("answers", REQUEST)
    (link,) = world.client.network.links([target])
    for _ in range(200):
        link.state.pace.took(NS_PER_SECOND, streamed=False)
    for _ in range(30):
        with suppress(HoldfastError):
            await world.client.probe(world.route, target)
    assert link.state.breaker.state == "closed"
