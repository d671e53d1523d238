"""The part of an event loop that reaches into real time, refused by name."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from holdfast.lab.virtual.errors import OutsideWorldError

__all__ = ["BLOCKING_INSTEAD", "NoOutsideWorld"]

_HTTP = "Send requests through the Http port (holdfast.lab.doors.http.InProcessHttp) instead"
BLOCKING_INSTEAD = _BLOCKING = (
    "Hand blocking work to the Blocking port (holdfast.lab.doors.blocking.ModelledBlocking) instead"
)
_IN_LOOP = "Let a task or a timer of this loop do it instead"
_THREAD, _NETWORK, _SOCKET, _PIPE, _PROCESS, _SIGNAL = (
    "a thread", "the network", "a socket", "a pipe", "a process", "a signal",
)  # fmt: skip


class Refusing(Protocol):
    """What refuses."""

    def refuse(self, method: str, what: str, instead: str) -> OutsideWorldError:
        """The error for a call of ``method``, which needs ``what``."""
        ...


def _refused(name: str, what: str, instead: str, *, waits: bool = False) -> Any:  # noqa: ANN401 - takes any form
    def now(self: Refusing, *_args: object, **_options: object) -> None:
        raise self.refuse(name, what, instead)

    async def later(self: Refusing, *_args: object, **_options: object) -> None:
        raise self.refuse(name, what, instead)

    method = later if waits else now
    method.__name__, method.__doc__ = name, f"Refused: it needs {what}."
    return method


class NoOutsideWorld(asyncio.AbstractEventLoop):
    """An event loop without threads, sockets, pipes, processes and signals.

    Attributes:
        reached: what was refused, in order. What is refused is raised, too; but code that falls back on anything after
            any error would hide it.
    """

    def __init__(self) -> None:
        self.reached: list[OutsideWorldError] = []

    def refuse(self, method: str, what: str, instead: str) -> OutsideWorldError:
        """The error for a call of ``method``, which needs ``what``."""
        error = OutsideWorldError(f"{method}() needs {what}, and virtual time has none. {instead}.")
        self.reached.append(error)
        return error

    run_in_executor: Any = _refused("run_in_executor", _THREAD, BLOCKING_INSTEAD)
    set_default_executor: Any = _refused("set_default_executor", _THREAD, BLOCKING_INSTEAD)
    getaddrinfo: Any = _refused("getaddrinfo", _NETWORK, _HTTP, waits=True)
    getnameinfo: Any = _refused("getnameinfo", _NETWORK, _HTTP, waits=True)
    create_connection: Any = _refused("create_connection", _SOCKET, _HTTP, waits=True)
    create_server: Any = _refused("create_server", _SOCKET, _HTTP, waits=True)
    create_unix_connection: Any = _refused("create_unix_connection", _SOCKET, _HTTP, waits=True)
    create_unix_server: Any = _refused("create_unix_server", _SOCKET, _HTTP, waits=True)
    start_tls: Any = _refused("start_tls", _SOCKET, _HTTP, waits=True)
    connect_accepted_socket: Any = _refused("connect_accepted_socket", _SOCKET, _HTTP, waits=True)
    create_datagram_endpoint: Any = _refused("create_datagram_endpoint", _SOCKET, _HTTP, waits=True)
    sendfile: Any = _refused("sendfile", _SOCKET, _HTTP, waits=True)
    sock_recv: Any = _refused("sock_recv", _SOCKET, _HTTP, waits=True)
    sock_recv_into: Any = _refused("sock_recv_into", _SOCKET, _HTTP, waits=True)
    sock_recvfrom: Any = _refused("sock_recvfrom", _SOCKET, _HTTP, waits=True)
    sock_recvfrom_into: Any = _refused("sock_recvfrom_into", _SOCKET, _HTTP, waits=True)
    sock_sendall: Any = _refused("sock_sendall", _SOCKET, _HTTP, waits=True)
    sock_sendto: Any = _refused("sock_sendto", _SOCKET, _HTTP, waits=True)
    sock_connect: Any = _refused("sock_connect", _SOCKET, _HTTP, waits=True)
    sock_accept: Any = _refused("sock_accept", _SOCKET, _HTTP, waits=True)
    sock_sendfile: Any = _refused("sock_sendfile", _SOCKET, _HTTP, waits=True)
    add_reader: Any = _refused("add_reader", _SOCKET, _HTTP)
    add_writer: Any = _refused("add_writer", _SOCKET, _HTTP)
    remove_reader: Any = _refused("remove_reader", _SOCKET, _HTTP)
    remove_writer: Any = _refused("remove_writer", _SOCKET, _HTTP)
    connect_read_pipe: Any = _refused("connect_read_pipe", _PIPE, _IN_LOOP, waits=True)
    connect_write_pipe: Any = _refused("connect_write_pipe", _PIPE, _IN_LOOP, waits=True)
    subprocess_exec: Any = _refused("subprocess_exec", _PROCESS, _IN_LOOP, waits=True)
    subprocess_shell: Any = _refused("subprocess_shell", _PROCESS, _IN_LOOP, waits=True)
    add_signal_handler: Any = _refused("add_signal_handler", _SIGNAL, _IN_LOOP)
    remove_signal_handler: Any = _refused("remove_signal_handler", _SIGNAL, _IN_LOOP)
