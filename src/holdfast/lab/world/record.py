"""What happened in a world: every question with what became of it, every move of a tier and of a breaker."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.events import BreakerTransition, RetryScheduled
from holdfast.telemetry.events import ModelCallPriced, StageFailed, TierChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core.events import Event, Events
    from holdfast.rag.types import Answer

__all__ = ["Asked", "BreakerMove", "Record", "TierMove", "asked_of"]

_MOST_CRASHES = 20
_USELESS = frozenset({"static", "rejected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question and what became of it. Times are seconds of the world.

    Attributes:
        request: its id.
        question: as it was asked.
        at: when.
        seconds: until the answer, or the error.
        first: seconds until the first text, for questions whose answers were streamed; None where none came.
        tier, source, reasons, model, cost_usd, answered, text: of the answer; empty where there was none.
        error: the type of the exception that came instead of an answer; empty where one came.
        fact: whether a known fact of the question stands in the answer; None where none is known.
    """

    request: str
    question: str
    at: float
    seconds: float
    tier: str = ""
    source: str = ""
    reasons: tuple[str, ...] = ()
    model: str = ""
    cost_usd: float = 0.0
    answered: bool = False
    text: str = ""
    error: str = ""
    fact: bool | None = None
    first: float | None = None

    @property
    def useful(self) -> bool:
        """Whether it is no user-facing error by itself: an answer, and neither a polite sentence nor a refusal."""
        return not self.error and self.source not in _USELESS and bool(self.text)


@dataclass(frozen=True, slots=True)
class TierMove:
    """The service moved to another tier."""

    at: float
    before: str
    after: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BreakerMove:
    """A breaker changed its state."""

    at: float
    dependency: str
    before: str
    after: str
    reason: str


class Record:
    """The record of one world.

    Args:
        events: the engine's.
        seconds: the world's time.

    Attributes:
        asked: the questions that ended, in the order of their ends.
        tiers: moves of the service's tier.
        breakers: moves of breakers.
        retries: calls that were made again, by dependency.
        failures: stages that failed for good, by stage and dependency.
        crashes: errors that the engine does not raise on purpose: the first twenty, with their tracebacks.
        model_calls: calls to models that were priced, by model and cause (``first``, ``retry``, ``failover``, ...).
        keep: whether :attr:`asked`, :attr:`tiers` and :attr:`breakers` are kept. A long run switches it off, so that
            its memory does not grow with its time; everything else is counts.
        on_asked: is told of each question that ended.
    """

    def __init__(self, events: Events, seconds: Callable[[], float]) -> None:
        self.keep = True
        self.on_asked: Callable[[Asked], object] | None = None
        self.asked: list[Asked] = []
        self.tiers: list[TierMove] = []
        self.breakers: list[BreakerMove] = []
        self.crashes: list[str] = []
        self.retries: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.model_calls: Counter[tuple[str, str]] = Counter()
        self._seconds = seconds
        self._stop = events.listen(
            self._hear, BreakerTransition, ModelCallPriced, RetryScheduled, StageFailed, TierChanged
        )

    def stop(self) -> None:
        """Listen no more."""
        self._stop()

    def useful_share(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The share of useful answers among the questions asked in a time; 1 where there were none."""
        asked = [each for each in self.asked if since <= each.at < until]
        return sum(each.useful for each in asked) / len(asked) if asked else 1.0

    def latency(self, share: float) -> float:
        """The seconds within which a ``share`` of the questions ended, e.g. 0.95; 0 where there were none."""
        times = sorted(each.seconds for each in self.asked)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    def summary(self) -> dict[str, object]:
        """Counts and shares, as data."""
        return {
            "asked": len(self.asked),
            "useful": self.useful_share(),
            "crashes": len(self.crashes),
            "errors": _counted(each.error for each in self.asked if each.error),
            "tiers": _counted(each.tier for each in self.asked if each.tier),
            "sources": _counted(each.source for each in self.asked if each.source),
            "reasons": _counted(reason for each in self.asked for reason in each.reasons),
            "latency": {f"p{share * 100:g}": round(self.latency(share), 3) for share in (0.5, 0.95, 0.99)},
            "cost_usd": round(sum(each.cost_usd for each in self.asked), 6),
            "tier_moves": len(self.tiers),
            "opened": _counted(each.dependency for each in self.breakers if each.after == "open"),
            "retries": dict(sorted(self.retries.items())),
            "model_calls": {f"{model} {cause}": count for (model, cause), count in sorted(self.model_calls.items())},
        }

    def crashed(self, error: Exception) -> None:
        """A question ended with an error that is a defect."""
        if len(self.crashes) < _MOST_CRASHES:
            self.crashes.append("".join(traceback.format_exception(error)))

    def add(self, asked: Asked) -> None:
        """One question ended."""
        if self.keep:
            self.asked.append(asked)
        if self.on_asked is not None:
            self.on_asked(asked)

    def _hear(self, event: Event) -> None:
        match event:
            case BreakerTransition() if self.keep:
                self.breakers.append(
                    BreakerMove(self._seconds(), event.dependency, event.from_state, event.to_state, event.reason)
                )
            case ModelCallPriced():
                self.model_calls[event.dependency, event.cause] += 1
            case RetryScheduled():
                self.retries[event.dependency] += 1
            case StageFailed():
                self.failures[event.stage, event.dependency] += 1
            case TierChanged() if self.keep:
                self.tiers.append(TierMove(self._seconds(), event.from_tier, event.to_tier, event.reasons))


def asked_of(
    answer: Answer,
    *,
    request: str,
    question: str,
    at: float,
    seconds: float,
    first: float | None,
    facts: Sequence[str],
) -> Asked:
    """The record of an answer."""
    return Asked(
        request=request,
        question=question,
        at=at,
        seconds=seconds,
        first=first,
        tier=answer.tier.value,
        source=answer.source.value,
        reasons=tuple(reason.value for reason in answer.reasons),
        model=answer.model or "",
        cost_usd=answer.cost_usd,
        answered=answer.answered,
        text=answer.text,
        fact=any(fact in answer.text for fact in facts) if facts else None,
    )


def _counted(values: object) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))  # type: ignore[call-overload]
