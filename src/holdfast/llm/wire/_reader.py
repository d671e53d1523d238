"""What the readers of all streamed answers share: events in, chunks out, and one judgement at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from holdfast.errors import (
    ContentFilteredError,
    EmptyAnswerError,
    MalformedAnswerError,
    ProviderError,
    TruncatedAnswerError,
)
from holdfast.llm.messages import Completion, Finish, Usage
from holdfast.llm.wire import _json
from holdfast.llm.wire.base import Chunk
from holdfast.llm.wire.failures import answer_error, holds_error, in_answer
from holdfast.llm.wire.sse import LARGEST_EVENT, Event, EventSplitter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.wire._tool_calls import ToolCalls
    from holdfast.llm.wire.base import Quirks

__all__ = ["MOST_SKIPPED", "EventReader", "nothing_in_it"]

MOST_SKIPPED = 3
"""Events of one answer that may be unreadable; one is an accident, more is not this protocol."""
_MOST_KEPT = 65_536  # bytes of something that is no stream of events


class EventReader(ABC):
    """Reads one streamed answer; a protocol says what an event means and when the answer is whole.

    An event that is not valid JSON is left out and counted, up to :data:`MOST_SKIPPED` of them. Comments and events
    that the protocol does not know are passed on as chunks that are not real. An answer is judged before the chunk
    that ends it (``[DONE]``, ``message_stop``) is given out: whoever relays a stream never relays the end mark of an
    answer that is empty or was cut short. What follows that chunk is ignored.
    """

    def __init__(self, quirks: Quirks, tools: ToolCalls, *, limit: int = LARGEST_EVENT) -> None:
        self._quirks = quirks
        self._events = EventSplitter(limit=limit, provider=quirks.name)
        self._failure: ProviderError | None = None
        self._over = False
        self._marked = False  # whether the end mark came
        self._begun = False  # whether any event with data came
        self._stray = b""  # what came instead of events
        self._skipped = 0
        self._has_output = False  # anything but reasoning
        self._text: list[str] = []
        self._tools = tools
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._model = ""
        self._id = ""

    @property
    def skipped(self) -> int:
        """Events that were not valid, and were left out."""
        return self._skipped

    @property
    def said_end(self) -> bool:
        """See :meth:`holdfast.llm.wire.base.StreamReader.said_end`."""
        return self._marked or self._finish is not None

    @property
    def completion(self) -> Completion:
        """Everything so far as one answer."""
        return Completion(
            text=_json.text("".join(self._text)),
            finish=self._finish or Finish.UNKNOWN,
            tool_calls=self._tools.calls,
            usage=self._usage or Usage(),
            model=self._model,
            id=self._id,
        )

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """The chunks that ``data`` completes.

        Raises:
            ProviderError: the stream says that it failed, or it ends and its answer cannot be used. Where a chunk that
                is real comes before that in ``data``, the chunks are given first and the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        if self._over:
            return ()
        chunks: list[Chunk] = []
        for event in self._events.feed(data):
            try:
                chunk = self._take(event)
            except ProviderError as error:
                self._failure = error
                if any(each.real for each in chunks):
                    return chunks
                raise
            if chunk is not None:
                chunks.append(chunk)
                if chunk.last:
                    self._over = True
                    break
        return chunks

    def end(self) -> Sequence[Chunk]:
        """What was left when the connection ended in good order.

        Raises:
            ProviderError: what :meth:`feed` had still to raise, or what the last event says.
            TruncatedAnswerError: the answer was not whole.
            EmptyAnswerError: there was no output in it.
        """
        if self._failure is not None:
            raise self._failure
        if self._over:
            return ()
        self._over = True
        rest = self._events.end()
        if rest is None or rest.is_comment:
            self._conclude(half=False)
            return () if rest is None else (Chunk(raw=rest.raw),)
        skipped = self._skipped
        chunk = self._take(rest) if rest.data else None
        if chunk is None:  # it is not whole, and so it says nothing
            self._skipped = skipped
            if not rest.data:
                self._stray += rest.raw
            self._conclude(half=True)
            return ()
        if not chunk.last:
            self._conclude(half=False)
        return (chunk,)

    def _take(self, event: Event) -> Chunk | None:
        raw, name, data = event
        if data is None:
            if not self._begun and len(self._stray) < _MOST_KEPT and not event.is_comment:
                self._stray += raw
            return Chunk(raw=raw)
        if not data:
            return Chunk(raw=raw)
        self._begun = True
        if data.startswith(b"[DONE]"):
            return self._on_done(raw)
        try:
            body = _json.parse(data)
        except ValueError:
            body = None
        if name == "error" or holds_error(body):
            raise in_answer(
                body or {"error": data.decode("utf-8", "replace")}, self._quirks, content=data, streamed=True
            )
        if not isinstance(body, dict):
            self._skipped += 1
            if self._skipped > MOST_SKIPPED:
                raise answer_error(
                    MalformedAnswerError, f"sent {self._skipped} events that cannot be read", self._quirks, content=data
                )
            return None
        return self._on_event(raw, name, body)

    @abstractmethod
    def _on_event(self, raw: bytes, name: str, body: dict[str, Any]) -> Chunk:
        """What an event adds; raises what it says that went wrong."""

    def _on_done(self, raw: bytes) -> Chunk:
        """What ``[DONE]`` means: nothing, where the protocol has an end mark of its own."""
        return Chunk(raw=raw)

    @abstractmethod
    def _is_whole(self, *, half: bool) -> bool:
        """Whether the answer is whole, at a clean end of the connection after half an event, or after a whole one."""

    def _conclude(self, *, half: bool) -> None:
        """Judge the answer at the end of the connection."""
        if not self._begun:
            raise self._no_stream()
        if not self._is_whole(half=half):
            where = "within an event" if half else "before its end"
            raise answer_error(TruncatedAnswerError, f"ended its stream {where}", self._quirks)
        self._judge_output()

    def _judge_output(self) -> None:
        """Refuse an answer that is whole, if there is nothing in it."""
        if self._has_output or self._tools or (self._quirks.continued and self._finish is Finish.STOP):
            return
        raise answer_error(EmptyAnswerError, nothing_in_it(self._finish), self._quirks)

    def _judge_finish(self, raw: bytes) -> None:
        """Refuse an answer that the provider withholds before any of it was given out."""
        if self._finish is Finish.CONTENT_FILTER and not (self._has_output or self._tools):
            what = "withheld the answer because of its content"
            raise answer_error(ContentFilteredError, what, self._quirks, content=raw)

    def _no_stream(self) -> ProviderError:
        content = self._stray.strip()
        if not content:
            return answer_error(EmptyAnswerError, "ended its stream without sending anything", self._quirks)
        try:
            body = _json.parse(content)
        except ValueError:
            body = None
        if holds_error(body):
            return in_answer(body, self._quirks, content=content)
        return answer_error(
            MalformedAnswerError,
            "answered with something that is not a stream of events",
            self._quirks,
            content=content,
        )


def nothing_in_it(finish: Finish | None) -> str:
    """What a provider did that gave an answer without output, as the end of a sentence."""
    why = ": it reached the limit of tokens, which reasoning counts against, too" if finish is Finish.LENGTH else ""
    return f"gave an answer with nothing in it{why}"
