"""One outage: a dependency fails in one way for two minutes, under traffic, and then works again."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from holdfast.lab.faults.plan import Fault, Kind
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Questions
from holdfast.lab.world.world import run_world
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.lab.world.record import Asked
    from holdfast.lab.world.world import World

__all__ = ["DEPENDENCIES", "FAULTS", "Row", "every_row", "play"]

WARM_SECONDS = 60.0
OUTAGE_SECONDS = 120.0
AFTER_SECONDS = 60.0
RATE = 2.0
"""Questions a second: enough to see the service move, and few enough that a breaker has to be helped to open."""
NEW_SHARE = 0.5
"""The share of questions that no cache of exact questions knows."""

DEPENDENCIES = {
    "the cache": "cache",
    "the embedder": "embedder",
    "the store": "store",
    "the first model": "model:openai",
    "every model": "model",
}
FAULTS = {
    "down": (Kind.DOWN, 1.0),
    "slow: 5 s more": (Kind.SLOW, 1.0),
    "10% errors": (Kind.ERRORS, 0.1),
    "garbage": (Kind.GARBAGE, 1.0),
}
_FULL = Tier.FULL.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one outage did.

    Attributes:
        asked: questions asked while it lasted.
        errors: the share of them that got no useful answer.
        tiers, sources: the shares of their answers by tier and by source.
        quality: the mean quality score of their answers.
        p50, p95: seconds until the answer.
        lowest: the lowest tier of the service.
        climbed: seconds from the repair until the service was full; 0 when it never left.
        good: seconds from the repair until every answer was full again.
        opened: how often breakers opened.
    """

    dependency: str
    fault: str
    asked: int
    errors: float
    tiers: dict[str, float]
    sources: dict[str, float]
    quality: float
    p50: float
    p95: float
    lowest: str
    climbed: float
    good: float
    opened: int

    def as_json(self) -> dict[str, object]:
        """As data."""
        return asdict(self)


def every_row(*, seed: int = 7) -> Iterator[Row]:
    """All dependencies with all faults."""
    for dependency in DEPENDENCIES:
        for fault in FAULTS:
            yield play(dependency, fault, seed=seed)


def play(
    dependency: str,
    fault: str,
    *,
    seed: int = 7,
    warm: float = WARM_SECONDS,
    outage: float = OUTAGE_SECONDS,
    after: float = AFTER_SECONDS,
) -> Row:
    """One outage, in virtual time, on the default settings with two models.

    Args:
        warm, outage, after: seconds before it, of it, and after it.
    """
    kind, rate = FAULTS[fault]
    component = DEPENDENCIES[dependency]

    async def main(world: World) -> Row:
        questions = Questions(world.draws, new_share=NEW_SHARE, skew=1.0)
        await world.traffic(RATE, warm, questions=questions, name="warm")
        begin = world.seconds
        end = begin + outage
        world.strike(Fault(component=component, kind=kind, rate=rate, begin=begin, end=end))
        await world.traffic(RATE, outage + after, questions=questions, name="user")
        if world.record.crashes:
            raise AssertionError(world.record.crashes[0])
        return _measured(world, dependency, fault, begin, end)

    return run_world(main, WorldOptions(seed=seed)).value


def _measured(world: World, dependency: str, fault: str, begin: float, end: float) -> Row:
    record = world.record
    during = [each for each in record.asked if begin <= each.at < end]
    since = [move for move in record.tiers if move.at >= begin]
    back = [move.at for move in since if move.after == _FULL]
    return Row(
        dependency=dependency,
        fault=fault,
        asked=len(during),
        errors=round(1 - sum(each.useful for each in during) / len(during), 4),
        tiers=_shares([each.tier or "none" for each in during]),
        sources=_shares([each.source or each.error for each in during]),
        quality=round(sum(Tier(each.tier).quality if each.tier else 0.0 for each in during) / len(during), 3),
        p50=_latency(during, 0.5),
        p95=_latency(during, 0.95),
        lowest=max((move.after for move in since), key=[*map(str, Tier)].index, default=_FULL),
        climbed=round(max(0.0, back[-1] - end), 1) if back else 0.0,
        good=_good_again(record.asked, end),
        opened=sum(move.after == "open" and move.at >= begin for move in record.breakers),
    )


def _shares(values: Sequence[str]) -> dict[str, float]:
    return {value: round(count / len(values), 3) for value, count in Counter(values).most_common()}


def _latency(asked: Sequence[Asked], share: float) -> float:
    times = sorted(each.seconds for each in asked)
    return round(times[min(len(times) - 1, int(share * len(times)))], 2)


def _good_again(asked: Sequence[Asked], end: float) -> float:
    """When the last answer that was less than full was asked for, counted from the repair."""
    less = [each.at for each in asked if each.at >= end and each.tier != _FULL]
    return round(max(less) - end, 1) if less else 0.0
