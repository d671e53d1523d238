"""The copy of the documents in the whole: what it is worth while the store, or next to everything, is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import World, run_world
from holdfast.rag.policies import Policies

if TYPE_CHECKING:
    from holdfast.lab.world.record import Asked

QUESTION = "How many days do I have to send back a toaster I don't like?"


def asked_in_an_outage(*components: str, standby: bool = True) -> list[Asked]:
    """A question asked for the first time a minute into an outage, and again when all is repaired."""

    async def main(world: World) -> list[Asked]:
        for component in components:
            world.strike(Fault(component=component, kind=Kind.DOWN, begin=0.0, end=90.0))
        for number in range(8):  # breakers learn
            await world.ask(f"What does the warranty of appliance {number} cover?")
        await world.wait(60.0 - world.seconds)
        during = await world.ask(QUESTION, request="during")
        await world.wait(120.0 - world.seconds)
        return [during, await world.ask(QUESTION, request="after")]

    options = WorldOptions(seed=7, provider=SimulatorOptions(speed=0), faq=False, policies=Policies(standby=standby))
    return run_world(main, options).value


@pytest.mark.parametrize(
    ("components", "tier"),
    [
        (("store",), "degraded"),
        (("store", "embedder"), "degraded"),
        (("store", "embedder", "cache", "model:openai"), "degraded"),
        (("store", "embedder", "cache", "model"), "minimal"),
    ],
)
def test_a_new_question_is_answered_whatever_is_down(components: tuple[str, ...], tier: str) -> None:
    """With the store down, and others beside it, a new question gets a useful answer; later all is full."""
    during, after = asked_in_an_outage(*components)
    assert (during.tier, during.useful) == (tier, True)
    assert during.source in {"live", "other_provider", "extract"}
    assert (after.tier, after.useful) == ("full", True)


def test_without_the_copy_there_is_nothing_to_say() -> None:
    """The same outage without the copy: the polite sentence."""
    during, after = asked_in_an_outage("store", standby=False)
    assert (during.source, during.useful) == ("static", False)
    assert (after.tier, after.useful) == ("full", True)
