"""The window of latencies and its percentiles."""

import math

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core._latencies import LatencyWindow


@given(size=st.integers(1, 20), values=st.lists(st.integers(0, 30), min_size=1), percent=st.floats(0.1, 99.9))
def test_a_percentile_is_that_of_the_latest(size: int, values: list[int], percent: float) -> None:
    """It is the smallest of the latest values that the given share of them does not exceed."""
    window = LatencyWindow(size)
    for value in values:
        window.add(value)
    latest = sorted(values[-size:])
    assert len(window) == len(latest)
    rank = math.ceil(len(latest) * percent / 100 - 1e-9)
    assert window.percentile(percent) == latest[rank - 1]
    assert sum(each <= window.percentile(percent) for each in latest) >= len(latest) * percent / 100 - 1e-9


def test_known_percentiles() -> None:
    """Of 1 to 100 the 95th percentile is 95, and rounding of floats does not make it 96."""
    window = LatencyWindow(100)
    for value in range(1, 101):
        window.add(value)
    assert [window.percentile(each) for each in (1, 29, 50, 95, 99, 99.9)] == [1, 29, 50, 95, 99, 100]
    assert window.percentile(0.01) == 1
