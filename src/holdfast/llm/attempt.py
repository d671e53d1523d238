"""One request to one target, from the connection to the last byte, under five timers.

The gate: nothing is given out before the first real token (text, reasoning, a piece of a tool call). Until then every
failure is invisible to the caller, who may be served by somebody else; a chunk that only names the role opens nothing.

The timers bound what is waited for, never what the consumer does with it: connecting, the head of the response, the
first real token, the pause between two chunks, and the whole. A target that sends keep-alive comments is not alive.
The deadline of whoever reads bounds every wait, too.
"""

from __future__ import annotations

from asyncio import CancelledError, current_task
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_ns
from holdfast.core.demand import current_demand
from holdfast.errors import AttemptTimeoutError, DeadlineExceededError, MalformedAnswerError
from holdfast.llm.messages import Usage
from holdfast.llm.question import http_request
from holdfast.llm.wire.limits import rate_limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import TypeVar

    from holdfast.core.clock import Clock
    from holdfast.core.patience import Patience
    from holdfast.core.ports import Http, HttpRequest, HttpResponse
    from holdfast.llm.messages import Completion
    from holdfast.llm.question import Question
    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.targets import StreamTimers
    from holdfast.llm.wire.base import Chunk, Reply, StreamReader

    T = TypeVar("T")

__all__ = ["Attempt"]

_LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes: a body that is longer is no answer, and must not fill the memory."""
_LARGEST_REFUSAL = 1024 * 1024
"""Bytes that are read of the body of an error."""
_LAST_WORDS_NS = 250_000_000
_REASON_NS = 2_000_000_000
"""How long the body of an error is waited for: its status and its header are known, and say the most."""
_KEEP_ALIVES = (b":", b"event: ping", b"event:ping")


class _Reading:
    """The body of a response, closed at the end of the block; else the garbage collector would, whenever it comes."""

    __slots__ = ("_body",)

    def __init__(self, response: HttpResponse) -> None:
        self._body = response.body()

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self._body

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._body, AsyncGenerator):
            await self._body.aclose()


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One request to one link, and what came of it.

    Attributes:
        seconds: for the whole of an answer that is not streamed; ``timers`` are for one that is.
        prefix: text of the answer that was given out before, by another target.
        maybe_whole: whether that text may be the whole answer, so that nothing has to follow.
        status, headers: of the response, once its head is there.
        first_token_ns: from sending to the first real token, or to the whole answer of one that is not streamed.
        reader: of a streamed answer.
        reply: a whole answer.
        dropped: whether it was we who ended it after it was sent, for an answer that nobody needed any more.
        requests: what was sent for the question so far, with its header fields as they were before: to ask a link the
            same again, it is not written again.
        given_up: set before the task is cancelled by whoever will not wait longer for a target that says nothing: the
            attempt then ends as one whose time was up.
    """

    link: Link
    question: Question
    timers: StreamTimers
    seconds: float
    http: Http
    clock: Clock
    patience: Patience
    prefix: str = ""
    maybe_whole: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    first_token_ns: int = 0
    reader: StreamReader | None = None
    reply: Reply | None = None
    dropped: bool = False
    requests: dict[tuple[Link, str], tuple[HttpRequest, dict[str, str]]] = field(default_factory=dict)
    given_up: bool = False

    async def run(self) -> AsyncGenerator[Reply | Sequence[Chunk], None]:
        """A whole answer, once; or the chunks of a streamed one, several at a time, from the first real one on.

        Raises:
            ProviderError: the provider failed, or its answer cannot be used.
            AttemptTimeoutError: one of the timers ran out.
            DeadlineExceededError: the deadline of the context passed.
            ConnectionError, TimeoutError: as the HTTP port raises them.
        """
        begun, pace = self.clock.now_ns(), self.link.state.pace
        limits, streamed = self.timers, self.question.streamed
        head = limits.headers if streamed else self.seconds
        request = self._request(head)
        waiting = pace.begin(streamed=streamed)
        try:
            response = await self._until(begun + to_ns(head), self.http.send(request), self._late("answer", head))
            pace.heard(waiting)
            try:
                self.status, self.headers = response.status, response.headers
                self.link.note(rate_limits(response.headers))
                if streamed and 200 <= response.status < 300:
                    async with _Reading(response) as body, aclosing(self._chunks(body, begun)) as answer:
                        async for chunks in answer:
                            yield chunks
                else:
                    async with _Reading(response) as body:
                        content = await self._whole(body, begun)
                    self.reply = self._read(response, content)
                    self._arrived(begun)
                    self._report()
                    yield self.reply
            finally:
                await response.close()
        except CancelledError:
            self.dropped = True
            pace.gave_up(waiting)
            if self.given_up and (task := current_task()) is not None and not task.uncancel():
                name = self.link.target.name
                raise AttemptTimeoutError(f"{name} has gone silent: calls are late, and none is heard of.") from None
            raise
        except (TimeoutError, DeadlineExceededError):  # a connection that is not made in time says nothing either
            pace.gave_up(waiting)
            raise
        finally:
            pace.heard(waiting)  # unless nobody waited to the end, the target has spoken, if only by breaking off
            if not self.first_token_ns:
                pace.waited(self.clock.now_ns() - begun, streamed=streamed)
            self._report()

    @property
    def completion(self) -> Completion | None:
        """The answer so far."""
        if self.reply is not None:
            return self.reply.completion
        return None if self.reader is None else self.reader.completion

    @property
    def usage(self) -> Usage:
        """What it used: by the provider's count, or, where an answer was cut short, by ours.

        A provider that has begun to answer, or whose answer we did not wait for, has read the question at least.
        """
        if self.reply is not None:
            return self.reply.usage
        if self.reader is None:
            if not self.dropped:
                return Usage()  # it failed before anything was generated
            return Usage(prompt_tokens=self.question.prompt_tokens, estimated=True)
        answer = self.reader.completion
        said = answer.usage
        if said.completion_tokens or (said.prompt_tokens and not answer.text):
            return said
        written = len(answer.text) // 4 + 1 if answer.text else 0
        read = said.prompt_tokens or self.question.prompt_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, cached_tokens=said.cached_tokens, estimated=True)

    def _request(self, timeout: float) -> HttpRequest:
        """What to send."""
        asked = self.link, self.prefix
        known = self.requests.get(asked)
        if known is not None:  # with fields of its own: a client may have signed those of the first one
            return replace(known[0], headers=dict(known[1]))
        request = http_request(
            self.question,
            self.link.target,
            self.link.key.key.value,
            timeout=timeout,
            connect_timeout=self.timers.connect,
            prefix=self.prefix,
        )
        self.requests[asked] = request, dict(request.headers)
        return request

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _whole(self, body: AsyncIterator[bytes], begun: int) -> bytes:
        """The body. Of an error, what comes of it soon."""
        good = 200 <= self.status < 300
        due, late = begun + to_ns(self.seconds), self._late("whole answer", self.seconds)
        most = _LARGEST_ANSWER
        if not good:
            due, most = self.clock.now_ns() + _REASON_NS, _LARGEST_REFUSAL
        pieces: list[bytes] = []
        size = 0
        try:
            while size <= most and (piece := await self._until(due, anext(body, None), late)) is not None:
                size += len(piece)
                pieces.append(piece)
        except (AttemptTimeoutError, ConnectionError):
            if good:
                raise
        if good and size > most:
            raise self._too_large()
        return b"".join(pieces)

    def _read(self, response: HttpResponse, content: bytes) -> Reply:
        wire, quirks = self.question.wire(self.link.target), self.link.state.quirks
        reply = wire.read(response.status, response.headers, content, quirks)
        self.question.check(reply, quirks)
        return reply

    async def _chunks(self, body: AsyncIterator[bytes], begun: int) -> AsyncGenerator[Sequence[Chunk], None]:
        """The chunks as they come, the first ones held back until one of them is real."""
        limits, now_ns = self.timers, self.clock.now_ns
        quirks = self.link.state.quirks
        if self.maybe_whole:
            quirks = replace(quirks, continued=True)
        reader = self.reader = self.question.wire(self.link.target).reader(quirks)
        held: list[Chunk] = []
        opened = ended = False
        size = 0
        piece: bytes | None = b""
        whole_until = begun + to_ns(limits.total)
        due, late = begun + to_ns(limits.first_token), self._late("token", limits.first_token)
        pause_ns, no_more = to_ns(limits.inter_token), self._late("further token", limits.inter_token)
        no_end = self._late("end", limits.total)
        while not ended:
            reader.feed(b"")  # an error behind the last chunks shows now, and not when more comes, which may be never
            if whole_until < due:
                due, late = whole_until, no_end
            piece = await self._until(due, anext(body, None), late)
            size += 0 if piece is None else len(piece)
            if size > _LARGEST_ANSWER:
                raise self._too_large()
            chunks = reader.end() if piece is None else reader.feed(piece)
            ended = piece is None or any(chunk.last for chunk in chunks)
            if not opened:
                held.extend(chunks)
                if ended and piece is not None:
                    reader.end()  # it says what is wrong with an answer that ends before it began
                if not ended and not any(chunk.real for chunk in chunks):
                    continue
                opened, chunks = True, held
                self._arrived(begun)
            if not chunks:
                continue
            given = now_ns()
            yield chunks
            taken = now_ns() - given  # the consumer's own time
            whole_until += taken
            due += taken
            if any(_is_life(chunk) for chunk in chunks):
                due, late = given + taken + pause_ns, no_more
        if piece is not None:
            await self._drain(body)

    async def _drain(self, body: AsyncIterator[bytes]) -> None:
        """Let the connection come to its end after the last chunk, so that it can be used again; it is mostly there."""
        until = self.clock.now_ns() + _LAST_WORDS_NS
        # The answer is whole: nothing of it can be lost.
        with suppress(AttemptTimeoutError, DeadlineExceededError, ConnectionError):
            while await self._until(until, anext(body, None), self._late("end", 0)) is not None:
                pass

    # --- time and tokens ----------------------------------------------------------------------------------------------

    def _until(self, due_ns: int, work: Awaitable[T], late: Callable[[], BaseException]) -> Awaitable[T]:
        """What ``work`` gives, until a timer or the context's deadline ends; to be awaited at once."""
        until = deadline_ns()
        if until is not None and until <= due_ns:
            due_ns, late = until, self._out_of_time
        return self.patience.until(due_ns, work, late)

    def _arrived(self, begun: int) -> None:
        self.first_token_ns = self.clock.now_ns() - begun
        self.link.state.latency.observe(self.first_token_ns / NS_PER_SECOND)
        self.link.state.pace.took(self.first_token_ns, streamed=self.question.streamed)

    def _report(self) -> None:
        """Tell the limits of ours what it used; of a call of which nobody knows, what was reserved stands."""
        if self.link.counts_tokens:
            usage = self.usage
            if usage.total_tokens or self.status >= 300:
                current_demand().used(usage.total_tokens)

    def _late(self, what: str, seconds: float) -> Callable[[], BaseException]:
        target = self.link.target
        return lambda: AttemptTimeoutError(f"{target.name} sent no {what} within {seconds:g} s.")

    def _out_of_time(self) -> DeadlineExceededError:
        return DeadlineExceededError(f"The time for the whole operation was used up in the call to {self.link.name}.")

    def _too_large(self) -> MalformedAnswerError:
        name = self.link.target.provider.name
        return MalformedAnswerError(f"{name} sent more than {_LARGEST_ANSWER:,} bytes.", provider=name)


def _is_life(chunk: Chunk) -> bool:
    """Whether a chunk shows that the answer is being worked on: everything does but what keeps connections alive."""
    if chunk.real:
        return True
    raw = chunk.raw.lstrip()
    return bool(raw) and not raw.startswith(_KEEP_ALIVES)
