"""Targets: which are measured by what, and when they are met."""

from __future__ import annotations

import pytest
from tests.unit.lab.report.making import outcome

from holdfast.lab.report.groups import Groups
from holdfast.lab.report.targets import Target, targets


def found(*outcomes: object) -> dict[str, Target]:
    """The targets of the service, by the beginning of their titles."""
    return {each.title: each for each in targets(Groups(outcomes)) if each.configuration == "holdfast"}  # type: ignore[arg-type]


def test_only_what_was_played_has_a_target() -> None:
    """Without runs at 2%, without outages and without the plain program there is nothing to be met."""
    assert found(outcome(rate=0.5)) == {}
    assert targets(Groups([outcome("nothing", rate=0.02), outcome("without-retry", rate=0.02)])) == []


@pytest.mark.parametrize(("recovery", "full", "met"), [((4.0, 29.9), (60.0,), True), ((4.0, 30.0), (60.1, 2.0), False)])
def test_the_longest_recovery_counts(recovery: tuple[float, ...], full: tuple[float, ...], *, met: bool) -> None:
    """One outage that lasts too long misses the target, however many do not."""
    known = found(outcome(scenario="killed", recovery=recovery, full_again=full))
    assert known["recovery below 30 s, the longest"].met is met
    assert known["full tier again within 60 s, the longest"].met is met


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_errors_are_cut_at_each_rate(rate: float) -> None:
    """At least four errors of five are to be saved, of those of the plain program on the same faults."""
    title = f"errors cut by 80% or more at {100 * rate:g}%"
    plain = outcome("nothing", rate=rate, errors=100)
    assert found(plain, outcome(rate=rate, errors=20))[title].met
    assert not found(plain, outcome(rate=rate, errors=21))[title].met


def test_the_first_text_is_that_of_streamed_answers() -> None:
    """Runs without streamed answers say nothing about it."""
    title = "first text below 2 s at 2%, p95 of streamed answers"
    assert title not in found(outcome(rate=0.02))
    known = found(outcome(rate=0.02, first_text_p95=1.9), outcome(rate=0.02, seed=8, first_text_p95=0.0))[title]
    assert (known.shown, known.around, known.met) == ("1.90 s", None, True)


def test_no_false_opening_in_a_short_time_is_shown_with_what_it_is_worth() -> None:
    """None in two minutes meets the target, and the interval says how many a day it may be all the same."""
    title = "false openings below one a day at 2%"
    none = found(outcome(rate=0.02), outcome(rate=0.02, seed=8))[title]
    assert (none.shown, none.around, none.met) == ("0", ("0", "2,656.0"), True)
    one = found(outcome(rate=0.02, false_openings=1440.0), outcome(rate=0.02, seed=8))[title]
    assert (one.shown, one.met) == ("720.0", False)
