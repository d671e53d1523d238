"""Every dependency, failing in every way: what users get, and how soon the service is back. In virtual time."""

from __future__ import annotations

import pytest
from benchmarks.outages import mixed, rows

CELLS = [(dependency, fault) for dependency in rows.DEPENDENCIES for fault in rows.FAULTS]


@pytest.mark.parametrize(("dependency", "fault"), CELLS)
def test_the_service_stands_an_outage_and_climbs_back(dependency: str, fault: str) -> None:
    """Users get answers whatever fails, the store included, and 30 s after the repair all is as before."""
    row = rows.play(dependency, fault, warm=30.0, outage=50.0, after=40.0)
    assert row.asked > 60
    assert row.climbed < 30.0
    assert row.good < 30.0
    if dependency != "the store":
        assert row.errors == 0.0
    else:  # what was asked before is still known, and new questions are looked up in the copy of the documents
        assert row.errors < 0.01
        assert {"cache", "live"} <= set(row.sources)
        assert row.lowest in {"full", "degraded"}
    if dependency == "the cache":  # an answer that is late is overtaken by the second model's now and then
        assert row.tiers["full"] > 0.99


def test_five_per_cent_of_failures_everywhere_cost_next_to_no_answer() -> None:
    """In a minute in which each call of each dependency fails with a chance of 5%, all answers are useful."""
    played = mixed.play(seed=7, rate=5.0, seconds=60.0)
    assert played.asked > 250
    assert played.errors == 0
    assert played.cost_usd < 2 * played.cost_without
    assert mixed.play(seed=7, rate=5.0, seconds=10.0).trace == mixed.play(seed=7, rate=5.0, seconds=10.0).trace
