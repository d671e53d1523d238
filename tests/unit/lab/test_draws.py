"""Draws that belong to their keys."""

from __future__ import annotations

import asyncio
import math
import statistics
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.latency import AT_ONCE, Latency
from holdfast.lab.virtual.running import run
from holdfast.lab.virtual.trace import Trace

if TYPE_CHECKING:
    import random

    from holdfast.lab.virtual.clock import VirtualClock

N = 4_000


def test_a_draw_belongs_to_its_key() -> None:
    """The same seed and key give the same number, whatever was drawn before; another of either gives another."""
    one, two = Draws(7), Draws(7)
    two.uniform("store", "noise")
    assert one.uniform("store", "user-1", 1) == two.uniform("store", "user-1", 1)
    different = {
        one.uniform("store", "user-1", 1), one.uniform("store", "user-1", 2), one.uniform("store", "user-2", 1),
        one.uniform("cache", "user-1", 1), Draws(8).uniform("store", "user-1", 1),
    }  # fmt: skip
    assert len(different) == 5


def test_draws_are_stable_across_versions() -> None:
    """These numbers must never change: experiments are repeated years later, on other versions of Python."""
    draws = Draws(7)
    numbers = [round(draws.uniform("store", "user-1", attempt), 12) for attempt in (1, 2, 3)]
    assert numbers == [
        0.12227615429,
        0.28066910308,
        0.884525486427,
    ]
    assert draws.stream("engine").getrandbits(64) == 16827215739743741727


def test_the_distributions_are_what_they_say() -> None:
    """Means, medians and tails lie within four standard errors of what they should be."""
    draws = Draws(1)
    uniform = [draws.uniform("u", n) for n in range(N)]
    assert abs(statistics.mean(uniform) - 0.5) < 4 * math.sqrt(1 / 12 / N)
    assert 0 < min(uniform) < max(uniform) < 1
    hits = sum(draws.chance(0.2, "c", n) for n in range(N))
    assert abs(hits / N - 0.2) < 4 * math.sqrt(0.2 * 0.8 / N)
    waits = [draws.exponential(3.0, "e", n) for n in range(N)]
    assert abs(statistics.mean(waits) - 3) < 4 * 3 / math.sqrt(N)
    times = [draws.lognormal(2.0, 0.5, "l", n) for n in range(N)]
    assert abs(sum(time < 2 for time in times) / N - 0.5) < 4 * math.sqrt(0.25 / N)
    assert abs(statistics.stdev(map(math.log, times)) - 0.5) < 4 * 0.5 / math.sqrt(2 * N)
    tail = [draws.pareto(10.0, 1.5, "p", n) for n in range(N)]
    beyond = (1 / 4) ** 1.5
    assert min(tail) >= 10
    assert abs(sum(each > 40 for each in tail) / N - beyond) < 4 * math.sqrt(beyond * (1 - beyond) / N)
    picked = [draws.choice("abcd", "k", n) for n in range(N)]
    assert all(abs(picked.count(each) / N - 0.25) < 4 * math.sqrt(0.1875 / N) for each in "abcd")


def test_certain_chances_cost_no_draw() -> None:
    """Rates of 0 and 1, and a spread of 0, leave no trace of a draw."""
    trace = Trace()
    draws = Draws(1, trace=trace)
    before = trace.digest()
    assert (draws.chance(0, "c"), draws.chance(1, "c")) == (False, True)
    assert draws.lognormal(2, 0, "l") == 2
    assert AT_ONCE.draw_ns(draws, "x") == 0
    assert Latency(0.5).draw_ns(draws, "x") == 500_000_000
    assert trace.digest() == before
    draws.uniform("c")
    assert trace.digest() != before


def test_streams() -> None:
    """A stream is a generator of its own, by name; traced or not, it gives the same numbers."""
    trace = Trace()
    plain, traced = Draws(3).stream("engine"), Draws(3, trace=trace).stream("engine")
    before = trace.digest()

    def some(rng: random.Random) -> list[object]:
        numbers = list(range(5))
        rng.shuffle(numbers)
        return [rng.random(), rng.getrandbits(96), rng.choice("abcdef"), rng.uniform(1, 2), rng.randint(1, 9), numbers]

    assert some(plain) == some(traced)
    assert trace.digest() != before
    assert Draws(3).stream("engine").random() != Draws(3).stream("other").random()


def test_attempts_are_counted_by_request() -> None:
    """Each request counts its own attempts, in its tasks too; work of no request counts for itself."""

    async def main(clock: VirtualClock) -> list[tuple[str, int]]:
        draws = Draws(1)
        seen = []

        async def attempt(seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(draws.next_attempt("store lexical"))

        with request_scope("user-1"):
            late = asyncio.create_task(attempt(2))
            await attempt(1)
            draws.next_attempt("cache get")
        with request_scope("user-2"):
            await attempt(0)
        seen.append(draws.next_attempt("store lexical"))
        await late
        seen.append(draws.next_attempt("store lexical"))
        return seen

    assert run(main).value == [("user-1", 1), ("user-2", 1), ("", 1), ("user-1", 2), ("", 2)]


@pytest.mark.parametrize("seed", [-1, 1.5, "7"])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ConfigError, match="seed"):
        Draws(seed)  # type: ignore[arg-type]


def test_latencies_are_checked() -> None:
    """A negative time and a spread without bounds are refused; a tail needs an exponent above 0."""
    with pytest.raises(ConfigError, match="median"):
        Latency(-1)
    with pytest.raises(ConfigError, match="sigma"):
        Latency(1, -0.5)
    with pytest.raises(ConfigError, match="at most 5"):
        Latency(1, 6)
    with pytest.raises(ConfigError, match="alpha"):
        Draws(1).pareto(1, 0, "x")
