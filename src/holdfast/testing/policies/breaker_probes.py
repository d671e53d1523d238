"""Circuit breakers: the probes of a half-open one."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from holdfast.testing.policies.calls import Held, HeldThread, answer, attempt, settle, trip, trip_sync
from holdfast.testing.policies.case import CaseList, check

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import BreakerAdapter

__all__ = ["CASES"]

_cases = CaseList("breaker")

_CALLERS = 50
_LONG = 5.0


@_cases.add("breaker.probe_cap.tasks", "Of 50 tasks that call a half-open breaker at once, one is let through.")
async def _tasks(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    await trip(breaker)
    adapter.time.let_pass(breaker.recovery)
    probe = Held()
    guarded = breaker.guard_async(probe.call)
    tasks = [asyncio.create_task(attempt(guarded)) for _ in range(_CALLERS)]
    await settle()
    inside = probe.inside
    probe.let_go()
    results = await asyncio.gather(*tasks)
    check(inside == 1, f"{inside} of {_CALLERS} concurrent calls were let through")
    refused = sum(breaker.refused(result) for result in results)
    check(refused == _CALLERS - 1, f"{refused} of {_CALLERS - 1} others were refused")


@_cases.add("breaker.probe_cap.threads", "Of 50 threads that call a half-open breaker at once, one is let through.")
def _threads(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    trip_sync(breaker)
    adapter.time.let_pass(breaker.recovery)
    probe = HeldThread()
    guarded = breaker.guard(probe.call)
    done: list[object] = []
    start = threading.Barrier(_CALLERS)

    def caller() -> None:
        start.wait(_LONG)
        try:
            done.append(guarded())
        except Exception as error:  # noqa: BLE001  refusals among them
            done.append(error)

    threads = [threading.Thread(target=caller, daemon=True) for _ in range(_CALLERS)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 1
    while len(done) + probe.inside < _CALLERS and time.monotonic() < until:
        time.sleep(0.002)
    inside = probe.inside
    probe.let_go()
    for thread in threads:
        thread.join(_LONG)
    check(inside == 1, f"{inside} of {_CALLERS} concurrent calls were let through")


@_cases.add("breaker.lost_probe", "A probe that is never heard of again does not keep it half-open for ever.")
async def _lost_probe(adapter: BreakerAdapter) -> None:
    breaker = adapter.breaker()
    await trip(breaker)
    adapter.time.let_pass(breaker.recovery)
    lost = Held()
    task = asyncio.create_task(attempt(breaker.guard_async(lost.call)))
    try:
        await settle()
        check(lost.inside == 1, "no probe is let through after its recovery time")
        adapter.time.let_pass(breaker.patience)
        result = await attempt(breaker.guard_async(answer))
        check(result == "answer", f"{breaker.patience:g} s after a probe that hangs, no other is let through")
    finally:
        lost.let_go()
        await task


CASES = _cases.cases
