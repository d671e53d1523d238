"""What the fault matrix found in the model layer."""

from __future__ import annotations

import pytest
from tests.unit.llm.world import REQUEST, World

from holdfast.core.breaker_options import BreakerOptions
from holdfast.errors import TargetsExhaustedError


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
