"""Retry storm, over real sockets: 100 clients, a pool of 20 connections, and a provider that fails.

    python examples/failures/retry_storm.py          # about ten seconds

Broken and fixed run beside each other, each with a provider and a pool of its own. What one sees, and why:
docs/explanation/failures/retry-storm.md. Needs `pip install 'holdfast[service]'`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import holdfast as hf
from holdfast.core.events import Event, Events, RetryScheduled
from holdfast.errors import RetriesExhaustedError
from holdfast.lab.failures.calls import StatusError, ask
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.http import AiohttpHttp

CLIENTS = 100
CONNECTIONS = 20


def broken(events: Events) -> hf.Pipeline:
    """Everybody repeats three times after exactly 1, 2 and 4 s."""
    return hf.Pipeline(hf.Retry(max_retries=3, initial_delay=1.0, jitter="none"), name="model", events=events)


def fixed(events: Events) -> hf.Pipeline:
    """Delays are spread, one budget bounds the repetitions, and a bulkhead leaves connections to others."""
    return hf.Pipeline(
        hf.Retry(max_retries=3, initial_delay=1.0, budget=hf.RetryBudget()),
        hf.Bulkhead(max_concurrent=15, max_waiting=CLIENTS),
        name="model",
        events=events,
    )


async def storm(events: Events, guard: hf.Pipeline) -> tuple[int, int, float]:
    """The calls that arrived, the repetitions due in the busiest tenth of a second, and the seconds until the end."""
    options = SimulatorOptions(faults=[parse_rule("gateway_timeout,seconds=0.25")])
    due: Counter[int] = Counter()

    def note(event: Event) -> None:
        if isinstance(event, RetryScheduled):
            due[(time.monotonic_ns() + event.delay_ns) // 100_000_000] += 1

    events.listen(note, RetryScheduled)
    async with SimulatorServer(Simulator(options)) as server:
        http = AiohttpHttp(max_connections=CONNECTIONS)
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(guard.call(ask, http, f"{server.url}/v1") for _ in range(CLIENTS)), return_exceptions=True
        )
        seconds = time.monotonic() - began
        await http.close()
        expected = (RetriesExhaustedError, StatusError)
        if not all(isinstance(outcome, expected) for outcome in outcomes):
            raise SystemExit(f"something else happened: {outcomes}")
        return len(server.simulator.calls), max(due.values(), default=0), seconds


async def main() -> None:
    """Both at once."""
    for_broken, for_fixed = Events(), Events()
    results = await asyncio.gather(storm(for_broken, broken(for_broken)), storm(for_fixed, fixed(for_fixed)))
    for name, (calls, together, seconds) in zip(("broken", "fixed"), results, strict=True):
        print(f"{name}: {calls} calls in {seconds:.1f} s, {together} repetitions due in the busiest tenth of a second")
    (storm_calls, _, _), (calm_calls, _, _) = results
    if storm_calls != 4 * CLIENTS or calm_calls > 1.3 * CLIENTS:
        raise SystemExit("that is not what should be seen: 400 calls without the fix, about 120 with it")
    print(f"400 calls became {calm_calls}")


if __name__ == "__main__":
    asyncio.run(main())
