"""Retry storm: a hundred clients fail in one moment, and come back together, three times.

Broken: every client repeats three times after exactly 1, 2 and 4 s, whatever the others do. A hundred questions become
four hundred calls within ten seconds. The pool of twenty connections is full for most of that time, so that calls of a
dependency which is well wait for a connection, too.

Fixed: delays are spread by chance, all clients share one budget for repetitions (a fifth of the questions), and a
bulkhead keeps a few connections for the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from holdfast.core.bulkhead import Bulkhead
from holdfast.core.events import RetryScheduled
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.errors import HoldfastError
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import request_scope
from holdfast.lab.failures.calls import StatusError, ask
from holdfast.lab.failures.stage import played
from holdfast.lab.failures.story import Figure, Series, per_second
from holdfast.lab.simulator.fault_rules import FaultRule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator

if TYPE_CHECKING:
    from holdfast.lab.failures.stage import Stage, Told
    from holdfast.lab.failures.story import Story

__all__ = ["NAME", "guard_of", "play"]

NAME = "retry-storm"

_CLIENTS = 100
_CONNECTIONS = 20
_FAILS_AFTER = 0.25
"""Seconds that the failing provider holds a connection before it says 504."""
_LOOKED_AT = 12.0
_ILL = "https://model.example/v1"
_WELL = "https://search.example/v1"
_EVERY = 0.1
_SAMPLE = 0.05


def guard_of(stage: Stage, *, fixed: bool) -> Pipeline:
    """The policies around the model that fails."""
    if not fixed:
        retry = Retry(max_retries=3, initial_delay=1.0, jitter="none")
        return Pipeline(retry, name="model:example", clock=stage.clock, events=stage.events)
    return Pipeline(
        Retry(max_retries=3, initial_delay=1.0, budget=RetryBudget()),
        Bulkhead(max_concurrent=15, max_waiting=_CLIENTS),
        name="model:example",
        clock=stage.clock,
        rng=stage.draws.stream("jitter"),
        events=stage.events,
    )


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""

    async def main(stage: Stage) -> Told:
        return await _Storm(stage, fixed=fixed).told()

    return played(NAME, main, fixed=fixed, seed=seed)


class _Storm:
    """The clients, the pool that they share with others, and what is counted."""

    def __init__(self, stage: Stage, *, fixed: bool) -> None:
        late = FaultRule(fault="gateway_timeout", parameters={"seconds": _FAILS_AFTER})
        quick = SimulatorOptions(seed=stage.draws.seed, first_token=0.05, first_token_sigma=0, per_token=0)
        self._stage = stage
        self._guard = guard_of(stage, fixed=fixed)
        self._http = InProcessHttp(
            {
                _ILL: Simulator(SimulatorOptions(seed=stage.draws.seed, faults=[late]), clock=stage.clock),
                _WELL: Simulator(quick, clock=stage.clock),
            },
            clock=stage.clock,
            draws=stage.draws,
            max_connections=_CONNECTIONS,
        )
        self._begun: list[float] = []
        self._due: list[float] = []
        self._under_way = 0
        self._most = 0
        self._ended = 0.0
        self._others: list[float] = []
        stage.events.listen(self._repeats, RetryScheduled)

    async def told(self) -> Told:
        in_use: list[tuple[float, float]] = []
        async with asyncio.TaskGroup() as everybody:
            everybody.create_task(self._sampled(in_use))
            everybody.create_task(self._bystanders(everybody))
            for number in range(_CLIENTS):
                everybody.create_task(self._client(f"client-{number + 1}"))
        full = sum(_SAMPLE for _, used in in_use if used >= _CONNECTIONS)
        together = Counter(round(at, 2) for at in self._due)
        others = sorted(self._others)
        figures = {
            "calls": Figure(f"calls for {_CLIENTS} questions", len(self._begun)),
            "seconds": Figure("from the first call to the end of the last", self._ended, "s"),
            "together": Figure("repetitions due in one hundredth of a second", max(together.values(), default=0)),
            "at_once": Figure(f"calls under way at once, on {_CONNECTIONS} connections", self._most),
            "pool_full": Figure("for which every connection was in use", round(full, 2), "s"),
            "waited": Figure("calls that waited for a connection, other services' included", self._http.waited),
            "others_p95": Figure("until another service answered, 95th percentile", others[_p95(others)], "s"),
        }
        curves = (
            per_second("calls to the model, a second", self._begun, until=_LOOKED_AT, width=0.25),
            Series(name=f"connections in use, of {_CONNECTIONS}", points=tuple(in_use)),
        )
        return figures, curves

    async def _client(self, name: str) -> None:
        with request_scope(name):
            try:
                await self._guard.call(self._attempt)
            except (HoldfastError, StatusError):
                pass  # the model is down for everybody: what counts is what that costs
            else:
                raise AssertionError("the model is down")

    def _repeats(self, event: RetryScheduled) -> None:
        self._due.append(self._stage.seconds + event.delay_ns / 1e9)

    async def _attempt(self) -> None:
        self._begun.append(self._stage.seconds)
        self._under_way += 1
        self._most = max(self._most, self._under_way)
        try:
            await ask(self._http, _ILL)
        finally:
            self._under_way -= 1
            self._ended = max(self._ended, self._stage.seconds)

    async def _bystanders(self, everybody: asyncio.TaskGroup) -> None:
        """Somebody else's calls through the same pool, ten a second."""
        for number in range(round(_LOOKED_AT / _EVERY)):
            everybody.create_task(self._bystander(f"other-{number + 1}"))
            await self._stage.wait(_EVERY)

    async def _bystander(self, name: str) -> None:
        began = self._stage.seconds
        with request_scope(name):
            await ask(self._http, _WELL)
        self._others.append(self._stage.seconds - began)

    async def _sampled(self, in_use: list[tuple[float, float]]) -> None:
        while self._stage.seconds < _LOOKED_AT:
            in_use.append((self._stage.seconds, self._http.in_use))
            await self._stage.wait(_SAMPLE)


def _p95(values: list[float]) -> int:
    return min(len(values) - 1, int(0.95 * len(values)))
