"""Breaker false positive, over real sockets: two slow seconds, and what two breakers make of them.

    python examples/failures/breaker_false_positive.py            # about twelve seconds
    python examples/failures/breaker_false_positive.py --minute   # with the whole minute of outage

The breaker that opens stays open for 6 s here, with --minute for 60 s. What one sees, and why:
docs/explanation/failures/breaker-false-positive.md. Needs `pip install 'holdfast[service]'`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter

import holdfast as hf
from holdfast.core.breaker_options import MODEL
from holdfast.errors import AttemptTimeoutError, CircuitOpenError
from holdfast.lab.failures.calls import ask
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.http import AiohttpHttp

RATE = 15
OPEN_SECONDS = 60.0 if "--minute" in sys.argv[1:] else 6.0
SECONDS = 6.0 + OPEN_SECONDS


async def user(guard: hf.Pipeline, http: AiohttpHttp, base: str, seen: Counter[str]) -> None:
    """One question, and what became of it."""
    try:
        await guard.call(ask, http, base)
    except CircuitOpenError:
        seen["refused by the breaker"] += 1
    except AttemptTimeoutError:
        seen["cut by the time limit"] += 1
    else:
        seen["answered"] += 1


async def spike(guard: hf.Pipeline) -> Counter[str]:
    """Fifteen questions a second; from the second to the fourth second, answers come 2 s later."""
    options = SimulatorOptions(
        first_token=0.1, first_token_sigma=0, per_token=0, faults=[parse_rule("slow_headers@2-4,seconds=2")]
    )
    seen: Counter[str] = Counter()
    async with SimulatorServer(Simulator(options)) as server, asyncio.TaskGroup() as users:
        http = AiohttpHttp()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            users.create_task(user(guard, http, f"{server.url}/v1", seen))
            await asyncio.sleep(1 / RATE)
        await asyncio.sleep(3)  # the last answers
        await http.close()
    return seen


async def main() -> None:
    """Both at once."""
    broken = hf.Pipeline(
        hf.CircuitBreaker(failure_threshold=3, recovery_timeout=OPEN_SECONDS), hf.Timeout(seconds=1), name="model"
    )
    fixed = hf.Pipeline(hf.CircuitBreaker(MODEL), hf.Timeout(seconds=10), name="model")
    results = await asyncio.gather(spike(broken), spike(fixed))
    for name, seen in zip(("broken", "fixed"), results, strict=True):
        print(f"{name}: {', '.join(f'{count} {what}' for what, count in seen.most_common())}")
    if results[0]["refused by the breaker"] < RATE * OPEN_SECONDS / 3 or set(results[1]) != {"answered"}:
        raise SystemExit("that is not what should be seen: an outage without the fix, none with it")
    print("the breaker stayed closed")


if __name__ == "__main__":
    asyncio.run(main())
