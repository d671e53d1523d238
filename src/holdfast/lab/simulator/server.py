"""The simulator behind a real socket."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from holdfast.errors import ConfigError
from holdfast.lab.simulator.response import SimulatedBreak

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast.lab.simulator.service import Simulator

__all__ = ["SimulatorServer"]

_GRACE_SECONDS = 1.0
_LINGER_NOT = struct.pack("ii", 1, 0)
_HOP_BY_HOP = {"content-length", "transfer-encoding"}


class SimulatorServer:
    """Serves a simulator over HTTP; a context manager that starts and stops it.

    A fault that breaks the connection sends a TCP reset (RST). The connection is accepted before a request can be seen:
    a refusal by fault is a reset too. Stopping the server is a real refusal, and starting it again on the same port the
    end of it.

    Args:
        simulator: what answers.
        host: the address to listen on.
        port: 0 takes any free one, and keeps it over a stop and a start.

    Raises:
        ConfigError: other machines would reach the admin endpoint without a token.
    """

    def __init__(self, simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> None:
        options = simulator.options
        if options.admin and options.admin_token is None and not _is_loopback(host):
            raise ConfigError(
                "admin_token", None, f"must be given, for other machines reach the admin endpoint on {host}"
            )
        self.simulator = simulator
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its address without a path, e.g. ``"http://127.0.0.1:8089"``."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the address cannot be taken.
        """
        app = web.Application(client_max_size=self.simulator.options.body_bytes + 1)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, reuse_address=True).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError("port", f"{self._host}:{self._port}", f"cannot be listened on: {why}") from error
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, and cut what is under way after a second. A second call does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> SimulatorServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            body = b" " * (self.simulator.options.body_bytes + 1)  # the service refuses it in the provider's words
        simulated = self.simulator.begin(request.method, request.path_qs, request.headers, body)
        try:
            await simulated.head()
            response = web.StreamResponse(status=simulated.status)
            for name, value in simulated.headers.items():
                if name not in _HOP_BY_HOP:
                    response.headers[name] = value
            if length := simulated.headers.get("content-length"):
                response.content_length = int(length)
            await response.prepare(request)
            async for piece in simulated.body():
                await response.write(piece)
            await response.write_eof()
        except SimulatedBreak:
            _reset(request)
            raise asyncio.CancelledError from None  # there is nobody left to answer
        except ConnectionError:
            raise asyncio.CancelledError from None  # the client has gone
        finally:
            simulated.close()
        return response


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reset(request: web.Request) -> None:
    """Break the connection with an RST: closing without lingering throws away what was not sent."""
    transport = request.transport
    if transport is None:  # the client was faster
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
