"""Retrying an auth error, over a real socket: seven seconds to learn that a key is wrong.

    python examples/failures/auth_retry.py          # seven seconds

What one sees, and why: docs/explanation/failures/auth-retry.md. Needs `pip install 'holdfast[service]'`.
"""

from __future__ import annotations

import asyncio
import time

import holdfast as hf
from holdfast.errors import RetriesExhaustedError
from holdfast.lab.failures.calls import StatusError, ask
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.http import AiohttpHttp


async def told_after(retry: hf.Retry, http: AiohttpHttp, base: str) -> float:
    """The seconds until the caller hears that the key is wrong."""
    began = time.monotonic()
    try:
        await hf.Pipeline(retry, name="model").call(ask, http, base, key="sk-wrong")
    except (RetriesExhaustedError, StatusError) as error:
        print(f"  {error}")
        return time.monotonic() - began
    raise SystemExit("the key is wrong, and the provider took it")


async def main() -> None:
    """One after the other: each is to have the provider to itself."""
    http = AiohttpHttp()
    async with SimulatorServer(Simulator(SimulatorOptions(speed=0, keys=["sk-right"]))) as server:
        base = f"{server.url}/v1"
        calls = server.simulator.calls
        broken = await told_after(hf.Retry(max_retries=3, jitter="none", retry_on=(Exception,)), http, base)
        print(f"broken: {broken:.2f} s, {len(calls)} calls")
        before = len(calls)
        fixed = await told_after(hf.Retry(), http, base)
        print(f"fixed: {fixed * 1e3:.0f} ms, {len(calls) - before} call")
    await http.close()
    if broken < 7 or fixed >= 0.1 or before != 4:
        raise SystemExit("that is not what should be seen: 7 s without the fix, less than 100 ms with it")
    print("told in less than 100 ms")


if __name__ == "__main__":
    asyncio.run(main())
