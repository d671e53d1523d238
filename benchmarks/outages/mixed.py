"""Ten minutes in which every dependency fails in 5% of its calls, in every way at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Questions
from holdfast.lab.world.world import World, run_world

__all__ = ["Mixed", "play"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """What users got.

    Attributes:
        asked: questions.
        errors: how many got no useful answer.
        wrong: how many got an answer that lacks the known fact, although it claims to know; of them, with no fault at
            all, ``wrong_anyway``.
        tiers, sources: answers by tier and by source.
        p50, p95, p99: seconds until the answer.
        cost_usd: all together; ``cost_without`` is what the same questions cost without a fault.
        model_calls: calls to models by cause.
        opened: how often breakers opened, by dependency.
        trace: the hash of everything that happened: equal for equal seeds.
    """

    seed: int
    rate: float
    seconds: float
    asked: int
    errors: int
    wrong: int
    wrong_anyway: int
    tiers: dict[str, int]
    sources: dict[str, int]
    p50: float
    p95: float
    p99: float
    cost_usd: float
    cost_without: float
    model_calls: dict[str, int]
    opened: dict[str, int]
    trace: str

    def as_json(self) -> dict[str, object]:
        """As data."""
        return asdict(self)


def play(*, seed: int = 7, rate: float = 5.0, seconds: float = 600.0, failing: float = 0.05) -> Mixed:
    """The same questions twice, in virtual time: with faults, and without any."""
    plain = _run(seed, rate, seconds, 0.0)[0]
    world, trace = _run(seed, rate, seconds, failing)
    record, calm = world.record, plain.record
    if record.crashes:
        raise AssertionError(record.crashes[0])
    causes: Counter[str] = Counter()
    for (_, cause), count in record.model_calls.items():
        causes[str(cause)] += count
    return Mixed(
        seed=seed,
        rate=rate,
        seconds=seconds,
        asked=len(record.asked),
        errors=sum(not each.useful for each in record.asked),
        wrong=sum(each.answered and each.fact is False for each in record.asked),
        wrong_anyway=sum(each.answered and each.fact is False for each in calm.asked),
        tiers=dict(Counter(each.tier or each.error for each in record.asked).most_common()),
        sources=dict(Counter(each.source or each.error for each in record.asked).most_common()),
        p50=round(record.latency(0.5), 3),
        p95=round(record.latency(0.95), 3),
        p99=round(record.latency(0.99), 3),
        cost_usd=round(sum(each.cost_usd for each in record.asked), 4),
        cost_without=round(sum(each.cost_usd for each in calm.asked), 4),
        model_calls=dict(sorted(causes.items())),
        opened=dict(Counter(each.dependency for each in record.breakers if each.after == "open").most_common()),
        trace=trace,
    )


def _run(seed: int, rate: float, seconds: float, failing: float) -> tuple[World, str]:
    async def main(world: World) -> World:
        questions = Questions(world.draws, new_share=0.5, skew=1.0)
        await world.traffic(rate, seconds, questions=questions)
        return world

    faults = FaultPlan.everywhere(failing) if failing else FaultPlan()
    ran = run_world(main, WorldOptions(seed=seed, faults=faults))
    return ran.value, str(ran.trace)
