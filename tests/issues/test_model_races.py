"""Two targets asked at once: a hedge, or the probe of a target that was dead. Whoever loses leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.llm.scripted import DONE, Script, Stage, event, whole
from tests.unit.llm.world import ANSWER, REQUEST, World, text_of

from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.deadline import deadline_scope
from holdfast.errors import HoldfastError
from holdfast.llm.costs import Cause
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.wire.openai_chat import OpenAIChat
from holdfast.telemetry.model_events import ModelAnswered

QUICK = BreakerOptions(failure_threshold=2, recovery_timeout=30, success_threshold=1)
HEDGED = RouteOptions(hedge_after=1.0, hedge_percent=100)


async def settled(world: World | Stage) -> None:
    """Let what runs in the background come to its end."""
    for _ in range(400):
        await asyncio.sleep(0)
        if all(link.in_flight == 0 for link in world.client.snapshot()):
            return


class TestProbes:
    @pytest.mark.parametrize("fault", ["slow_first_token,seconds=inf", "slow_headers,seconds=inf"])
    async def test_nobody_pays_for_the_probe_of_a_dead_target(self, fault: str) -> None:
        """After the breaker of a stalled target opened, every answer begins within 2.25 times the healthy target's."""
        world = World({"a": [fault], "b": []}, breaker=QUICK)
        while not any(link.state == "open" for link in world.client.snapshot()):
            await text_of(world)
        before = world.calls("a")
        waits = []
        for _ in range(60):
            begun = world.seconds
            async with world.client.stream("answers", REQUEST) as chunks:
                await anext(chunks)
                waits.append(world.seconds - begun)
                async for _ in chunks:
                    pass
            world.clock.advance(5)
            await asyncio.sleep(0)
        assert 3 <= world.calls("a") - before <= 15  # it is probed, and not by every question
        assert max(waits) <= 2.25 * 0.5 + 0.05

    async def test_a_target_that_is_back_answers_its_probe(self) -> None:
        """When the dead target works again, the probe is its answer, and nobody else is asked."""
        world = World({"a": ["server_error,first=2"], "b": []}, breaker=QUICK)
        for _ in range(2):
            await text_of(world)
        world.clock.advance(31)
        asked = world.calls("b")
        assert await text_of(world) == ANSWER
        assert (world.calls("a"), world.calls("b")) == (3, asked)
        assert [link.state for link in world.client.snapshot()] == ["closed", "closed"]

    async def test_a_target_that_is_back_but_slow_is_known_to_be_back(self) -> None:
        """A probe that loses runs on in the background, is paid as wasted, and closes the breaker."""
        world = World({"a": ["server_error,first=2", "slow,factor=8"], "b": []}, breaker=QUICK)
        for _ in range(2):
            await text_of(world)
        world.clock.advance(31)
        await text_of(world)
        await settled(world)
        states = {link.name: (link.state, link.in_flight) for link in world.client.snapshot()}
        assert states == {"a/model-a": ("closed", 0), "b/model-b": ("closed", 0)}
        assert world.client.costs().by_cause()[Cause.WASTED].calls == 1

    async def test_a_probe_costs_no_hedge(self) -> None:
        """The allowance of hedges is not used by probes."""
        world = World(
            {"a": ["slow_headers,seconds=inf"], "b": []},
            breaker=QUICK,
            options=RouteOptions(hedge_after=40.0, hedge_percent=0.001),
        )
        for _ in range(12):
            await text_of(world)
            world.clock.advance(31)
        allowance = world.client.network.allowance("answers", 0.001)
        assert allowance.take()

    async def test_without_another_target_the_probe_is_waited_for(self) -> None:
        """A sole target is probed by whoever asks."""
        world = World({"a": ["server_error,first=2"]}, breaker=QUICK, options=RouteOptions(max_calls=1))
        for _ in range(2):
            with pytest.raises(HoldfastError):
                await text_of(world)
        world.clock.advance(31)
        assert await text_of(world) == ANSWER

    async def test_closing_the_client_ends_what_runs_in_the_background(self) -> None:
        """No task outlives the client."""
        world = World({"a": ["slow_headers,seconds=inf"], "b": []}, breaker=QUICK)
        for _ in range(4):
            await text_of(world)
            world.clock.advance(31)
        await world.client.close()
        assert all(link.in_flight == 0 for link in world.client.snapshot())
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestHedges:
    async def test_both_fail(self) -> None:
        """When both fail, the third is asked; each failure is told once."""
        slow = Script(status=500, head_after=2.0)
        stage = Stage(HEDGED, a=slow, b=slow, c=Script([(0, whole("C"))]))
        answered = await stage.client.complete("answers", REQUEST)
        assert (answered.completion.text, answered.calls) == ("C", 3)
        assert stage.seconds == pytest.approx(3)

    async def test_the_first_fails_while_the_second_runs(self) -> None:
        """The failure of the first does not end the second."""
        stage = Stage(HEDGED, a=Script(status=500, head_after=2.0), b=Script([(0, whole("B"))], head_after=2.0))
        assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"
        assert stage.seconds == pytest.approx(3)

    async def test_a_bad_request_of_the_loser_does_not_lose_the_answer(self) -> None:
        """Two end at once, one with a 400 and one with an answer: the answer is given, and nothing stays open."""
        stage = Stage(HEDGED, a=Script(status=400, head_after=2.0), b=Script([(0, whole("B"))], head_after=1.0))
        assert (await stage.client.complete("answers", REQUEST)).completion.text == "B"
        assert [link.in_flight for link in stage.client.snapshot()] == [0, 0]

    async def test_the_loser_is_paid_as_wasted(self) -> None:
        """A call that we cancel after the provider took it is counted by our own estimate: hedging is not free."""
        stage = Stage(HEDGED, a=Script([(50, whole("A"))]), b=Script([(0, whole("B"))]))
        answered = await stage.client.complete("answers", REQUEST)
        assert [(cost.provider, cost.cause) for cost in answered.costs] == [("a", Cause.WASTED), ("b", Cause.HEDGE)]
        assert answered.costs[0].usage.estimated
        assert answered.costs[0].usage.prompt_tokens > 10

    async def test_a_relayed_stream_is_hedged(self) -> None:
        """The bytes are those of whoever answers first."""
        stage = Stage(HEDGED, a=Script([(50, event("A"))]), b=Script([(0, event("B", finish="stop")), (0, DONE)]))
        body: dict[str, Any] = {"model": "x", "stream": True, "messages": [{"role": "user", "content": "?"}]}
        relayed = await stage.client.relay("answers", OpenAIChat(), body)
        assert b"".join([piece async for piece in relayed.body]) == event("B", finish="stop") + DONE
        await settled(stage)
        assert [response.closed for response in stage.http.responses] == [True, True]

    async def test_allowances_of_routes_that_callers_make_up_are_bounded(self) -> None:
        """Any number of names of routes takes no more memory than a few hundred."""
        network = World().client.network
        for number in range(5_000):
            network.allowance(f"route-{number}", 10)
        assert len(network.hedges) <= 1_000


STEP = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """A provider that answers, breaks, refuses or hangs, at some time."""
    how = draw(st.sampled_from(["answers", "breaks", "refuses", "hangs", "empty"]))
    head, first, rest = draw(STEP), draw(STEP), draw(STEP)
    match how:
        case "answers":
            return Script([(first, event("X")), (rest, event("Y", finish="stop")), (0, DONE)], head_after=head)
        case "breaks":
            return Script([(first, event("X")), (rest, ConnectionResetError("cut"))], head_after=head)
        case "refuses":
            return Script(status=503, head_after=head)
        case "hangs":
            return Script([(1e6, b"")], head_after=head)
        case _:
            return Script([(first, event(finish="stop")), (0, DONE)], head_after=head)


@settings(max_examples=150, deadline=None)
@given(
    a=scripts(),
    b=scripts(),
    cancelled=st.one_of(st.none(), st.integers(0, 120)),
    deadline=st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0])),
    hedged=st.booleans(),
    goes_on=st.booleans(),
)
def test_whatever_happens_nothing_stays_under_way(
    a: Script, b: Script, cancelled: int | None, deadline: float | None, hedged: bool, goes_on: bool
) -> None:
    """However two targets answer or fail, and whenever the caller goes away, every call ends and is settled once."""

    async def play() -> None:
        options = RouteOptions(
            hedge_after=1.0 if hedged else None, hedge_percent=100, continue_streams=goes_on, deadline_seconds=30
        )
        stage = Stage(options, a=a, b=b)

        async def ask() -> str:
            with deadline_scope(deadline or 60, clock=stage.clock):
                async with stage.client.stream("answers", REQUEST) as chunks:
                    return "".join([chunk.text async for chunk in chunks])

        task = asyncio.ensure_future(ask())
        if cancelled is not None:
            for _ in range(cancelled):
                await asyncio.sleep(0)
            task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        await settled(stage)
        await stage.client.close()
        assert isinstance(outcome, str | HoldfastError | asyncio.CancelledError), outcome
        texts = (
            {"XY", "XXY", "X"} if goes_on else {"XY"}
        )  # one that breaks after X may be ended by one that adds nothing
        assert outcome in texts or not isinstance(outcome, str)
        assert all(link.in_flight == 0 for link in stage.client.snapshot())
        assert all(response.closed for response in stage.http.responses)
        assert len([each for each in stage.recorder.events if isinstance(each, ModelAnswered)]) <= 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())
