"""Traffic: arrivals that follow a rate over time, and do not depend on what is answered."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws
from holdfast.lab.scenarios.traffic import Burst, Diurnal, Ramp, Spike, Traffic


def times(seconds: float = 1_000.0, seed: int = 1, **options: Any) -> list[float]:
    return list(Traffic(**{"rate": 5.0, **options}).times(seconds, Draws(seed)))


def between(found: list[float], begin: float, end: float) -> int:
    return sum(begin <= each < end for each in found)


def test_poisson_arrivals_have_the_mean_and_the_spread_of_their_law() -> None:
    """The number of arrivals and the spread of the gaps are those of a Poisson process, within four standard errors."""
    found = times()
    gaps = [after - before for before, after in pairwise(found)]
    assert abs(len(found) - 5_000) < 4 * 5_000**0.5
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(mean * mean, rel=0.2)
    assert found == sorted(found)
    assert found[-1] < 1_000


def test_arrivals_belong_to_the_seed() -> None:
    """The same seed gives the same arrivals, another one others."""
    assert times(seed=1) == times(seed=1) != times(seed=2)


def test_even_arrivals_are_at_equal_distances() -> None:
    """Without chance, a rate below one a second included."""
    assert times(2, arrivals="even", rate=4.0) == pytest.approx([0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75])
    assert times(30, arrivals="even", rate=0.1) == pytest.approx([10, 20])


@pytest.mark.parametrize("arrivals", ["poisson", "even"])
def test_spikes_and_ramps_change_the_rate(arrivals: str) -> None:
    """A spike multiplies the rate while it lasts, a ramp up to its end and from then on."""
    spiked = times(spikes=(Spike(begin=400, seconds=100, factor=4),), arrivals=arrivals)
    assert between(spiked, 400, 500) == pytest.approx(2_000, abs=4 * 2_000**0.5)
    assert between(spiked, 0, 400) == pytest.approx(2_000, abs=4 * 2_000**0.5)
    ramped = times(ramps=(Ramp(begin=0, seconds=500, factor=3),), arrivals=arrivals)
    assert between(ramped, 0, 500) == pytest.approx(5_000, abs=4 * 5_000**0.5)
    assert between(ramped, 500, 1_000) == pytest.approx(7_500, abs=4 * 7_500**0.5)


def test_a_lull_can_be_silence() -> None:
    """A factor of 0 is no traffic at all."""
    found = times(spikes=(Spike(begin=100, seconds=800, factor=0),))
    assert between(found, 100, 900) == 0
    assert between(found, 900, 1_000) > 0


def test_day_and_night() -> None:
    """The rate is lowest at the beginning of a day and highest in its middle."""
    found = times(diurnal=Diurnal(period=1_000, swing=0.9))
    night, day = between(found, 0, 250) + between(found, 750, 1_000), between(found, 250, 750)
    assert night + day == pytest.approx(5_000, abs=4 * 5_000**0.5)
    assert day > 3 * night


def test_bursts_come_besides() -> None:
    """A burst is so many arrivals at one moment, wherever it lies; one after the end is none."""
    bursts = (Burst(at=1.05, count=7), Burst(at=1.95, count=3), Burst(at=5, count=9))
    found = times(2, arrivals="even", rate=1.0, bursts=bursts)
    assert found == pytest.approx([1.0, *[1.05] * 7, *[1.95] * 3])


@pytest.mark.parametrize(
    ("cls", "options", "field"),
    [
        (Traffic, {"rate": 0}, "rate"),
        (Traffic, {"rate": 10_001}, "rate"),
        (Traffic, {"rate": 1, "arrivals": "now"}, "arrivals"),
        (Traffic, {"rate": 1, "new_share": 1.1}, "new_share"),
        (Traffic, {"rate": 1, "streamed": -0.1}, "streamed"),
        (Traffic, {"rate": 1, "low_share": 2}, "low_share"),
        (Traffic, {"rate": 1, "skew": -1}, "skew"),
        (Spike, {"begin": -1, "seconds": 1, "factor": 1}, "begin"),
        (Spike, {"begin": 0, "seconds": 0, "factor": 1}, "seconds"),
        (Ramp, {"begin": 0, "seconds": 1, "factor": -1}, "factor"),
        (Diurnal, {"swing": 1.5}, "swing"),
        (Burst, {"at": 0, "count": 0}, "count"),
        (Burst, {"at": 0, "count": 100_001}, "count"),
    ],
)
def test_what_is_out_of_range_is_refused(cls: type, options: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(ConfigError) as caught:
        cls(**options)
    assert caught.value.field == field
