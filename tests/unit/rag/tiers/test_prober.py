"""What is ill is asked, what is well is left alone."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.rag.tiers.parts import Bench

from holdfast.core.deadline import deadline_ns, deadline_scope
from holdfast.core.events import correlation_id, correlation_scope
from holdfast.errors import ConfigError
from holdfast.rag.query import Query
from holdfast.rag.tiers.levels import Need
from holdfast.rag.tiers.prober import ProberOptions
from holdfast.rag.types import Tier


async def settle() -> None:
    """Let every task run until it waits for the clock."""
    for _ in range(30):
        await asyncio.sleep(0)


async def pass_time(bench: Bench, seconds: float) -> None:
    """Let the clock run, a quarter of a second at a time."""
    for _ in range(round(4 * seconds)):
        bench.clock.advance(0.25)
        await settle()


async def test_nothing_runs_while_everything_is_well() -> None:
    """A service that is full has no task of the prober."""
    bench = Bench()
    bench.service.open()
    assert bench.service.level_for(Query(question="?")).tier is Tier.FULL
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "holdfast prober"]
    await bench.service.close()


async def test_the_service_is_full_again_within_thirty_seconds_of_recovery_without_a_question() -> None:
    """An open breaker that would wait for 1,000 s is closed by the prober, and the tier climbs, with no traffic."""
    bench = Bench()
    bench.service.open()
    store = bench[Need.STORE]
    await store.fail()
    assert bench.service.level_for(Query(question="?")).tier is Tier.MINIMAL
    await pass_time(bench, 60.0)
    assert bench.where() is Tier.MINIMAL
    assert 11 <= len(bench.probes) <= 16
    store.error = None
    waited = 0.0
    while bench.where() is not Tier.FULL:
        await pass_time(bench, 0.25)
        waited += 0.25
    assert waited <= 16.0
    assert store.breaker.state == "closed"
    assert bench.moves == [("full", "minimal"), ("minimal", "degraded"), ("degraded", "full")]
    await pass_time(bench, 10.0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "holdfast prober"]
    await bench.service.close()


async def test_only_what_is_ill_is_asked() -> None:
    """A look costs the dependencies that are well nothing."""
    bench = Bench()
    bench.service.open()
    await bench[Need.EMBEDDER].fail()
    bench.service.level_for(Query(question="?"))
    await pass_time(bench, 20.0)
    assert {name for name, _ in bench.probes} == {"embedder"}
    assert bench[Need.STORE].asked == 0
    await bench.service.close()


async def test_a_dependency_that_hangs_is_left_after_two_seconds() -> None:
    """A check that does not end is given up in time, and the others are not kept waiting for longer."""
    bench = Bench()
    bench.service.open()
    store, embedder = bench[Need.STORE], bench[Need.EMBEDDER]
    await store.fail()
    await embedder.fail()
    embedder.error = None

    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    store.vital.check = hang
    bench.service.level_for(Query(question="?"))
    await pass_time(bench, 8.0)
    assert ("embedder", True) in bench.probes
    assert ("store", False) in bench.probes
    await bench.service.close()


async def test_probes_do_not_belong_to_the_question_that_began_them() -> None:
    """The watch has neither the deadline nor the id of the question during which it began."""
    bench = Bench()
    bench.service.open()
    seen: list[tuple[int | None, str]] = []

    async def look() -> None:
        seen.append((deadline_ns(), correlation_id()))
        raise ConnectionError("gone")

    await bench[Need.STORE].fail()
    bench[Need.STORE].vital.check = look
    with correlation_scope("req_1"), deadline_scope(1.0, clock=bench.clock):
        bench.service.level_for(Query(question="?"))
    await pass_time(bench, 12.0)
    assert len(seen) >= 2
    # a check has a time limit of its own and no deadline of the question, which passed long ago
    assert all(found == "" for _, found in seen)
    assert all(until is None or until > bench.clock.now_ns() - 12 * 10**9 + 10**9 for until, _ in seen)
    await bench.service.close()


async def test_a_closed_service_looks_after_nothing() -> None:
    """Closing ends the watch, and no question begins a new one."""
    bench = Bench()
    bench.service.open()
    await bench[Need.STORE].fail()
    bench.service.level_for(Query(question="?"))
    await settle()
    await bench.service.close()
    await bench.service.close()
    bench.service.level_for(Query(question="?"))
    await pass_time(bench, 10.0)
    assert bench.probes == []


async def test_what_cannot_be_asked_gets_another_chance() -> None:
    """A part without a check of its own is well again at the next look, until the next question says otherwise."""
    bench = Bench()
    bench.service.open()
    writer = bench[Need.ANY_MODEL]
    writer.vital.check = None
    for _ in range(3):
        bench.service.wrote(ok=False)
    assert bench.where() is Tier.MINIMAL
    await pass_time(bench, 6.0)
    assert not bench.vitals.ill
    bench.service.wrote(ok=False)
    assert [vital.need for vital in bench.vitals.ill] == [Need.ANY_MODEL]
    await bench.service.close()


async def test_a_question_may_ask_for_less_than_the_service_has() -> None:
    """``Query.tier`` lowers where the walk begins, and never lifts it."""
    bench = Bench()
    assert bench.service.level_for(Query(question="?", tier=Tier.MINIMAL)).tier is Tier.MINIMAL
    await bench[Need.STORE].fail()
    assert bench.service.level_for(Query(question="?", tier=Tier.FULL)).tier is Tier.MINIMAL


async def test_the_looks_are_jittered() -> None:
    """Looks are four to five seconds apart, and not all the same."""
    bench = Bench()
    bench.service.open()
    await bench[Need.STORE].fail()
    bench.service.level_for(Query(question="?"))
    await pass_time(bench, 60.0)
    pauses = set(bench.clock.sleeps_ns)
    assert len(pauses) > 5
    assert all(4 * 10**9 <= ns <= 5 * 10**9 for ns in pauses)
    await bench.service.close()


def test_an_interval_out_of_range_names_itself() -> None:
    """Options are checked at construction."""
    with pytest.raises(ConfigError, match="interval"):
        ProberOptions(interval=0.0)
