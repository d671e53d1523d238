"""Where a failure is played: a virtual clock, keyed chance, the events of the policies, and what the log says."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from holdfast.core.clock import to_ns
from holdfast.core.events import CallFailed, CallSucceeded, Event, Events
from holdfast.errors import MissingExtraError
from holdfast.lab.draws import Draws
from holdfast.lab.failures.story import LogLine, Story
from holdfast.lab.virtual.loop import VirtualLoop
from holdfast.lab.virtual.running import run

try:
    from holdfast.telemetry.event_log import line_of
except ModuleNotFoundError as error:
    raise MissingExtraError("showing what the log says", "service") from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping

    from holdfast.lab.failures.story import Figure, Series
    from holdfast.lab.virtual.clock import VirtualClock

__all__ = ["Diary", "Stage", "Told", "played"]

_MOST_LINES = 500
_UNLOGGED = CallSucceeded | CallFailed
"""What is counted in metrics and told by the caller; the log has no line for it."""

Told = tuple["Mapping[str, Figure]", "tuple[Series, ...]"]
"""What a failure gives: its figures and its curves."""


class Diary:
    """Keeps what the log would show at level INFO: the first five hundred lines, and how often each message came.

    Args:
        events: what is listened to.
        seconds: the time of the story.
        only: the messages whose lines are kept, where those of others would crowd them out; all are counted.
    """

    def __init__(self, events: Events, seconds: Callable[[], float], *, only: Collection[str] | None = None) -> None:
        self.lines: list[LogLine] = []
        self.counted: Counter[str] = Counter()
        self._seconds = seconds
        self._only = only
        self.stop = events.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, _UNLOGGED):
            return
        level, message, fields = line_of(event)
        if level == "debug":
            return
        self.counted[message] += 1
        if len(self.lines) < _MOST_LINES and (self._only is None or message in self._only):
            said = dict(fields)
            if event.correlation_id:
                said["correlation_id"] = event.correlation_id
            if event.dependency:
                said["dependency"] = event.dependency
            self.lines.append(LogLine(at=self._seconds(), level=level, message=message, fields=said))


class Stage:
    """A stage within a virtual loop.

    Args:
        clock: the loop's.
        seed: what all draws come from.
        events: the hub to listen to, where it is not a new one.

    Attributes:
        clock, draws, events: for whatever takes them.
        diary: the log.
    """

    def __init__(self, clock: VirtualClock, seed: int, events: Events | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.clock = clock
        self.draws = Draws(seed, trace=loop.trace if isinstance(loop, VirtualLoop) else None)
        self.events = Events() if events is None else events
        self.diary = Diary(self.events, lambda: self.seconds)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.clock.now_ns() / 1e9

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.asleep_ns(to_ns(seconds))

    async def arrivals(self, rate: float, until: float, *, name: str) -> AsyncIterator[int]:
        """Users who come whether or not anybody answers: their numbers from 1, each at its time, Poisson.

        Args:
            rate: a second.
            until: nobody comes from here on.
            name: what their draws are keyed by.
        """
        number = 0
        while True:
            number += 1
            gap = self.draws.exponential(1 / rate, "users", name, number)
            if self.seconds + gap >= until:
                await self.wait(until - self.seconds)
                return
            await self.wait(gap)
            yield number


def played(failure: str, main: Callable[[Stage], Coroutine[object, object, Told]], *, fixed: bool, seed: int) -> Story:
    """Play a failure on a stage of its own, and tell its story."""
    diaries: list[Diary] = []

    async def inside(clock: VirtualClock) -> Told:
        stage = Stage(clock, seed)
        diaries.append(stage.diary)
        return await main(stage)

    ran = run(inside, seed=seed)
    figures, timeline = ran.value
    return Story(
        failure=failure,
        fixed=fixed,
        seed=seed,
        seconds=ran.seconds,
        figures=figures,
        timeline=timeline,
        log=tuple(diaries[0].lines),
        logged=dict(diaries[0].counted.most_common()),
        trace=ran.trace,
    )
