"""What is in the output of a response of the Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.llm.messages import Finish, ToolCall
from holdfast.llm.wire import _json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Output", "finish_of", "read_output", "replace_text"]


class Output(NamedTuple):
    """The output of a response.

    Attributes:
        text: all its text, refusals included.
        calls: the tools that the caller is to call.
        something: whether there is anything in it but reasoning; an image or a search is something, too.
    """

    text: str
    calls: tuple[ToolCall, ...]
    something: bool


def read_output(response: Mapping[str, Any]) -> Output:
    """The output of a ``response`` object."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    others = False
    for each in _json.items(response.get("output")):
        item = _json.mapping(each)
        kind = item.get("type")
        if kind == "message":
            texts += [_json.text(part.get("text")) or _json.text(part.get("refusal")) for part in _parts(item)]
        elif kind in {"function_call", "custom_tool_call"}:
            arguments = item.get("arguments", item.get("input"))
            calls.append(
                ToolCall(
                    id=_json.text(item.get("call_id")),
                    name=_json.text(item.get("name")),
                    arguments=_json.text(arguments),
                )
            )
        elif kind != "reasoning" and item:
            others = True
    text = "".join(texts)
    return Output(text, tuple(calls), bool(text or calls or others))


def finish_of(response: Mapping[str, Any], output: Output) -> Finish:
    """Why a response ends that is ``completed`` or ``incomplete``."""
    if response.get("status") == "incomplete":
        reason = _json.mapping(response.get("incomplete_details")).get("reason")
        if reason == "content_filter":
            return Finish.CONTENT_FILTER
        return Finish.LENGTH if reason == "max_output_tokens" else Finish.UNKNOWN
    return Finish.TOOL_CALLS if output.calls else Finish.STOP


def replace_text(response: Mapping[str, Any], text: str) -> None:
    """Put ``text`` in the place of all the text of ``response``, which is changed."""
    for each in _json.items(response.get("output")):
        for part in _parts(_json.mapping(each)):
            for field in ("text", "refusal"):
                if part.get(field):
                    part[field], text = text, ""


def _parts(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = _json.items(item.get("content")) if item.get("type") == "message" else []
    return [_json.mapping(part) for part in parts]
