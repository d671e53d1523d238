"""One request to one target, from the connection to the last byte, under five timers.

The gate: nothing is given out before the first real token (text, reasoning, a piece of a tool call). Until then every
failure is invisible to the caller, who may be served by somebody else; a chunk that only names the role opens nothing.

The timers bound what is waited for, never what the consumer does with it: connecting, the head of the response, the
first real token, the pause between two chunks, and the whole. A target that sends keep-alive comments is not alive.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.errors import AttemptTimeoutError, MalformedAnswerError
from holdfast.llm.messages import Usage
from holdfast.llm.question import http_request
from holdfast.llm.wire.base import Quirks, Reply
from holdfast.llm.wire.limits import rate_limits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.patience import Patience
    from holdfast.core.ports import Http, HttpResponse
    from holdfast.llm.messages import Completion
    from holdfast.llm.question import Question
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.targets import StreamTimers
    from holdfast.llm.wire.base import Chunk, StreamReader

__all__ = ["Attempt", "quirks_of"]

_LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes: a body that is longer is no answer, and must not fill the memory."""
_LAST_WORDS_NS = 250_000_000


def quirks_of(link: Link) -> Quirks:
    """In what the link's provider differs from its protocol, and what its errors must not show."""
    provider = link.target.provider
    return Quirks(
        provider=provider.error_table,
        name=provider.name,
        finish_required=provider.finish_required,
        secrets=provider.secrets,
    )


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One request to one link, and what came of it.

    Attributes:
        seconds: for the whole of an answer that is not streamed; ``timers`` are for one that is.
        prefix: text of the answer that was given out before, by another target.
        status, headers: of the response, once its head is there.
        first_token_ns: from sending to the first real token, or to the whole answer of one that is not streamed.
        reader: of a streamed answer.
        reply: a whole answer.
    """

    link: Link
    question: Question
    timers: StreamTimers
    seconds: float
    http: Http
    clock: Clock
    patience: Patience
    prefix: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    first_token_ns: int = 0
    reader: StreamReader | None = None
    reply: Reply | None = None

    async def run(self) -> AsyncGenerator[Reply | Sequence[Chunk], None]:
        """A whole answer, once; or the chunks of a streamed one, several at a time, from the first real one on.

        Raises:
            ProviderError: the provider failed, or its answer cannot be used.
            AttemptTimeoutError: one of the timers ran out.
            ConnectionError, TimeoutError: as the HTTP port raises them.
        """
        begun = self.clock.now_ns()
        limits = self.timers
        streamed = self.question.streamed
        head, total = (limits.headers, limits.total) if streamed else (self.seconds, self.seconds)
        whole_until = begun + to_ns(total)
        request = http_request(
            self.question,
            self.link.target,
            self.link.key.key.value,
            timeout=head,
            connect_timeout=limits.connect,
            prefix=self.prefix,
        )
        response = await self.patience.until(begun + to_ns(head), self.http.send(request), self._late("answer", head))
        try:
            self.status, self.headers = response.status, response.headers
            self.link.note(rate_limits(response.headers))
            if not streamed or not 200 <= response.status < 300:
                self.reply = self._read(response, await self._whole(response, whole_until))
                self._arrived(begun)
                yield self.reply
            else:
                async for chunks in self._chunks(response, begun, whole_until):
                    yield chunks
        finally:
            await response.close()

    @property
    def completion(self) -> Completion | None:
        """The answer so far."""
        if self.reply is not None:
            return self.reply.completion
        return None if self.reader is None else self.reader.completion

    @property
    def usage(self) -> Usage:
        """What it used: by the provider's count, or, where an answer was cut short, by ours."""
        if self.reply is not None:
            return self.reply.usage
        if self.reader is None:
            return Usage()  # it failed before anything was generated
        said = self.reader.completion.usage
        if said.completion_tokens or not self.reader.completion.text:
            return said
        written = len(self.reader.completion.text) // 4 + 1
        read = said.prompt_tokens or self.question.prompt_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, cached_tokens=said.cached_tokens, estimated=True)

    async def _whole(self, response: HttpResponse, until_ns: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        body = response.body()
        late = self._late("whole answer", self.timers.total if self.question.streamed else self.seconds)
        while (piece := await self.patience.until(until_ns, anext(body, None), late)) is not None:
            size += len(piece)
            if size > _LARGEST_ANSWER:
                name = self.link.target.provider.name
                raise MalformedAnswerError(f"{name} sent more than {_LARGEST_ANSWER:,} bytes.", provider=name)
            pieces.append(piece)
        return b"".join(pieces)

    def _read(self, response: HttpResponse, content: bytes) -> Reply:
        wire, quirks = self.question.wire(self.link.target), quirks_of(self.link)
        reply = wire.read(response.status, response.headers, content, quirks)
        self.question.check(reply, quirks)
        return reply

    async def _chunks(
        self, response: HttpResponse, begun: int, whole_until: int
    ) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks as they come, the first ones held back until one of them is real."""
        wire, limits = self.question.wire(self.link.target), self.timers
        reader = self.reader = wire.reader(quirks_of(self.link))
        body = response.body()
        held: list[Chunk] = []
        opened = ended = False
        piece: bytes | None = b""
        due, late = begun + to_ns(limits.first_token), self._late("token", limits.first_token)
        pause_ns = to_ns(limits.inter_token)
        while not ended:
            reader.feed(b"")  # an error behind the last chunks shows now, and not when more comes, which may be never
            if whole_until < due:
                due, late = whole_until, self._late("end", limits.total)
            piece = await self.patience.until(due, anext(body, None), late)
            chunks = reader.end() if piece is None else reader.feed(piece)
            ended = piece is None or any(chunk.last for chunk in chunks)
            if not chunks:
                continue  # a comment, or a part of an event: the target shows no sign of life by it
            if opened:
                yield chunks
            else:
                held.extend(chunks)
                if not any(chunk.real for chunk in held):
                    if ended and piece is not None:
                        reader.end()  # it says what is wrong with an answer that ends before it began
                    continue
                opened = True
                self._arrived(begun)
                yield held
                held = []
            due, late = self.clock.now_ns() + pause_ns, self._late("further token", limits.inter_token)
        if piece is not None:
            await self._drain(body)

    async def _drain(self, body: AsyncIterator[bytes]) -> None:
        """Let the connection come to its end after the last chunk, so that it can be used again; it is mostly there."""
        until = self.clock.now_ns() + _LAST_WORDS_NS
        with suppress(AttemptTimeoutError, ConnectionError):  # the answer is whole: nothing of it can be lost
            while await self.patience.until(until, anext(body, None), self._late("end", 0)) is not None:
                pass

    def _arrived(self, begun: int) -> None:
        self.first_token_ns = self.clock.now_ns() - begun
        self.link.state.latency.observe(self.first_token_ns / NS_PER_SECOND)

    def _late(self, what: str, seconds: float) -> Callable[[], BaseException]:
        name = self.link.target.name
        return lambda: AttemptTimeoutError(f"{name} sent no {what} within {seconds:g} s.")
