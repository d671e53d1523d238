"""What a policy that knows the faults beforehand would have got."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.unit.lab.report.making import bucket, outcome

from holdfast.errors import ConfigError
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.report.clairvoyant import Clairvoyant, clairvoyant, with_clairvoyants
from holdfast.lab.report.groups import IDEAL
from holdfast.lab.scenarios.loader import shipped
from holdfast.rag.types import Tier

QUICK = Clairvoyant(calls=1, patience=0.0)


def down(component: str, begin: float = 0.0, end: float = 3600.0, **options: object) -> Fault:
    """A fault of a whole hour."""
    return Fault(component=component, kind=Kind.DOWN, begin=begin, end=end, **options)  # type: ignore[arg-type]


def best(plan: list[Fault], options: Clairvoyant | None = None, at: float = 10.0) -> dict[str, float]:
    """The chances of the tiers, without those that have none."""
    found = (options or Clairvoyant()).qualities(plan, at)
    return {tier.value: chance for tier, chance in found.items() if chance}


def test_calm() -> None:
    """Without faults every answer is full."""
    assert best([]) == {"full": 1.0}


@pytest.mark.parametrize(
    ("component", "tier"),
    [
        ("cache", "full"),
        ("store", "degraded"),
        ("embedder", "degraded"),
        ("model:openai", "degraded"),
        ("model:anthropic", "full"),
        ("model", "minimal"),
    ],
)
def test_what_each_loss_leaves(component: str, tier: str) -> None:
    """An outage that nobody can wait out leaves the best tier that does without the dependency."""
    assert best([down(component)]) == {tier: 1.0}


def test_no_local_fallbacks() -> None:
    """Without local fallbacks nothing is left where no model writes."""
    assert best([down("model")], Clairvoyant(local=False)) == {"offline": 1.0}


def test_no_models_and_no_embedder() -> None:
    """Where answers are quoted, and found by words, the store is all it takes."""
    plain = Clairvoyant(models=(), embedder="")
    assert best([down("model"), down("embedder")], plain) == {"full": 1.0}
    assert best([down("store")], plain) == {"degraded": 1.0}


def test_without_a_copy_the_store_is_needed() -> None:
    """Where there is no copy of the documents, nobody can answer from them while the store is lost."""
    assert best([down("store")], Clairvoyant(copied=False)) == {"minimal": 1.0}


def test_independent_draws() -> None:
    """Each dependency fails on its own draws: one call each at 20% leaves the product of what works."""
    found = QUICK.qualities([down("store", rate=0.2), down("model", rate=0.2)], 10.0)
    assert found[Tier.FULL] == pytest.approx(0.8 * 0.8)
    assert found[Tier.DEGRADED] == pytest.approx(1 - 0.2 * 0.2 - 0.64)
    assert found[Tier.MINIMAL] == pytest.approx(0.2 * 0.2)


def test_more_calls() -> None:
    """It calls again until it succeeds: six calls at 50% fail once in 64."""
    assert Clairvoyant().qualities([down("store", rate=0.5)], 10.0)[Tier.DEGRADED] == pytest.approx(1 / 64)


def test_faults_add_up() -> None:
    """Two faults of one dependency hit more calls than one."""
    assert QUICK.qualities([down("store", rate=0.5)] * 2, 10.0)[Tier.FULL] == pytest.approx(0.25)


def test_patience() -> None:
    """It waits for the end of an outage that ends within its patience, and not for another."""
    outage = [down("store", begin=5, end=30)]
    assert best(outage, Clairvoyant(patience=25), at=5) == {"full": 1.0}
    assert best(outage, Clairvoyant(patience=24), at=5) == {"degraded": 1.0}
    assert best(outage, Clairvoyant(patience=0), at=4) == {"full": 1.0}
    assert best(outage, Clairvoyant(patience=0), at=30) == {"full": 1.0}


def test_slowness_is_waited_for() -> None:
    """What is slow, and not too slow to wait for, is no loss."""
    slow = Fault(component="store", kind=Kind.SLOW, seconds=5.0)
    assert best([slow], Clairvoyant(patience=5)) == {"full": 1.0}
    assert best([slow], Clairvoyant(patience=4)) == {"degraded": 1.0}
    mixed = Fault(component="store", kind=Kind.MIXED)
    assert Clairvoyant(calls=1).qualities([mixed], 0.0)[Tier.FULL] == pytest.approx(0.2)


def test_expected_values_of_a_run() -> None:
    """Its outcome is weighed by the questions: a minute of which ten seconds are lost."""
    run = outcome(timeline=[bucket(5.0 * place, offered=10 if place else 40) for place in range(12)])
    found = clairvoyant(run, [down("model", begin=0, end=10)], Clairvoyant(patience=0, local=False))
    assert found.configuration == IDEAL
    assert (found.scenario, found.rate, found.seed) == (run.scenario, run.rate, run.seed)
    assert found.measures.asked == 150
    assert found.measures.error_rate == pytest.approx(50 / 150)
    assert found.measures.quality == pytest.approx(100 / 150)
    assert [each.errors for each in found.timeline[:3]] == [40, 10, 0]
    local = clairvoyant(run, [down("model", begin=0, end=10)], Clairvoyant(patience=0))
    assert local.measures.errors == 0
    assert local.measures.useful_degraded == pytest.approx(50 / 150)
    assert local.measures.quality == pytest.approx((100 + 50 * 0.60 / 0.85) / 150)


def test_a_run_without_questions() -> None:
    """A run in which nobody asked has nothing to lose."""
    assert clairvoyant(outcome(timeline=()), [down("model")]).measures.quality == 1.0


def test_less_faults_are_never_worse() -> None:
    """The clairvoyant's quality falls with the rate of faults, and never rises."""
    run = outcome()
    plans = [[down("model", rate=step / 20), down("store", rate=step / 20)] for step in range(21)]
    found = [clairvoyant(run, plan, QUICK).measures.quality for plan in plans]
    assert found[0] == 1.0
    assert all(a > b for a, b in pairwise(found))


def test_one_for_each_rate_and_seed() -> None:
    """Scenarios that are known get their clairvoyant at each rate and seed, once, and others get none."""
    cases = [(name, rate, seed) for name in ("nothing", "holdfast") for rate in (0.0, 0.5) for seed in (1, 2)]
    runs = [outcome(name, rate=rate, seed=seed) for name, rate, seed in cases]
    found = with_clairvoyants([*runs, outcome(scenario="other")], [shipped("suite")])
    ideal = [each for each in found if each.configuration == IDEAL]
    assert sorted((each.rate, each.seed) for each in ideal) == [(0.0, 1), (0.0, 2), (0.5, 1), (0.5, 2)]
    assert {each.scenario for each in ideal} == {"suite"}
    assert [each.measures.quality for each in ideal if not each.rate] == [1.0, 1.0]
    assert all(0.9 < each.measures.quality < 1.0 for each in ideal if each.rate)
    assert len(with_clairvoyants(found, [shipped("suite")])) == len(found)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"calls": 0}, "calls"),
        ({"patience": -1.0}, "patience"),
        ({"models": "openai"}, "models"),
        ({"local": 1}, "local"),
    ],
)
def test_options_are_checked(options: dict[str, Any], field: str) -> None:
    """An option out of its range is refused by name."""
    with pytest.raises(ConfigError, match=field):
        Clairvoyant(**options)
