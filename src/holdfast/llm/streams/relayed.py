"""An answer as bytes, for whoever passes it on: to an SDK inside this process, or to a client of a gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.attempt import Attempt
    from holdfast.llm.exchange import Exchange
    from holdfast.llm.routing.targets import Target
    from holdfast.llm.streams.chat_stream import ChatStream
    from holdfast.llm.wire.base import Reply

__all__ = ["Relayed", "RelayedBody", "relayed_reply", "relayed_stream"]

_NOT_PASSED_ON = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "set-cookie", "transfer-encoding"}
)
"""Header fields that were about the bytes between the provider and us."""


@dataclass(slots=True, kw_only=True)
class Relayed:
    """An answer that has begun.

    Attributes:
        status: the provider's status.
        headers: the provider's header fields, names in lower case, without those of its connection.
        body: the bytes, to be read to the end or closed. A stream that breaks raises ``StreamInterruptedError``.
        target: who answers.
        calls: the calls made so far.
    """

    status: int
    headers: Mapping[str, str]
    body: RelayedBody
    target: Target
    calls: int


def relayed_reply(attempt: Attempt, reply: Reply, exchange: Exchange) -> Relayed:
    """A whole answer."""
    return Relayed(
        status=attempt.status,
        headers=_passed_on(attempt.headers),
        body=RelayedBody(reply.content),
        target=attempt.link.target,
        calls=exchange.calls,
    )


async def relayed_stream(stream: ChatStream) -> Relayed:
    """A streamed answer whose first chunk is there."""
    first = await anext(stream)
    target = stream.target
    if target is None:
        raise AssertionError("a stream with a chunk has a target")
    return Relayed(
        status=200,
        headers=_passed_on(stream.attempt_headers),
        body=RelayedBody(first.raw, stream),
        target=target,
        calls=stream.calls,
    )


class RelayedBody:
    """The bytes of an answer, as an async iterator. Closing it closes the provider's connection, begun or not."""

    def __init__(self, content: bytes | None, stream: ChatStream | None = None) -> None:
        self._content = content
        self._stream = stream

    def __aiter__(self) -> RelayedBody:
        return self

    async def __anext__(self) -> bytes:
        if self._content is not None:
            content, self._content = self._content, None
            return content
        if self._stream is None:
            raise StopAsyncIteration
        try:
            return (await anext(self._stream)).raw
        except BaseException:
            await self._stream.aclose()
            raise

    async def aclose(self) -> None:
        """The rest is not wanted."""
        self._content = None
        if self._stream is not None:
            await self._stream.aclose()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _NOT_PASSED_ON}
