"""Retries in the lab: errors p^(n+1), and (1-p^(n+1))/(1-p) calls a request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.oracles.bounds import NAME, Bench, amplification, deviation, near, of_share

from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.failures.calls import ask
from holdfast.lab.faults.models import rules_for
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock


@pytest.mark.parametrize(("retries", "p"), [(1, 0.6), (3, 0.8), (5, 0.85)])
def test_retries_around_a_part(retries: int, p: float) -> None:
    """Errors within 11% of the closed form, and calls within 5%."""
    count = 3_000
    fault = Fault(component="embedder", kind=Kind.ERRORS, way="reset", rate=p)

    async def main(clock: VirtualClock) -> tuple[int, int, int]:
        bench = Bench(clock, fault)
        guard = Pipeline(Retry(max_retries=retries), name=NAME, clock=clock, rng=bench.draws.stream("retries"))
        failed = await bench.failures(count, lambda: guard.call(bench.embed))
        return failed, bench.calls, bench.faults.played[NAME, "errors"]

    failed, calls, hit = run(main).value
    error = p ** (retries + 1)
    assert failed / count == near(error, of_share(error, count), bound=0.11)
    assert calls / count == near(amplification(p, retries), deviation(p, retries) / math.sqrt(count), bound=0.05)
    assert hit / calls == near(p, of_share(p, calls), bound=0.05)
    assert hit - failed == calls - count  # every call that is hit, but a request's last one, is made again


def test_retries_around_a_simulated_provider() -> None:
    """The same over the wire, counted by the provider: errors within 16%, calls within 6%."""
    count, retries, p = 1_000, 3, 0.8
    plan = FaultPlan([Fault(component="model", kind=Kind.ERRORS, way="server_error", rate=p)])
    base = "https://provider.test/v1"

    async def main(clock: VirtualClock) -> tuple[int, object]:
        bench = Bench(clock)
        simulator = Simulator(SimulatorOptions(seed=3, speed=0), clock=clock)
        for rule in rules_for(plan, "model:sim/gpt-sim"):
            simulator.faults.add(rule)
        http = InProcessHttp({base: simulator}, clock=clock, draws=bench.draws)
        guard = Pipeline(Retry(max_retries=retries), name="model:sim", clock=clock, rng=bench.draws.stream("retries"))
        failed = await bench.failures(count, lambda: guard.call(ask, http, base))
        return failed, simulator.calls.counts()["calls"]

    failed, calls = run(main).value
    error = p ** (retries + 1)
    assert failed / count == near(error, of_share(error, count), bound=0.16)
    assert isinstance(calls, int)
    assert calls / count == near(amplification(p, retries), deviation(p, retries) / math.sqrt(count), bound=0.06)
