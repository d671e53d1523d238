"""Finds out that a dependency is back, while no question could: a cheap look every five seconds, at those that are ill.

Nothing runs while everything is well.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name
from holdfast.core.clock import to_ns
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    import random

    from holdfast.core.clock import Clock
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.tiers.controller import TierController
    from holdfast.rag.tiers.vitals import Vital, Vitals

__all__ = ["Prober", "ProberOptions"]

_JITTER = 0.2


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class ProberOptions:
    """How often to look.

    Attributes:
        interval: seconds between two looks, above 0 (default 5). Each is up to a fifth shorter, drawn anew, so that
            replicas do not look at the same moment.

    Raises:
        ConfigError: it is out of its range.
    """

    interval: float = 5.0

    def __post_init__(self) -> None:
        duration("interval", self.interval)


class Prober:
    """Looks after the dependencies that are ill.

    Args:
        vitals: the dependencies.
        controller: moves the tier by what is found.
        clock, rng: when to look.
        narrator: is told of each look.
    """

    def __init__(
        self,
        vitals: Vitals,
        controller: TierController,
        *,
        clock: Clock,
        rng: random.Random,
        narrator: Narrator,
        options: ProberOptions | None = None,
    ) -> None:
        self.options = options or ProberOptions()
        self._vitals = vitals
        self._controller = controller
        self._clock = clock
        self._rng = rng
        self._narrator = narrator
        self._task: asyncio.Task[None] | None = None
        self._closed = True

    def open(self) -> None:
        """Be ready to look. Needs no running task while all is well."""
        self._closed = False

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def look(self) -> Tier:
        """Evaluate the tier, and begin to look after what is ill; called with every question."""
        tier = self._controller.evaluate()
        if self._task is None and not self._closed and (tier is not Tier.FULL or self._controller.anything_ill):
            # It outlives the question that began it, and has neither its deadline nor its id.
            loop, context = asyncio.get_running_loop(), contextvars.Context()
            self._task = loop.create_task(self._watch(), name="holdfast prober", context=context)
        return tier

    async def _watch(self) -> None:
        while self._controller.evaluate() is not Tier.FULL or self._controller.anything_ill:
            share = 1 - _JITTER * self._rng.random()
            await self._clock.asleep_ns(round(to_ns(self.options.interval) * share))
            await asyncio.gather(*(self._ask(vital) for vital in self._vitals.ill))
        self._task = None

    async def _ask(self, vital: Vital) -> None:
        if vital.check is None:
            await vital.revive(self._clock)
            return
        started = self._clock.now_ns()
        error: Exception | None = None
        try:
            await vital.revive(self._clock)
        except Exception as failure:  # noqa: BLE001 - still ill, for whatever reason: told as an event, asked again
            error = failure
        self._narrator.probed(vital.name, (self._clock.now_ns() - started) / 1e6, error)
