"""Dependencies that are well or ill on command, and a service tier over them."""

from __future__ import annotations

import contextlib
import random

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.rag.narrator import Narrator
from holdfast.rag.tiers.controller import ControllerOptions, TierController
from holdfast.rag.tiers.levels import Need
from holdfast.rag.tiers.prober import Prober
from holdfast.rag.tiers.service import ServiceTier
from holdfast.rag.tiers.vitals import Vital, Vitals
from holdfast.rag.types import Reason, Tier
from holdfast.telemetry.events import DependencyProbed, TierChanged
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

REASONS = {
    Need.STORE: Reason.VECTOR_STORE_UNAVAILABLE,
    Need.EMBEDDER: Reason.EMBEDDER_UNAVAILABLE,
    Need.MODEL: Reason.PRIMARY_MODEL_UNAVAILABLE,
    Need.ANY_MODEL: Reason.LLM_UNAVAILABLE,
}


class Dependency:
    """A dependency behind a breaker that opens at the second failure; down while ``error`` is set."""

    def __init__(self, need: Need, clock: FakeClock, events: Events) -> None:
        self.error: Exception | None = None
        self.asked = 0
        breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=1000.0)
        self.breaker = breaker
        self.guard = Pipeline(breaker, name=need.value, clock=clock, events=events)
        self.vital = Vital(name=need.value, need=need, reason=REASONS[need], guard=self.guard, check=self.answer)

    async def answer(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def fail(self) -> None:
        """Go down, and be found so by two calls."""
        self.error = ConnectionError("gone")
        for _ in range(2):
            with contextlib.suppress(ConnectionError):
                await self.guard.call(self.answer)


class Bench:
    """A service tier over four dependencies, on a clock that only tests move."""

    def __init__(
        self, *, anything: bool = True, copied: bool = False, options: ControllerOptions | None = None
    ) -> None:
        self.clock = FakeClock(auto=False)
        events = Events()
        self.recorder = EventRecorder(events)
        self.dependencies = {need: Dependency(need, self.clock, events) for need in REASONS}
        vitals = [each.vital for each in self.dependencies.values()]
        self.vitals = Vitals(vitals, anything=lambda: anything, copied=lambda: copied)
        narrator = Narrator(events, self.clock)
        self.controller = TierController(self.vitals, clock=self.clock, narrator=narrator, options=options)
        self.prober = Prober(self.vitals, self.controller, clock=self.clock, rng=random.Random(7), narrator=narrator)
        self.service = ServiceTier(self.vitals, self.controller, self.prober)

    def __getitem__(self, need: Need) -> Dependency:
        return self.dependencies[need]

    def where(self) -> Tier:
        """Where the service is."""
        return self.service.tier

    @property
    def moves(self) -> list[tuple[str, str]]:
        """The moves of the tier so far."""
        return [(event.from_tier, event.to_tier) for event in self.recorder.of(TierChanged)]

    @property
    def probes(self) -> list[tuple[str, bool]]:
        """Who was asked by the prober, and whether they answered."""
        return [(event.dependency, event.alive) for event in self.recorder.of(DependencyProbed)]
