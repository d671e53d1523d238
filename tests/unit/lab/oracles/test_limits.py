"""Limits of a rate in the lab: what is let through in the long run, and what is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import SECOND, near

from holdfast.core.clock import to_ns
from holdfast.core.rate_limiter import RateLimiter
from holdfast.errors import RateLimitedError
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.failures.calls import StatusError, ask
from holdfast.lab.scenarios.traffic import Traffic
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock


def admitted(offered: float, per_minute: float, burst: int, seconds: float) -> tuple[int, list[float]]:
    """How many come, and when those come that a limiter lets in at once."""

    async def main(clock: VirtualClock) -> tuple[int, list[float]]:
        limiter = RateLimiter(requests_per_minute=per_minute, burst=burst, max_wait=0, clock=clock)
        came, found = 0, []
        for at in Traffic(rate=offered).times(seconds, Draws(8)):
            await clock.asleep_ns(to_ns(at) - clock.now_ns())
            came += 1
            try:
                await limiter.acquire_async()
            except RateLimitedError:
                continue
            found.append(clock.now_ns() / SECOND)
        return came, found

    return run(main).value


def test_a_token_bucket_lets_its_rate_through() -> None:
    """Offered twice its rate it lets the rate and the burst through, within 1%, and never more in any window."""
    rate, burst, seconds = 10.0, 20, 300.0
    _, times = admitted(2 * rate, 60 * rate, burst, seconds)
    assert len(times) == pytest.approx(rate * seconds + burst, rel=0.01)
    for place, at in enumerate(times):
        later = place + 50
        if later < len(times):
            assert later + 1 - place <= burst + rate * (times[later] - at) + 1e-6


@pytest.mark.parametrize("load", [0.8, 1.5])
def test_a_bucket_of_one_token_is_blind_for_an_interval(load: float) -> None:
    """Without a burst whoever comes within T of the last one is refused: 1/(T + 1/lambda) a second, within 5%.

    That is a counter with a dead time, a renewal process with pauses of T and an exponential time together.
    """
    rate, seconds = 10.0, 1_000.0
    arrivals = load * rate
    _, times = admitted(arrivals, 60 * rate, 1, seconds)
    mean = 1 / rate + 1 / arrivals
    error = math.sqrt(seconds / arrivals**2 / mean**3)
    assert len(times) == near(seconds / mean, error, bound=0.04)


def test_a_providers_limit_lets_its_rate_through() -> None:
    """A simulated provider that is asked twice as much as it allows answers a minute's allowance and its rate."""
    per_minute, seconds = 120, 300.0
    base = "https://provider.test/v1"

    async def main(clock: VirtualClock) -> tuple[int, int]:
        draws = Draws(9)
        simulator = Simulator(SimulatorOptions(seed=9, speed=0, requests_per_minute=per_minute), clock=clock)
        http = InProcessHttp({base: simulator}, clock=clock, draws=draws)
        answered = refused = 0
        for number, at in enumerate(Traffic(rate=2 * per_minute / 60).times(seconds, draws)):
            await clock.asleep_ns(to_ns(at) - clock.now_ns())
            with request_scope(f"user-{number}"):
                try:
                    await ask(http, base)
                    answered += 1
                except StatusError as error:
                    refused += error.status == 429
        return answered, refused

    answered, refused = run(main).value
    assert answered == pytest.approx(per_minute * (1 + seconds / 60), abs=1)
    came = 2 * per_minute / 60 * seconds
    assert answered + refused == near(came, math.sqrt(came), bound=0.12)
