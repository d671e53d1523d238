"""The failures, broken and fixed: the figures of both sides, and that the documentation shows what was played."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.timeout import Timeout
from holdfast.lab.failures import breaker_false_positive, metastable
from holdfast.lab.failures.pages import documents
from holdfast.lab.failures.registry import failures

if TYPE_CHECKING:
    from holdfast.lab.failures.story import Story

DOCS = Path(__file__).parents[4] / "docs"


def both(name: str, *, seed: int = 7) -> tuple[Story, Story]:
    """The two stories of a failure; they tell the same things."""
    failure = failures()[name]
    broken, fixed = (failure.play(fixed=each, seed=seed) for each in (False, True))
    assert (broken.fixed, fixed.fixed) == (False, True)
    assert broken.failure == fixed.failure == name
    assert list(broken.figures) == list(fixed.figures)
    assert [each.name for each in broken.timeline] == [each.name for each in fixed.timeline]
    assert all(math.isfinite(figure.value) for story in (broken, fixed) for figure in story.figures.values())
    return broken, fixed


def check_documentation(broken: Story, fixed: Story) -> None:
    """The committed page and plot are what the command would write."""
    for path, text in documents(DOCS, failures()[broken.failure], broken, fixed):
        assert path.read_text(encoding="utf-8") == text, "run `python -m holdfast.lab.failures --docs docs`"


def test_a_retry_storm_and_its_end() -> None:
    """A hundred clients make 400 calls within ten seconds on 20 connections; with the fix at most 120, spread."""
    broken, fixed = both("retry-storm")
    assert broken["calls"] == 400
    assert broken["seconds"] < 10
    assert broken["at_once"] == 100
    assert broken["together"] == 20
    assert broken["pool_full"] > 4
    assert broken["others_p95"] > 10 * fixed["others_p95"]
    assert fixed["calls"] <= 120
    assert fixed["together"] <= 5
    assert (fixed["pool_full"], fixed["waited"]) == (0, 0)
    assert {line.fields["backoff_ms"] for line in broken.log if "backoff_ms" in line.fields} == {1000, 2000, 4000}
    assert len({line.fields["backoff_ms"] for line in fixed.log if "backoff_ms" in line.fields}) == 20
    check_documentation(broken, fixed)


def test_a_false_opening_and_none() -> None:
    """Two seconds of latency make a minute of refusals, though no answer was an error; with the fix it stays closed."""
    broken, fixed = both("breaker-false-positive")
    assert broken["failed"] == fixed["failed"] == 0
    assert broken["opened"] == 1
    assert 58 < broken["outage"] < 65
    assert broken["refused"] > 500
    assert (fixed["opened"], fixed["refused"], fixed["cut"], fixed["error_rate"]) == (0, 0, 0, 0)
    assert not fixed.log
    check_documentation(broken, fixed)


def test_a_share_over_time_keeps_the_short_limit() -> None:
    """With the limit of 1 s a breaker that goes by the share of failures in half a minute stays closed as well."""
    story = breaker_false_positive.play_with(lambda: (CircuitBreaker(window="time"), Timeout(seconds=1.0)))
    assert (story["opened"], story["refused"]) == (0, 0)
    assert 0 < story["cut"] < 40


def test_a_queue_that_grows_and_one_that_does_not() -> None:
    """At four times what is served memory grows without end, and answers come too late; with the fix it is bounded.

    Users' questions are then all answered in time, and the batch, of low priority, as often as before.
    """
    broken, fixed = both("queue-memory")
    assert broken["waiting"] > 8_000
    assert broken["growth"] == pytest.approx(150 * 5 / 1024, rel=0.1)
    assert broken["questions"] < 20
    assert broken["late"] > 2_000
    assert fixed["waiting"] == 1_000
    assert fixed["memory"] < 5
    assert fixed["growth"] == pytest.approx(0, abs=1e-3)
    assert fixed["questions"] > 99.5
    assert fixed["late"] == 0
    dropped = [line for line in fixed.log if line.message == "request dropped from the queue"]
    assert dropped
    assert {line.fields["priority"] for line in dropped} == {2}
    check_documentation(broken, fixed)


def test_a_service_that_is_stuck_and_one_that_climbs() -> None:
    """After an outage of two minutes the service without probes is in MINIMAL for hours; with them FULL within 60 s."""
    broken, fixed = both("stuck-degradation")
    assert broken["minimal"] > 110
    assert broken["moves"] == 1
    assert fixed["needless"] < 60
    assert fixed["minimal"] < 4
    assert 0 < fixed["probes"] < 100
    assert broken["useless"] == fixed["useless"] == 0
    assert broken.timeline[1].points[-1][1] == 1  # MINIMAL
    assert fixed.timeline[1].points[-1][1] == 3  # FULL


def test_an_auth_error_that_is_retried_and_one_that_is_not() -> None:
    """A wrong key takes seven seconds and four calls; with the fix one call, and less than 100 ms."""
    broken, fixed = both("auth-retry")
    assert 7 <= broken["seconds"] < 7.5
    assert broken["calls"] == 4
    assert fixed["seconds"] < 0.1
    assert (fixed["calls"], fixed["repeated"]) == (1, 0)
    assert {line.fields["kind"] for line in broken.log} == {"auth"}
    assert not fixed.log
    check_documentation(broken, fixed)


def test_a_metastable_failure_and_the_way_back() -> None:
    """Ten bad seconds leave a server at 70% load without goodput for good; with budget and dropping it is soon back."""
    broken, fixed = both("metastable")
    assert broken["goodput"] == 0
    assert broken["recovery"] == 170  # all that was left
    assert broken["calls"] > 4
    assert fixed["goodput"] > 6.5
    assert fixed["recovery"] <= 20
    assert fixed["calls"] <= 1.2
    assert fixed["wasted"] <= 1
    check_documentation(broken, fixed)


@pytest.mark.parametrize(("budget", "drops"), [(True, False), (False, True)])
def test_each_half_of_the_fix_ends_a_metastable_failure(*, budget: bool, drops: bool) -> None:
    """The budget alone, and dropping alone, bring the server back within two minutes."""
    story = metastable.play_with(budget=budget, drops=drops, load=0.5)
    assert story["recovery"] <= 120
    assert story["goodput"] > 4


@pytest.mark.parametrize("name", ["retry-storm", "auth-retry", "breaker-false-positive"])
def test_one_seed_is_one_course(name: str) -> None:
    """Played twice, a failure has the same trace, figures and log; another seed is another course."""
    play = failures()[name].play
    first = play(fixed=True, seed=3)
    assert play(fixed=True, seed=3) == first
    if name != "auth-retry":  # where nothing is drawn
        assert play(fixed=True, seed=4).trace != first.trace
