"""The waits of a retry as they are drawn in the lab: mean and variance of each kind of jitter."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import NAME, SECOND, Bench, near, of_variance

from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Jitter, Retry
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

EVEN = 1.8
"""The kurtosis of an even distribution."""


def waits(jitter: Jitter, count: int, *, retries: int = 2, cap: float = 600.0) -> list[list[float]]:
    """The seconds between the calls of requests whose calls all fail: the first waits, the second ones, ..."""
    fault = Fault(component="embedder", kind=Kind.ERRORS, way="reset")

    async def main(clock: VirtualClock) -> list[list[float]]:
        bench = Bench(clock, fault)
        retry = Retry(max_retries=retries, initial_delay=1.0, max_delay=cap, jitter=jitter)
        guard = Pipeline(retry, name=NAME, clock=clock, rng=bench.draws.stream("retries"))
        called: list[int] = []

        async def call() -> None:
            called.append(clock.now_ns())
            await bench.embed()

        assert await bench.failures(count, lambda: guard.call(call)) == count
        each = retries + 1
        return [
            [(called[at + place + 1] - called[at + place]) / SECOND for at in range(0, len(called), each)]
            for place in range(retries)
        ]

    return run(main).value


@pytest.mark.parametrize(
    ("jitter", "low", "high"), [("full", 0.0, 1.0), ("equal", 0.5, 1.0), ("proportional", 0.75, 1.25)]
)
def test_waits_are_even_in_their_range(jitter: Jitter, low: float, high: float) -> None:
    """Between those shares of 1 s, and then of 2 s: the mean within 6% and the variance within 10%."""
    count = 1_500
    for place, found in enumerate(waits(jitter, count)):
        backoff = 2.0**place
        variance = ((high - low) * backoff) ** 2 / 12
        assert low * backoff <= min(found) <= max(found) <= high * backoff
        mean = (low + high) / 2 * backoff
        assert statistics.fmean(found) == near(mean, math.sqrt(variance / count), bound=0.06)
        assert statistics.pvariance(found) == near(variance, of_variance(variance, EVEN, count), bound=0.1)


def test_decorrelated_waits() -> None:
    """The first is even from 1 to 3 s; the second from 1 s to three times the first: mean 3.5, variance 37/12."""
    count = 1_500
    first, second = waits("decorrelated", count)
    assert statistics.fmean(first) == near(2.0, math.sqrt(1 / 3 / count), bound=0.03)
    assert statistics.pvariance(first) == near(1 / 3, of_variance(1 / 3, EVEN, count), bound=0.1)
    assert statistics.fmean(second) == near(3.5, math.sqrt(37 / 12 / count), bound=0.06)
    shares = [(after - 1) / (3 * before - 1) for before, after in zip(first, second, strict=True)]
    assert statistics.fmean(shares) == near(0.5, math.sqrt(1 / 12 / count), bound=0.06)
    assert statistics.pvariance(shares) == near(1 / 12, of_variance(1 / 12, EVEN, count), bound=0.1)


@pytest.mark.parametrize(("jitter", "low"), [("full", 0.0), ("equal", 0.5)])
def test_jitter_at_the_cap(jitter: Jitter, low: float) -> None:
    """Where the backoff is cut to 1.5 s its jitter is that of 1.5 s."""
    count, cap = 2_000, 1.5
    found = waits(jitter, count, cap=cap)[1]
    variance = ((1 - low) * cap) ** 2 / 12
    assert max(found) <= cap
    assert statistics.fmean(found) == near((low + 1) / 2 * cap, math.sqrt(variance / count), bound=0.06)
    assert statistics.pvariance(found) == near(variance, of_variance(variance, EVEN, count), bound=0.1)
