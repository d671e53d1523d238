"""What the fault matrix found in the model layer."""

from __future__ import annotations

import pytest
from tests.unit.llm.world import ANSWER, REQUEST, World, text_of

from holdfast.core.breaker_options import BreakerOptions
from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.errors import ProviderError, StreamInterruptedError, TargetsExhaustedError
from holdfast.llm.routing.options import RouteOptions


async def test_the_backoff_of_one_target_passes_while_another_is_asked() -> None:
    """A target that asked for 7 s is asked after 7 s, though another one was waited for and asked in the meantime."""
    world = World({"a": ["rate_limited,retry_after=6"], "b": ["rate_limited,retry_after=7,first=1"]})
    answered = await world.client.complete("answers", REQUEST)
    assert answered.target.provider.name == "b"
    assert (world.calls("a"), world.calls("b")) == (2, 2)
    assert 7 <= world.seconds < 9


async def test_backoffs_of_two_targets_do_not_add_up() -> None:
    """Two targets that fail with a 500 each time take about as long as one, since each waits while the other does."""
    one, two = World({"a": ["server_error"]}), World({"a": ["server_error"], "b": ["server_error"]})
    for world in (one, two):
        with pytest.raises(TargetsExhaustedError):
            await world.client.complete("answers", REQUEST)
    assert (two.calls("a"), two.calls("b")) == (3, 3)
    assert two.seconds < 1 + 2 + 0.5  # the two delays at their longest, once


async def test_a_retry_after_in_a_wrong_unit_does_not_shut_a_target_for_hours() -> None:
    """A sole target that says 7,000 s where it means 7 is asked again after two minutes."""
    world = World({"a": ["rate_limited_wrong_unit,first=1"]}, breaker=BreakerOptions(failure_threshold=5))
    with pytest.raises(TargetsExhaustedError) as caught:
        await world.client.complete("answers", REQUEST)
    assert caught.value.retry_after == pytest.approx(120)
    world.clock.advance(120)
    assert (await world.client.complete("answers", REQUEST)).calls == 1


@pytest.mark.parametrize("fault", ["cut", "stall,seconds=1000", "error_event", "eof"])
async def test_an_empty_continuation_of_a_cut_stream_is_no_end(fault: str) -> None:
    """A stream that broke without saying its end is not whole because a second target had nothing to say."""
    world = World({"a": [fault], "b": ["empty_content"]}, options=RouteOptions(continue_streams=True))
    with pytest.raises(StreamInterruptedError):
        await text_of(world)


async def test_an_empty_continuation_of_a_stream_that_had_said_its_end_is_one() -> None:
    """A stream with an end mark and no reason may have been whole: a second target with nothing to add makes it so."""
    world = World({"a": ["no_finish"], "b": []}, options=RouteOptions(continue_streams=True))
    assert await text_of(world) == ANSWER


def test_the_spend_limit_that_anthropic_names_in_details_is_a_quota() -> None:
    """The SDK's types put the code of a spend limit into error.details.error_code; it is no rate limit."""
    body = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "You have reached your limit",
            "details": {"error_code": "enforced_spend_limit_reached"},
        },
    }
    error = ProviderError("x", status_code=429, body=body)
    assert classify(error, provider="anthropic").kind is FaultKind.QUOTA
