"""The record of the calls: what is kept, how each one ended, and what is counted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.simulator.conftest import MakeProvider, Provider

from holdfast.lab.simulator.calls import Call, Calls, Outcome, fingerprint_of

if TYPE_CHECKING:
    from holdfast.testing.clock import FakeClock

BODY = json.dumps({"model": "gpt-sim", "stream": True, "messages": [{"role": "user", "content": "Why?"}]}).encode()
PATH = "/v1/chat/completions"


async def test_a_call_is_recorded(provider: MakeProvider, clock: FakeClock) -> None:
    """A record says when, what, with which key and model, what became of it, and how long it took."""
    some = provider(speed=1)
    clock.advance(5)
    await some.send("POST", PATH, BODY, {"authorization": "Bearer sk-1"})
    [call] = some.simulator.calls
    assert (call.number, call.seconds, call.endpoint, call.model, call.stream) == (1, 5, "chat", "gpt-sim", True)
    assert (call.key, call.status, call.fault, call.outcome) == (fingerprint_of("sk-1"), 200, None, "completed")
    assert (call.prompt_tokens, call.sent_tokens) == (8, 37)
    assert call.took is not None
    assert call.took > 0.5
    assert (await provider().chat()).status == 200
    whole = provider()
    await whole.chat()
    assert whole.simulator.calls[0].sent_tokens == 15


async def test_a_client_that_goes_is_recorded(provider: MakeProvider) -> None:
    """A client that leaves in the middle of a stream is recorded as such, with the tokens that it got."""
    some = provider()
    response = await some.simulator.handle("POST", PATH, {}, BODY)
    async for piece in response.body():
        if b'" asked"' in piece or b'" ' in piece:
            break
    response.close()
    [call] = some.simulator.calls
    assert call.outcome is Outcome.CANCELLED
    assert 0 < call.sent_tokens < 37
    response.close()
    assert some.simulator.calls.counts()["cancelled"] == 1


async def test_a_client_that_goes_before_the_head_is_recorded(provider: MakeProvider) -> None:
    """A client that does not wait for the head is recorded as gone, and nothing is left under way."""
    some = provider("slow_headers,seconds=60")
    task = asyncio.create_task(some.simulator.handle("POST", PATH, {}, BODY))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert some.simulator.calls[0].outcome is Outcome.CANCELLED
    assert some.simulator.calls.counts()["running"] == 0


async def test_the_last_piece_completes_a_call(provider: MakeProvider) -> None:
    """A client that stops at the end mark, as the SDKs do, has had everything."""
    some = provider()
    response = await some.simulator.handle("POST", PATH, {}, BODY)
    async for piece in response.body():
        if b"[DONE]" in piece:
            break
    response.close()
    assert some.simulator.calls[0].outcome is Outcome.COMPLETED


async def test_listeners_are_told(provider: MakeProvider) -> None:
    """Whoever listens hears of each call once, when it is over."""
    some, heard = provider(), list[Call]()
    some.simulator.on_call = heard.append
    await some.chat()
    await some.embed()
    assert heard == list(some.simulator.calls)


async def test_memory_is_bounded(provider: MakeProvider) -> None:
    """Only the last calls are kept; all are counted."""
    some = provider(calls_kept=3)
    for _ in range(5):
        await some.embed()
    assert [call.number for call in some.simulator.calls] == [3, 4, 5]
    assert len(some.simulator.calls) == 3
    assert some.simulator.calls.counts()["calls"] == 5
    long = Provider(some.simulator, some.clock)
    await long.embed(model="m" * 5_000)
    assert len(some.simulator.calls[-1].model) == 200


def test_clearing_keeps_what_is_under_way() -> None:
    """Clearing forgets the past, and a call that is under way is still counted when it ends."""
    calls = Calls(10)
    done, running = (Call(number, 0.0, "chat", None, "m", stream=False) for number in (1, 2))
    for call in (done, running):
        calls.begun(call)
    done.outcome = Outcome.COMPLETED
    calls.ended(done)
    calls.clear()
    assert (len(calls), calls.counts()["calls"], calls.counts()["running"]) == (0, 0, 1)
    running.outcome = Outcome.BROKEN
    calls.ended(running)
    assert (calls.counts()["running"], calls.counts()["broken"], calls.counts()["statuses"]) == (0, 1, {"none": 1})


def test_fingerprints() -> None:
    """A key's fingerprint is short, the same every time, its own fingerprint, and not the key."""
    print_ = fingerprint_of("sk-secret")
    assert len(print_) == 12
    assert print_ == fingerprint_of("sk-secret") == fingerprint_of(print_) != fingerprint_of("sk-other")
