"""Metastable failure: the trigger is gone, and the service stays down, because its callers keep it there.

A server that does ten things a second, at seven a second, with callers who wait 3 s and repeat four times at once. For
ten seconds ten times as many come. The queue (100) is then longer than the callers' patience: what is served was given
up by its caller, who has asked again meanwhile. So five calls come for each question, the queue stays full, and nobody
gets an answer, for as long as one cares to look (Bronson et al., Metastable Failures in Distributed Systems, 2021).

Fixed on both sides: a budget bounds the repetitions, and the server drops what waited longer than its caller does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.core.pipeline import Pipeline
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.retry_budget import RetryBudget
from holdfast.core.timeout import Timeout
from holdfast.errors import HoldfastError, QueueFullError, ShedError
from holdfast.lab.failures.calls import StatusError
from holdfast.lab.failures.stage import played
from holdfast.lab.failures.story import Figure, per_second

if TYPE_CHECKING:
    from holdfast.lab.failures.stage import Stage, Told
    from holdfast.lab.failures.story import Story

__all__ = ["NAME", "play", "play_with"]

NAME = "metastable"

_SERVED = 10.0
_LOAD = 0.7
_PATIENCE = 3.0
_REPETITIONS = 4
_QUEUE = 100
_TRIGGER = (60.0, 70.0)
_TIMES = 10
_SECONDS = 240.0
_BUCKET = 5.0
_GOOD = 0.95


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""
    return play_with(budget=fixed, drops=fixed, fixed=fixed, seed=seed)


def play_with(*, budget: bool, drops: bool, fixed: bool = True, seed: int = 7, load: float = _LOAD) -> Story:
    """The same with one half of the fix, or at another load.

    Args:
        budget: whether the callers have a retry budget.
        drops: whether the server drops what waited longer than its caller waits.
        load: arrivals as a share of what the server can do, above 0 and below 1.
    """

    async def main(stage: Stage) -> Told:
        return await _Service(stage, budget=budget, drops=drops, load=load).told()

    return played(NAME, main, fixed=fixed, seed=seed)


class _Service:
    """Callers, and a server that does not notice when they go."""

    def __init__(self, stage: Stage, *, budget: bool, drops: bool, load: float) -> None:
        self._stage = stage
        self._load = load
        self._queue = RequestQueue(
            max_concurrent=1,
            requests_per_minute=None,
            max_size=_QUEUE,
            max_wait=_PATIENCE if drops else None,
            clock=stage.clock,
            events=stage.events,
            name="server",
        )
        self._guard = Pipeline(
            Retry(
                max_retries=_REPETITIONS,
                initial_delay=0.0,
                jitter="none",
                budget=RetryBudget(clock=stage.clock) if budget else None,
            ),
            Timeout(seconds=_PATIENCE),
            name="server",
            clock=stage.clock,
            events=stage.events,
        )
        self._work: set[asyncio.Task[None]] = set()
        self._asked: list[float] = []
        self._calls: list[float] = []
        self._answered: list[float] = []
        self._answered_of: list[float] = []
        self._served = 0

    async def told(self) -> Told:
        rate = self._load * _SERVED
        begin, end = _TRIGGER
        async with asyncio.TaskGroup() as users:
            users.create_task(self._come(users, rate, 0.0, _SECONDS, "user"))
            users.create_task(self._come(users, rate * (_TIMES - 1), begin, end, "trigger"))
        self._queue.close()
        wasted = self._served - len(self._answered)
        back = self._recovered()
        later = [at for at in self._answered if _SECONDS - 60 <= at < _SECONDS]
        figures = {
            "calls": Figure("calls for each question", round(len(self._calls) / len(self._asked), 2)),
            "goodput": Figure("answers a second in the last minute", round(len(later) / 60, 2)),
            "arrivals": Figure("questions a second", round(rate, 2)),
            "recovery": Figure("from the end of the trigger until 95% get an answer again", back, "s"),
            "wasted": Figure("of the server's work for nobody", round(100 * wasted / self._served, 1), "%"),
        }
        curves = (
            per_second("calls that reach the server, a second", self._calls, until=_SECONDS, width=_BUCKET),
            per_second("answers a second", self._answered, until=_SECONDS, width=_BUCKET),
        )
        return figures, curves

    async def _come(self, users: asyncio.TaskGroup, rate: float, begin: float, end: float, name: str) -> None:
        await self._stage.wait(begin)
        async for number in self._stage.arrivals(rate, end, name=name):
            self._asked.append(self._stage.seconds)
            users.create_task(self._user(f"{name}-{number}"))

    async def _user(self, name: str) -> None:
        came = self._stage.seconds
        try:
            await self._guard.call(self._call, name)
        except (HoldfastError, StatusError):
            return  # gone without an answer
        self._answered_of.append(came)
        self._answered.append(self._stage.seconds)

    async def _call(self, name: str) -> None:
        """Over the network: whoever gives up leaves a request behind that the server knows of."""
        self._calls.append(self._stage.seconds)
        work = asyncio.create_task(self._serve(name, len(self._calls)))
        self._work.add(work)
        work.add_done_callback(self._forget)
        await asyncio.shield(work)

    async def _serve(self, name: str, call: int) -> None:
        try:
            async with self._queue.admit():
                await self._stage.wait(self._stage.draws.exponential(1 / _SERVED, "server", name, call))
                self._served += 1
        except (QueueFullError, ShedError) as error:
            raise StatusError(503) from error

    def _forget(self, work: asyncio.Task[None]) -> None:
        self._work.discard(work)
        if not work.cancelled():
            work.exception()  # it went to the caller, if there still was one

    def _recovered(self) -> float:
        """Until the first of three buckets in a row of whose questions 95% were answered; what is left if none is."""
        end = _TRIGGER[1]
        asked = per_second("", self._asked, until=_SECONDS, width=_BUCKET).points
        answered = per_second("", self._answered_of, until=_SECONDS, width=_BUCKET).points
        good = {at for (at, came), (_, got) in zip(asked, answered, strict=True) if at >= end and got >= _GOOD * came}
        return min((at for at in good if {at + _BUCKET, at + 2 * _BUCKET} <= good), default=_SECONDS) - end
