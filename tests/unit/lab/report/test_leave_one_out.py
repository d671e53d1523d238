"""What each component is worth, on the same faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.report.making import outcome, suite

from holdfast.lab.report.groups import Groups
from holdfast.lab.report.leave_one_out import components, harmful, most_needed, weakest

if TYPE_CHECKING:
    from holdfast.lab.runs.outcome import Outcome


def pair(
    without: int, having: int = 20, *, seed: int = 7, name: str = "cache", scenario: str = "suite"
) -> list[Outcome]:
    """A run with everything and one without a component, of a thousand questions each."""
    return [
        outcome("holdfast", scenario=scenario, seed=seed, errors=having, quality=1 - having / 1000),
        outcome(f"without-{name}", scenario=scenario, seed=seed, errors=without, quality=1 - without / 1000),
    ]


def test_weakest_and_most_needed() -> None:
    """The component that is worth least comes first, the one that is worth most last; those that harm are named."""
    found = components(Groups(suite()))
    assert [(each.name, each.verdict) for each in found] == [("probes", "harms"), ("retry", "helps")]
    assert weakest(found) == found[0]
    assert most_needed(found) == found[1]
    assert harmful(found) == [found[0]]
    assert found[1].hardest[0] == ("suite", 0.2)
    assert found[1].hardest[1] == pytest.approx(0.289, abs=0.001)
    assert found[1].cells == 4


def test_the_difference_and_its_interval() -> None:
    """The worth is the mean difference over the seeds, with the interval of these differences."""
    runs = [*pair(50, seed=1), *pair(60, seed=2), *pair(70, seed=3)]
    (found,) = components(Groups(runs))
    assert found.errors.value == pytest.approx(0.04)
    assert found.quality.value == pytest.approx(0.04)
    assert (found.errors.low, found.errors.high) == pytest.approx((0.04 - 0.02484, 0.04 + 0.02484), abs=1e-4)
    assert found.verdict == "helps"


def test_no_difference() -> None:
    """Where seeds disagree about the sign, nothing is said."""
    (found,) = components(Groups([*pair(25, seed=1), *pair(15, seed=2)]))
    assert found.verdict == "no difference shown"
    assert harmful([found]) == []


def test_one_seed() -> None:
    """One seed has an interval for errors, of independent questions, and none for quality."""
    (found,) = components(Groups(pair(120)))
    assert found.verdict == "helps"
    assert found.quality.low is None


def test_fewer_errors_and_worse_answers() -> None:
    """A component may prevent errors and make answers worse: then it says both."""
    runs = []
    for seed in (1, 2):
        runs += [
            outcome("holdfast", seed=seed, errors=10 + seed, quality=0.7 + seed / 1000),
            outcome("without-extract", seed=seed, errors=300 + 2 * seed, quality=0.9 + 2 * seed / 1000),
        ]
    (found,) = components(Groups(runs))
    assert found.verdict == "helps and harms"
    assert harmful([found]) == [found]


def test_only_what_both_were_played_in() -> None:
    """Scenarios and seeds that only one of the two was played with are left out."""
    runs = [*pair(50), *pair(900, scenario="other")[1:], *pair(900, seed=8)[1:]]
    (found,) = components(Groups(runs))
    assert found.cells == 1
    assert found.errors.value == pytest.approx(0.03)


@pytest.mark.parametrize("runs", [[], pair(50)[:1], pair(50)[1:]])
def test_nothing_was_left_out(runs: list[Outcome]) -> None:
    """Without a pair there is nothing to say, and no weakest component."""
    found = components(Groups(runs))
    assert found == []
    assert weakest(found) is None
    assert most_needed(found) is None
