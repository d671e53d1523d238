"""Breakers in the lab: how long until failures in a row, or a share of a window, open one by chance."""

from __future__ import annotations

import contextlib
import math
import statistics
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.lab.oracles.bounds import NAME, Bench, near, of_share

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.pipeline import Pipeline
from holdfast.lab.draws import request_scope
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock


def calls_until_open(p: float, count: int, *, most: int = 100_000, **options: Any) -> list[int]:
    """For each of so many new breakers the number of the call that opened it; 0: none of the first ``most`` did.

    Around a part that fails at rate ``p``.
    """
    fault = Fault(component="embedder", kind=Kind.ERRORS, way="reset", rate=p)

    async def main(clock: VirtualClock) -> list[int]:
        bench = Bench(clock, fault, seed=3)
        found = []
        for number in range(count):
            breaker = CircuitBreaker(clock=clock, **options)
            guard = Pipeline(breaker, name=NAME, clock=clock)
            with request_scope(f"breaker-{number}"):
                for call in range(1, most + 1):
                    with contextlib.suppress(ConnectionResetError):
                        await guard.call(bench.embed)
                    if breaker.state != "closed":
                        found.append(call)
                        break
                else:
                    found.append(0)
        return found

    return run(main).value


@pytest.mark.parametrize(("p", "k", "calls", "count", "bound"), [(0.5, 5, 62.0, 500, 0.18), (0.5, 2, 6.0, 1_600, 0.08)])
def test_calls_until_failures_in_a_row(p: float, k: int, calls: float, count: int, bound: float) -> None:
    """A breaker of k failures in a row opens after (1-p^k)/(p^k (1-p)) calls on average, within 18% and 8%."""
    expected = (1 - p**k) / (p**k * (1 - p))
    assert expected == pytest.approx(calls)
    found = calls_until_open(p, count, failure_threshold=k)
    variance = 1 / (p**k * (1 - p)) ** 2 - (2 * k + 1) / (p**k * (1 - p)) - p / (1 - p) ** 2  # Feller, XIII.7
    assert statistics.fmean(found) == near(expected, math.sqrt(variance / count), bound=bound)


@pytest.mark.parametrize(
    ("options"),
    [{"window": "count", "window_calls": 20}, {"window": "time", "window_seconds": 300.0}],
    ids=["count", "time"],
)
def test_the_odds_of_a_rate_window(options: dict[str, Any]) -> None:
    """Twenty calls open a breaker of half of them with the chance P(Bin(20, p) >= 10), within 15%."""
    p, calls, rate, count = 0.5, 20, 0.5, 500
    expected = sum(math.comb(calls, hits) * p**hits * (1 - p) ** (calls - hits) for hits in range(10, calls + 1))
    found = calls_until_open(p, count, most=calls, minimum_calls=calls, failure_rate=rate, **options)
    assert set(found) == {0, calls}  # not before the window holds the minimum
    assert sum(map(bool, found)) / count == near(expected, of_share(expected, count), bound=0.15)
