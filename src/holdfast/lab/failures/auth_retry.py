"""Retrying an auth error: seven seconds to say that a key is wrong.

Broken: ``retry_on=(Exception,)`` repeats whatever failed. A 401 is asked again after 1, 2 and 4 s, and every time the
answer is the same: the user waits seven seconds for an error that was known at once, and the provider counts four calls
with a wrong key.

Fixed: the classification of errors, which is the default, repeats only what may pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.errors import RetriesExhaustedError
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import request_scope
from holdfast.lab.failures.calls import StatusError, ask
from holdfast.lab.failures.stage import played
from holdfast.lab.failures.story import Figure, Series
from holdfast.lab.latency import Latency
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator

if TYPE_CHECKING:
    from holdfast.lab.failures.stage import Stage, Told
    from holdfast.lab.failures.story import Story

__all__ = ["NAME", "guard_of", "play"]

NAME = "auth-retry"

_BASE = "https://model.example/v1"
_ROUND_TRIP = 0.05
_LOOKED_AT = 9.0


def guard_of(stage: Stage, *, fixed: bool) -> Pipeline:
    """The policies around the model."""
    retry = Retry() if fixed else Retry(max_retries=3, initial_delay=1.0, jitter="none", retry_on=(Exception,))
    return Pipeline(
        retry, name="model:example", clock=stage.clock, rng=stage.draws.stream("jitter"), events=stage.events
    )


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""

    async def main(stage: Stage) -> Told:
        provider = Simulator(SimulatorOptions(seed=seed, keys=["sk-right"]), clock=stage.clock)
        http = InProcessHttp({_BASE: provider}, clock=stage.clock, draws=stage.draws, round_trip=Latency(_ROUND_TRIP))
        begun: list[float] = []

        async def attempt() -> None:
            begun.append(stage.seconds)
            await ask(http, _BASE, key="sk-wrong")

        told = ""
        with request_scope("user-1"):
            try:
                await guard_of(stage, fixed=fixed).call(attempt)
            except (RetriesExhaustedError, StatusError) as error:
                told = type(error).__name__
        if not told:
            raise AssertionError("the key is wrong")
        took = stage.seconds
        figures = {
            "seconds": Figure("until the user is told", took, "s"),
            "calls": Figure("calls with the wrong key", len(begun)),
            "repeated": Figure("repetitions", len(begun) - 1),
        }
        calls = [(0.0, 0.0), *((at, float(number)) for number, at in enumerate(begun, 1)), (_LOOKED_AT, len(begun))]
        waits = [(0.0, 1.0), (took, 0.0), (_LOOKED_AT, 0.0)]
        curves = (
            Series(name="calls with the wrong key, in all", points=tuple(calls)),
            Series(name="the user", points=tuple(waits), ticks={0: "is told", 1: "waits"}),
        )
        return figures, curves

    return played(NAME, main, fixed=fixed, seed=seed)
