"""HTTP in process: bytes, times and errors of a real client, on the virtual clock."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.ports import Http, HttpRequest, HttpResponse
from holdfast.errors import ConfigError
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.latency import Latency
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.lab.virtual.running import run

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

BASE = "https://api.openai.test/v1"
SECOND = 1_000_000_000


class Line:
    """A simulated provider and a client that reaches it."""

    def __init__(self, clock: VirtualClock, *faults: str, simulator: Any = None, **options: Any) -> None:
        rules = [parse_rule(each) for each in faults]
        settings = {"speed": 0, "faults": rules, **(simulator or {})}
        self.simulator = Simulator(SimulatorOptions(**settings), clock=clock)
        self.http = InProcessHttp({BASE: self.simulator}, clock=clock, draws=Draws(1), **options)


def request(url: str = f"{BASE}/chat/completions", **fields: Any) -> HttpRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": fields.pop("stream", False)}
    return HttpRequest(method="POST", url=url, body=json.dumps(body).encode(), **fields)


async def read(http: Http, asked: HttpRequest | None = None) -> bytes:
    response = await http.send(asked or request())
    return b"".join([piece async for piece in response.body()])


def test_it_is_an_http_port() -> None:
    """It has the port's shape, streams with virtual delays, and is closed for good."""

    async def main(clock: VirtualClock) -> None:
        steady = {"speed": 1, "first_token": 2, "first_token_sigma": 0, "per_token_sigma": 0, "per_token": 0.5}
        line = Line(clock, simulator=steady)
        assert isinstance(line.http, Http)
        response = await line.http.send(request(stream=True))
        assert isinstance(response, HttpResponse)
        assert (response.status, response.headers["content-type"][:17]) == (200, "text/event-stream")
        assert clock.now_ns() == SECOND
        times = [clock.now_ns() async for _ in response.body()]
        assert times[:4] == [2 * SECOND, 2 * SECOND, 2 * SECOND + SECOND // 2, 3 * SECOND]
        await response.close()
        await line.http.close()
        with pytest.raises(RuntimeError, match="closed"):
            await line.http.send(request())

    run(main)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("refused", ConnectionRefusedError, "no connection to api.openai.test"),
        ("reset", ConnectionResetError, "the connection to api.openai.test broke"),
        ("reset_after_headers", ConnectionResetError, "broke"),
        ("cut", ConnectionResetError, "broke"),
        ("slow_headers,seconds=40", TimeoutError, "api.openai.test did not answer within 30 s"),
        ("slow_headers,seconds=inf", TimeoutError, "did not answer within 30 s"),
    ],
)
def test_faults_raise_what_the_real_client_raises(fault: str, error: type[Exception], words: str) -> None:
    """A refusal, a reset, a cut and a late head have the errors of ``AiohttpHttp``, and no connection leaks."""

    async def main(clock: VirtualClock) -> None:
        line = Line(clock, fault)
        with pytest.raises(error, match=words):
            await read(line.http)
        assert line.http.in_use == 0

    run(main)


def test_other_addresses() -> None:
    """What nobody has is refused, and what is no address is an error of the caller."""

    async def main(clock: VirtualClock) -> None:
        line = Line(clock)
        with pytest.raises(ConnectionRefusedError, match=r"no connection to b\.test"):
            await line.http.send(request("https://b.test/v1"))
        with pytest.raises(ValueError, match="not an http"):
            await line.http.send(request("nonsense"))
        assert line.http.in_use == 0

    run(main)


def test_connections_are_few() -> None:
    """Who finds none free waits in line, for one that is given back by reading to the end, or by closing."""

    async def main(clock: VirtualClock) -> list[int]:
        line = Line(clock, "slow_headers,seconds=2", max_connections=1)

        async def ask() -> int:
            await read(line.http)
            return clock.now_ns() // SECOND

        times = await asyncio.gather(*(ask() for _ in range(3)))
        unread = await line.http.send(request())
        await unread.close()
        await unread.close()
        assert (line.http.in_use, line.http.waited) == (0, 2)
        return times

    assert run(main).value == [2, 4, 6]


def test_the_wait_for_a_connection_counts() -> None:
    """It ends with the connect timeout as a refusal, for nothing was sent, or with the whole one as a timeout."""

    async def main(clock: VirtualClock) -> None:
        line = Line(clock, "slow_headers,seconds=20", max_connections=1)
        first = asyncio.create_task(read(line.http))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError, match=r"no connection to api\.openai\.test within 3 s"):
            await line.http.send(request(connect_timeout=3.0))
        with pytest.raises(TimeoutError, match="did not answer within 5 s"):
            await line.http.send(request(timeout=5.0))
        assert clock.now_ns() == 8 * SECOND
        with pytest.raises(TimeoutError, match="within 25 s"):  # 12 s in line, and 20 more would be too many
            await line.http.send(request(timeout=25.0))
        assert clock.now_ns() == 33 * SECOND
        await first
        assert line.http.in_use == 0

    run(main)


def test_who_is_cancelled_in_line_takes_no_connection() -> None:
    """Its place goes to the next, also when the connection came in the moment of the cancellation."""

    async def main(clock: VirtualClock) -> int:
        line = Line(clock, "slow_headers,seconds=2", max_connections=1)
        first = asyncio.create_task(read(line.http))
        second = asyncio.create_task(read(line.http))
        third = asyncio.create_task(read(line.http))
        fourth = asyncio.create_task(read(line.http))
        await asyncio.sleep(1)
        second.cancel()
        clock.call_later_ns(SECOND, third.cancel)  # fires after the head of the first, and before the third runs on
        await first
        await fourth
        assert (second.cancelled(), third.cancelled(), line.http.in_use) == (True, True, 0)
        holding = await line.http.send(request())
        handed = asyncio.create_task(read(line.http))
        await asyncio.sleep(0)
        await holding.close()
        handed.cancel()
        await asyncio.gather(handed, return_exceptions=True)
        assert (handed.cancelled(), line.http.in_use) == (True, 0)
        return clock.now_ns() // SECOND

    assert run(main).value == 6


def test_the_way_takes_time() -> None:
    """The round trip is added, and counts against the timeout."""

    async def main(clock: VirtualClock) -> None:
        line = Line(clock, round_trip=Latency(2.0))
        await read(line.http)
        assert clock.now_ns() == 2 * SECOND
        with pytest.raises(TimeoutError, match=r"within 1 s"):
            await line.http.send(request(timeout=1.0))
        assert (clock.now_ns(), line.http.in_use, len(line.simulator.calls)) == (3 * SECOND, 0, 1)

    run(main)


def test_faults_belong_to_the_request() -> None:
    """Which calls a fault hits depends on the request and its attempt, and not on the calls of others."""

    async def main(clock: VirtualClock) -> list[bool]:
        line = Line(clock, "server_error:0.5")
        seen = []
        for number in range(30):
            if others:
                with request_scope(f"other-{number}"):
                    await read(line.http)
            with request_scope(f"user-{number}"):
                for _ in range(2):
                    response = await line.http.send(request())
                    seen.append(response.status == 500)
                    await response.close()
        return seen

    others = False
    alone = run(main).value
    others = True
    assert run(main).value == alone
    assert 10 < sum(alone) < 50


def test_connections_are_a_whole_number() -> None:
    """None at all is refused."""

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ConfigError, match="max_connections"):
            Line(clock, max_connections=0)

    run(main)
