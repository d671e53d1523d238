"""What the oracles share: the bound of four standard errors, and a part of the lab whose calls they count."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.faults.faulty import Faults
from holdfast.lab.faults.plan import Fault, FaultPlan
from holdfast.lab.latency import AT_ONCE, Latency

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.lab.virtual.clock import VirtualClock

SECOND = 1_000_000_000
NAME = "embedder:lab"


def near(expected: float, error: float, *, bound: float) -> Any:
    """What lies within four standard errors of ``expected``.

    Args:
        error: one standard error.
        bound: the largest share of ``expected`` that four of them may be: a test that is looser fails, whatever is
            found, because it would say nothing.
    """
    assert 4 * error <= bound * expected, f"four standard errors are {4 * error / expected:.1%} of {expected:g}"
    return pytest.approx(expected, abs=4 * error, rel=0)


def of_share(share: float, count: int) -> float:
    """The standard error of a share of independent cases."""
    return math.sqrt(share * (1 - share) / count)


def of_variance(variance: float, kurtosis: float, count: int) -> float:
    """The standard error of a variance; ``kurtosis`` is 3 for a normal distribution and 1.8 for an even one."""
    return variance * math.sqrt((kurtosis - 1) / count)


def amplification(p: float, retries: int) -> float:
    """Calls for each request that may be made so many times more, where each call fails with the chance ``p``."""
    return (1 - p ** (retries + 1)) / (1 - p)


def deviation(p: float, retries: int) -> float:
    """The standard deviation of the calls for one request: the call k + 1 is made with the chance p^k."""
    square = sum((2 * k + 1) * p**k for k in range(retries + 1))
    return math.sqrt(square - amplification(p, retries) ** 2)


def batched(values: Sequence[float], batches: int = 40) -> tuple[float, float]:
    """The mean of values that depend on their neighbours, and its standard error by the means of batches."""
    size = len(values) // batches
    means = [statistics.fmean(values[place * size : (place + 1) * size]) for place in range(batches)]
    return statistics.fmean(means), statistics.stdev(means) / math.sqrt(batches)


class _Part:
    """Does nothing, and takes no time over it."""

    async def embed(self) -> None:
        """Works."""


class Bench:
    """A part with the faults of a plan in front of it, as a world has them.

    Attributes:
        faults: what is played, and the counts of calls and hits.
        embed: one call of the part.
    """

    def __init__(self, clock: VirtualClock, *faults: Fault, seed: int = 1, latency: Latency = AT_ONCE) -> None:
        self.clock = clock
        self.draws = Draws(seed)
        self.faults = Faults(FaultPlan(faults), clock=clock, draws=self.draws)
        self.embed: Callable[[], Awaitable[None]] = self.faults.around(_Part(), NAME, latency=latency).embed

    @property
    def calls(self) -> int:
        """Calls of the part."""
        return self.faults.calls[NAME]

    async def failures(self, count: int, call: Callable[[], Awaitable[object]]) -> int:
        """How many of so many requests end with an error, one after the other, each with draws of its own."""
        failed = 0
        for number in range(count):
            with request_scope(f"user-{number}"):
                try:
                    await call()
                except Exception:  # noqa: BLE001 - whatever it is, the user sees it
                    failed += 1
        return failed
