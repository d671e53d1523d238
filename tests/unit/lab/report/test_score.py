"""The resilience score: its two ends, and what lies between and beyond."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.report.making import outcome

from holdfast.lab.report.groups import IDEAL, Groups
from holdfast.lab.report.score import scores

if TYPE_CHECKING:
    from holdfast.lab.report.score import Score
    from holdfast.lab.runs.outcome import Outcome


def runs(
    seed: int = 7, rate: float = 0.2, ideal: float = 0.98, nothing: float = 0.4, **qualities: float
) -> list[Outcome]:
    """Nothing, the clairvoyant, and others with these qualities, on the same faults."""
    everyone = {"nothing": nothing, IDEAL: ideal, **qualities}
    return [outcome(name, rate=rate, seed=seed, quality=quality) for name, quality in everyone.items()]


def score(outcomes: list[Outcome], name: str = "ours") -> Score:
    """The score of one configuration."""
    return next(each for each in scores(Groups(outcomes)) if each.configuration == name)


def test_nothing_is_zero() -> None:
    """A configuration that is no better than nothing scores 0."""
    assert score(runs(ours=0.4)).mean == 0.0


def test_clairvoyant_is_one() -> None:
    """A configuration that is as good as the clairvoyant scores 1."""
    assert score(runs(ours=0.98)).mean == 1.0


def test_harm_is_below_zero() -> None:
    """A configuration that is worse than nothing scores below 0, and nothing hides it."""
    assert score(runs(ours=0.3)).mean == pytest.approx(-0.1 / 0.58)


def test_monotone() -> None:
    """The better the quality, the higher the score."""
    found = [score(runs(ours=step / 50)).mean or 0.0 for step in range(50)]
    assert all(a < b for a, b in pairwise(found))


def test_never_above_one() -> None:
    """Whoever gets more than the clairvoyant shows what was possible, and is the ceiling for the others as well."""
    found = runs(ideal=0.7, ours=0.9, other=0.65)
    assert score(found).mean == 1.0
    assert score(found, "other").mean == pytest.approx(0.5)


def test_calm_is_the_ceiling() -> None:
    """What the best configuration does not find in the calm, the clairvoyant does not find either."""
    calm = [outcome(name, rate=0.0, quality=0.9) for name in ("nothing", "ours")]
    assert score([*calm, *runs(ideal=1.0, ours=0.65)]).mean == pytest.approx(0.25 / 0.5)


def test_without_the_clairvoyant() -> None:
    """Where the faults are not known, the ceiling is the calm."""
    found = [each for each in runs(ours=0.7) if each.configuration != IDEAL]
    assert score(found).mean == pytest.approx(0.3 / 0.6)


def test_without_nothing() -> None:
    """Without runs of nothing there is no score."""
    assert scores(Groups([outcome("ours", rate=0.2)])) == []


def test_nothing_to_gain() -> None:
    """Where nothing loses nothing, there is nothing to be scored."""
    assert scores(Groups(runs(nothing=0.978, ours=0.98))) == []


def test_minimum_beside_mean() -> None:
    """The worst scenario is named, and is not hidden by the others."""
    found = score([*runs(rate=0.05, ours=0.98), *runs(rate=0.5, ours=0.69)])
    assert found.mean == pytest.approx(0.75)
    assert found.worst is not None
    assert found.worst.cell == ("suite", 0.5)
    assert found.as_json()["minimum"] == pytest.approx(0.5)
    assert found.as_json()["minimum_at"] == "suite at 50%"


def test_seeds_are_compared_with_themselves() -> None:
    """Only seeds that both were played with count, and the interval is over them."""
    both = [*runs(seed=1, ours=0.69), *runs(seed=2, ours=0.75)]
    alone = outcome("ours", rate=0.2, seed=3, quality=0.0)
    found = score([*both, alone]).cells[0].score
    assert found.value == pytest.approx((0.5 + 0.35 / 0.58) / 2)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_order_and_the_baseline() -> None:
    """The best score comes first; nothing and the clairvoyant are not scored."""
    assert [each.configuration for each in scores(Groups(runs(worse=0.5, better=0.9)))] == ["better", "worse"]


def test_a_repeated_run_counts_once() -> None:
    """Of two outcomes of the same run the later one counts."""
    found = runs(ours=0.98)
    again = replace(found[-1], measures=replace(found[-1].measures, quality=0.69))
    assert score([*found, again]).mean == pytest.approx(0.5)
