"""A retry budget that binds, in the lab: errors 1-(1-p)(1+R) with R = r, for ours is filled by every request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import NAME, Bench, near

from holdfast.core.clock import to_ns
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.lab.draws import request_scope
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.scenarios.traffic import Traffic
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

RATE = 50.0
SECONDS = 70.0


def asked(p: float, budget: RetryBudget | None) -> tuple[int, int, int]:
    """Requests, calls and errors of Poisson traffic around a part that fails at rate ``p``."""
    fault = Fault(component="embedder", kind=Kind.ERRORS, way="reset", rate=p)

    async def main(clock: VirtualClock) -> tuple[int, int, int]:
        bench = Bench(clock, fault, seed=2)
        retry = Retry(max_retries=50, initial_delay=0.0, jitter="none", budget=budget)
        guard = Pipeline(retry, name=NAME, clock=clock, rng=bench.draws.stream("retries"))
        count = failed = 0
        for at in Traffic(rate=RATE).times(SECONDS, bench.draws):
            await clock.asleep_ns(to_ns(at) - clock.now_ns())
            count += 1
            with request_scope(f"user-{count}"):
                try:
                    await guard.call(bench.embed)
                except Exception:  # noqa: BLE001 - whatever it is, the user sees it
                    failed += 1
        return count, bench.calls, failed

    return run(main).value


@pytest.mark.parametrize(("p", "share"), [(0.5, 0.1), (0.5, 0.2), (0.8, 0.2)])
def test_a_budget_that_binds(p: float, share: float) -> None:
    """Calls are 1+r a request within 2% (the windows at both ends), and errors 1-(1-p)(1+r) within 10%."""
    count, calls, failed = asked(p, RetryBudget(share=share, floor=0.0, off_above=None))
    assert calls / count == pytest.approx(1 + share, rel=0.02)
    # Of the calls that were made a share 1 - p succeeded, each for one request.
    error = math.sqrt(p * (1 - p) * (1 + share) / count)
    assert failed / count == near(1 - (1 - p) * (1 + share), error, bound=0.1)
    per_success = share * (1 - p) / (1 - share * (1 - p))  # what a budget that successes fill would give
    assert calls / count > 1 + (share + per_success) / 2


def test_a_budget_that_does_not_bind() -> None:
    """Where fewer repetitions are wanted than granted the calls are those without a budget, 1/(1-p), within 3%."""
    p = 0.1
    count, calls, failed = asked(p, RetryBudget())
    assert failed == 0
    assert calls / count == near(1 / (1 - p), math.sqrt(p / count) / (1 - p), bound=0.03)


def test_the_usual_budget_switches_off_where_most_calls_fail() -> None:
    """With the switch a target that fails at p = 0.8 soon gets each request once: errors are p within 4%."""
    p = 0.8
    count, calls, failed = asked(p, RetryBudget())
    assert calls / count < 1.01
    assert failed / count == near(p, math.sqrt(p * (1 - p) / count), bound=0.04)
