"""Single flight for questions: the same question, asked by many at the same moment, is answered once.

One of them leads: its work runs in a task of its own, and the others, who come while it runs, follow. Everybody gets
the answer, and who wants it piece by piece gets the pieces from the first one on, however late they came. Callers come
and go: when the one who leads is gone, the work goes on for the others; when all are gone, it is cancelled.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.single_flight import SingleFlight
from holdfast.rag.answering.base import pieces_of
from holdfast.rag.types import Answer, Reason, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import TypeAlias

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.single_flight import FlightSnapshot

    Compute: TypeAlias = Callable[[], AsyncGenerator[str | Answer, None]]

__all__ = ["Flights"]

_MARGIN_NS = 250_000_000
"""What the work has less than the one who leads, where that is a small part: what it says about being late must arrive
in time."""

_UNLUCKY = frozenset({Reason.DEADLINE_EXCEEDED, Reason.ANSWER_INTERRUPTED})
"""What may go better for the next who asks."""


@dataclass(slots=True, eq=False)
class _Flight:
    """An answer on its way, for all who wait for it."""

    pieces: list[str] = field(default_factory=list)
    waiters: dict[asyncio.Event, None] = field(default_factory=dict)  # a set would tell them by their memory addresses
    callers: int = 0
    leader: object = None
    ended: bool = False

    def add(self, piece: str) -> None:
        """Give a piece to all who want it."""
        self.pieces.append(piece)
        for waiter in self.waiters:
            waiter.set()


class _MissedError(Exception):
    """The flight had landed when the caller came to board it; inside this module only."""


class Flights:
    """Shares answers between those who ask the same at the same moment, within one event loop.

    Args:
        clock: measures deadlines.
        events: hears of each caller who joined (``FlightShared``).
    """

    def __init__(self, *, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._single = SingleFlight(clock=clock, events=events, name="engine")
        self._under_way: dict[str, _Flight] = {}

    async def answer(self, key: str, compute: Compute, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        """The answer that ``compute`` gives, or gave somebody else who asked the same; its pieces before it.

        One who follows gets the leader's answer as it is, but at no cost and without usage: those are the leader's. Its
        ``timings_ms`` say how long it waited (``shared``). When the leader ran out of time or its answer broke off, a
        follower who has time left and was given nothing yet asks again.

        Questions with a short deadline of their own should not come here: they would rather have a hurried answer than
        wait for a good one.

        Args:
            key: the same for the same question; everything on which the answer depends belongs into it.
            compute: makes a generator: pieces, where it is streamed, and the answer as the last item. It runs in a task
                of its own, in the context and within the deadline of the one who leads.
            streamed: whether the caller wants pieces. One who follows a leader who does not gets all of them at last.

        Raises:
            DeadlineExceededError: the caller's own deadline has passed.
            Exception: what ``compute`` raised.
        """
        me, given = object(), False
        started = self._clock.now_ns()
        while True:
            flight = self._under_way.setdefault(key, _Flight())
            flight.callers += 1
            try:
                landing = self._single.do(flight, self._lead, key, flight, me, compute, remaining_ns(self._clock))
                if streamed:
                    task = asyncio.ensure_future(landing)
                    try:
                        await asyncio.sleep(0)  # for the task's first turn: it boards the flight now, or has missed it
                        if not flight.ended:
                            async with aclosing(_pieces(flight, task)) as pieces:
                                async for piece in pieces:
                                    given = True
                                    yield piece
                        answer, leader = await task
                    finally:
                        await _end(task)
                else:
                    answer, leader = await landing
            except _MissedError:
                continue
            finally:
                flight.callers -= 1
                if not flight.callers:
                    self._forget(key, flight)
            if leader is me or given or not self._is_worth_another(answer):
                break
        if streamed and not given:
            for piece in pieces_of(answer.text):
                yield piece
        yield answer if leader is me else self._followed(answer, started)

    def snapshot(self) -> FlightSnapshot:
        """How many questions were answered, and how many callers shared an answer."""
        return self._single.snapshot()

    async def _lead(
        self, key: str, flight: _Flight, caller: object, compute: Compute, left_ns: int | None
    ) -> tuple[Answer, object]:
        """The work of a flight: the answer, and who leads."""
        if flight.ended:
            raise _MissedError
        leads = flight.leader is None  # False where there were too many flights to share one
        flight.leader = flight.leader or caller
        answer: Answer | None = None
        try:
            with nullcontext() if left_ns is None else self._deadline(left_ns):
                async with aclosing(compute()) as items:
                    async for item in items:
                        if isinstance(item, Answer):
                            answer = item
                        elif leads:
                            flight.add(item)
        finally:
            if leads:
                flight.ended = True
                self._forget(key, flight)
        if answer is None:
            raise AssertionError("the last item is the answer")
        return answer, caller

    def _deadline(self, left_ns: int) -> deadline_scope:
        return deadline_scope((left_ns - min(_MARGIN_NS, left_ns // 20)) / NS_PER_SECOND, clock=self._clock)

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._under_way.get(key) is flight:
            del self._under_way[key]

    def _is_worth_another(self, answer: Answer) -> bool:
        """Whether the leader's answer is its own bad luck, and who follows has time for a better one."""
        return not _UNLUCKY.isdisjoint(answer.reasons) and remaining_ns(self._clock) != 0

    def _followed(self, answer: Answer, started_ns: int) -> Answer:
        waited = (self._clock.now_ns() - started_ns) / 1e6
        return replace(answer, usage=Usage(), cost_usd=0.0, timings_ms={"shared": waited})


async def _end(task: asyncio.Future[tuple[Answer, object]]) -> None:
    """Stop waiting for a flight, where the caller is gone before it landed."""
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    elif not task.cancelled():
        task.exception()  # it is seen: nobody needs to be told that nobody looked


async def _pieces(flight: _Flight, task: asyncio.Future[tuple[Answer, object]]) -> AsyncGenerator[str, None]:
    """The pieces of a flight from the first one on, until ``task`` is done."""
    news = asyncio.Event()
    flight.waiters[news] = None
    task.add_done_callback(lambda _: news.set())
    at = 0
    try:
        while True:
            while at < len(flight.pieces):
                yield flight.pieces[at]
                at += 1
            if task.done():
                return
            news.clear()
            await news.wait()
    finally:
        flight.waiters.pop(news, None)
