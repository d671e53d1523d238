"""A hedged call to the last moment."""

import asyncio

from holdfast.core.events import Events
from holdfast.core.hedge import Hedge
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder


async def test_what_was_answered_is_not_asked_again() -> None:
    """Where the answer and the time for a hedge come together, and the answer is first, there is no hedge."""
    clock, events, loop = FakeClock(auto=False), Events(), asyncio.get_running_loop()
    heard = EventRecorder(events)
    calls = 0

    async def answer() -> int:
        nonlocal calls
        calls += 1
        loop.call_soon(clock.advance, 2)  # the timer fires after the answer is known, before the caller has it
        return calls

    hedged = Hedge(delay=1.0, max_share=None, clock=clock, events=events)(answer)
    assert await hedged() == 1
    assert (calls, heard.events) == (1, [])
