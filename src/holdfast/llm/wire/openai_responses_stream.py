"""Reading a streamed response of the Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.llm.messages import Finish
from holdfast.llm.wire import _json
from holdfast.llm.wire._openai import usage_of
from holdfast.llm.wire._reader import EventReader
from holdfast.llm.wire._tool_calls import ToolCalls
from holdfast.llm.wire.base import Chunk, ToolDelta
from holdfast.llm.wire.failures import in_answer
from holdfast.llm.wire.openai_responses_output import finish_of, read_output

if TYPE_CHECKING:
    from holdfast.llm.wire.base import Quirks

__all__ = ["OpenAIResponsesReader"]

_LARGEST_EVENT = 1 << 24  # an event may hold an image, and the last one holds the whole response
_TEXT = frozenset({"response.output_text.delta", "response.refusal.delta"})
_REASONING = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
_ARGUMENTS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_CALLS = frozenset({"function_call", "custom_tool_call"})


class OpenAIResponsesReader(EventReader):
    """Reads the events of the Responses API; the answer is whole with ``response.completed`` or ``.incomplete``.

    Those two hold the whole response, which outranks what its pieces said. Every event whose name ends with
    ``.delta`` or ``.partial_image`` carries output, also one that is not known here.
    """

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(quirks, ToolCalls(), limit=_LARGEST_EVENT)

    def _on_event(self, raw: bytes, name: str, body: dict[str, Any]) -> Chunk:
        kind = _json.text(body.get("type")) or name
        piece = body.get("delta")
        if kind in _TEXT:
            if text := _json.text(piece):
                self._text.append(text)
                self._has_output = True
            return Chunk(raw=raw, text=text, real=bool(text))
        if kind in _REASONING:
            thought = _json.text(piece)
            return Chunk(raw=raw, reasoning=thought, real=bool(thought))
        if kind in _ARGUMENTS:
            return self._tool(raw, ToolDelta(index=_place(body), arguments=_json.text(piece)))
        if kind == "response.output_item.added":
            return self._item(raw, body)
        if kind in {"response.completed", "response.incomplete"}:
            return self._completed(raw, _json.mapping(body.get("response")))
        if kind == "response.failed":
            response = _json.mapping(body.get("response"))
            error = response.get("error") or {"message": "the response failed"}
            raise in_answer({"error": error}, self._quirks, content=raw, streamed=True)
        if kind == "response.created":
            response = _json.mapping(body.get("response"))
            self._id, self._model = _json.text(response.get("id")), _json.text(response.get("model"))
        real = kind.endswith((".delta", ".partial_image"))
        self._has_output = self._has_output or real
        return Chunk(raw=raw, real=real)

    def _item(self, raw: bytes, body: dict[str, Any]) -> Chunk:
        item = _json.mapping(body.get("item"))
        if item.get("type") not in _CALLS:
            return Chunk(raw=raw)
        call_id, called = _json.text(item.get("call_id")), _json.text(item.get("name"))
        arguments = _json.text(item.get("arguments", item.get("input")))
        return self._tool(
            raw, ToolDelta(index=_place(body), id=call_id or None, name=called or None, arguments=arguments)
        )

    def _tool(self, raw: bytes, delta: ToolDelta) -> Chunk:
        self._tools.add(delta)
        return Chunk(raw=raw, tool_calls=(delta,), real=True)

    def _completed(self, raw: bytes, response: dict[str, Any]) -> Chunk:
        output = read_output(response)
        self._finish = finish_of(response, output)
        usage = usage_of(response.get("usage"))
        self._usage = usage or self._usage
        self._id = _json.text(response.get("id")) or self._id
        self._model = _json.text(response.get("model")) or self._model
        text = ""
        if output.text:
            text = "" if self._text else output.text  # a server may send no pieces at all
            self._text = [output.text]
        tools: list[ToolDelta] = []
        if not self._tools:
            tools = [
                ToolDelta(index=place, id=call.id, name=call.name, arguments=call.arguments)
                for place, call in enumerate(output.calls)
            ]
            for each in tools:
                self._tools.add(each)
        elif self._finish is Finish.STOP:
            self._finish = Finish.TOOL_CALLS  # a response that does not repeat its output
        self._has_output = self._has_output or output.something
        self._judge_finish(raw)
        self._judge_output()
        return Chunk(
            raw=raw, text=text, tool_calls=tools, real=bool(text or tools), finish=self._finish, usage=usage, last=True
        )

    def _is_whole(self, *, half: bool) -> bool:  # noqa: ARG002  the event that makes it whole ends the reading
        return False


def _place(body: dict[str, Any]) -> int:
    place = body.get("output_index")
    return place if isinstance(place, int) else 0
