"""A real Redis server on a free port, that tests may kill, pause, slow down and restart."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MISSING = "there is no Redis here: apt-get install redis-server"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RedisServer:
    """The server's process."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(100):  # +PONG, or that a password is needed
                    return
            time.sleep(0.005)
        raise AssertionError("redis-server does not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """A server that is gone at the end of the block, whatever became of it."""
    if shutil.which("redis-server") is None:
        pytest.skip(MISSING)
    server = RedisServer(*options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class SlowProxy:
    """Passes bytes on to a server; answers come ``delay`` seconds later, or garbled."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.delay = 0.0
        self.garble = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the server is gone, and so is this connection
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as both:
                back = both.create_task(self._pass_on(there_reader, writer, back=True))
                await self._pass_on(reader, there_writer, back=False)
                back.cancel()
        finally:
            for each in (writer, there_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if back and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(b"\x00garbage\r\n" if back and self.garble else data)
                await writer.drain()


@asynccontextmanager
async def slow_proxy(port: int) -> AsyncIterator[SlowProxy]:
    """A proxy before the server at ``port``."""
    proxy = SlowProxy(port)
    tasks: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
