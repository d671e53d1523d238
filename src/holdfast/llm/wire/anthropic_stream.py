"""Reading a streamed message of Anthropic's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import TruncatedAnswerError
from holdfast.llm.wire import _json
from holdfast.llm.wire._reader import EventReader
from holdfast.llm.wire._tool_calls import ToolCalls
from holdfast.llm.wire.anthropic_answers import SILENT, finish_of, usage_of
from holdfast.llm.wire.base import Chunk, ToolDelta
from holdfast.llm.wire.failures import answer_error

if TYPE_CHECKING:
    from holdfast.llm.messages import Usage
    from holdfast.llm.wire.base import Quirks

__all__ = ["AnthropicReader"]


class AnthropicReader(EventReader):
    """Reads the events of a message, which is whole with ``message_stop`` after a reason to stop."""

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks, ToolCalls())
        self._counts: dict[str, Any] = {}

    def _on_event(self, raw: bytes, name: str, body: dict[str, Any]) -> Chunk:
        kind = _json.text(body.get("type")) or name
        if kind == "content_block_delta":
            return self._delta(raw, _json.mapping(body.get("delta")), _place(body))
        if kind == "content_block_start":
            return self._start(raw, _json.mapping(body.get("content_block")), _place(body))
        if kind == "message_delta":
            return self._message_delta(raw, body)
        if kind == "message_start":
            message = _json.mapping(body.get("message"))
            self._id, self._model = _json.text(message.get("id")), _json.text(message.get("model"))
            return Chunk(raw=raw, usage=self._count(message.get("usage")))
        if kind == "message_stop":
            self._marked = True
            if self._finish is None and self._quirks.finish_required:
                what = "ended its stream without saying why the answer ends, so that it may not be whole"
                raise answer_error(TruncatedAnswerError, what, self._quirks)
            self._judge_output()
            return Chunk(raw=raw, last=True)
        return Chunk(raw=raw)

    def _delta(self, raw: bytes, delta: dict[str, Any], place: int) -> Chunk:
        kind = delta.get("type")
        if kind == "text_delta":
            text = _json.text(delta.get("text"))
            return self._said(raw, text)
        if kind == "thinking_delta":
            thought = _json.text(delta.get("thinking"))
            return Chunk(raw=raw, reasoning=thought, real=bool(thought))
        if kind == "input_json_delta":
            piece = ToolDelta(index=place, arguments=_json.text(delta.get("partial_json")))
            if place not in self._tools:
                return Chunk(raw=raw, real=bool(piece.arguments))  # a tool of the provider's own
            self._tools.add(piece)
            return Chunk(raw=raw, tool_calls=(piece,), real=bool(piece.arguments))
        return Chunk(raw=raw)  # a signature, a citation, or something new

    def _start(self, raw: bytes, block: dict[str, Any], place: int) -> Chunk:
        kind = _json.text(block.get("type"))
        if kind == "text":
            return self._said(raw, _json.text(block.get("text")))
        if kind == "thinking":
            thought = _json.text(block.get("thinking"))
            return Chunk(raw=raw, reasoning=thought, real=bool(thought))
        if kind == "tool_use":
            call_id, called = _json.text(block.get("id")), _json.text(block.get("name"))
            piece = ToolDelta(index=place, id=call_id or None, name=called or None)
            self._tools.add(piece)
            return Chunk(raw=raw, tool_calls=(piece,), real=True)
        if block and kind not in SILENT:
            self._has_output = True
            return Chunk(raw=raw, real=True)
        return Chunk(raw=raw)

    def _said(self, raw: bytes, text: str) -> Chunk:
        if text:
            self._text.append(text)
            self._has_output = True
        return Chunk(raw=raw, text=text, real=bool(text))

    def _message_delta(self, raw: bytes, body: dict[str, Any]) -> Chunk:
        usage = self._count(body.get("usage"))
        finish = finish_of(_json.mapping(body.get("delta")).get("stop_reason"))
        self._finish = finish or self._finish
        self._judge_finish(raw)
        return Chunk(raw=raw, finish=finish, usage=usage)

    def _count(self, usage: object) -> Usage | None:
        """The usage so far: each event says only what is new, as totals and not as differences."""
        said = {name: value for name, value in _json.mapping(usage).items() if value is not None}
        if not said:
            return None
        self._counts.update(said)
        self._usage = usage_of(self._counts)
        return self._usage

    def _is_whole(self, *, half: bool) -> bool:  # noqa: ARG002  the event that makes it whole ends the reading
        return False


def _place(body: dict[str, Any]) -> int:
    place = body.get("index")
    return place if isinstance(place, int) else 0
