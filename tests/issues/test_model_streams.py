"""Streams of models: what counts as life, whose time counts, what may follow a cut."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tests.unit.llm.scripted import DONE, KEY, Script, Stage, event, whole
from tests.unit.llm.world import ANSWER, REQUEST, World, text_of

from holdfast.core.deadline import deadline_scope
from holdfast.errors import ConfigError, MalformedAnswerError, StreamInterruptedError, TargetsExhaustedError
from holdfast.llm import attempt as attempts
from holdfast.llm.costs import Cause
from holdfast.llm.messages import Finish
from holdfast.llm.routing.options import RouteOptions, StreamTimers
from holdfast.llm.wire.anthropic_messages import AnthropicMessages
from holdfast.llm.wire.openai_chat import OpenAIChat
from holdfast.telemetry.model_events import ModelAnswered, ModelFailedOver, StreamContinued

GOES_ON = RouteOptions(continue_streams=True)
BODY = {"model": "x", "stream": True, "messages": [{"role": "user", "content": REQUEST.messages[0].content}]}


async def all_of(stage: Stage) -> str:
    """The text of a streamed answer."""
    async with stage.client.stream("answers", REQUEST) as chunks:
        return "".join([chunk.text async for chunk in chunks])


class TestLife:
    @pytest.mark.parametrize("sign", [b": keep-alive\n\n", b"event: ping\ndata: {}\n\n"])
    async def test_a_stream_that_sends_only_keep_alives_is_dead(self, sign: bytes) -> None:
        """Comments and pings after the first token do not make up for 20 s without output."""
        stage = Stage(a=Script([(0.1, event("One")), *[(5.0, sign)] * 1_000]))
        with pytest.raises(StreamInterruptedError) as caught:
            await all_of(stage)
        assert caught.value.text == "One"
        assert stage.seconds == pytest.approx(20.1)

    async def test_events_that_carry_no_output_are_life(self) -> None:
        """A stream that says anything else, such as a count of tokens, is alive."""
        busy = [(15.0, b'data: {"id":"x","choices":[]}\n\n')] * 3
        stage = Stage(a=Script([(0, event("One")), *busy, (15.0, event(" two", finish="stop")), (0, DONE)]))
        assert await all_of(stage) == "One two"

    async def test_a_stream_without_end_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A stream of more bytes than an answer can have is an error, before the first token and after it."""
        monkeypatch.setattr(attempts, "_LARGEST_ANSWER", 10_000)
        endless = [(0.0, event("x" * 100))] * 1_000
        with pytest.raises(StreamInterruptedError, match="more than 10,000 bytes"):
            await all_of(Stage(a=Script(endless)))
        with pytest.raises(TargetsExhaustedError) as caught:
            await all_of(Stage(a=Script([(0.0, b": " + b"x" * 100 + b"\n\n")] * 1_000)))
        assert isinstance(caught.value.__cause__, MalformedAnswerError)


class TestWhoseTimeCounts:
    async def test_the_time_that_the_consumer_takes_is_not_the_providers(self) -> None:
        """A consumer that takes longer than ``total`` for a chunk still gets the rest."""
        timers = StreamTimers(connect=1, headers=1, first_token=1, inter_token=1, total=2)
        pieces = [(0.3, event("One")), (0.3, event(" two", finish="stop")), (0.3, DONE)]
        stage = Stage(RouteOptions(timers=timers), a=Script(pieces))
        text = ""
        async with stage.client.stream("answers", REQUEST) as chunks:
            async for chunk in chunks:
                text += chunk.text
                stage.clock.advance(30)
        assert text == "One two"
        assert stage.client.snapshot()[0].failures == 0

    async def test_the_total_bounds_what_the_provider_takes(self) -> None:
        """A provider that dribbles for longer than ``total`` is cut, however regular it is."""
        timers = StreamTimers(connect=1, headers=1, first_token=1, inter_token=1, total=10)
        stage = Stage(RouteOptions(timers=timers), a=Script([(0.5, event("x"))] * 1_000))
        with pytest.raises(StreamInterruptedError, match="no end within 10 s"):
            await all_of(stage)
        assert stage.seconds == pytest.approx(10, abs=0.6)

    async def test_the_callers_deadline_holds_to_the_end_of_the_stream(self) -> None:
        """A stream that stalls after its first token ends at the deadline of whoever reads it."""
        stage = Stage(GOES_ON, a=Script([(0.1, event("One")), (1e6, b"")]), b=Script([(0.1, event("No"))]))
        with pytest.raises(StreamInterruptedError), deadline_scope(5, clock=stage.clock):
            await all_of(stage)
        assert stage.seconds == pytest.approx(5)
        assert stage.calls("b") == 0

    async def test_a_stream_may_be_read_by_another_task(self) -> None:
        """Whoever opened a stream may hand it on; the deadline of the opener ends with the opener's scope."""
        world = World({"a": []})
        with deadline_scope(2, clock=world.clock):
            chunks = world.client.stream("answers", REQUEST)
            text = (await asyncio.create_task(anext(chunks))).text

        async def rest() -> str:
            world.clock.advance(3)
            return "".join([chunk.text async for chunk in chunks])

        assert text + await asyncio.create_task(rest()) == ANSWER


class TestEnds:
    async def test_a_stream_that_is_closed_before_its_beginning_asks_nobody(self) -> None:
        """Closing a stream that was not read sends nothing, and reading it afterwards gives nothing."""
        world = World({"a": []})
        chunks = world.client.stream("answers", REQUEST)
        await chunks.aclose()
        assert [chunk async for chunk in chunks] == []
        assert world.calls("a") == 0

    async def test_a_stream_that_is_forgotten_is_closed(self) -> None:
        """The garbage collector ends the call, and everything is given back."""
        world = World({"a": []})
        chunks = world.client.stream("answers", REQUEST)
        await anext(chunks)
        del chunks
        gc.collect()
        for _ in range(20):
            await asyncio.sleep(0)
        (link,) = world.client.snapshot()
        assert (link.in_flight, link.failures) == (0, 0)
        assert world.simulators["a"].calls[0].as_json()["outcome"] == "cancelled"

    async def test_a_question_that_is_cancelled_at_its_very_end_leaves_nothing_under_way(self) -> None:
        """Whenever the caller goes away, no call stays counted as under way."""
        for turns in range(1, 60):
            world = World({"a": []}, first_token=0.0, per_token=0.0)
            task = asyncio.ensure_future(world.client.complete("answers", REQUEST))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert [link.in_flight for link in world.client.snapshot()] in ([], [0])


class TestContinuation:
    async def test_several_breaks_in_a_row(self) -> None:
        """Two targets break one after the other, a third ends the answer; each part is paid for once."""
        stage = Stage(
            GOES_ON,
            a=Script([(0, event("The first part, ")), (0, ConnectionResetError("cut"))]),
            b=Script([(0, event("the second part, ")), (0, ConnectionResetError("cut"))]),
            c=Script([(0, event("and the end.", finish="stop")), (0, DONE)]),
        )
        chunks = stage.client.stream("answers", REQUEST)
        text = "".join([chunk.text async for chunk in chunks])
        assert text == chunks.completion.text == "The first part, the second part, and the end."
        assert [cost.cause for cost in chunks.costs] == [Cause.FIRST, Cause.CONTINUATION, Cause.CONTINUATION]
        assert chunks.completion.usage.total_tokens == sum(cost.usage.total_tokens for cost in chunks.costs)

    async def test_one_question_is_answered_once(self) -> None:
        """A continued answer is told as one answer, and that somebody else wrote on only as that."""
        world = World({"a": ["cut"], "b": []}, options=GOES_ON)
        await text_of(world)
        assert len(world.told(ModelAnswered)) == 1
        assert len(world.told(StreamContinued)) == 1
        assert world.told(ModelFailedOver) == []

    async def test_nothing_to_add_is_the_end_when_the_next_target_says_that_it_stops(self) -> None:
        """An end mark without a reason may be the end: a target that adds nothing and says "stop" makes it one."""
        stage = Stage(
            GOES_ON,
            a=Script([(0, event("All of it.")), (0, DONE)]),
            b=Script([(0, event()), (0, event(finish="stop")), (0, DONE)]),
        )
        chunks = stage.client.stream("answers", REQUEST)
        assert "".join([chunk.text async for chunk in chunks]) == "All of it."
        assert chunks.completion.finish is Finish.STOP
        assert [link.state for link in stage.client.snapshot()] == ["closed", "closed"]
        assert stage.client.snapshot()[1].failures == 0

    async def test_what_is_relayed_has_the_end_mark_then(self) -> None:
        """The bytes that are passed on end as those of every whole answer do."""
        stage = Stage(
            GOES_ON,
            a=Script([(0, event("All of it.")), (0, DONE)]),
            b=Script([(0, event()), (0, event(finish="stop")), (0, DONE)]),
        )
        relayed = await stage.client.relay("answers", OpenAIChat(), BODY)
        content = b"".join([piece async for piece in relayed.body])
        assert b'"stop"' in content
        assert content.endswith(DONE)

    @pytest.mark.parametrize("rest", [[(0, event(finish="length")), (0, DONE)], [(0, event())], [(0, DONE)], []])
    async def test_nothing_to_add_without_that_is_an_interruption(self, rest: list[tuple[float, bytes]]) -> None:
        """An empty rest that does not say "stop" is no end."""
        stage = Stage(GOES_ON, a=Script([(0, event("Half of")), (0, ConnectionResetError("cut"))]), b=Script(rest))
        with pytest.raises(StreamInterruptedError) as caught:
            await all_of(stage)
        assert caught.value.text == "Half of"

    @pytest.mark.parametrize("fault", ["cut", "eof"])
    async def test_a_stream_of_one_protocol_goes_on_in_another(self, fault: str) -> None:
        """An OpenAI stream is continued by Anthropic, and the other way round."""
        for first, second in (("openai", "anthropic"), ("anthropic", "openai")):
            world = World({"a": [fault], "b": []}, kinds={"a": first, "b": second}, options=GOES_ON)  # type: ignore[dict-item]
            assert await text_of(world) == ANSWER

    async def test_a_target_that_begins_anew_repeats_nothing(self) -> None:
        """A second target that starts from the first word gives only what is new."""
        stage = Stage(
            GOES_ON,
            a=Script([(0, event("The library opens at ")), (0, ConnectionResetError("cut"))]),
            b=Script([(0, event("The library ")), (0, event("opens at nine.", finish="stop")), (0, DONE)]),
        )
        assert await all_of(stage) == "The library opens at nine."

    async def test_half_a_tool_call_is_not_continued(self) -> None:
        """A stream that breaks within a tool call ends with an error, though continuing is allowed."""
        call = b'data: {"choices":[{"index":0,"delta":{"content":"I","tool_calls":[{"index":0,"id":"1",'
        call += b'"function":{"name":"f","arguments":"{"}}]}}]}\n\n'
        stage = Stage(GOES_ON, a=Script([(0, call), (0, ConnectionResetError("cut"))]), b=Script([(0, event("B"))]))
        with pytest.raises(StreamInterruptedError):
            await all_of(stage)
        assert stage.calls("b") == 0


class TestRelay:
    async def test_all_targets_must_speak_the_protocol(self) -> None:
        """A route with a target of another protocol is refused before anybody is asked."""
        world = World(kinds={"b": "anthropic"})
        with pytest.raises(ConfigError, match="b/model-b"):
            await world.client.relay("answers", OpenAIChat(), BODY)
        with pytest.raises(ConfigError, match="a/model-a"):
            await world.client.relay("answers", AnthropicMessages(), BODY)
        assert world.calls("a") == 0


class TestSecrets:
    @pytest.mark.parametrize(
        "script",
        [
            Script([(0, f'{{"error": {{"message": "wrong key {KEY}", "code": "{KEY}"}}}}'.encode())], 401),
            Script([(0, f"<html><h1>Bearer {KEY}</h1></html>".encode())], 502, {"x-key": KEY, "location": KEY}),
            Script([(0, f"{KEY}".encode())], 200),
            Script([(0, f'data: {{"error": {{"message": "key {KEY}"}}}}\n\n'.encode())]),
            Script([(0, event("One")), (0, f'data: {{"error": {{"message": "key {KEY}"}}}}\n\n'.encode())]),
            Script([(0, f"event: error\ndata: {KEY}\n\n".encode())]),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_key_that_a_provider_sends_back_is_shown_nowhere(self, script: Script, streamed: bool) -> None:
        """No error, event, snapshot or representation on any way holds the key."""
        stage = Stage(a=script)
        try:
            await (all_of(stage) if streamed else stage.client.complete("answers", REQUEST))
        except Exception as error:  # noqa: BLE001  whichever it is
            shown = [*said(error)]
        else:
            raise AssertionError("it must fail")
        shown += [repr(each) for each in stage.recorder.events]
        shown += [repr(stage.client.snapshot()), repr(stage.providers), repr(stage.route), repr(stage.client.costs())]
        assert not [each for each in shown if KEY in each]


def said(error: BaseException | None) -> list[str]:
    """Everything that an error and its causes show."""
    shown = []
    while error is not None:
        shown += [str(error), repr(error), repr(vars(error)), *getattr(error, "__notes__", ())]
        error = error.__cause__
    return shown


async def test_a_whole_answer_is_read_as_such() -> None:
    """The scripts of these tests are answers that the wires take."""
    assert (await Stage(a=Script([(0, whole("A"))])).client.complete("answers", REQUEST)).completion.text == "A"
