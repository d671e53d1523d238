"""The two doors through which the engine reaches the world: blocking work, and HTTP.

Everything that would block an event loop (SQLite, onnxruntime, files) goes through :class:`Blocking`, and every request
over the network through :class:`Http`. In production the first is a bounded pool of threads and the second a pooled
client; the lab runs the same engine on a virtual clock by putting an inline runner with modelled latencies, and a
simulator in process, behind the same two doors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

__all__ = ["Blocking", "Http", "HttpRequest", "HttpResponse"]

P = ParamSpec("P")
T = TypeVar("T")


@runtime_checkable
class Blocking(Protocol):
    """Runs functions that block, away from the event loop."""

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` and return what it returns, or raise what it raises.

        Args:
            kind: what sort of work it is, e.g. ``"store.read"``, ``"store.write"``, ``"embed.query"``,
                ``"embed.batch"``, ``"file.read"``. Names the latency model in the lab; bounds a class of work in
                production.
            fn: a plain function. It cannot be stopped once it runs: a caller that is cancelled stops waiting for it.
        """
        ...

    async def close(self) -> None:
        """Stop taking work and wait for what runs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request.

    Attributes:
        timeout: seconds for connecting and waiting for the headers together.
        connect_timeout: seconds for connecting alone, waiting for a free connection included; None: ``timeout`` is
            enough.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 30.0
    connect_timeout: float | None = None


@runtime_checkable
class HttpResponse(Protocol):
    """A response whose head has arrived and whose body is read as it comes."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, names in lower case."""
        ...

    def body(self) -> AsyncIterator[bytes]:
        """The body, piece by piece, as it arrives."""
        ...

    async def close(self) -> None:
        """Give the connection back; an unread body is thrown away."""
        ...


@runtime_checkable
class Http(Protocol):
    """Sends requests."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send ``request`` and return when the head of the response is there; raise on a failure to connect."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
