"""Queue memory exhaustion: 200 requests a second come, 50 are served, and the rest is remembered.

Broken: a queue without bounds. It grows by 150 requests a second, and memory with it, until the process is killed. Long
before that it is useless: after ten seconds whoever comes waits longer than the half minute that callers have, and the
service works at full speed for people who have gone. Who asks a question stands behind who runs a nightly batch.

Fixed: the defaults. At most 1,000 wait, with at most 50 MB; who cannot be served is told so at once; the batch has
a low priority, and is shed first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.core.request_queue import RequestQueue
from holdfast.errors import QueueFullError, ShedError
from holdfast.lab.failures.stage import played
from holdfast.lab.failures.story import Figure, Series, per_second

if TYPE_CHECKING:
    from holdfast.lab.failures.stage import Stage, Told
    from holdfast.lab.failures.story import Story

__all__ = ["NAME", "play", "queue_of"]

NAME = "queue-memory"

_QUESTIONS = 40.0
_BATCH = 160.0
_WORKERS = 10
_SERVICE = 0.2
"""Seconds of work: ten at once are 50 a second."""
_PATIENCE = 30.0
_SECONDS = 60.0
_QUESTION_PRIORITY, _BATCH_PRIORITY = 8, 2
_UNBOUNDED = 10**12
_SAMPLE = 0.5
_MB = 1024 * 1024


def queue_of(stage: Stage, *, fixed: bool) -> RequestQueue:
    """The queue in front of the work."""
    if fixed:
        return RequestQueue(
            max_concurrent=_WORKERS, requests_per_minute=None, clock=stage.clock, events=stage.events, name="rag"
        )
    return RequestQueue(
        max_concurrent=_WORKERS,
        requests_per_minute=None,
        max_size=_UNBOUNDED,
        max_bytes=_UNBOUNDED,
        max_wait=None,
        clock=stage.clock,
        events=stage.events,
        name="rag",
    )


def play(*, fixed: bool, seed: int = 7) -> Story:
    """Play it once."""

    async def main(stage: Stage) -> Told:
        return await _Overload(stage, fixed=fixed).told()

    return played(NAME, main, fixed=fixed, seed=seed)


class _Overload:
    """Users with questions, and a batch that takes all it can get."""

    def __init__(self, stage: Stage, *, fixed: bool) -> None:
        self._stage = stage
        self._fixed = fixed
        self._queue = queue_of(stage, fixed=fixed)
        self._asked = {"question": 0, "batch": 0}
        self._in_time: dict[str, list[float]] = {"question": [], "batch": []}
        self._late: list[float] = []
        self._refused_after: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def told(self) -> Told:
        memory: list[tuple[float, float]] = []
        await asyncio.gather(
            self._come("question", _QUESTIONS, _QUESTION_PRIORITY),
            self._come("batch", _BATCH, _BATCH_PRIORITY),
            self._sampled(memory),
        )
        state = self._queue.snapshot()
        await self._stage.wait(_PATIENCE)  # until everybody who came has an answer in time, or none
        asked, in_time = self._asked, self._in_time
        figures = {
            "waiting": Figure(f"requests waiting after {_SECONDS:g} s", state.waiting),
            "memory": Figure("held by those who wait, at the most", max(held for _, held in memory), "MB"),
            "growth": Figure("more each second, at the end", round(_slope(memory), 3), "MB"),
            "questions": Figure("of the users' questions answered in time", _percent(in_time, asked, "question"), "%"),
            "batch": Figure("of the batch answered in time", _percent(in_time, asked, "batch"), "%"),
            "late": Figure(f"answers after more than {_PATIENCE:g} s, when nobody waited any more", len(self._late)),
            "refused": Figure("refused or shed", state.refused + state.evicted + state.shed + state.expired),
        }
        self._stage.diary.stop()
        self._queue.close()  # the backlog is not part of the story
        useful = sorted(in_time["question"] + in_time["batch"])
        curves = (
            Series(name="MB held by those who wait", points=tuple(memory)),
            per_second("answers in time, a second", useful, until=_SECONDS, width=2.0),
        )
        return figures, curves

    async def _come(self, who: str, rate: float, priority: int) -> None:
        async for _ in self._stage.arrivals(rate, _SECONDS, name=who):
            self._asked[who] += 1
            task = asyncio.create_task(self._served(who, priority if self._fixed else None))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _served(self, who: str, priority: int | None) -> None:
        came = self._stage.seconds
        try:
            async with self._queue.admit(priority=priority):
                await self._stage.wait(_SERVICE)
        except (QueueFullError, ShedError):
            return
        now = self._stage.seconds
        if now - came <= _PATIENCE:
            self._in_time[who].append(now)
        else:
            self._late.append(now)

    async def _sampled(self, memory: list[tuple[float, float]]) -> None:
        while self._stage.seconds < _SECONDS:
            memory.append((self._stage.seconds, self._queue.snapshot().waiting_bytes / _MB))
            await self._stage.wait(_SAMPLE)


def _percent(in_time: dict[str, list[float]], asked: dict[str, int], who: str) -> float:
    return round(100 * len(in_time[who]) / asked[who], 1)


def _slope(memory: list[tuple[float, float]]) -> float:
    """Over the last third."""
    (begin, before), (end, after) = memory[-len(memory) // 3], memory[-1]
    return (after - before) / (end - begin)
