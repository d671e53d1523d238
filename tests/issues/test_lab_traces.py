"""One seed gives one trace: nothing may follow the collector, or where an object lies in memory."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.virtual.loop import VirtualLoop
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question
from holdfast.lab.world.world import World, run_world
from holdfast.rag.caching.flights import _Flight

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

QUESTION = Question("How many days do I have to send back a toaster I don't like?", ("30 days",))


def test_who_waits_for_an_answer_is_told_in_the_order_of_waiting() -> None:
    """Those who share an answer go on one after the other as they came, wherever they lie in memory."""
    order: list[int] = []

    class News(asyncio.Event):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def set(self) -> None:
            order.append(self.number)

    flight = _Flight()
    for number in range(100):
        flight.waiters[News(number)] = None
    flight.add("a piece")
    assert order == list(range(100))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "way",
    [
        "error_event",
        "bad_line",
        "wrong_schema",
        "not_json",
        "stall",
        "eof",
        "cut",
        "malformed_json",
        "content_filter",
        "empty_content",
        "server_error",
    ],
)
def test_no_answer_is_left_to_the_collector(way: str, *, streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body of an answer that cannot be used is closed at once, and not when the collector finds it."""
    lost: list[str] = []

    def found(_: VirtualLoop, generator: AsyncGenerator[object, None]) -> None:
        lost.append(repr(generator))

    monkeypatch.setattr(VirtualLoop, "_generator_lost", found)

    async def main(world: World) -> None:
        for number in range(4):
            await world.ask(QUESTION, request=f"user-{number}", streamed=streamed)
        gc.collect(1)  # what was made since the world was opened

    failing = Fault(component="model", kind=Kind.GARBAGE, way=way)
    options = WorldOptions(faults=FaultPlan([failing]), provider=SimulatorOptions(speed=0))
    run_world(main, options)
    assert lost == []
