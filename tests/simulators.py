"""Simulated providers on real sockets, beside a test that blocks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.lab.simulator.fault_rules import FaultRule
from holdfast.lab.simulator.server import SimulatorServer
from holdfast.lab.simulator.service import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.lab.simulator.options import SimulatorOptions

__all__ = ["Served", "served"]


class Served:
    """A provider that listens.

    Attributes:
        url: without a path.
    """

    def __init__(self, server: SimulatorServer) -> None:
        self.simulator = server.simulator
        self.url = server.url
        self._changed = threading.Condition()
        self.simulator.on_call = lambda _: self._tell()

    def fault(self, name: str, **parameters: float) -> None:
        """From now on every call meets this fault; no name ends it."""
        self.simulator.faults.clear()
        if name:
            self.simulator.faults.add(FaultRule(fault=name, parameters=parameters))

    @property
    def calls(self) -> int:
        """The calls so far."""
        return len(self.simulator.calls)

    def outcomes(self, count: int = 1) -> list[str]:
        """How the calls ended; waits until so many have, for a provider hears late that its client has gone."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended() >= count, timeout=10)
        return [call.outcome.value for call in self.simulator.calls]

    def _ended(self) -> int:
        return sum(call.outcome.value != "running" for call in self.simulator.calls)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


@contextmanager
def served(*options: SimulatorOptions) -> Iterator[list[Served]]:
    """Providers on a thread of their own, one for each of the ``options``."""
    servers = [SimulatorServer(Simulator(each)) for each in options]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulators")
    thread.start()

    def do(step: str) -> None:
        for server in servers:
            asyncio.run_coroutine_threadsafe(getattr(server, step)(), loop).result(10)

    do("start")
    try:
        yield [Served(server) for server in servers]
    finally:
        do("stop")
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
