"""``test SCENARIO``: breaks something on purpose, and shows what the engine does about it, as it happens."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from holdfast.cli.chat.tables import rows_table
from holdfast.core.events import BreakerTransition, FallbackUsed, RetriesExhausted, RetryScheduled, RetrySucceeded
from holdfast.errors import InvalidInputError
from holdfast.rag.evaluation.measures import percentile
from holdfast.rag.injection.drill import Asked, Broken, Healed, Recovered, drill, subjects
from holdfast.telemetry.events import StageFailed, TierChanged
from holdfast.telemetry.model_events import KeyParked, ModelFailedOver, StreamBroken, StreamContinued, TargetHeld

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.cli.chat.tally import Tally
    from holdfast.cli.chat.view import View
    from holdfast.core.events import Event
    from holdfast.rag.engine import Engine
    from holdfast.rag.injection.drill import Moment
    from holdfast.rag.injection.scenarios import Scenario

__all__ = ["run_drill"]

_SHOWN = (
    BreakerTransition,
    FallbackUsed,
    KeyParked,
    ModelFailedOver,
    RetriesExhausted,
    RetryScheduled,
    RetrySucceeded,
    StageFailed,
    StreamBroken,
    StreamContinued,
    TargetHeld,
    TierChanged,
)
_FIELDS = (
    "retry_attempt",
    "backoff_ms",
    "reason",
    "kind",
    "attempts",
    "reason_code",
    "from_tier",
    "to_tier",
    "from_target",
    "to_target",
    "seconds",
    "alternative",
)
_PHASES = {"before": "before the fault", "broken": "during the fault", "recovering": "after the fault"}


async def run_drill(engine: Engine, scenario: Scenario, view: View, tally: Tally, *, collection: str) -> None:
    """Play ``scenario`` and tell what happens.

    Raises:
        InvalidInputError: nothing is ingested that could be asked about.
        StoreError: the documents cannot be read.
    """
    about = await subjects(engine, collection)
    if not about:
        raise InvalidInputError("test", "nothing is ingested to ask about: run `holdfast ingest --sample` first")
    report = _Report(engine, view)
    stop = engine.events.listen(report.hear, *_SHOWN)
    cost = tally.cost_usd
    view.say(f"{scenario.name}: {scenario.says}")
    try:
        with view.following(lambda: f"{report.phase} · {tally.line()}"):
            async with aclosing(drill(engine, scenario, about, collection=collection)) as moments:
                async for moment in moments:
                    report.tell(moment)
    finally:
        stop()
    view.table(rows_table("", "questions", "tiers", "sources", "p50", "longest", rows=report.summary()))
    view.say(report.outcome)
    if tally.cost_usd > cost:
        view.note(f"The drill cost ${tally.cost_usd - cost:.6f}.")


class _Report:
    """Writes a line for each thing that happens, but what is the same from one question to the next only once."""

    def __init__(self, engine: Engine, view: View) -> None:
        self._clock = engine.clock
        self._started_ns = engine.clock.now_ns()
        self._view = view
        self._heard: set[str] = set()
        self._asked: list[Asked] = []
        self._last = ""
        self.phase = _PHASES["before"]
        self.outcome = "Stopped: the fault is off."

    def hear(self, event: Event) -> None:
        """An event of the engine."""
        from holdfast.telemetry.event_log import line_of

        _, message, fields = line_of(event)
        told = " ".join(f"{name}={_short(fields[name])}" for name in _FIELDS if fields.get(name) not in {None, ""})
        line = " ".join(filter(None, (message, event.dependency, told)))
        if line not in self._heard:
            self._heard.add(line)
            self._view.note(f"  {self._at()} {line}")

    def tell(self, moment: Moment) -> None:
        """A moment of the drill."""
        match moment:
            case Broken():
                self.phase = _PHASES["broken"]
                self._view.warn(f"  {self._at()} FAULT ON  {moment.injection}")
            case Healed():
                self.phase = _PHASES["recovering"]
                self._view.warn(f"  {self._at()} FAULT OFF  {moment.hits:,} calls met it")
                self._last = ""
                self._heard.clear()
            case Asked():
                self._asked.append(moment)
                said = _said(moment)
                if moment.phase != "recovering" or said != self._last:  # while it climbs, only what changes
                    self._view.say(f"  {self._at()} #{moment.number} {said}, {moment.seconds * 1e3:,.0f} ms")
                    self._heard.clear()
                self._last = said
            case Recovered():
                self.outcome = _outcome(moment)

    def summary(self) -> Iterable[tuple[str, ...]]:
        """A row for each phase: questions, tiers, sources, times."""
        for phase, name in _PHASES.items():
            asked = [each for each in self._asked if each.phase == phase]
            if not asked:
                continue
            answers = [each.answer for each in asked if each.answer is not None]
            seconds = [each.seconds for each in asked]
            refused = len(asked) - len(answers)
            yield (
                name,
                f"{len(asked)}" + (f", {refused} refused" if refused else ""),
                _each(answer.tier for answer in answers),
                _each(answer.source for answer in answers),
                f"{(percentile(seconds, 0.5) or 0.0) * 1e3:,.0f} ms",
                f"{max(seconds) * 1e3:,.0f} ms",
            )

    def _at(self) -> str:
        return f"{(self._clock.now_ns() - self._started_ns) / 1e9:6.2f} s"


def _said(asked: Asked) -> str:
    if asked.answer is None:
        return f"refused: {asked.refused}"
    answer = asked.answer
    again = "asked again, " if asked.again else ""
    reasons = f" ({', '.join(answer.reasons)})" if answer.reasons else ""
    return f"{again}tier {answer.tier}, source {answer.source}{reasons}"


def _outcome(recovered: Recovered) -> str:
    if recovered.seconds is None:
        shut = f" These breakers are not closed yet: {', '.join(recovered.still_open)}." if recovered.still_open else ""
        return f"It had not recovered when the drill ended.{shut}"
    return f"Recovered by itself {recovered.seconds:.1f} s after the fault was off."


def _each(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "–"


def _short(value: object) -> str:
    return f"{round(value, 1):g}" if isinstance(value, float) else str(value)
