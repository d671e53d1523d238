"""HTTP/1.1 on the wire: uvicorn's protocol with a bound on everything that is not a body.

The parser keeps a request's first line, its headers and its trailers in memory until they are complete, and sets no
limit of its own. Here a connection is ended as soon as it has sent more than the bound without a body's piece or a
request's end.
"""

from __future__ import annotations

import uuid

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.server.problems import respond
from holdfast.server.security import MAX_HEAD_BYTES, head_too_large

__all__ = ["BoundedProtocol"]

_log = structlog.get_logger("holdfast.server")


class BoundedProtocol(HttpToolsProtocol):
    """Refuses heads without end. Heads that are complete and too large are refused by the gate, like any request."""

    _unused = 0
    """Bytes since the last end of a head, piece of a body or end of a request."""

    _asked = False
    """Whether a head has been complete on this connection: only then is there a cycle."""

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and end the connection when it only ever takes in."""
        self._unused += len(data)
        super().data_received(data)
        if self._unused > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._unused, self._asked = 0, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._unused = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._unused = 0
        super().on_message_complete()

    def _refuse(self) -> None:
        _log.warning("connection refused: its request's head has no end", bytes=self._unused)
        if not self._asked or self.cycle.response_complete:  # else another answer is being written
            request_id = f"req_{uuid.uuid4().hex}"
            response = respond(head_too_large(), request_id)
            head = [b"HTTP/1.1 431 Request Header Fields Too Large", b"x-request-id: " + request_id.encode()]
            head += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"", bytes(response.body)]))
        self.transport.close()
