"""Down at once, up step by step."""

from __future__ import annotations

import pytest
from tests.unit.rag.tiers.parts import Bench

from holdfast.errors import ConfigError
from holdfast.rag.tiers.controller import ControllerOptions
from holdfast.rag.tiers.levels import Need
from holdfast.rag.types import Reason, Tier


async def test_the_service_falls_at_once_to_what_it_can_do_without() -> None:
    """An open breaker moves the service to the best tier that does not need the dependency, with its reason."""
    bench = Bench()
    await bench[Need.EMBEDDER].fail()
    assert bench.controller.evaluate() is Tier.DEGRADED
    await bench[Need.STORE].fail()
    assert bench.controller.evaluate() is Tier.MINIMAL
    assert bench.moves == [("full", "degraded"), ("degraded", "minimal")]
    assert bench.controller.reasons == (Reason.VECTOR_STORE_UNAVAILABLE, Reason.EMBEDDER_UNAVAILABLE)


async def test_without_anything_to_say_the_service_is_offline() -> None:
    """With the store down, no cache and no list of questions, the service is offline and says so."""
    bench = Bench(anything=False)
    await bench[Need.STORE].fail()
    assert bench.controller.evaluate() is Tier.OFFLINE
    assert Reason.SERVICE_UNAVAILABLE in bench.controller.reasons


@pytest.mark.parametrize(
    ("ill", "tier"),
    [
        ((Need.STORE,), Tier.DEGRADED),
        ((Need.STORE, Need.EMBEDDER), Tier.DEGRADED),
        ((Need.STORE, Need.MODEL, Need.ANY_MODEL), Tier.MINIMAL),
    ],
)
async def test_with_a_copy_of_the_documents_models_go_on_writing(ill: tuple[Need, ...], tier: Tier) -> None:
    """With the store down and its copy there the service is degraded, whatever else there is to say; never offline."""
    bench = Bench(anything=False, copied=True)
    for need in ill:
        await bench[need].fail()
    assert bench.controller.evaluate() is tier
    assert Reason.VECTOR_STORE_UNAVAILABLE in bench.controller.reasons
    assert Reason.SERVICE_UNAVAILABLE not in bench.controller.reasons


async def test_it_climbs_one_tier_at_a_time() -> None:
    """Each step up takes ``climb_after`` of health, so that from minimal to full are two of them."""
    bench = Bench()
    await bench[Need.STORE].fail()
    bench.controller.evaluate()
    bench[Need.STORE].breaker.reset()
    tiers = []
    for _ in range(10):
        tiers.append(bench.controller.evaluate())
        bench.clock.advance(1.0)
    assert tiers == [Tier.MINIMAL] * 4 + [Tier.DEGRADED] * 4 + [Tier.FULL] * 2
    assert bench.controller.reasons == ()


async def test_a_relapse_on_the_way_starts_the_wait_anew() -> None:
    """What is ill again before the step up is taken has to be well for the whole while again."""
    bench = Bench()
    store = bench[Need.STORE]
    await store.fail()
    bench.controller.evaluate()
    store.breaker.reset()
    bench.controller.evaluate()
    bench.clock.advance(3.9)
    store.breaker.isolate()
    bench.controller.evaluate()
    store.breaker.reset()
    bench.controller.evaluate()
    bench.clock.advance(3.9)
    assert bench.controller.evaluate() is Tier.MINIMAL
    bench.clock.advance(0.1)
    assert bench.controller.evaluate() is Tier.DEGRADED


async def test_a_dependency_that_comes_and_goes_makes_the_climb_slower() -> None:
    """Each fall soon after a climb doubles the while, up to its bound; a calm time makes it what it was."""
    bench = Bench(options=ControllerOptions(climb_after=4.0, climb_after_most=10.0, relapse=60.0))
    embedder = bench[Need.EMBEDDER]
    seen = []
    for _ in range(4):
        embedder.breaker.isolate()
        bench.controller.evaluate()
        seen.append(bench.controller.snapshot().climb_after)
        embedder.breaker.reset()
        while bench.controller.evaluate() is not Tier.FULL:
            bench.clock.advance(0.5)
        bench.clock.advance(5.0)
    assert seen == [4.0, 8.0, 10.0, 10.0]
    bench.clock.advance(60.0)
    embedder.breaker.isolate()
    bench.controller.evaluate()
    assert bench.controller.snapshot().climb_after == 4.0


async def test_the_snapshot_says_where_it_is_and_where_it_could_be() -> None:
    """While the service climbs, its snapshot shows the tier that is possible, why it is not there, and for how long."""
    bench = Bench()
    await bench[Need.STORE].fail()
    bench.controller.evaluate()
    bench.clock.advance(2.0)
    seen = bench.controller.snapshot()
    assert (seen.tier, seen.possible, seen.seconds) == (Tier.MINIMAL, Tier.MINIMAL, 2.0)
    bench[Need.STORE].breaker.reset()
    seen = bench.controller.snapshot()
    assert (seen.tier, seen.possible) == (Tier.MINIMAL, Tier.FULL)
    assert seen.reasons == (Reason.VECTOR_STORE_UNAVAILABLE,)


def test_three_failures_in_a_row_make_it_ill_though_no_breaker_opens() -> None:
    """A dependency whose failures no breaker counts is ill after three of them, and well after one success."""
    bench = Bench()
    for expected in (Tier.FULL, Tier.FULL, Tier.DEGRADED):
        bench.vitals.note(Need.EMBEDDER, ok=False)
        assert bench.controller.evaluate() is expected
    bench.vitals.note(Need.EMBEDDER, ok=True)
    assert bench.controller.snapshot().possible is Tier.FULL


def test_a_shadow_breaker_makes_nothing_ill() -> None:
    """A breaker that only counts does not move the tier."""
    bench = Bench()
    bench[Need.STORE].breaker.reconfigure(shadow=True)
    bench[Need.STORE].breaker.force_open()
    assert bench.controller.evaluate() is Tier.FULL


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"climb_after": 0.0}, "climb_after"),
        ({"climb_after": 9.0, "climb_after_most": 8.0}, "climb_after_most"),
        ({"relapse": -1.0}, "relapse"),
    ],
)
def test_an_option_out_of_range_names_itself(options: dict[str, float], field: str) -> None:
    """Options are checked at construction."""
    with pytest.raises(ConfigError, match=field):
        ControllerOptions(**options)
