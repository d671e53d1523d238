"""A server that speaks MongoDB's wire protocol (OP_MSG, and OP_QUERY for the first hello) on a real socket."""

from __future__ import annotations

import asyncio
import itertools
import struct
from typing import Any, TypeAlias

import bson
from tests.mongo.commands import CommandError, Commands

Row: TypeAlias = "dict[str, Any]"

_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_CHECKSUM, _MORE_TO_COME = 1, 2


class MongoServer:
    """Serves on a free port of this machine, in the running event loop."""

    def __init__(self) -> None:
        self.commands = Commands()
        self._ids = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._connections:
            writer.close()
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections.add(writer)
        app: list[str] = [""]
        try:
            while True:
                length, request_id, _, kind = struct.unpack("<iiii", await reader.readexactly(16))
                body = await reader.readexactly(length - 16)
                if not await self._answer(writer, request_id, kind, body, app):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # the client has gone, or the server is being stopped
        finally:
            self._tasks.discard(task)
            self._connections.discard(writer)
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, request_id: int, kind: int, body: bytes, app: list[str]
    ) -> bool:
        """Run one command and reply; False when the connection is to be closed instead.

        Args:
            app: what the client calls itself, which it says in the first command of a connection.
        """
        flags, command = _read_query(body) if kind == _OP_QUERY else _read_message(body)
        if "client" in command:
            app[0] = command["client"].get("application", {}).get("name", "")
        failure = self.commands.fail_point.hit(next(iter(command)), app[0])
        if failure and failure.get("blockConnection"):
            await asyncio.sleep(failure["blockTimeMS"] / 1_000)
        if failure and failure.get("closeConnection"):
            return False
        try:
            reply = self.commands.run(command, failure or {})
        except CommandError as error:
            reply = error.reply
        if failure and failure.get("writeConcernError"):
            reply = {**reply, "writeConcernError": failure["writeConcernError"]}
        if not flags & _MORE_TO_COME:
            encoded = bson.encode(reply)
            if kind == _OP_QUERY:
                payload = struct.pack("<iqii", 8, 0, 0, 1) + encoded
                head = struct.pack("<iiii", 16 + len(payload), next(self._ids), request_id, _OP_REPLY)
            else:
                payload = struct.pack("<IB", 0, 0) + encoded
                head = struct.pack("<iiii", 16 + len(payload), next(self._ids), request_id, _OP_MSG)
            writer.write(head + payload)
            await writer.drain()
        return True


def _read_query(body: bytes) -> tuple[int, Row]:
    start = body.index(b"\0", 4) + 9
    return 0, bson.decode(body[start:])


def _read_message(body: bytes) -> tuple[int, Row]:
    (flags,) = struct.unpack_from("<I", body)
    place, end = 4, len(body) - (4 if flags & _CHECKSUM else 0)
    command: Row = {}
    sequences: Row = {}
    while place < end:
        (size,) = struct.unpack_from("<i", body, place + 1)
        section = body[place + 1 : place + 1 + size]
        if body[place] == 0:
            command = bson.decode(section)
        else:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
        place += 1 + size
    return flags, {**command, **sequences}
