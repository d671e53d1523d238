"""Who is asked when somebody fails: the rules of the exchange, one by one."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.llm.world import ANSWER, REQUEST, World, text_of

from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.deadline import deadline_scope
from holdfast.core.faults import FaultKind
from holdfast.errors import (
    DeadlineExceededError,
    NotFoundError,
    ProviderError,
    StreamInterruptedError,
    TargetsExhaustedError,
)
from holdfast.llm.costs import Cause
from holdfast.llm.messages import ChatRequest, Finish, Message
from holdfast.llm.routing.options import RetryOptions, RouteOptions
from holdfast.telemetry.model_events import (
    KeyParked,
    ModelAnswered,
    ModelFailedOver,
    StreamBroken,
    StreamContinued,
    TargetHeld,
)


class TestBeforeTheFirstToken:
    async def test_a_failure_is_invisible_when_another_target_is_well(self) -> None:
        """A 500 of the first target costs the caller nothing but the time of one call."""
        world = World({"a": ["server_error"], "b": []})
        answered = await world.client.complete("answers", REQUEST)
        assert answered.completion.text == ANSWER
        assert (answered.target.name, answered.calls) == ("b/model-b", 2)

    @pytest.mark.parametrize(
        "fault", ["rate_limited", "overloaded", "server_error", "reset", "refused", "empty_content"]
    )
    async def test_nobody_waits_while_another_target_is_well(self, fault: str) -> None:
        """Failing over takes no backoff and heeds no Retry-After: the answer is there after the two calls' own time."""
        world = World({"a": [fault], "b": []})
        await text_of(world)
        assert world.seconds < 3 * 0.5 + 1.5
        assert world.calls("a") == 1

    async def test_a_retry_after_is_remembered_for_the_next_questions(self) -> None:
        """A target that asked for 7 s is not asked for 7 s, and then again."""
        world = World({"a": ["rate_limited,retry_after=7,first=1"], "b": []})
        for _ in range(3):
            await world.client.complete("answers", REQUEST)
        assert (world.calls("a"), world.calls("b")) == (1, 3)
        held = world.told(TargetHeld)
        assert [(event.target, event.seconds) for event in held if isinstance(event, TargetHeld)] == [
            ("a/model-a", 7.0)
        ]
        world.clock.advance(7)
        assert (await world.client.complete("answers", REQUEST)).target.name == "a/model-a"

    async def test_an_open_breaker_spares_the_dead_target(self) -> None:
        """After five failures the dead target is left alone, and an answer takes no longer than the other's own."""
        world = World(
            {"a": ["server_error"], "b": []}, breaker=BreakerOptions(failure_threshold=5, recovery_timeout=60)
        )
        for _ in range(5):
            await world.client.complete("answers", REQUEST)
        begun = world.seconds
        for _ in range(10):
            await world.client.complete("answers", REQUEST)
        assert world.calls("a") == 5
        assert (world.seconds - begun) / 10 == pytest.approx(0.5 + 10 * 0.02, abs=0.2)

    async def test_the_role_is_not_a_first_token(self) -> None:
        """A stream that names the role and then stalls is left when the first-token timer ends."""
        world = World({"a": ["role_then_stall,seconds=1000"], "b": []})
        assert await text_of(world) == ANSWER
        assert 15 <= world.seconds < 17
        assert world.simulators["a"].calls[0].as_json()["outcome"] == "cancelled"

    async def test_the_failover_is_told(self) -> None:
        """Who failed, who answered, and after how many calls, is an event."""
        world = World({"a": ["server_error"], "b": []})
        await world.client.complete("answers", REQUEST)
        (over,) = world.told(ModelFailedOver)
        assert isinstance(over, ModelFailedOver)
        assert (over.from_target, over.to_target, over.kind) == ("a/model-a", "b/model-b", FaultKind.TRANSIENT)
        (answered,) = world.told(ModelAnswered)
        assert isinstance(answered, ModelAnswered)
        assert (answered.calls, answered.streamed) == (2, False)


class TestASoleTarget:
    async def test_it_is_asked_again_at_the_pace_of_the_retry_policy(self) -> None:
        """A failure that passes is repeated after the backoff."""
        world = World({"a": ["server_error,first=1"]})
        answered = await world.client.complete("answers", REQUEST)
        assert (answered.completion.text, answered.calls) == (ANSWER, 2)
        assert world.seconds >= 0.5

    async def test_its_retry_after_is_waited_for(self) -> None:
        """With nobody else to ask, a Retry-After of 7 s is heeded."""
        world = World({"a": ["rate_limited,retry_after=7,first=1"]})
        await world.client.complete("answers", REQUEST)
        assert 7 <= world.seconds < 9

    async def test_a_wait_that_cannot_end_in_time_is_not_begun(self) -> None:
        """A Retry-After beyond the deadline gives the error at once, with what the provider said."""
        world = World({"a": ["rate_limited,retry_after=50"]})
        with deadline_scope(10, clock=world.clock), pytest.raises(TargetsExhaustedError) as caught:
            await world.client.complete("answers", REQUEST)
        assert world.seconds < 1
        assert caught.value.attempts == 1
        assert isinstance(caught.value.__cause__, ProviderError)
        assert caught.value.retry_after == pytest.approx(50, abs=1)

    async def test_the_error_says_what_each_try_said(self) -> None:
        """When nobody answers, the error carries the calls, the waits and each failure, and no key."""
        world = World({"a": ["server_error"]}, options=RouteOptions(retry=RetryOptions(max_retries=1)))
        with pytest.raises(TargetsExhaustedError, match=r"answers gave an answer \(calls: 2\)") as caught:
            await world.client.complete("answers", REQUEST)
        assert [name for name, _ in caught.value.failures] == ["a/model-a", "a/model-a"]
        assert len(caught.value.delays) == 1
        assert "secret" not in str(caught.value)

    async def test_repetitions_stay_within_the_budget_of_the_target(self) -> None:
        """In a total outage the target gets no more than its requests, a fifth of them again, and the floor."""
        never = BreakerOptions(failure_threshold=1e9)
        world = World({"a": ["server_error"]}, breaker=never, first_token=0.01)
        for _ in range(50):
            with pytest.raises(TargetsExhaustedError):
                await world.client.complete("answers", REQUEST)
        assert 50 <= world.calls("a") <= 50 + 0.2 * 50 + world.seconds + 10


class TestTheQuestionIsWrong:
    async def test_a_bad_request_goes_back_at_once(self) -> None:
        """What is wrong for one target is wrong for all: no other is asked."""
        world = World(settings={"a": {"models": ()}})
        request = ChatRequest(messages=(Message(role="user", content="x"),), extra={"max_tokens": -5})
        with pytest.raises(ProviderError) as caught:
            await world.client.complete("answers", request)
        assert caught.value.status_code == 400
        assert (world.calls("a"), world.calls("b")) == (1, 0)

    async def test_a_text_that_is_too_long_goes_to_the_larger_model(self) -> None:
        """context_length_exceeded turns to the list of larger models, and to no other target of the first list."""
        world = World({"a": ["context_length"], "b": [], "big": []}, larger=["big"])
        answered = await world.client.complete("answers", REQUEST)
        assert answered.target.name == "big/model-big"
        assert world.calls("b") == 0
        assert answered.costs[-1].cause is Cause.FALLBACK

    async def test_an_answer_that_is_withheld_goes_to_the_list_for_it(self) -> None:
        """A blocked prompt turns to the list that is there for what others withhold."""
        world = World({"a": ["prompt_filtered"], "b": [], "free": []}, filtered=["free"])
        assert (await world.client.complete("answers", REQUEST)).target.name == "free/model-free"

    async def test_without_such_a_list_the_caller_hears_it(self) -> None:
        """A text that is too long, and no larger model: the provider's own error."""
        world = World({"a": ["context_length"], "b": []})
        with pytest.raises(ProviderError) as caught:
            await world.client.complete("answers", REQUEST)
        assert caught.value.code == "context_length_exceeded"

    async def test_an_unknown_route_names_the_known_ones(self) -> None:
        """Asking for a model that is not configured lists those that are."""
        with pytest.raises(NotFoundError, match="answers"):
            await World().client.complete("answer", REQUEST)


class TestKeys:
    async def test_a_quota_parks_the_key_and_not_the_provider(self) -> None:
        """With two keys, the one whose money is used up is left alone and the other one works on."""
        world = World({"a": ["quota,first=1"]}, keys={"a": 2})
        assert (await world.client.complete("answers", REQUEST)).calls == 2
        for _ in range(4):
            assert (await world.client.complete("answers", REQUEST)).calls == 1
        (parked,) = world.told(KeyParked)
        assert isinstance(parked, KeyParked)
        assert parked.kind is FaultKind.QUOTA
        assert parked.key in {"A_0", "A_1"}
        assert {link.why for link in world.client.snapshot()} == {"", "parked"}

    async def test_a_parked_key_is_tried_again_later_and_on_request(self) -> None:
        """After its time, or when an operator says so, the key is used again."""
        world = World({"a": ["quota,first=1"]})
        with pytest.raises(TargetsExhaustedError):
            await world.client.complete("answers", REQUEST)
        with pytest.raises(TargetsExhaustedError, match="its key A_0 was refused \\(quota\\)"):
            await world.client.complete("answers", REQUEST)
        world.client.network.release_keys()
        assert (await world.client.complete("answers", REQUEST)).calls == 1


class TestLimits:
    async def test_the_number_of_calls_of_a_question_is_bounded(self) -> None:
        """max_calls holds over targets, keys and repetitions together."""
        world = World({"a": ["server_error"], "b": ["server_error"]}, options=RouteOptions(max_calls=3))
        with pytest.raises(TargetsExhaustedError) as caught:
            await world.client.complete("answers", REQUEST)
        assert caught.value.attempts == 3
        assert world.calls("a") + world.calls("b") == 3

    async def test_the_deadline_ends_a_call_that_hangs(self) -> None:
        """A target that never answers is left at the deadline."""
        world = World({"a": ["slow_headers,seconds=1000"]}, options=RouteOptions(deadline_seconds=3))
        with pytest.raises(DeadlineExceededError, match="3 s"):
            await world.client.complete("answers", REQUEST)
        assert world.seconds == pytest.approx(3)

    async def test_a_cancelled_question_cancels_the_call(self) -> None:
        """A caller that goes away closes the connection, and it counts against nobody."""
        world = World({"a": ["slow_headers,seconds=1000"]})
        world.clock = world.clock
        task = asyncio.ensure_future(world.client.complete("answers", REQUEST))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (link,) = world.client.snapshot()
        assert (link.in_flight, link.failures, link.state) == (0, 0, "closed")
        assert world.simulators["a"].calls[0].as_json()["outcome"] == "cancelled"


class TestAfterTheFirstToken:
    @pytest.mark.parametrize("fault", ["cut", "eof", "eof_half_event", "error_event", "stall,seconds=1000"])
    async def test_a_break_is_an_error_and_never_an_end(self, fault: str) -> None:
        """A stream that breaks after output ends with StreamInterruptedError, which carries what was given out."""
        world = World({"a": [fault], "b": []})
        with pytest.raises(StreamInterruptedError) as caught:
            await text_of(world)
        assert caught.value.text
        assert ANSWER.startswith(caught.value.text)
        assert world.calls("b") == 0
        (broken,) = world.told(StreamBroken)
        assert isinstance(broken, StreamBroken)
        assert broken.characters == len(caught.value.text)

    @pytest.mark.parametrize("fault", ["cut", "eof", "eof_half_event", "error_event", "stall,seconds=1000"])
    async def test_another_target_writes_on_where_that_is_allowed(self, fault: str) -> None:
        """With continue_streams the answer comes out whole, no word twice, though two targets wrote it."""
        world = World({"a": [fault], "b": []}, options=RouteOptions(continue_streams=True))
        assert await text_of(world) == ANSWER
        (went_on,) = world.told(StreamContinued)
        assert isinstance(went_on, StreamContinued)
        assert (went_on.from_target, went_on.to_target) == ("a/model-a", "b/model-b")

    async def test_what_both_targets_used_is_counted(self) -> None:
        """A continued stream costs what its first part cost, by our count, and its second part."""
        world = World({"a": ["cut"], "b": []}, options=RouteOptions(continue_streams=True))
        stream = world.client.stream("answers", REQUEST)
        async with stream:
            async for _ in stream:
                pass
        assert [cost.cause for cost in stream.costs] == [Cause.FIRST, Cause.CONTINUATION]
        assert stream.costs[0].usage.estimated
        assert stream.completion.usage.total_tokens == sum(cost.usage.total_tokens for cost in stream.costs)
        assert stream.completion.finish is Finish.STOP

    async def test_one_bad_line_loses_no_word(self) -> None:
        """A line that is not valid is left out, and the stream goes on to its end."""
        assert await text_of(World({"a": ["bad_line"]})) == ANSWER

    async def test_a_consumer_that_goes_closes_the_connection(self) -> None:
        """Leaving the stream early cancels the call upstream, and counts against nobody."""
        world = World({"a": []})
        async with world.client.stream("answers", REQUEST) as chunks:
            async for chunk in chunks:
                if chunk.text:
                    break
        assert world.simulators["a"].calls[0].as_json()["outcome"] == "cancelled"
        (link,) = world.client.snapshot()
        assert (link.in_flight, link.failures) == (0, 0)
        assert world.client.costs().total.calls == 1


class TestHedging:
    async def test_a_slow_target_is_raced_by_another(self) -> None:
        """After hedge_after seconds without output a second target is asked, and the first to answer wins."""
        world = World({"a": ["slow,factor=40"], "b": []}, options=RouteOptions(hedge_after=1.0))
        assert await text_of(world) == ANSWER
        assert world.seconds < 3
        assert world.simulators["a"].calls[0].as_json()["outcome"] == "cancelled"
        assert [link.in_flight for link in world.client.snapshot()] == [0, 0]

    async def test_a_quick_target_is_not_raced(self) -> None:
        """Nothing is doubled when the first answer comes in time."""
        world = World(options=RouteOptions(hedge_after=1.0))
        await text_of(world)
        assert world.calls("b") == 0

    async def test_hedges_are_a_share_of_the_questions(self) -> None:
        """When every answer is slow, only hedge_percent of the questions are asked twice."""
        world = World(
            {"a": ["slow,factor=4"], "b": ["slow,factor=4"]}, options=RouteOptions(hedge_after=1.0, hedge_percent=10)
        )
        for _ in range(40):
            await text_of(world)
        assert world.calls("a") + world.calls("b") == 40 + 5


class TestEmbeddings:
    @pytest.mark.parametrize("fault", ["wrong_dimension", "nan_vector", "missing_vector", "server_error", "not_json"])
    async def test_vectors_that_cannot_be_used_come_from_another_target(self, fault: str) -> None:
        """A wrong dimension, a NaN, a missing vector: another target of the same model gives them."""
        world = World({"a": [fault], "b": []})
        embedded = await world.client.embed("vectors", ["one", "two"])
        assert [len(vector) for vector in embedded.vectors] == [64, 64]
        assert embedded.target.name == "b/embed-1"


async def test_costs_are_told_by_cause() -> None:
    """What an answer cost is told by call: the failed one gave nothing, the second one was a fail-over."""
    world = World({"a": ["empty_content"], "b": []})
    answered = await world.client.complete("answers", REQUEST)
    causes = [cost.cause for cost in answered.costs]
    assert causes[-1] is Cause.FAILOVER
    assert set(causes[:-1]) <= {Cause.WASTED}
    assert world.client.costs().total.calls == len(causes)
