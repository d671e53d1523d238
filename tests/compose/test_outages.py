"""Every dependency, failing in every way: what users get, and how soon the service is back. In virtual time."""

from __future__ import annotations

import pytest
from benchmarks.outages import mixed, rows

CELLS = [(dependency, fault) for dependency in rows.DEPENDENCIES for fault in rows.FAULTS]


@pytest.mark.parametrize(("dependency", "fault"), CELLS)
def test_the_service_stands_an_outage_and_climbs_back(dependency: str, fault: str) -> None:
    """Users get answers while anything but the store fails, and 30 s after the repair all is as before."""
    row = rows.play(dependency, fault)
    assert row.asked > 150
    assert row.climbed < 30.0
    assert row.good < 30.0
    if dependency != "the store":
        assert row.errors == 0.0
    elif fault == "10% errors":
        assert row.errors < 0.01
    else:  # with nothing to look up, what was asked before and what is often asked is still answered
        assert {"cache", "static"} <= set(row.sources)
    if dependency == "the cache":
        assert row.tiers == {"full": 1.0}


def test_five_per_cent_of_failures_everywhere_cost_next_to_no_answer() -> None:
    """In two minutes in which each call of each dependency fails with a chance of 5%, 99.9% of answers are useful."""
    played = mixed.play(seed=7, rate=5.0, seconds=120.0)
    assert played.asked > 500
    assert played.errors / played.asked <= 0.001
    assert played.cost_usd < 2 * played.cost_without
    assert mixed.play(seed=7, rate=5.0, seconds=20.0).trace == mixed.play(seed=7, rate=5.0, seconds=20.0).trace
