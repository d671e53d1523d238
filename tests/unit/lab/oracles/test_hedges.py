"""Hedging in the lab: P(T > t) = P(X > t) P(X > t - d), for the share P(X > d) of calls more."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import NAME, SECOND, Bench, near, of_share

from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline
from holdfast.lab.draws import request_scope
from holdfast.lab.latency import AT_ONCE, Latency
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.lab.virtual.clock import VirtualClock


def hedged(delay: float, count: int, *, latency: Latency | None = None) -> tuple[list[float], int]:
    """How long requests took, in order, and the number of calls.

    Calls take the latency, each with a draw of its own; None: a second on average, exponential.
    """

    async def main(clock: VirtualClock) -> tuple[list[float], int]:
        bench = Bench(clock, seed=4, latency=latency or AT_ONCE)
        guard = Pipeline(Hedge(delay=delay, max_share=None, clock=clock), name=NAME, clock=clock)

        async def exponential() -> None:
            seconds = bench.draws.exponential(1.0, NAME, *bench.draws.next_attempt("exponential"))
            await clock.asleep_ns(round(seconds * SECOND))
            await bench.embed()

        calls = 0

        def begun() -> Awaitable[None]:
            nonlocal calls
            calls += 1
            return exponential() if latency is None else bench.embed()

        call: Callable[[], Awaitable[None]] = _async(begun)
        times = []
        for number in range(count):
            with request_scope(f"user-{number}"):
                began = clock.now_ns()
                await guard.call(call)
                times.append((clock.now_ns() - began) / SECOND)
        return sorted(times), calls

    return run(main).value


def _async(begun: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def call() -> None:
        await begun()

    return call


def test_a_hedge_at_the_95th_percentile() -> None:
    """Exp(1), d = ln 20: 5% more calls within 16%, and p99 is 3.80 s within 5%, where it was 4.605."""
    count, delay = 12_000, math.log(20)
    times, calls = hedged(delay, count)
    assert calls / count - 1 == near(0.05, of_share(0.05, count), bound=0.16)
    p99 = (delay - math.log(0.01)) / 2
    assert p99 == pytest.approx(3.801, abs=0.001)
    density = 2 * 0.01  # of P(T > t) = exp(d - 2t), at p99
    assert times[math.ceil(0.99 * count) - 1] == near(p99, of_share(0.01, count) / density, bound=0.05)


def test_a_hedge_at_the_median() -> None:
    """Exp(1), d = ln 2: half of the calls more within 7%, and P(T > 1) = exp(d - 2) within 11%."""
    count, delay = 4_000, math.log(2)
    times, calls = hedged(delay, count)
    assert calls / count - 1 == near(0.5, of_share(0.5, count), bound=0.07)
    beyond = math.exp(delay - 2.0)
    assert sum(time > 1 for time in times) / count == near(beyond, of_share(beyond, count), bound=0.11)


def test_a_hedge_around_the_labs_own_latencies() -> None:
    """Log-normal with median 1 and sigma 0.5: a quarter of the calls more, and the product of both tails.

    Within 13% and, the further out the rarer, 6 to 21%.
    """
    count, latency = 3_000, Latency(1.0, 0.5)

    def beyond(seconds: float) -> float:
        return 1 - NormalDist(0.0, latency.sigma).cdf(math.log(seconds)) if seconds > 0 else 1.0

    delay = math.exp(latency.sigma * NormalDist().inv_cdf(0.75))
    times, calls = hedged(delay, count, latency=latency)
    assert calls / count - 1 == near(0.25, of_share(0.25, count), bound=0.13)
    for seconds, bound in ((0.8, 0.06), (1.2, 0.1), (1.6, 0.21)):
        tail = beyond(seconds) * beyond(seconds - delay)
        assert sum(time > seconds for time in times) / count == near(tail, of_share(tail, count), bound=bound)
