"""The simulator behind the HTTP port: in process, on its own clock, with the errors of a real client."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.core.clock import to_ns
from holdfast.lab.simulator.response import SimulatedCut, SimulatedRefusal, SimulatedReset

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from holdfast.core.ports import HttpRequest
    from holdfast.lab.simulator.response import SimulatedResponse
    from holdfast.lab.simulator.service import Simulator

__all__ = ["InProcessResponse", "SimulatorHttp"]

_ADDRESSES = 256  # a caller has a few


class SimulatorHttp:
    """Sends requests to simulators, without a network.

    What a fault does to a connection raises what :class:`holdfast.llm.http.AiohttpHttp` raises for it.

    Args:
        simulators: by base address, e.g. ``"https://api.openai.test/v1"``. An address that none of them begins is
            refused, as a host is that nobody listens on.
        drawn: gives what the draws for a request are keyed by, see :meth:`Simulator.begin`; by default its number.
    """

    def __init__(
        self, simulators: Mapping[str, Simulator], *, drawn: Callable[[HttpRequest], object] | None = None
    ) -> None:
        self._drawn = drawn
        longest_first = sorted(simulators.items(), key=lambda item: -len(item[0]))
        self._simulators = [(base.rstrip("/"), simulator) for base, simulator in longest_first]
        self._found = lru_cache(_ADDRESSES)(self._find)
        self._closed = False

    async def send(self, request: HttpRequest) -> InProcessResponse:
        """Send ``request`` and return when the head of the response is there.

        Raises:
            ConnectionRefusedError: no simulator has this address, or a fault refuses the connection.
            ConnectionResetError: a fault resets the connection.
            TimeoutError: no head within ``request.timeout`` seconds of the simulator's clock.
            ValueError: the address is not an http(s) address.
            RuntimeError: the client is closed.
        """
        if self._closed:
            raise RuntimeError("this HTTP client is closed")
        host, simulator, path = self._found(request.url)
        drawn = None if self._drawn is None else self._drawn(request)
        response = simulator.begin(request.method, path, request.headers, request.body, drawn=drawn)
        timeout_ns = to_ns(request.timeout)
        if response.head_wait_ns > timeout_ns:
            try:
                await simulator.clock.asleep_ns(timeout_ns)
            finally:
                response.close()
            raise TimeoutError(f"{host} did not answer within {request.timeout:g} s")
        try:
            await response.head()
        except SimulatedRefusal:
            raise ConnectionRefusedError(f"no connection to {host}: Connection refused") from None
        except SimulatedReset:
            raise ConnectionResetError(f"the connection to {host} broke: Connection reset by peer") from None
        return InProcessResponse(response, host)

    async def close(self) -> None:
        """Take no more requests. A second call does nothing."""
        self._closed = True

    def _find(self, url: str) -> tuple[str, Simulator, str]:
        """The host of an address, who answers there, and what is behind the address of that."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an http or https address")
        for base, simulator in self._simulators:
            rest = url[len(base) :]
            if url.startswith(base) and rest[:1] in {"", "/", "?"}:
                return parts.hostname, simulator, rest or "/"
        raise ConnectionRefusedError(f"no connection to {parts.hostname}: no simulator has this address")


class InProcessResponse:
    """A response whose body is read as it comes.

    Attributes:
        on_close: told once, when nobody reads it any more: at the end of its body, when it breaks, or is closed.
    """

    def __init__(self, response: SimulatedResponse, host: str) -> None:
        self.on_close: Callable[[], object] | None = None
        self._response = response
        self._host = host

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, names in lower case."""
        return self._response.headers

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece, as it arrives.

        Raises:
            ConnectionResetError: a fault breaks the connection before the end of the body.
        """
        try:
            while (piece := await self._response.piece()) is not None:
                yield piece
        except SimulatedCut:
            raise ConnectionResetError(f"the connection to {self._host} broke: Connection reset by peer") from None
        finally:
            self._leave()

    async def close(self) -> None:
        """Read no further: a response that was not at its end is cancelled."""
        self._leave()

    def _leave(self) -> None:
        self._response.close()
        tell, self.on_close = self.on_close, None
        if tell is not None:
            tell()
