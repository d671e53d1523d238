"""The simulated providers of one candidate, in a process of their own: two for each job, behind real sockets.

Reads jobs as JSON from its first line of input, prints them with the addresses, and runs until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator

FIRST_TOKEN, PER_TOKEN = 0.2, 0.01
"""Seconds, without spread: an answer of ten tokens takes about 0.3 s, whoever asks."""


async def _main() -> None:
    jobs: list[dict[str, Any]] = json.loads(sys.stdin.readline())
    async with AsyncExitStack() as stack:
        for job in jobs:
            if job["rule"] == "closed":
                job["primary"] = _closed_port(stack)
            else:
                job["primary"] = (await stack.enter_async_context(_server(job["rule"]))).url
            job["second"] = (await stack.enter_async_context(_server(""))).url
        print(json.dumps(jobs), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _server(rule: str) -> SimulatorServer:
    options = SimulatorOptions(
        first_token=FIRST_TOKEN,
        per_token=PER_TOKEN,
        first_token_sigma=0.0,
        per_token_sigma=0.0,
        faults=(parse_rule(rule),) if rule else (),
        admin=True,
    )
    return SimulatorServer(Simulator(options))


def _closed_port(stack: AsyncExitStack) -> str:
    """The address of a port that is taken, so that nobody else listens on it, and refuses."""
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{taken.getsockname()[1]}"


if __name__ == "__main__":
    asyncio.run(_main())
