"""Conversations and tools in Anthropic's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.llm.wire import _json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.messages import Message

__all__ = ["split_prefix", "system_of", "tool_of", "turns_of", "with_prefix"]


def system_of(messages: Sequence[Message], *more: str) -> str:
    """The system messages as one text, and ``more`` behind them."""
    texts = [each.content for each in messages if each.role == "system" and each.content.strip()]
    return "\n\n".join([*texts, *more])


def turns_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The other messages as turns of the user and the assistant, one after the other.

    Results of tools belong to the user's turn. Messages without anything in them are left out: the endpoint takes no
    empty text.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _blocks(message)
        if not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        (first, *others) = turn["content"]
        if not others and first["type"] == "text":
            turn["content"] = first["text"]
    return turns


def tool_of(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool, from OpenAI's form; one that is not in OpenAI's form stays as it is."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return dict(tool)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    translated: dict[str, Any] = {"name": function.get("name"), "input_schema": schema}
    for field in ("description", "strict"):
        if function.get(field) is not None:
            translated[field] = function[field]
    return translated


def split_prefix(prefix: str) -> tuple[str, str]:
    """``prefix`` as it can be sent, and the white space at its end, which cannot.

    The model does not see that white space, and may begin the continuation with white space of its own: what was held
    back has been given out already, so a continuation is to be joined without the white space that it begins with,
    where something was held back.
    """
    sent = prefix.rstrip()
    return sent, prefix[len(sent) :]


def with_prefix(turns: Sequence[Any], prefix: str) -> list[Any]:
    """``turns`` with ``prefix`` at the end of the assistant's last turn, which is the last of all."""
    sent, _ = split_prefix(prefix)
    last = _json.mapping(turns[-1]) if turns else {}
    if last.get("role") != "assistant":
        return [*turns, {"role": "assistant", "content": sent}] if sent else list(turns)
    content = last.get("content")
    if isinstance(content, str):
        content = (content + prefix).rstrip()
    else:
        content = [*_json.items(content), *([{"type": "text", "text": sent}] if sent else [])]
    return [*turns[:-1], {**last, "content": content}]


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": message.content}]
    if message.role == "system":
        return []
    blocks: list[dict[str, Any]] = []
    if message.content.strip():
        blocks.append({"type": "text", "text": message.content})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call.arguments)}
        for call in message.tool_calls
    ]
    return blocks


def _arguments(written: str) -> dict[str, Any]:
    """The arguments as an object, which the endpoint insists on; the model may have written something else."""
    try:
        value = _json.parse(written.encode("utf-8", "replace")) if written.strip() else {}
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"arguments": written}
