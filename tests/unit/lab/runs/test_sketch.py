"""Percentiles in a bounded space."""

from __future__ import annotations

import random
from math import ceil

import pytest

from holdfast.lab.runs.sketch import Sketch


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99, 1.0])
def test_percentiles_are_within_one_percent(share: float) -> None:
    """Of durations over eight orders of magnitude, against the nearest rank of all of them."""
    chance = random.Random(1)
    values = [10 ** chance.uniform(-5, 3) for _ in range(5_000)]
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    assert sketch.percentile(share) == pytest.approx(sorted(values)[ceil(share * 5_000) - 1], rel=0.01)


def test_nothing_and_no_time() -> None:
    """Of nothing it is 0, and so is what is below a microsecond; those count."""
    sketch = Sketch()
    assert sketch.percentile(0.5) == 0
    for value in (0.0, 1e-9, 0.0, 2.0):
        sketch.add(value)
    assert (sketch.count, sketch.percentile(0.75)) == (4, 0)
    assert sketch.percentile(0.76) == pytest.approx(2, rel=0.01)


def test_its_space_does_not_grow_with_what_it_takes() -> None:
    """A hundred thousand durations between a millisecond and a minute take no more counts than the ladder has steps."""
    chance = random.Random(2)
    sketch = Sketch()
    for _ in range(100_000):
        sketch.add(10 ** chance.uniform(-3, 1.78))
    assert len(sketch._counts) < 600
