"""The production policies in virtual time give what theory says, within four standard errors."""

from __future__ import annotations

import asyncio
import math
import statistics
from typing import TYPE_CHECKING

import pytest

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.bulkhead import Bulkhead
from holdfast.core.deadline import Deadline
from holdfast.core.hedge import Hedge
from holdfast.core.pipeline import Pipeline
from holdfast.core.rate_limiter import RateLimiter
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import (
    BulkheadFullError,
    CircuitOpenError,
    DeadlineExceededError,
    HoldfastError,
    RateLimitedError,
    RetriesExhaustedError,
)
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.lab.virtual.clock import VirtualClock

SECOND = 1_000_000_000


def near(value: float, expected: float, error: float) -> bool:
    """Whether a mean lies within four standard errors of what it should be."""
    return abs(value - expected) < 4 * error


def batched(values: list[float], batches: int = 40) -> tuple[float, float]:
    """The mean of values that depend on their neighbours, and its standard error by the means of batches."""
    size = len(values) // batches
    means = [statistics.mean(values[place * size : (place + 1) * size]) for place in range(batches)]
    return statistics.mean(means), statistics.stdev(means) / math.sqrt(batches)


@pytest.mark.parametrize("p", [0.05, 0.3])
def test_amplification_of_a_retry(p: float) -> None:
    """Three retries at failure rate p: error p^4, and (1-p^4)/(1-p) calls a request; each waits as it should."""
    calls, retries = 4_000, 3

    async def main(clock: VirtualClock) -> tuple[int, int]:
        draws = Draws(1)
        guard = Pipeline(
            Retry(max_retries=retries, initial_delay=1.0, jitter="none"), name="d", clock=clock, rng=draws.stream("r")
        )
        attempts = failed = 0

        async def work() -> None:
            nonlocal attempts
            attempts += 1
            if draws.chance(p, "d", *draws.next_attempt("d")):
                raise ConnectionResetError

        async def ask(number: int) -> None:
            nonlocal failed
            with request_scope(f"user-{number}"):
                try:
                    await guard.call(work)
                except RetriesExhaustedError:
                    failed += 1

        await asyncio.gather(*(ask(number) for number in range(calls)))
        return attempts, failed

    ran = run(main)
    attempts, failed = ran.value
    amplification = (1 - p ** (retries + 1)) / (1 - p)
    assert near(attempts / calls, amplification, math.sqrt(amplification * p / (1 - p) ** 2 / calls) + 1e-9)
    error = p ** (retries + 1)
    assert near(failed / calls, error, math.sqrt(error * (1 - error) / calls) + 1e-6)
    assert ran.seconds == 7.0 if failed else ran.seconds <= 7.0  # 1 + 2 + 4, for whoever used them all


def test_calls_until_a_breaker_opens() -> None:
    """Five failures in a row at p = 0.5 take (1-p^5)/(p^5 (1-p)) = 62 calls on average; then it lets probes through."""
    breakers, p, k = 300, 0.5, 5

    async def main(clock: VirtualClock) -> list[int]:
        draws, counts = Draws(2), []

        async def work(number: int, call: int) -> None:
            if draws.chance(p, "d", number, call):
                raise ConnectionResetError

        for number in range(breakers):
            breaker = CircuitBreaker(failure_threshold=k, recovery_timeout=30.0, clock=clock)
            guard = Pipeline(breaker, name="d", clock=clock)
            call = 0
            while breaker.state == "closed":
                call += 1
                await asyncio.gather(guard.call(work, number, call), return_exceptions=True)
            counts.append(call)
            with pytest.raises(CircuitOpenError):
                await guard.call(asyncio.sleep, 0)
            await clock.asleep_ns(30 * SECOND)
            for _ in range(20):
                await guard.call(asyncio.sleep, 0)
            assert breaker.state == "closed"
        return counts

    ran = run(main)
    expected = (1 - p**k) / (p**k * (1 - p))
    assert near(statistics.mean(ran.value), expected, statistics.stdev(ran.value) / math.sqrt(breakers))
    assert ran.seconds == 30.0 * breakers


def test_a_rate_limiter_lets_through_its_rate() -> None:
    """A burst and then one every interval, to the nanosecond, for those who wait; the others are refused."""

    async def main(clock: VirtualClock) -> tuple[list[int], int]:
        limiter = RateLimiter(requests_per_minute=60, burst=5, max_wait=10, clock=clock)
        times: list[int] = []
        refused = 0

        async def ask() -> None:
            nonlocal refused
            try:
                await limiter.acquire_async()
            except RateLimitedError:
                refused += 1
            else:
                times.append(clock.now_ns())

        await asyncio.gather(*(ask() for _ in range(20)))
        return times, refused

    times, refused = run(main).value
    assert (times, refused) == ([0] * 5 + [number * SECOND for number in range(1, 11)], 5)


async def poisson(
    clock: VirtualClock, draws: Draws, rate: float, count: int, ask: Callable[[int], Awaitable[None]]
) -> None:
    """``count`` arrivals, open loop."""
    async with asyncio.TaskGroup() as users:
        for number in range(count):
            await clock.asleep_ns(round(draws.exponential(1 / rate, "arrival", number) * SECOND))
            users.create_task(_as_coroutine(ask(number)))


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def test_a_waiting_bulkhead_is_an_mmc_queue() -> None:
    """M/M/5 at load 2.5: Erlang's C = 0.13037 of the calls wait, and C/(c mu - lambda) = 52 ms on average."""
    servers, load, count = 5, 2.5, 12_000

    async def main(clock: VirtualClock) -> list[float]:
        draws = Draws(3)
        bulkhead = Bulkhead(max_concurrent=servers, max_waiting=10_000, clock=clock)
        waits: list[float] = [0.0] * count

        async def ask(number: int) -> None:
            came = clock.now_ns()
            async with bulkhead.admit():
                waits[number] = (clock.now_ns() - came) / SECOND
                await clock.asleep_ns(round(draws.exponential(1.0, "service", number) * SECOND))

        await poisson(clock, draws, load, count, ask)
        return waits

    waits = run(main).value
    waiting, error = batched([float(wait > 0) for wait in waits])
    assert near(waiting, 0.13037, error)
    mean, error = batched(waits)
    assert near(mean, 0.13037 / (servers - load), error)


@pytest.mark.parametrize(("load", "loss"), [(0.8, 0.023493), (1.5, 0.337232)])
def test_a_bounded_line_loses_what_theory_says(load: float, loss: float) -> None:
    """M/M/1/10: with one slot and nine places in line the share that is refused is the closed form's."""

    async def main(clock: VirtualClock) -> list[float]:
        draws = Draws(4)
        bulkhead = Bulkhead(max_concurrent=1, max_waiting=9, clock=clock)
        lost: list[float] = [0.0] * 8_000

        async def ask(number: int) -> None:
            try:
                async with bulkhead.admit():
                    await clock.asleep_ns(round(draws.exponential(1.0, "service", number) * SECOND))
            except BulkheadFullError:
                lost[number] = 1.0

        await poisson(clock, draws, load, len(lost), ask)
        return lost

    share, error = batched(run(main).value)
    assert near(share, loss, error)


def test_a_hedge_cuts_the_tail() -> None:
    """Exp(1) with a hedge after ln 20: 5% more calls, and P(T > t) = P(X > t) P(X > t - d), at p99 3.801 for 4.605."""
    count, delay = 6_000, math.log(20)

    async def main(clock: VirtualClock) -> tuple[list[float], int]:
        draws = Draws(5)
        hedge = Hedge(delay=delay, max_share=None, clock=clock)
        guard = Pipeline(hedge, name="d", clock=clock)
        made = 0
        times = [0.0] * count

        async def work(number: int) -> None:
            nonlocal made
            made += 1
            seconds = draws.exponential(1.0, "d", number, draws.next_attempt("d")[1])
            await clock.asleep_ns(round(seconds * SECOND))

        async def ask(number: int) -> None:
            with request_scope(f"user-{number}"):
                began = clock.now_ns()
                await guard.call(work, number)
                times[number] = (clock.now_ns() - began) / SECOND

        for number in range(count):  # one after the other: a hedge is the only company that a call has
            await ask(number)
        return times, made

    times, made = run(main).value
    assert near(made / count - 1, 0.05, math.sqrt(0.05 * 0.95 / count))
    for t in (1.0, 3.0, 3.801, 4.605):
        beyond = math.exp(-t) * math.exp(-max(0.0, t - delay))
        share = sum(time > t for time in times) / count
        assert near(share, beyond, math.sqrt(beyond * (1 - beyond) / count))


def test_timeouts_and_deadlines_end_when_they_say() -> None:
    """An attempt ends at its timeout, and the whole at its deadline, to the nanosecond."""

    async def main(clock: VirtualClock) -> None:
        guard = Pipeline(
            Deadline(seconds=5), Retry(max_retries=9, initial_delay=1, jitter="none"), Timeout(seconds=1.5),
            name="d", clock=clock,
        )  # fmt: skip
        began = clock.now_ns()
        with pytest.raises((DeadlineExceededError, RetriesExhaustedError)):
            await guard.call(asyncio.sleep, 60)
        # 1.5 s, a wait of 1 s, and 1.5 s more; after another wait, of 2 s, there would be no time left
        assert clock.now_ns() - began in (4 * SECOND, 5 * SECOND)

    run(main)


def test_a_queue_sheds_the_unimportant_first() -> None:
    """Under twice the load that it can bear, a request queue serves the important and refuses the others."""

    async def main(clock: VirtualClock) -> dict[int, float]:
        draws = Draws(6)
        queue = RequestQueue(
            max_concurrent=10, requests_per_minute=None, max_size=50, max_wait=5.0, clock=clock, name="q"
        )
        served: dict[int, list[bool]] = {1: [], 9: []}

        async def ask(number: int) -> None:
            priority = 9 if number % 4 == 0 else 1
            try:
                async with queue.admit(priority=priority):
                    await clock.asleep_ns(SECOND)
            except HoldfastError:
                served[priority].append(False)
            else:
                served[priority].append(True)

        await poisson(clock, draws, 20.0, 3_000, ask)
        return {priority: statistics.mean(each) for priority, each in served.items()}

    shares = run(main).value
    assert shares[9] > 0.95
    assert 0.2 < shares[1] < 0.5
