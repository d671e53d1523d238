"""What the session has seen of the engine: counted from its events, as metrics are."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from holdfast.core.events import BreakerTransition, FallbackUsed, RetryScheduled
from holdfast.rag.evaluation.measures import percentile
from holdfast.rag.health import breaker_state
from holdfast.telemetry.events import AnswerReturned, CacheLookup, ModelCallPriced, StageFailed
from holdfast.telemetry.model_events import ModelFailedOver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.events import Event
    from holdfast.rag.engine import Engine

__all__ = ["Tally", "breakers"]

_MOST_LATENCIES = 10_000


class Tally:
    """Counts from its construction on. Events come from the engine's thread; a look at a count needs no lock.

    Attributes:
        questions: answers given.
        tiers, sources, statuses: how many of each.
        cache_hits, cache_lookups: of the answer cache.
        retries, fallbacks, failovers, stages_failed, openings: what was done about failures.
        cost_usd: what all calls to models cost, those of wasted answers included.
        tokens: of all calls to models.
    """

    def __init__(self, engine: Engine) -> None:
        self.questions = 0
        self.tiers: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.cache_hits = self.cache_lookups = 0
        self.retries = self.fallbacks = self.failovers = self.stages_failed = self.openings = 0
        self.cost_usd = 0.0
        self.tokens = 0
        self._latencies: deque[float] = deque(maxlen=_MOST_LATENCIES)
        self._engine = engine
        self._stop = engine.events.listen(
            self._hear,
            AnswerReturned,
            BreakerTransition,
            CacheLookup,
            FallbackUsed,
            ModelCallPriced,
            ModelFailedOver,
            RetryScheduled,
            StageFailed,
        )

    def close(self) -> None:
        """Count no more."""
        self._stop()

    def latency_ms(self, share: float) -> float | None:
        """The percentile (0 to 1) of the answers' times; None before the first answer."""
        seconds = percentile(list(self._latencies), share)
        return None if seconds is None else seconds * 1e3

    def line(self) -> str:
        """The status line: tier, breakers, cost."""
        shut = [f"{name} {state}" for name, state in breakers(self._engine).items() if state != "closed"]
        tier = self._engine.tiers.tier
        return f"tier {tier} · breakers {', '.join(shut) or 'closed'} · ${self.cost_usd:.4f} so far"

    def _hear(self, event: Event) -> None:
        match event:
            case AnswerReturned():
                self.questions += 1
                self.tiers[event.tier] += 1
                self.sources[event.source] += 1
                self.statuses[event.status] += 1
                self._latencies.append(event.seconds)
            case CacheLookup():
                self.cache_lookups += 1
                self.cache_hits += event.hit
            case ModelCallPriced():
                self.cost_usd += event.usd
                self.tokens += event.prompt_tokens + event.completion_tokens
            case BreakerTransition():
                self.openings += event.to_state == "open"
            case RetryScheduled():
                self.retries += 1
            case FallbackUsed():
                self.fallbacks += 1
            case ModelFailedOver():
                self.failovers += 1
            case StageFailed():
                self.stages_failed += 1


def breakers(engine: Engine) -> Mapping[str, str]:
    """The state of each circuit breaker, by the dependency's name."""
    states = {name: breaker_state(guard) for name, guard in engine.guards().items()}
    return {name: state for name, state in states.items() if state is not None}
