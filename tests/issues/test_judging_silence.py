"""Which calls tell that a target has gone silent, how often that is looked at, and how a call ends that is given up."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.llm.scripted import DONE, Response, Script, Stage, event
from tests.unit.llm.world import REQUEST

from holdfast.core.clock import NS_PER_SECOND as S
from holdfast.llm.messages import ChatRequest, Message
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.pace import Pace
from holdfast.testing.clock import FakeClock

HEDGED = RouteOptions(hedge_after="percentile", hedge_percent=100)
QUICK = Script(pieces=[(0.5, event("Nine.")), (0.0, event(finish="stop")), (0.0, DONE)])


def known(pace: Pace, seconds: float = 1.0) -> None:
    """A hundred streamed answers that all began after so long."""
    for _ in range(100):
        pace.took(round(seconds * S), streamed=True)


def pace_of(stage: Stage, name: str) -> Pace:
    """What is known of a target."""
    (link,) = stage.client.network.links([t for t in stage.route.targets if t.provider.name == name])
    return link.state.pace


async def text_of(stage: Stage, request: ChatRequest = REQUEST) -> str:
    async with stage.client.stream("answers", request) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def test_answers_that_are_written_as_a_whole_do_not_make_a_stream_silent() -> None:
    """Whole answers under way say nothing for seconds by nature: a stream that is late beside them is only late."""
    clock = FakeClock()
    pace = Pace(clock)
    known(pace)
    for _ in range(5):
        pace.begin(streamed=False)
    clock.advance(0.1)
    pace.begin(streamed=True)
    clock.advance(2.0)
    assert not pace.silent(streamed=True)


async def test_a_question_that_cannot_be_sent_is_nobody_who_waits() -> None:
    """A text that is no Unicode fails before anything is sent: it leaves nothing behind, and says nothing."""
    stage = Stage(HEDGED, a=QUICK)
    broken = ChatRequest(messages=(Message(role="user", content="\ud800"),))
    for _ in range(3):
        with pytest.raises(Exception, match="surrogates"):
            await text_of(stage, broken)
    pace = pace_of(stage, "a")
    known(pace)
    stage.clock.advance(60.0)
    assert not pace.silent(streamed=True)


async def test_a_connection_that_is_not_made_in_time_is_no_word_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for connecting that ends tells as little as a call that hangs: such calls are remembered as unheard."""
    stage = Stage(RouteOptions(max_calls=1), a=QUICK)
    pace = pace_of(stage, "a")
    known(pace)

    async def never(_request: object) -> Response:
        await stage.clock.asleep_ns(5 * S)
        raise TimeoutError("no connection")

    monkeypatch.setattr(stage.http, "send", never)
    for _ in range(3):
        with pytest.raises(Exception, match="connection"):
            await text_of(stage)
    assert pace.silent(streamed=True)


async def test_a_call_that_is_given_up_may_take_its_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled once: the caller gets another target's answer, and no cancellation that nobody asked for."""
    stage = Stage(HEDGED, a=Script(pieces=[(100.0, event("Late."))]), b=QUICK)
    slow, close = 10 * S, Response.close

    async def closed(response: Response) -> None:
        if response is stage.http.responses[0]:
            await stage.clock.asleep_ns(slow)
        await close(response)

    monkeypatch.setattr(Response, "close", closed)
    monkeypatch.setattr(Pace, "late_ns", lambda *_, **__: S)
    monkeypatch.setattr(Pace, "silent", lambda *_, **__: True)
    assert await text_of(stage) == "Nine."
    assert all(link.in_flight == 0 for link in stage.client.snapshot())
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_late_call_is_looked_at_four_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """However soon it may be hedged: a question that waits, and may ask nobody else now, costs next to nothing."""
    looks, silent = 0, Pace.silent

    def counted(pace: Pace, *, streamed: bool) -> bool:
        nonlocal looks
        looks += 1
        return silent(pace, streamed=streamed)

    monkeypatch.setattr(Pace, "silent", counted)
    late = Script(pieces=[(10.0, event("Nine.")), (0.0, event(finish="stop")), (0.0, DONE)])
    stage = Stage(RouteOptions(hedge_after=0.01), a=late)
    assert await text_of(stage) == "Nine."
    assert 35 <= looks <= 41
