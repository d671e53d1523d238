"""The ``Http`` port without a network: simulators behind a bounded pool of connections and the time of the way."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.core._options import options_by_name, whole
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.lab.latency import AT_ONCE, Latency
from holdfast.lab.simulator.http import SimulatorHttp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.ports import HttpRequest
    from holdfast.lab.draws import Draws
    from holdfast.lab.simulator.http import InProcessResponse
    from holdfast.lab.simulator.service import Simulator
    from holdfast.lab.virtual.clock import VirtualClock

__all__ = ["InProcessHttp"]

_ADDRESSES = 256  # a world has a few


@options_by_name
class InProcessHttp:
    """Sends requests to simulators in process. Bytes, times and errors are those of a real client.

    What the simulators draw for a call (latencies, faults) is keyed by the running request and the number of its call
    to this address, see :mod:`holdfast.lab.draws`: it does not depend on the calls of others.

    Args:
        simulators: by base address, e.g. ``"https://api.openai.com/v1"``; another address is refused.
        clock, draws: time and chance.
        round_trip: the time on the way, there and back together; none by default.
        max_connections: connections open at once, to all hosts together, 1 or more. A request that finds none free
            waits its turn, which counts against its timeouts.

    Attributes:
        waited: requests that had to wait for a connection.
        in_use: connections in use.
    """

    def __init__(
        self,
        simulators: Mapping[str, Simulator],
        *,
        clock: VirtualClock,
        draws: Draws,
        round_trip: Latency = AT_ONCE,
        max_connections: int = 100,
    ) -> None:
        self.waited = 0
        self.in_use = 0
        self._clock = clock
        self._draws = draws
        self._round_trip = round_trip
        self._most = whole("max_connections", max_connections, least=1)
        self._line: deque[asyncio.Future[bool]] = deque()
        self._inner = SimulatorHttp(simulators, drawn=self._key)
        self._closed = False

    async def send(self, request: HttpRequest) -> InProcessResponse:
        """Send ``request`` and return when the head of the response is there.

        The response holds its connection until it is read to its end, broken, or closed.

        Raises:
            ConnectionRefusedError: nothing listens there, a fault refuses the connection, or none was free within
                ``request.connect_timeout``.
            ConnectionResetError: a fault resets the connection.
            TimeoutError: no head within ``request.timeout`` seconds.
            ValueError: the address is not an http(s) address.
            RuntimeError: the client is closed.
        """
        if self._closed:
            raise RuntimeError("this HTTP client is closed")
        due_ns = self._clock.now_ns() + to_ns(request.timeout)
        await self._take(request)
        try:
            if self._round_trip.median:
                await self._travel(request, due_ns)
            left = (due_ns - self._clock.now_ns()) / NS_PER_SECOND
            response = await self._inner.send(request if left == request.timeout else replace(request, timeout=left))
        except BaseException as error:
            self._give_back()
            if isinstance(error, TimeoutError):
                raise _late(request) from None
            raise
        response.on_close = self._give_back
        return response

    async def close(self) -> None:
        """Take no more requests. A second call does nothing."""
        self._closed = True
        await self._inner.close()

    async def _take(self, request: HttpRequest) -> None:
        """Take a connection, or wait in line for one."""
        if self.in_use < self._most:
            self.in_use += 1
            return
        self.waited += 1
        seconds, connecting = request.timeout, request.connect_timeout
        if connecting is not None:
            seconds = min(seconds, connecting)
        handed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later_ns(to_ns(seconds), partial(_settle, handed))
        self._line.append(handed)
        try:
            in_time = await handed
        except BaseException:
            if handed.done() and not handed.cancelled() and handed.result():
                self._give_back()  # it came in the moment in which nobody wanted it any more
            raise
        finally:
            timer.cancel()
        if not in_time and connecting is not None:
            raise ConnectionRefusedError(f"no connection to {_host(request)} within {connecting:g} s")
        if not in_time:
            raise _late(request)

    async def _travel(self, request: HttpRequest, due_ns: int) -> None:
        attempt = self._draws.next_attempt(f"way {_host(request)}")
        on_the_way = self._round_trip.draw_ns(self._draws, "http", _host(request), *attempt)
        left = due_ns - self._clock.now_ns()
        await self._clock.asleep_ns(min(on_the_way, left))
        if on_the_way >= left:
            raise TimeoutError

    def _give_back(self) -> None:
        """Hand the connection to the first in line, or close it."""
        while self._line:
            handed = self._line.popleft()
            if not handed.done():
                handed.set_result(True)
                return
        self.in_use -= 1

    def _key(self, request: HttpRequest) -> object:
        return self._draws.next_attempt(_endpoint(request.url))


@lru_cache(_ADDRESSES)
def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def _host(request: HttpRequest) -> str:
    return urlsplit(request.url).hostname or ""


def _settle(handed: asyncio.Future[bool]) -> None:
    if not handed.done():
        handed.set_result(False)


def _late(request: HttpRequest) -> TimeoutError:
    return TimeoutError(f"{_host(request)} did not answer within {request.timeout:g} s")
