"""A scenario's traffic: Poisson counts, and shapes of the rate that give the number of questions of their integral."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.lab.oracles.bounds import near, of_share, of_variance

from holdfast.lab.draws import Draws
from holdfast.lab.scenarios.questions import Asker, lab_questions
from holdfast.lab.scenarios.traffic import Diurnal, Ramp, Spike, Traffic


def times(seconds: float, **options: Any) -> list[float]:
    """When questions arrive."""
    return list(Traffic(**options).times(seconds, Draws(5)))


def test_poisson_counts() -> None:
    """In seconds with ten arrivals on average mean and variance are both ten, within 3% and 13%."""
    rate, seconds = 10.0, 2_000
    counts = Counter(map(int, times(seconds, rate=rate)))
    found = [counts[second] for second in range(seconds)]
    assert statistics.fmean(found) == near(rate, math.sqrt(rate / seconds), bound=0.03)
    error = of_variance(rate, 3 + 1 / rate, seconds)
    assert statistics.pvariance(found) == near(rate, error, bound=0.13)


def test_poisson_gaps() -> None:
    """Gaps are exponential: mean and deviation 1/rate, a share exp(-1) longer than that; neighbours are independent."""
    rate = 4.0
    gaps = [after - before for before, after in pairwise(times(5_000, rate=rate))]
    count = len(gaps)
    assert statistics.fmean(gaps) == near(1 / rate, 1 / rate / math.sqrt(count), bound=0.03)
    assert statistics.pvariance(gaps) == near(1 / rate**2, of_variance(1 / rate**2, 9, count), bound=0.09)
    longer = math.exp(-1)
    assert sum(gap > 1 / rate for gap in gaps) / count == near(longer, of_share(longer, count), bound=0.04)
    assert abs(statistics.correlation(gaps[:-1], gaps[1:])) < 4 / math.sqrt(count)


SHAPES: list[tuple[dict[str, Any], float]] = [
    ({"spikes": (Spike(begin=100, seconds=50, factor=5),)}, 1_000 + 4 * 50),
    ({"spikes": (Spike(begin=100, seconds=400, factor=0.25),)}, 1_000 - 0.75 * 400),
    ({"ramps": (Ramp(begin=200, seconds=400, factor=3),)}, 200 + 2 * 400 + 3 * 400),
    ({"ramps": (Ramp(begin=0, seconds=1_000, factor=0),)}, 500),
    ({"ramps": (Ramp(begin=0, seconds=1_000, factor=2),), "spikes": (Spike(begin=0, seconds=500, factor=2),)}, 2_125),
    ({"diurnal": Diurnal(period=2_000, swing=0.8)}, 1_000),  # half of a day, from its darkest to its brightest moment
    ({"diurnal": Diurnal(period=4_000, swing=0.8)}, 1_000 - 0.8 * 2_000 / math.pi),
]


@pytest.mark.parametrize(("shape", "integral"), SHAPES)
def test_shapes_of_the_rate(shape: dict[str, Any], integral: float) -> None:
    """Spikes, ramps and days give the integral of their rate: within 10% drawn, and to one question where even."""
    drawn = len(times(1_000, rate=5.0, **shape))
    assert drawn == near(5.0 * integral, math.sqrt(5.0 * integral), bound=0.1)
    even = len(times(1_000, rate=5.0, arrivals="even", **shape))
    assert even == pytest.approx(5.0 * integral, abs=2)


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_what_is_asked(skew: float) -> None:
    """The n-th question is asked in proportion to 1/n^skew, the first half within 10%; a share is worded anew."""
    count, new = 6_000, 0.4
    asker = Asker(Draws(6), skew=skew, new_share=new)
    asked = [asker.of(number).text for number in range(count)]
    places = {question.text: place for place, question in enumerate(lab_questions())}
    weights = [(place + 1) ** -skew for place in places.values()]
    known = [places[text] for text in asked if text in places]
    assert len(known) / count == near(1 - new, of_share(1 - new, count), bound=0.05)
    half = len(places) // 2
    share = sum(weights[:half]) / sum(weights)
    assert sum(place < half for place in known) / len(known) == near(share, of_share(share, len(known)), bound=0.1)
    first = weights[0] / sum(weights)
    assert known.count(0) / len(known) == near(first, of_share(first, len(known)), bound=1.0)
