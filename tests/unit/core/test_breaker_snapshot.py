"""What a snapshot of a breaker says by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.core.breaker import BreakerSnapshot, BreakerState, CircuitBreaker, RedFlag
from holdfast.testing.clock import FakeClock


@pytest.fixture
def healthy() -> BreakerSnapshot:
    return CircuitBreaker(clock=FakeClock()).snapshot()


def test_how_states_and_signs_are_called() -> None:
    """Metrics, logs and health reports show these words."""
    assert [each.value for each in BreakerState] == ["closed", "open", "half_open"]
    assert [each.value for each in RedFlag] == ["long_open", "opens_often"]


def test_rates_are_shares_of_the_calls(healthy: BreakerSnapshot) -> None:
    """The failures by weight, and the slow calls, by the calls in the window; without calls there is no share."""
    seen = replace(healthy, calls=8, failures=2.0, slow_calls=6)
    assert (seen.failure_rate, seen.slow_call_rate) == (0.25, 0.75)
    assert (healthy.failure_rate, healthy.slow_call_rate) == (0, 0)


@pytest.mark.parametrize(
    ("mean", "outages", "flags"),
    [(30.0, 1, ()), (30.1, 1, (RedFlag.LONG_OPEN,)), (0.0, 2, (RedFlag.OPENS_OFTEN,)), (31.0, 2, tuple(RedFlag))],
)
def test_red_flags(healthy: BreakerSnapshot, mean: float, outages: int, flags: tuple[RedFlag, ...]) -> None:
    """Outages of more than 30 seconds in the mean, and more than one in an hour, are worth a look."""
    assert replace(healthy, mean_open_seconds=mean, outages_last_hour=outages).red_flags == flags
