"""The simulator in process, behind the HTTP port: the errors and the times of a real client, on a clock of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.lab.simulator.conftest import MakeProvider, Provider

from holdfast.core.ports import Http, HttpRequest, HttpResponse
from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.testing.clock import FakeClock

BASE = "https://api.openai.test/v1"


def request(url: str = f"{BASE}/chat/completions", timeout: float = 30.0, **fields: Any) -> HttpRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], **fields}
    return HttpRequest(method="POST", url=url, body=json.dumps(body).encode(), timeout=timeout)


async def test_it_is_an_http_port(provider: MakeProvider) -> None:
    """It has the port's shape, answers with lower-case headers, and gives the body piece by piece."""
    some = provider()
    http = SimulatorHttp({BASE: some.simulator})
    response = await http.send(request(stream=True))
    assert isinstance(http, Http)
    assert isinstance(response, HttpResponse)
    assert (response.status, response.headers["content-type"][:17]) == (200, "text/event-stream")
    assert len([piece async for piece in response.body()]) > 10
    assert some.simulator.calls[0].outcome == "completed"
    await http.close()
    await http.close()
    with pytest.raises(RuntimeError, match="closed"):
        await http.send(request())


async def test_addresses(provider: MakeProvider) -> None:
    """The longest base address wins, whole segments count, and what nobody has is refused."""
    one, two = provider(), provider()
    http = SimulatorHttp({"https://a.test": one.simulator, "https://a.test/two/": two.simulator})
    await http.send(request("https://a.test/two/v1/chat/completions"))
    await http.send(request("https://a.test/twofold"))
    assert [(len(each.simulator.calls), each.simulator.calls[0].endpoint) for each in (one, two)] == [
        (1, "unknown"), (1, "chat"),
    ]  # fmt: skip
    with pytest.raises(ConnectionRefusedError, match=r"b\.test"):
        await http.send(request("https://b.test/v1"))
    for url in ("ftp://a.test/x", "https:///x", "nonsense"):
        with pytest.raises(ValueError, match="not an http"):
            await http.send(request(url))


@pytest.mark.parametrize(("fault", "error"), [("refused", ConnectionRefusedError), ("reset", ConnectionResetError)])
async def test_connections_that_fail(provider: MakeProvider, fault: str, error: type[Exception]) -> None:
    """A refused and a reset connection raise what the real client raises."""
    with pytest.raises(error, match=r"api\.openai\.test"):
        await SimulatorHttp({BASE: provider(fault).simulator}).send(request())


@pytest.mark.parametrize("fault", ["cut", "reset_after_headers"])
async def test_a_cut_is_a_reset(provider: MakeProvider, fault: str) -> None:
    """A connection that breaks in the body raises there."""
    response = await SimulatorHttp({BASE: provider(fault).simulator}).send(request(stream=True))
    with pytest.raises(ConnectionResetError):
        _ = [piece async for piece in response.body()]


async def test_the_timeout_goes_by_the_clock(provider: MakeProvider, clock: FakeClock) -> None:
    """A head that comes too late is a TimeoutError after exactly the time allowed, and the call is given up."""
    some = provider("slow_headers,seconds=60")
    http = SimulatorHttp({BASE: some.simulator})
    with pytest.raises(TimeoutError, match="did not answer within 5 s"):
        await http.send(request(timeout=5))
    assert clock.now_ns() == 5_000_000_000
    assert some.simulator.calls[0].outcome == "cancelled"
    assert (await http.send(request(timeout=61))).status == 200
    assert clock.now_ns() == 65_000_000_000


async def test_a_consumer_that_stops_is_noticed(provider: MakeProvider) -> None:
    """A body that is not read to its end is a call that was given up: by closing it, or by leaving it."""
    some = provider()
    http = SimulatorHttp({BASE: some.simulator})
    unread = await http.send(request(stream=True))
    await unread.close()
    half = await http.send(request(stream=True))
    body = half.body()
    await anext(body)
    await body.aclose()
    assert [call.outcome for call in some.simulator.calls] == ["cancelled", "cancelled"]
    assert some.simulator.calls[1].sent_tokens == 0


async def test_a_consumer_that_is_cancelled_is_noticed(provider: MakeProvider) -> None:
    """A task that is cancelled while it waits for a token gives its call up."""
    some = provider("stall,after=1")
    http = SimulatorHttp({BASE: some.simulator})

    async def consume() -> None:
        response = await http.send(request(stream=True))
        async for piece in response.body():
            if b'"content":"You"' in piece:
                waiting.set()

    waiting = asyncio.Event()
    task = asyncio.create_task(consume())
    await waiting.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert some.simulator.calls[0].outcome == "cancelled"


async def test_a_cancelled_wait_for_the_head_is_noticed(provider: MakeProvider) -> None:
    """A task that is cancelled while it waits for a head that comes too late gives its call up."""
    some = Provider(provider("slow_headers,seconds=60").simulator, FakeClock())
    task = asyncio.create_task(SimulatorHttp({BASE: some.simulator}).send(request(timeout=5)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert some.simulator.calls[0].outcome == "cancelled"
