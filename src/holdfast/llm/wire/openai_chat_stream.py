"""Reading a streamed chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import TruncatedAnswerError
from holdfast.llm.wire import _json
from holdfast.llm.wire._openai import finish_of, usage_of
from holdfast.llm.wire._reader import EventReader
from holdfast.llm.wire._tool_calls import ToolCalls
from holdfast.llm.wire.base import Chunk, Quirks, ToolDelta
from holdfast.llm.wire.failures import answer_error, in_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.messages import Finish

__all__ = ["OpenAIChatReader", "content_text"]


class OpenAIChatReader(EventReader):
    """Reads ``chat.completion.chunk`` events.

    The answer is whole when every choice that began has said why it ends: after that only usage and ``[DONE]`` can
    come, so that a stream without them has lost nothing of the answer. Where the provider sends no finish reasons
    (``Quirks.finish_required`` is False) ``[DONE]`` or a clean end between two events has to do.
    """

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks, ToolCalls())
        self._open: set[int] = set()  # choices that have not said why they end

    def _on_event(self, raw: bytes, name: str, body: dict[str, Any]) -> Chunk:  # noqa: ARG002  chat names no events
        if not self._id or not self._model:
            self._id = self._id or _json.text(body.get("id"))
            self._model = self._model or _json.text(body.get("model"))
        counted = usage_of(body.get("usage"))
        self._usage = counted or self._usage
        text = reasoning = ""
        tools: Sequence[ToolDelta] = ()
        finish: Finish | None = None
        real = False
        for choice in _json.items(body.get("choices")):
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            said, thought, calls, other = _output(_json.mapping(choice.get("delta")))
            real = real or bool(said or thought or calls or other)
            self._has_output = self._has_output or bool(said or other or (index and calls))
            ended = self._ended(index, choice)
            if index == 0:
                text, reasoning, tools = said, thought, calls
                finish = ended
                self._finish = ended or self._finish
        if text:
            self._text.append(text)
        for each in tools:
            self._tools.add(each)
        if finish is not None:
            self._judge_finish(raw)
        return Chunk(raw=raw, text=text, reasoning=reasoning, tool_calls=tools, real=real, finish=finish, usage=counted)

    def _ended(self, index: int, choice: dict[str, Any]) -> Finish | None:
        reason = choice.get("finish_reason")
        if not reason:
            self._open.add(index)
            return None
        self._open.discard(index)
        if reason == "error":
            error = choice.get("error") or {"message": "the answer ended with the finish reason 'error'"}
            raise in_answer({"error": error}, self._quirks, streamed=True)
        return finish_of(reason)

    def _on_done(self, raw: bytes) -> Chunk:
        self._marked = True
        if self._quirks.finish_required and not self._is_whole(half=False):
            what = "ended its stream without saying why the answer ends, so that it may not be whole"
            raise answer_error(TruncatedAnswerError, what, self._quirks)
        self._judge_output()
        return Chunk(raw=raw, last=True)

    def _is_whole(self, *, half: bool) -> bool:
        if self._finish is not None and not self._open:
            return True
        return not half and not self._quirks.finish_required


def content_text(content: object) -> str:
    """The text of a message's content, which is a string, or with some servers a list of parts."""
    if isinstance(content, list):
        return "".join(
            _json.text(part.get("text")) for part in content if isinstance(part, dict) and part.get("type") == "text"
        )
    return _json.text(content)


def _output(delta: dict[str, Any]) -> tuple[str, str, Sequence[ToolDelta], bool]:
    """Text, reasoning, pieces of tool calls, and whether there is output of another kind."""
    said = content_text(delta.get("content")) or _json.text(delta.get("refusal"))
    if said and len(delta) == 1:
        return said, "", (), False  # nearly every chunk
    thought = _json.text(delta.get("reasoning_content")) or _json.text(delta.get("reasoning"))
    calls = [_tool_delta(each, place) for place, each in enumerate(_json.items(delta.get("tool_calls")))]
    if legacy := _json.mapping(delta.get("function_call")):
        calls.append(_tool_delta({"function": legacy}, 0))
    return said, thought, tuple(calls), bool(delta.get("audio") or delta.get("images"))


def _tool_delta(value: object, place: int) -> ToolDelta:
    call = _json.mapping(value)
    function = _json.mapping(call.get("function") or call.get("custom"))
    index = call.get("index")
    return ToolDelta(
        index=index if isinstance(index, int) else place,
        id=_json.text(call.get("id")) or None,
        name=_json.text(function.get("name")) or None,
        arguments=_json.text(function.get("arguments", function.get("input"))),
    )
