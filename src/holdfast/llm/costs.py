"""What calls to models cost, by model and by cause.

Resilience is paid for in calls: a repetition, a hedge, an answer that was thrown away. So each call says what it was
for, and the running totals tell how much of the bill is the price of answers and how much the price of failures.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.core._options import whole
from holdfast.llm.messages import Usage
from holdfast.telemetry.events import ModelCallPriced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["OTHER", "CallCost", "Cause", "CostBook", "CostLine", "CostSnapshot", "cost_table", "priced_event"]

OTHER = "other"
"""Stands for the providers and models beyond those that a book has room for."""

_PICO = 10**12
_MICRO_IN_PICO = 10**6


class Cause(StrEnum):
    """What a call was made for."""

    FIRST = "first"
    """The first call for a question."""
    RETRY = "retry"
    """The same target once more, after it failed."""
    FAILOVER = "failover"
    """Another target or another key of the same list, after one failed."""
    HEDGE = "hedge"
    """A second call beside a slow one."""
    FALLBACK = "fallback"
    """A target of another list: with a larger context, or for what others withhold."""
    CONTINUATION = "continuation"
    """The rest of a stream that broke."""
    WASTED = "wasted"
    """Whatever it was made for, its answer was paid and not used: a hedge that lost, or a stream that was left."""
    PROBE = "probe"
    """A look whether a target that is left alone works again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """One call.

    Attributes:
        provider, model: whose it was.
        cause: what it was made for.
        usage: tokens.
        usd: US dollars; 0 where the price is not known.
        known: whether the price is known.
    """

    provider: str
    model: str
    cause: Cause
    usage: Usage
    usd: float
    known: bool


def priced_event(
    cost: CallCost, *, time_ns: int, call_id: str = "", pipeline: str = "", attempt: int = 0
) -> ModelCallPriced:
    """The event that tells of ``cost``. The correlation id is that of the running request.

    Args:
        cost: the call.
        time_ns: when it ended, in Unix nanoseconds.
        call_id, pipeline, attempt: as in every event.
    """
    return ModelCallPriced(
        time_ns=time_ns,
        call_id=call_id,
        pipeline=pipeline,
        dependency=f"model:{cost.provider}/{cost.model}",
        attempt=attempt,
        provider=cost.provider,
        model=cost.model,
        cause=cost.cause.value,
        prompt_tokens=cost.usage.prompt_tokens,
        completion_tokens=cost.usage.completion_tokens,
        cached_tokens=cost.usage.cached_tokens,
        estimated=cost.usage.estimated,
        usd=cost.usd,
        known=cost.known,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """What calls of one sort cost together.

    Attributes:
        provider, model: whose they were; empty where they are of several.
        cause: what they were made for; None where it was several things.
        calls: how many.
        unpriced: those of them whose price is not known; they add nothing to the cost.
        usage: tokens.
        pico_usd: US dollars times 10**12, a whole number, so that parts add up to their total.
    """

    provider: str = ""
    model: str = ""
    cause: Cause | None = None
    calls: int = 0
    unpriced: int = 0
    usage: Usage = field(default_factory=Usage)
    pico_usd: int = 0

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.pico_usd / _PICO


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSnapshot:
    """Running totals at one moment. ``lines`` has one entry for each provider, model and cause that occurred."""

    lines: tuple[CostLine, ...] = ()

    @property
    def total(self) -> CostLine:
        """All calls."""
        return _sum(self.lines)

    def by_cause(self) -> dict[Cause, CostLine]:
        """By what calls were made for; every cause is there."""
        return {cause: _sum((one for one in self.lines if one.cause is cause), cause=cause) for cause in Cause}

    def by_model(self) -> dict[str, CostLine]:
        """By ``"provider/model"``."""
        names = dict.fromkeys((one.provider, one.model) for one in self.lines)
        return {
            f"{provider}/{model}": _sum(
                (one for one in self.lines if (one.provider, one.model) == (provider, model)), provider, model
            )
            for provider, model in names
        }


def _sum(lines: Iterable[CostLine], provider: str = "", model: str = "", cause: Cause | None = None) -> CostLine:
    calls = unpriced = pico_usd = 0
    usage = Usage()
    for one in lines:
        calls += one.calls
        unpriced += one.unpriced
        pico_usd += one.pico_usd
        usage += one.usage
    return CostLine(
        provider=provider, model=model, cause=cause, calls=calls, unpriced=unpriced, usage=usage, pico_usd=pico_usd
    )


class _Running:
    """The totals of one line, as they grow."""

    __slots__ = ("cached", "calls", "completion", "estimated", "pico_usd", "prompt", "unpriced")

    def __init__(self) -> None:
        self.calls = self.unpriced = self.pico_usd = self.prompt = self.completion = self.cached = 0
        self.estimated = False

    def add(self, cost: CallCost) -> None:
        usage = cost.usage
        self.calls += 1
        self.unpriced += not cost.known
        self.pico_usd += round(cost.usd * _PICO)
        self.prompt += usage.prompt_tokens
        self.completion += usage.completion_tokens
        self.cached += usage.cached_tokens
        self.estimated |= usage.estimated

    def line(self, provider: str, model: str, cause: Cause) -> CostLine:
        usage = Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            cached_tokens=self.cached,
            estimated=self.estimated,
        )
        return CostLine(
            provider=provider,
            model=model,
            cause=cause,
            calls=self.calls,
            unpriced=self.unpriced,
            usage=usage,
            pico_usd=self.pico_usd,
        )


class CostBook:
    """Running totals of what calls cost; any thread may add to it.

    Args:
        max_models: models that have totals of their own, 1 or more; the calls of further ones are counted together
            under :data:`OTHER`, so that names that a caller makes up cannot fill the memory.

    Raises:
        ConfigError: ``max_models`` is out of its range.
    """

    def __init__(self, *, max_models: int = 200) -> None:
        self._max_models = whole("max_models", max_models, least=1)
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str], dict[Cause, _Running]] = {}

    def add(self, cost: CallCost) -> None:
        """Count one call."""
        key = (cost.provider, cost.model)
        with self._lock:
            causes = self._models.get(key)
            if causes is None:
                own = len(self._models) - ((OTHER, OTHER) in self._models) < self._max_models
                causes = self._models.setdefault(key if own else (OTHER, OTHER), {})
            running = causes.get(cost.cause)
            if running is None:
                running = causes[cost.cause] = _Running()
            running.add(cost)

    def snapshot(self) -> CostSnapshot:
        """The totals now."""
        with self._lock:
            return self._snapshot()

    def reset(self) -> CostSnapshot:
        """Begin anew, and return what it was until now; no call is lost or counted twice between the two."""
        with self._lock:
            before = self._snapshot()
            self._models = {}
            return before

    def _snapshot(self) -> CostSnapshot:
        return CostSnapshot(
            lines=tuple(
                running.line(provider, model, cause)
                for (provider, model), causes in self._models.items()
                for cause, running in causes.items()
            )
        )


def cost_table(snapshot: CostSnapshot) -> str:
    """The costs by cause as a table for people, in US dollars to the millionth; its lines add up to its total.

    Rounded one by one they would not: what is missing goes to the lines that were cut most (the method of the largest
    remainder).
    """
    causes = [line for line in snapshot.by_cause().values() if line.calls]
    total = snapshot.total
    shown = _apportion([line.pico_usd for line in causes], round(total.pico_usd / _MICRO_IN_PICO))
    rows = [("cause", "calls", "tokens", "USD")]
    rows += [
        (str(line.cause), f"{line.calls:,}", f"{line.usage.total_tokens:,}", _dollars(micro))
        for line, micro in zip(causes, shown, strict=True)
    ]
    rows.append(("total", f"{total.calls:,}", f"{total.usage.total_tokens:,}", _dollars(sum(shown))))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    left: Callable[[str, int], str] = str.ljust
    return "\n".join(
        "  ".join(
            [left(row[0], widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _apportion(pico: list[int], micro_total: int) -> list[int]:
    """``pico`` in millionths of a dollar, rounded so that they add up to ``micro_total``."""
    floors = [each // _MICRO_IN_PICO for each in pico]
    missing = micro_total - sum(floors)
    by_remainder = sorted(range(len(pico)), key=lambda index: pico[index] % _MICRO_IN_PICO, reverse=True)
    for index in by_remainder[:missing]:
        floors[index] += 1
    return floors


def _dollars(micro: int) -> str:
    return f"{micro // 10**6:,}.{micro % 10**6:06d}"
