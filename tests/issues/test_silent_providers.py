"""A provider that hangs kept every question waiting for fifteen seconds, and its breaker learnt it after as long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.world import run_world

if TYPE_CHECKING:
    from holdfast.lab.world.record import Record
    from holdfast.lab.world.world import World

FIRST = "model:openai/gpt-4o-mini"


def played(fault: Fault, seconds: float) -> Record:
    """Six questions a second, the first ten seconds without the fault."""

    async def main(world: World) -> Record:
        await world.traffic(rate=6, seconds=seconds)
        return world.record

    options = WorldOptions(seed=7, settings={"cache_size": 0}, faults=FaultPlan([fault]))
    return run_world(main, options).value


def test_a_provider_that_hangs_is_left_within_seconds() -> None:
    """Nobody waits much longer than a late answer and another one take, and the breaker opens within 15 s."""
    record = played(Fault(component=FIRST, kind=Kind.HANG, begin=10.0), 30.0)
    assert all(each.useful for each in record.asked)
    assert max(each.seconds for each in record.asked if each.at >= 10.0) < 11.0
    opened = [each.at for each in record.breakers if each.after == "open"]
    assert opened
    assert opened[0] < 25.0


def test_a_provider_that_has_become_slow_for_good_is_not_given_up_for_ever() -> None:
    """Four seconds more for each answer: what is late is learnt anew, and its answers are waited for again."""
    record = played(Fault(component=FIRST, kind=Kind.SLOW, seconds=4.0, begin=10.0), 60.0)
    assert all(each.useful for each in record.asked)
    live = [each.at for each in record.asked if each.source == "live"]
    assert sum(at >= 45.0 for at in live) > 20
