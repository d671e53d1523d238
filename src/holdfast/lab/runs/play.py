"""Plays one run: a scenario under a configuration, with a seed, at a rate of faults."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.core.clock import to_ns
from holdfast.lab.runs.collector import seldom_collected
from holdfast.lab.runs.meter import Meter
from holdfast.lab.runs.outcome import BUCKET_SECONDS, Outcome
from holdfast.lab.scenarios.questions import Asker
from holdfast.lab.world.world import run_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.lab.runs.outcome import Bucket, Measures
    from holdfast.lab.scenarios.scenario import Scenario
    from holdfast.lab.world.options import WorldOptions
    from holdfast.lab.world.world import World

__all__ = ["Configuration", "Run", "play", "runs_of"]

_LOW_PRIORITY = 2
_USUAL_PRIORITY = 5


class Configuration(Protocol):
    """What is tested. It is handed to other processes: it must be possible to pickle it."""

    @property
    def name(self) -> str:
        """As commands and reports call it."""
        ...

    def options(self, options: WorldOptions, /) -> WorldOptions:
        """The world of a scenario, changed to what is tested."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run.

    Attributes:
        scenario: what is played.
        configuration: what is tested.
        seed: what all draws come from.
        rate: for faults whose rate is injected; None where the scenario has none of those.
    """

    scenario: Scenario
    configuration: Configuration
    seed: int
    rate: float | None = None

    @property
    def title(self) -> str:
        """For people: ``"suite, holdfast, seed 7, 5%"``."""
        rate = "" if self.rate is None else f", {self.rate:.4g} failing"
        return f"{self.scenario.name}, {self.configuration.name}, seed {self.seed}{rate}"


def runs_of(
    scenario: Scenario,
    configurations: Iterable[Configuration],
    *,
    seeds: Iterable[int] | None = None,
    rates: Iterable[float] | None = None,
) -> list[Run]:
    """Every configuration with every seed at every rate.

    Args:
        seeds: None: the scenario's own.
        rates: None: the scenario's own.
    """
    given: Iterable[float | None] = scenario.rates if rates is None else rates
    played = list(given) or [None]
    return [
        Run(scenario=scenario, configuration=configuration, seed=seed, rate=rate)
        for configuration in configurations
        for seed in ([scenario.seed] if seeds is None else seeds)
        for rate in played
    ]


def play(run: Run, progress: Callable[[float], object] | None = None) -> Outcome:
    """Play ``run`` in virtual time, in this thread.

    Args:
        run: what to play.
        progress: is told, now and then, how many virtual seconds have been played.

    Raises:
        ConfigError: something of the scenario or the configuration is wrong.
        VirtualTimeError: the run cannot go on in virtual time.
    """
    scenario = run.scenario

    async def main(world: World) -> tuple[Measures, tuple[Bucket, ...]]:
        meter = Meter(world, scenario)
        beside = [asyncio.create_task(_ticks(world, scenario.seconds, progress))]
        beside += [asyncio.create_task(_flush(world, at)) for at in scenario.flushes]
        try:
            with seldom_collected():
                await _users(world, scenario)
        finally:
            for task in beside:
                task.cancel()
            ended = await asyncio.gather(*beside, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return meter.finish()

    options = run.configuration.options(scenario.world(run.seed, run.rate))
    ran = run_world(main, options)
    if progress is not None:
        progress(scenario.seconds)
    measures, timeline = ran.value
    return Outcome(
        scenario=scenario.name,
        configuration=run.configuration.name,
        seed=run.seed,
        rate=run.rate,
        seconds=scenario.seconds,
        trace=ran.trace,
        measures=measures,
        timeline=timeline,
    )


async def _users(world: World, scenario: Scenario) -> None:
    """Everybody asks, whether or not others have been answered; until the last of them has an answer."""
    traffic, draws = scenario.traffic, world.draws
    asker = Asker(draws, skew=traffic.skew, new_share=traffic.new_share)
    start_ns = world.clock.now_ns() - to_ns(world.seconds)  # times of the run are times of the world
    async with asyncio.TaskGroup() as users:
        for number, at in enumerate(traffic.times(scenario.seconds, draws), 1):
            await world.clock.asleep_ns(start_ns + to_ns(at) - world.clock.now_ns())
            low = draws.chance(traffic.low_share, "users", "priority", number)
            users.create_task(
                world.ask(
                    asker.of(number),
                    request=f"user-{number}",
                    streamed=draws.chance(traffic.streamed, "users", "streamed", number),
                    priority=_LOW_PRIORITY if low else _USUAL_PRIORITY,
                )
            )
        await world.clock.asleep_ns(start_ns + to_ns(scenario.seconds) - world.clock.now_ns())


async def _ticks(world: World, seconds: float, progress: Callable[[float], object] | None) -> None:
    """Tell of the progress. Runs, and is part of the trace, also when nobody is told."""
    due = 0.0
    while due + BUCKET_SECONDS < seconds:
        due += BUCKET_SECONDS
        await world.wait(due - world.seconds)
        if progress is not None:
            progress(due)


async def _flush(world: World, at: float) -> None:
    await world.wait(max(0.0, at - world.seconds))
    await world.flush()
