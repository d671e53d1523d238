"""Breaker false positive: two slow seconds become a minute of outage, made by ourselves.

Broken: a limit of 1 s on a call that usually takes 0.2 s, and a breaker that opens at 3. For two seconds the provider
answers 2 s later than usual. Every call of these seconds is cut, the breaker opens, and refuses everything for a
minute, while the provider is as well as ever.

Fixed: the limit is what callers can wait for and not what calls usually take, and the threshold is 5. No call is cut,
and the breaker stays closed. A call that was cut weighs half a failure in any case. Where the limit has to be short, a
breaker that goes by the share of failures over half a minute (``window="time"``) stays closed as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_options import MODEL
from holdfast.core.events import BreakerTransition
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import AttemptTimeoutError, CircuitOpenError
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import request_scope
from holdfast.lab.failures.calls import ask
from holdfast.lab.failures.stage import played
from holdfast.lab.failures.story import Figure, Series, per_second
from holdfast.lab.simulator.fault_rules import FaultRule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.pipeline import Policy
    from holdfast.lab.failures.stage import Stage, Told
    from holdfast.lab.failures.story import Story

__all__ = ["NAME", "broken_policies", "fixed_policies", "play", "play_with"]

NAME = "breaker-false-positive"

_BASE = "https://model.example/v1"
_RATE = 10.0
_SPIKE = (10.0, 12.0)
_LATER = 2.0
_SECONDS = 120.0
_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


def broken_policies() -> tuple[Policy, ...]:
    """Opens soon, and counts what was merely slow."""
    return CircuitBreaker(failure_threshold=3, recovery_timeout=60.0), Timeout(seconds=1.0)


def fixed_policies() -> tuple[Policy, ...]:
    """The preset for models."""
    return CircuitBreaker(MODEL), Timeout(seconds=10.0)


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""
    return play_with(fixed_policies if fixed else broken_policies, fixed=fixed, seed=seed)


def play_with(policies: Callable[[], tuple[Policy, ...]], *, fixed: bool = True, seed: int = 7) -> Story:
    """The same two slow seconds with other policies."""

    async def main(stage: Stage) -> Told:
        return await _Spike(stage, policies()).told()

    return played(NAME, main, fixed=fixed, seed=seed)


class _Spike:
    """Ten questions a second, and two seconds in which answers come late."""

    def __init__(self, stage: Stage, policies: tuple[Policy, ...]) -> None:
        late = FaultRule(fault="slow_headers", begin=_SPIKE[0], end=_SPIKE[1], parameters={"seconds": _LATER})
        options = SimulatorOptions(
            seed=stage.draws.seed, first_token=0.2, first_token_sigma=0.2, per_token=0, faults=[late], calls_kept=10_000
        )
        self._stage = stage
        self._provider = Simulator(options, clock=stage.clock)
        self._http = InProcessHttp({_BASE: self._provider}, clock=stage.clock, draws=stage.draws, max_connections=1_000)
        self._guard = Pipeline(*policies, name="model:example", clock=stage.clock, events=stage.events)
        self._moves: list[tuple[float, float]] = [(0.0, 0.0)]
        self._answered: list[float] = []
        self._cut: list[float] = []
        self._refused: list[float] = []
        stage.events.listen(self._moved, BreakerTransition)

    async def told(self) -> Told:
        async with asyncio.TaskGroup() as users:
            async for number in self._stage.arrivals(_RATE, _SECONDS, name="user"):
                users.create_task(self._user(f"user-{number}"))
        asked = len(self._answered) + len(self._cut) + len(self._refused)
        errors = len(self._cut) + len(self._refused)
        figures = {
            "asked": Figure("questions", asked),
            "failed": Figure("answers with an error that the provider gave", self._provider_errors()),
            "cut": Figure("calls cut by the time limit", len(self._cut)),
            "refused": Figure("questions that the breaker refused", len(self._refused)),
            "error_rate": Figure("of the questions failed", round(100 * errors / asked, 2), "%"),
            "opened": Figure("openings, every one of them false", sum(state == 2 for _, state in self._moves)),
            "outage": Figure("from the first refusal to the last", _span(self._refused), "s"),
        }
        curves = (
            per_second("answers a second", self._answered, until=_SECONDS, width=2.0),
            Series(
                name="the breaker",
                points=(*self._moves, (_SECONDS, self._moves[-1][1])),
                ticks={value: state.replace("_", "-") for state, value in _STATES.items()},
            ),
        )
        return figures, curves

    async def _user(self, name: str) -> None:
        with request_scope(name):
            try:
                await self._guard.call(ask, self._http, _BASE)
            except AttemptTimeoutError:
                self._cut.append(self._stage.seconds)
            except CircuitOpenError:
                self._refused.append(self._stage.seconds)
            else:
                self._answered.append(self._stage.seconds)

    def _moved(self, event: BreakerTransition) -> None:
        self._moves.append((self._stage.seconds, _STATES[event.to_state]))

    def _provider_errors(self) -> int:
        return sum(call.status is not None and call.status >= 400 for call in self._provider.calls)


def _span(times: list[float]) -> float:
    return round(max(times) - min(times), 1) if times else 0.0
