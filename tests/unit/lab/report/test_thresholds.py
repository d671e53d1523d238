"""Recommended thresholds against their closed forms, and against what is drawn."""

from __future__ import annotations

import random
from math import inf

import pytest
from tests.unit.lab.report.making import outcome, suite

from holdfast.lab.report.groups import Groups
from holdfast.lab.report.thresholds import (
    Recommendation,
    attempt_timeout,
    breaker_threshold,
    calls_until_open,
    false_openings_a_day,
    recommend,
    retry_budget,
)


@pytest.mark.parametrize(("failing", "calls"), [(0.05, 3_368_420), (0.2, 3_905), (0.5, 62)])
def test_calls_until_five_in_a_row(failing: float, calls: float) -> None:
    """Five failures in a row come after as many calls as the closed form says."""
    assert calls_until_open(failing, 5) == pytest.approx(calls, rel=1e-4)


def test_calls_until_open_as_drawn() -> None:
    """The closed form is what independent draws give, within four standard errors."""
    chance = random.Random(5)
    lengths = []
    for _ in range(400):
        calls = failed = 0
        while failed < 3:
            calls += 1
            failed = failed + 1 if chance.random() < 0.4 else 0
        lengths.append(calls)
    expected = calls_until_open(0.4, 3)
    spread = (sum((each - expected) ** 2 for each in lengths) / len(lengths)) ** 0.5
    assert sum(lengths) / len(lengths) == pytest.approx(expected, abs=4 * spread / 20)


@pytest.mark.parametrize(("failing", "calls"), [(0.0, inf), (1.0, 5.0), (1e-80, inf)])
def test_ends(failing: float, calls: float) -> None:
    """What never fails never opens, and what always fails opens at the threshold."""
    assert calls_until_open(failing, 5) == calls


@pytest.mark.parametrize(("failing", "threshold"), [(0.0, 5), (0.02, 5), (0.05, 6), (0.2, 10), (0.5, 22)])
def test_breaker_threshold(failing: float, threshold: int) -> None:
    """It is the smallest of five and more with fewer than one false opening a day at 50 calls a second."""
    assert breaker_threshold(failing, 50.0) == threshold
    assert false_openings_a_day(failing, 50.0, threshold) < 1
    assert threshold == 5 or false_openings_a_day(failing, 50.0, threshold - 1) >= 1


def test_no_threshold_for_what_is_down() -> None:
    """For what nearly always fails no threshold is large enough."""
    assert breaker_threshold(0.95, 50.0) is None


def test_retry_budget_is_enough() -> None:
    """Drawn windows need more than the budget as seldom as it promises, and a tenth less would be too little."""
    requests, failing = 50.0, 0.02
    budget = retry_budget(failing, requests)
    chance = random.Random(11)
    window, refused, scarce = 500, 0, 0
    for _ in range(2_000):
        retries = 0
        for _ in range(window):
            draw = chance.random()
            retries += (draw < failing) + (draw < failing**2)
        refused += retries > budget * window
        scarce += retries > 0.5 * budget * window
    assert refused <= 4
    assert scarce > 20


def test_retry_budget_grows() -> None:
    """More failures need more of it; more traffic needs less, as windows differ less from each other."""
    assert retry_budget(0.0, 50.0) == 0.0
    assert retry_budget(0.02, 50.0) < retry_budget(0.05, 50.0) < retry_budget(0.2, 50.0)
    assert retry_budget(0.02, 500.0) < retry_budget(0.02, 50.0) < retry_budget(0.02, 5.0)


def test_retry_budget_of_heavy_traffic() -> None:
    """A window of very many requests needs little more than the mean."""
    assert retry_budget(0.1, 50_000.0) == pytest.approx(0.12, abs=0.011)


def test_attempt_timeout_extends_the_tail() -> None:
    """Of a log-normal distribution it finds the percentile 99.9 from the percentiles 95 and 99."""
    sigma = 0.6
    p95, p99, p999 = (2.718281828 ** (sigma * z) for z in (1.6449, 2.3263, 3.0902))
    assert attempt_timeout(p95, p99) == pytest.approx(p999, rel=1e-3)
    assert attempt_timeout(2.0, 2.0) == 2.0


def named(found: list[Recommendation], name: str) -> list[Recommendation]:
    """The recommendations of one threshold."""
    return [each for each in found if each.name == name]


def test_recommendations_of_a_suite() -> None:
    """Every dependency gets a breaker's threshold, and all together a budget and a time limit, each with a reason."""
    found = recommend(Groups(suite()))
    breakers = {each.dependency: each.value for each in named(found, "failure_threshold")}
    assert breakers == {"model:openai/gpt-4o-mini": 5, "store:sqlite": 5}
    assert [each.value for each in named(found, "retry budget")] == [retry_budget(0.02, 1000 / 60)]
    assert [each.value for each in named(found, "attempt timeout")] == [2.8]
    assert all(each.reason.endswith(".") and "2.00%" in each.reason for each in found if each.name != "attempt timeout")
    assert named(found, "failure_threshold")[1].reason == (
        "At 33.3 calls a second of which 2.00% fail by themselves, 5 failures in a row come once in 111 days."
    )


def test_a_higher_threshold_says_why() -> None:
    """Where five in a row come too often, the reason says how often."""
    found = recommend(Groups([outcome(rate=0.2, asked=3000)]))
    store = next(each for each in found if each.dependency == "store:sqlite")
    assert store.value == 10
    assert "with 5 a healthy dependency's breaker would open 2,213 times a day" in store.reason


def test_a_budget_that_would_feed_an_overload() -> None:
    """A budget above a fifth is not recommended, whatever retries would want."""
    budget = named(recommend(Groups([outcome(rate=0.2)])), "retry budget")[0]
    assert budget.value == 0.2
    assert "let the rest fail over" in budget.reason


def test_a_time_limit_that_leaves_room_for_three() -> None:
    """Answers that take very long get no more than a third of the deadline."""
    slow = outcome(rate=0.02, p95=8.0, p99=12.0)
    limit = named(recommend(Groups([slow])), "attempt timeout")[0]
    assert limit.value == 10.0
    assert "three attempts have to fit" in limit.reason


@pytest.mark.parametrize(
    "outcomes",
    [[], [outcome(rate=None, p95=0.0, p99=0.0)], [outcome(rate=0.0, p95=0.0)], [outcome(rate=0.9, p95=0.0)]],
)
def test_nothing_to_go_by(outcomes: list[object]) -> None:
    """Without a rate of faults, and without times, nothing is recommended."""
    assert recommend(Groups(outcomes)) == []  # type: ignore[arg-type]


def test_nobody_asked() -> None:
    """Runs without questions and without calls recommend nothing but a time limit."""
    found = recommend(Groups([outcome(rate=0.02, asked=0)]))
    assert [each.name for each in found] == ["attempt timeout"]


def test_the_configuration_that_is_named() -> None:
    """The calls of the configuration that is asked for count, and not those of another."""
    runs = [outcome("a", rate=0.05), outcome("b", rate=0.05, calls={"cache": 6_000_000})]
    assert {each.dependency for each in recommend(Groups(runs), configuration="b")} == {"cache", ""}
