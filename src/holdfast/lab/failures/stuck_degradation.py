"""Stuck degradation: an outage of two minutes, and hours of answers that are worse than they need be.

Broken: the service falls to MINIMAL when every model is down, which is right. At MINIMAL nobody asks a model, so nobody
finds out that they work again: the breakers stay open, and the service stays where it is until somebody restarts it.

Fixed: what is ill is asked something cheap every five seconds, past its breaker, and the service climbs tier by tier on
what it hears. It is the production engine both times; the broken one has its prober stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.failures.stage import Diary
from holdfast.lab.failures.story import Figure, Series, Story
from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Questions
from holdfast.lab.world.world import run_world
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from holdfast.lab.failures.stage import Told
    from holdfast.lab.world.world import World

__all__ = ["NAME", "play"]

NAME = "stuck-degradation"

_BEGIN, _END = 60.0, 180.0
_BUSY_SECONDS = 300.0
_SECONDS = 7_200.0
_BUSY, _QUIET = 0.5, 0.01
"""Questions a second: while it is looked at closely, and for the rest of two hours, when few are enough."""
_TELLING = frozenset(
    {"circuit breaker open", "circuit breaker closed", "service tier changed", "dependency works again"}
)
"""Of the lines of every question, those that tell of the tier."""


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""
    diaries: list[Diary] = []

    async def main(world: World) -> Told:
        diaries.append(Diary(world.events, lambda: world.seconds, only=_TELLING))
        if not fixed:
            await world.engine.tiers.close()  # nobody looks after what is ill
        world.strike(Fault(component="model", kind=Kind.DOWN, begin=_BEGIN, end=_END))
        questions = Questions(world.draws, new_share=0.5, skew=1.0)
        await world.traffic(_BUSY, _BUSY_SECONDS, questions=questions, name="busy")
        await world.traffic(_QUIET, _SECONDS - world.seconds, questions=questions, name="quiet")
        if world.record.crashes:
            raise AssertionError(world.record.crashes[0])
        return _told(world)

    ran = run_world(main, WorldOptions(seed=seed))
    figures, timeline = ran.value
    return Story(
        failure=NAME,
        fixed=fixed,
        seed=seed,
        seconds=ran.seconds,
        figures=figures,
        timeline=timeline,
        log=tuple(diaries[0].lines),
        logged=dict(diaries[0].counted.most_common()),
        trace=ran.trace,
    )


def _told(world: World) -> Told:
    record = world.record
    order = {str(tier): float(place) for place, tier in enumerate(reversed(Tier))}
    best = str(Tier.FULL)
    moves = [(0.0, best), *((move.at, str(move.after)) for move in record.tiers)]
    spans = list(zip(moves, [*moves[1:], (world.seconds, "")], strict=True))
    minimal = sum(after - at for (at, tier), (after, _) in spans if tier == Tier.MINIMAL)
    needless = sum(max(0.0, after - max(at, _END)) for (at, tier), (after, _) in spans if tier != best)
    later = [each for each in record.asked if each.at >= _END]
    lower = sum(each.tier != best for each in later)
    figures = {
        "minimal": Figure("in MINIMAL, of two hours", round(minimal / 60, 1), "min"),
        "needless": Figure("below FULL after the outage was over", round(needless, 1), "s"),
        "moves": Figure("moves of the tier", len(record.tiers)),
        "lower": Figure("of the answers after the outage below FULL", round(100 * lower / len(later), 1), "%"),
        "useless": Figure("questions without a useful answer", sum(not each.useful for each in record.asked)),
        "probes": Figure("calls that the probes cost", _probes(record.model_calls)),
    }
    steps = [(at, order[tier]) for at, tier in moves]
    points = (*steps, (world.seconds, steps[-1][1]))
    ticks = {place: tier.upper() for tier, place in order.items()}
    near = tuple((at, tier) for at, tier in points if at <= _BUSY_SECONDS)
    curves = (
        Series(name="the service's tier, five minutes", points=(*near, (_BUSY_SECONDS, near[-1][1])), ticks=ticks),
        Series(name="the service's tier, two hours", points=points, ticks=ticks),
    )
    return figures, curves


def _probes(calls: dict[tuple[str, str], int]) -> int:
    return sum(count for (_, cause), count in calls.items() if cause == "probe")
