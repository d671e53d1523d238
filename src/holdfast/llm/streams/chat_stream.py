"""A streamed answer as the caller sees it: chunk after chunk, to a true end or to an error that says it is none.

What happened before the first real chunk is invisible here. After it, a stream that breaks is continued by another
target, where that is allowed: the text that was given out goes along as the beginning of the answer, and what the next
model says again is left out. Otherwise it ends with ``StreamInterruptedError``. It never just stops.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, StreamInterruptedError
from holdfast.llm.messages import Completion, Usage
from holdfast.llm.streams.seam import Seam
from holdfast.llm.wire.base import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from types import TracebackType

    from holdfast.llm.costs import CallCost
    from holdfast.llm.exchange import Exchange
    from holdfast.llm.outcomes import Failed, Opened
    from holdfast.llm.routing.targets import Target
    from holdfast.llm.wire.base import Chunk, Wire

__all__ = ["ChatStream"]


class ChatStream:
    """An answer that comes piece by piece: ``async with client.stream(...) as chunks: async for chunk in chunks:``.

    The first ``anext`` asks; nothing is sent before. Closing it early tells the provider by closing the connection.

    Attributes:
        text: what was given out so far.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._opened: Opened | None = None
        self._earlier = Usage()
        self._chunks = self._run()
        self.text = ""

    def __aiter__(self) -> ChatStream:
        return self

    async def __anext__(self) -> Chunk:
        return await anext(self._chunks)

    async def __aenter__(self) -> ChatStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End it; the provider's connection is closed when the answer is not at its end."""
        await self._chunks.aclose()

    @property
    def completion(self) -> Completion:
        """The answer so far, with what all targets that wrote on it have used."""
        last = None if self._opened is None else self._opened.attempt.completion
        if last is None or self._opened is None:
            return Completion(text=self.text)
        return replace(last, text=self.text, usage=self._earlier + self._opened.attempt.usage)

    @property
    def target(self) -> Target | None:
        """Who answers now; None before the first chunk."""
        return None if self._opened is None else self._opened.link.target

    @property
    def attempt_headers(self) -> dict[str, str]:
        """The header fields of the response that is being given out, names in lower case."""
        return {} if self._opened is None else dict(self._opened.attempt.headers)

    @property
    def calls(self) -> int:
        """Calls made so far."""
        return self._exchange.calls

    @property
    def costs(self) -> Sequence[CallCost]:
        """What the calls cost that have ended: all of them, once the stream has."""
        return tuple(self._exchange.costs)

    async def _run(self) -> AsyncGenerator[Chunk, None]:
        opened = self._opened = await self._exchange.open()
        pieces = _Pieces(self._wire(opened))
        while True:
            try:
                for chunk in pieces.of(opened.first):
                    self.text += chunk.text
                    yield chunk
                async for chunks in opened.stream:
                    for chunk in pieces.of(chunks):
                        self.text += chunk.text
                        yield chunk
            except Exception as error:  # noqa: BLE001  it is told, or somebody else goes on
                broken = await self._exchange.broke(opened, error)
            except BaseException:
                await self._exchange.abandon(opened)
                raise
            else:
                await self._exchange.done(opened)
                return
            if not self._may_continue(pieces):
                raise self._interrupted(broken) from broken.error
            opened, pieces = await self._go_on(broken)

    def _may_continue(self, pieces: _Pieces) -> bool:
        """Half a tool call or half a thought cannot be handed on; text can."""
        return self._exchange.route.options.continue_streams and bool(self.text) and not pieces.more_than_text

    async def _go_on(self, broken: Failed) -> tuple[Opened, _Pieces]:
        """Somebody else, to write on."""
        before = self._opened
        try:
            self._exchange.learn(broken)
            reader = None if before is None else before.attempt.reader
            opened = await self._exchange.open(self.text, maybe_whole=reader is not None and reader.said_end)
        except HoldfastError as error:
            raise self._interrupted(broken) from error
        if before is not None:
            self._earlier += before.attempt.usage
        self._opened = opened
        self._exchange.telling.went_on(broken, opened, characters=len(self.text), calls=self._exchange.calls)
        return opened, _Pieces(self._wire(opened), self.text)

    def _wire(self, opened: Opened) -> Wire:
        return self._exchange.question.wire(opened.link.target)

    def _interrupted(self, broken: Failed) -> StreamInterruptedError:
        self._exchange.telling.broke(broken, characters=len(self.text), calls=self._exchange.calls)
        provider = broken.link.target.provider.name
        return StreamInterruptedError(
            f"The answer of {broken.link.target.name} broke off after {len(self.text)} characters and is not whole: "
            f"{broken.error}",
            provider=provider,
            text=self.text,
        )


class _Pieces:
    """The chunks of one target's answer, as they are given out.

    Attributes:
        more_than_text: whether there was something that no other target can go on with.
    """

    def __init__(self, wire: Wire, given: str = "") -> None:
        self._wire = wire
        self._seam = Seam(given)
        self._begun = not given  # what opens an answer was given out by the target before
        self._like: Chunk | None = None
        self.more_than_text = False

    def of(self, chunks: Reply | Sequence[Chunk]) -> Iterator[Chunk]:
        """``chunks``, without what was given out by another target before."""
        for chunk in () if isinstance(chunks, Reply) else chunks:
            if chunk.reasoning or chunk.tool_calls:
                self.more_than_text = True
            self._begun = self._begun or chunk.real or chunk.finish is not None  # an end without text is one, too
            if not self._begun:
                continue
            if not self._seam.undecided:
                yield chunk
            elif chunk.text:
                self._like = chunk
                if fresh := self._seam.push(chunk.text):
                    yield self._wire.with_text(chunk, fresh)
            else:
                fresh = self._seam.finish()
                if fresh and self._like is not None:
                    yield self._wire.with_text(self._like, fresh)
                yield chunk
