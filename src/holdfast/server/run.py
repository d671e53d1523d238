"""Serving: the port, the signals, and an orderly end."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from holdfast.errors import ConfigError
from holdfast.rag.app import build_engine
from holdfast.rag.models import configured_models
from holdfast.rag.records.build import opened_records
from holdfast.server.app import create_app
from holdfast.server.protocol import BoundedProtocol
from holdfast.server.security import check_exposure, check_key, is_loopback
from holdfast.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from fastapi import FastAPI

    from holdfast.rag.engine import Engine
    from holdfast.rag.settings import Settings

__all__ = ["GRACE_SECONDS", "Server", "address_of", "bind", "secrets_of", "serve"]

GRACE_SECONDS = 20.0
"""How long requests under way may go on after the signal to stop; orchestrators commonly kill after 30 s."""

_LAST_WORDS_SECONDS = 5
_BACKLOG = 2_048
_FIRST_UNPRIVILEGED_PORT = 1_024

_log = structlog.get_logger("holdfast.server")


def serve(
    settings: Settings, *, ready: Callable[[str], None] | None = None, grace_seconds: float = GRACE_SECONDS
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way and return.

    Args:
        settings: everything that is to be known.
        ready: told the address, e.g. ``"http://127.0.0.1:8000"``, once requests are answered.
        grace_seconds: how long requests under way may go on after the signal.

    Raises:
        ConfigError: the address cannot be taken, or other machines would reach the service without a key.
        StoreError: the store cannot be opened.
    """
    check_key(settings)
    configure_logging(settings.log_level, secrets=secrets_of(settings))
    if not is_loopback(settings.host):  # before the port is taken: nothing is opened to others, not even for a moment
        asyncio.run(_check_exposure(settings))
    # The port comes before anything slow: one that is taken is told at once.
    with bind(settings.host, settings.port) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener, ready, grace_seconds))


def bind(host: str, port: int) -> socket.socket:
    """Take the address.

    Raises:
        ConfigError: it is taken, not allowed, or not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(
            "host", host, f"is not an address or a name of this machine ({error.strerror}): set HOLDFAST_HOST"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not to wait a minute after a restart
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The address to show to a person."""
    name = host.strip("[]")
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def secrets_of(settings: Settings) -> list[str]:
    """The texts of all secret settings and of all keys of providers: what no log line may hold.

    Raises:
        ConfigError: what the settings say of models cannot be used.
    """
    values = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]
    if (configured := configured_models(settings)) is not None:
        secrets += [each for provider in configured.routes.providers.values() for each in provider.secrets]
    return secrets


async def _serve(
    settings: Settings, listener: socket.socket, ready: Callable[[str], None] | None, grace_seconds: float
) -> None:
    engine = build_engine(settings)
    for sentence in engine.warnings:
        _log.warning(sentence)
    await _open(engine)  # here and not only in the application, so that a failure is one sentence and no stack
    app = create_app(engine, settings)
    address = address_of(listener, settings.host)

    def announce() -> None:
        _log.info("serving", address=address)
        if ready is not None:
            ready(address)

    await Server(app, announce=announce, grace_seconds=grace_seconds).serve(sockets=[listener])
    _log.info("stopped", address=address)


async def _check_exposure(settings: Settings) -> None:
    async with opened_records(settings) as records:
        await check_exposure(settings, records.ring)


async def _open(engine: Engine) -> None:
    try:
        await engine.open()
    except BaseException:
        await engine.close()
        raise


class Server(uvicorn.Server):
    """uvicorn, with an end that every request under way is told of.

    Args:
        app: what :func:`holdfast.server.app.create_app` made.
        announce: called once requests are answered.
        grace_seconds: how long requests under way may go on after the signal to stop.
    """

    def __init__(self, app: FastAPI, *, announce: Callable[[], None], grace_seconds: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,  # the lines go through telemetry.logs
                log_level="warning",
                access_log=False,  # each request has its line already
                server_header=False,
                proxy_headers=False,  # nothing is decided by the client's address
                timeout_graceful_shutdown=round(grace_seconds) + _LAST_WORDS_SECONDS,
            )
        )
        self._drain = app.state.service.drain
        self._announce = announce
        self._grace_seconds = grace_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, let requests finish while there is time, then give up the rest and tell them."""
        expiry = asyncio.get_running_loop().call_later(self._grace_seconds, self._drain.expire)
        try:
            await super().shutdown(sockets)
        finally:
            expiry.cancel()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on SIGTERM and SIGINT (at once on a second SIGINT).

        Unlike uvicorn's own, it does not raise the signal again at the end: an orderly stop is a success.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _cannot_bind(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            "port", port, "is in use by another program: stop it, or choose another port with HOLDFAST_PORT"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        rule = f"is not allowed to this user: choose a port from {_FIRST_UNPRIVILEGED_PORT} on with HOLDFAST_PORT"
        return ConfigError("port", port, rule)
    return ConfigError(
        "host", host, f"cannot be listened on ({error.strerror}): set HOLDFAST_HOST to an address of this machine"
    )
