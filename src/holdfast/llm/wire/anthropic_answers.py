"""What is in an answer of Anthropic's, whole or streamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.llm.messages import Finish, ToolCall, Usage
from holdfast.llm.wire import _json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SILENT", "Content", "finish_of", "read_content", "usage_of"]

SILENT = frozenset({"thinking", "redacted_thinking"})
"""Blocks that are no output."""

_FINISH: Mapping[str, Finish] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.CONTENT_FILTER,
}


class Content(NamedTuple):
    """The content of a message.

    Attributes:
        text: its text blocks, joined.
        calls: the tools that the caller is to call.
        something: whether there is anything in it but thoughts.
    """

    text: str
    calls: tuple[ToolCall, ...]
    something: bool


def finish_of(reason: object) -> Finish | None:
    """What a ``stop_reason`` means; None where there is none."""
    return _FINISH.get(reason, Finish.UNKNOWN) if isinstance(reason, str) and reason else None


def read_content(blocks: Sequence[object]) -> Content:
    """The content of a whole message."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    others = False
    for each in blocks:
        block = _json.mapping(each)
        kind = _json.text(block.get("type"))
        if kind == "text":
            texts.append(_json.text(block.get("text")))
        elif kind == "tool_use":
            arguments = json.dumps(block.get("input", {}), ensure_ascii=False)
            calls.append(
                ToolCall(
                    id=_json.text(block.get("id")),
                    name=_json.text(block.get("name")),
                    arguments=_json.text(arguments),
                )
            )
        elif kind not in SILENT and block:
            others = True  # what the provider's own tools did
    text = "".join(texts)
    return Content(text, tuple(calls), bool(text or calls or others))


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Tokens; what was written to and read from the cache counts as read."""
    cached = _json.count(usage.get("cache_read_input_tokens"))
    written = _json.count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=_json.count(usage.get("input_tokens")) + written + cached,
        completion_tokens=_json.count(usage.get("output_tokens")),
        cached_tokens=cached,
    )
