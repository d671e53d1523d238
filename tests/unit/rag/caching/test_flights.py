"""One answer for all who ask the same at the same moment."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from holdfast.core.deadline import deadline_scope, remaining_ns
from holdfast.core.events import Events, FlightShared, correlation_id, correlation_scope
from holdfast.errors import DeadlineExceededError
from holdfast.rag.caching.flights import Flights
from holdfast.rag.types import Answer, Reason, Source, Tier, Usage
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ANSWER = Answer(
    text="one two three",
    source=Source.LIVE,
    tier=Tier.FULL,
    model="m",
    usage=Usage(prompt_tokens=7),
    cost_usd=0.5,
    timings_ms={"answer": 9.0},
)


@dataclass
class Work:
    """Writes the answer word by word; each word waits to be allowed."""

    flights: Flights
    answer: Answer = ANSWER
    error: Exception | None = None
    calls: int = 0
    ended: int = 0
    allowed: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def compute(self, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        self.calls += 1
        try:
            for piece in ("one ", "two ", "three"):
                await self.allowed.acquire()
                if streamed:
                    yield piece
            if self.error is not None:
                raise self.error
            yield self.answer
        finally:
            self.ended += 1

    async def ask(self, key: str = "k", *, streamed: bool = False) -> tuple[list[str], Answer]:
        pieces: list[str] = []
        async for item in self.flights.answer(key, lambda: self.compute(streamed=streamed), streamed=streamed):
            if isinstance(item, Answer):
                return pieces, item
            pieces.append(item)
        raise AssertionError

    def allow(self) -> None:
        for _ in range(3):
            self.allowed.release()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto=False)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def work(clock: FakeClock, events: Events) -> Work:
    return Work(Flights(clock=clock, events=events))


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_same_question_is_answered_once(work: Work, clock: FakeClock, events: Events) -> None:
    """Ten who ask at once get one answer: the first as it is, the others at no cost and with how long they waited."""
    recorder = EventRecorder(events, FlightShared)
    asking = [asyncio.create_task(work.ask()) for _ in range(10)]
    await turns()
    clock.advance(0.25)
    work.allow()
    answers = [answer for _, answer in await asyncio.gather(*asking)]
    assert work.calls == 1
    assert answers[0] == ANSWER
    for answer in answers[1:]:
        assert (answer.text, answer.source, answer.model) == (ANSWER.text, Source.LIVE, "m")
        assert (answer.cost_usd, answer.usage, answer.timings_ms) == (0.0, Usage(), {"shared": 250.0})
    assert len(recorder.events) == 9
    snapshot = work.flights.snapshot()
    assert (snapshot.executions, snapshot.shared, snapshot.flights) == (1, 9, 0)


async def test_other_questions_and_later_ones_are_answered_anew(work: Work) -> None:
    """Another key is another flight, and who comes after the landing begins a new one."""
    work.allow()
    work.allow()
    await asyncio.gather(work.ask("a"), work.ask("b"))
    work.allow()
    await work.ask("a")
    assert work.calls == 3
    assert work.flights._under_way == {}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_a_late_follower_gets_every_piece(work: Work, *, streamed: bool) -> None:
    """Who joins in the middle of a streamed answer gets its pieces from the first on, or the whole, as they want."""
    leader = asyncio.create_task(work.ask(streamed=True))
    await turns()
    work.allowed.release()
    await turns()
    follower = asyncio.create_task(work.ask(streamed=streamed))
    await turns()
    work.allow()
    (led, _), (followed, answer) = await asyncio.gather(leader, follower)
    assert work.calls == 1
    assert led == ["one ", "two ", "three"]
    assert followed == (led if streamed else [])
    assert answer.cost_usd == 0


async def test_pieces_come_as_they_are_written(work: Work) -> None:
    """A follower hears each piece when it is written, not when all are."""
    leader = asyncio.create_task(work.ask(streamed=True))
    await turns()
    stream = work.flights.answer("k", lambda: work.compute(streamed=True), streamed=True)
    work.allowed.release()
    assert await anext(stream) == "one "
    work.allowed.release()
    assert await anext(stream) == "two "
    assert not leader.done()
    await stream.aclose()
    work.allow()
    assert (await leader)[1] == ANSWER


async def test_who_streams_may_follow_who_does_not(work: Work) -> None:
    """Behind one who wants the whole, the pieces come at the end, and add up to the text."""
    leader = asyncio.create_task(work.ask())
    await turns()
    follower = asyncio.create_task(work.ask(streamed=True))
    await turns()
    work.allow()
    pieces, answer = await follower
    assert "".join(pieces) == answer.text == (await leader)[1].text
    assert work.calls == 1


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_the_leader_may_go(work: Work, *, streamed: bool) -> None:
    """When the one who leads is cancelled, the work goes on for the others."""
    leader = asyncio.create_task(work.ask(streamed=streamed))
    await turns()
    follower = asyncio.create_task(work.ask(streamed=streamed))
    await turns()
    leader.cancel()
    with suppress(asyncio.CancelledError):
        await leader
    work.allow()
    assert (await follower)[1].text == ANSWER.text
    assert work.calls == 1


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_the_last_one_takes_the_work_along(work: Work, *, streamed: bool) -> None:
    """When all are gone the work is cancelled and closed, and the next one who asks begins anew."""
    asking = [asyncio.create_task(work.ask(streamed=streamed)) for _ in range(3)]
    await turns()
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await turns()
    assert (work.calls, work.ended) == (1, 1)
    assert work.flights._under_way == {}
    work.allow()
    assert (await work.ask(streamed=streamed))[1] == ANSWER
    assert work.calls == 2


async def test_a_stream_that_is_closed_stops_the_work(work: Work) -> None:
    """Closing the only stream in the middle ends the work: a model that is writing is told."""
    stream = work.flights.answer("k", lambda: work.compute(streamed=True), streamed=True)
    work.allowed.release()
    assert await anext(stream) == "one "
    await stream.aclose()
    await turns()
    assert work.ended == 1


async def test_a_stream_that_is_closed_after_a_failure_leaves_no_complaint(work: Work) -> None:
    """Who leaves between two pieces, when the work has failed already, need not hear of it, and nobody else does."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    work.error = ValueError("broken")
    stream = work.flights.answer("k", lambda: work.compute(streamed=True), streamed=True)
    work.allow()
    assert await anext(stream) == "one "
    await turns()
    assert work.ended == 1
    await stream.aclose()
    gc.collect()
    await turns()
    assert complaints == []


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_a_failure_reaches_everybody(work: Work, *, streamed: bool) -> None:
    """What the work raises, each caller gets, after the pieces that were written before it."""
    work.error = ValueError("broken")
    asking = [asyncio.create_task(work.ask(streamed=streamed)) for _ in range(3)]
    await turns()
    work.allow()
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert [str(error) for error in said] == ["broken"] * 3
    assert work.calls == 1


async def test_each_waits_until_its_own_deadline(work: Work, clock: FakeClock) -> None:
    """A follower whose time is up is told so, and nobody else is."""

    async def hurried() -> None:
        with deadline_scope(1, clock=clock):
            await work.ask()

    leader = asyncio.create_task(work.ask())
    await turns()
    follower = asyncio.create_task(hurried())
    await turns()
    clock.advance(1)
    with pytest.raises(DeadlineExceededError):
        await follower
    work.allow()
    assert (await leader)[1] == ANSWER


async def test_the_work_ends_a_little_before_its_leader_has_to(clock: FakeClock, events: Events) -> None:
    """The work has the leader's deadline, less a quarter of a second, and the leader's request id."""
    seen: list[object] = []

    async def compute() -> AsyncGenerator[str | Answer, None]:
        seen.extend((remaining_ns(clock), correlation_id()))
        yield ANSWER

    flights = Flights(clock=clock, events=events)
    with deadline_scope(30, clock=clock), correlation_scope("req_1"):
        _ = [item async for item in flights.answer("k", compute, streamed=False)]
    with deadline_scope(1, clock=clock):
        _ = [item async for item in flights.answer("k", compute, streamed=False)]
    _ = [item async for item in flights.answer("k", compute, streamed=False)]
    assert seen == [29_750_000_000, "req_1", 950_000_000, "", None, ""]


@pytest.mark.parametrize("reason", [Reason.DEADLINE_EXCEEDED, Reason.ANSWER_INTERRUPTED])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_a_leader_without_luck_is_not_followed(work: Work, reason: Reason, *, streamed: bool) -> None:
    """When the leader's time was not enough, or its answer broke off, the follower, who has time left, asks again."""
    late = Answer(text="late", source=Source.STATIC, tier=Tier.OFFLINE, reasons=(reason,))
    work.answer = late
    leader = asyncio.create_task(work.ask())
    await turns()
    follower = asyncio.create_task(work.ask(streamed=streamed))
    await turns()
    work.allow()
    assert (await leader)[1] == late
    work.answer = ANSWER
    work.allow()
    assert (await follower)[1] == ANSWER
    assert work.calls == 2


async def test_a_flight_that_is_missed_is_not_flown_twice(work: Work) -> None:
    """Who comes to board just when the flight lands begins a new one, with pieces of its own."""
    leader = asyncio.create_task(work.ask(streamed=True))
    await turns()
    flight = work.flights._under_way["k"]
    work.allow()
    await leader
    work.flights._under_way["k"] = flight  # as it was before the follower's task had its first turn
    follower = asyncio.create_task(work.ask(streamed=True))
    work.allow()
    pieces, answer = await follower
    assert (pieces, answer) == (["one ", "two ", "three"], ANSWER)
    assert work.calls == 2


async def test_work_without_an_answer_is_a_mistake(clock: FakeClock, events: Events) -> None:
    """A generator that ends without an answer is a fault of the program, and says so."""

    async def compute() -> AsyncGenerator[str | Answer, None]:
        yield "a piece"

    with pytest.raises(AssertionError, match="the last item is the answer"):
        _ = [item async for item in Flights(clock=clock, events=events).answer("k", compute, streamed=True)]
