"""``POST /v1/messages``, as Anthropic speaks it: JSON, and a stream of named events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from holdfast.lab.simulator import fields, tokens
from holdfast.lab.simulator.failures import Failure, Problem, error_body
from holdfast.lab.simulator.prompt import Prompt, Tool, Turn
from holdfast.lab.simulator.script import Kind, Piece, event, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.lab.simulator.failures import ProviderKind
    from holdfast.lab.simulator.fields import Body
    from holdfast.lab.simulator.prompt import Answer, Finish, Stamp

__all__ = ["AnthropicMessages"]

_ROLES = ("user", "assistant", "system")  # what is asked for may not be hashable
_CHOICES = ("auto", "any", "tool", "none")
_FINISH: Mapping[Finish, str | None] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool": "tool_use",
    "filtered": "refusal",
    "refused": "refusal",
    "unsaid": None,
}


class AnthropicMessages:
    """The messages endpoint."""

    name = "messages"
    provider: ProviderKind = "anthropic"

    def read(self, body: Body, *, counting: bool = False) -> Prompt:
        """The prompt in a request body; ``counting`` when only its tokens are asked for."""
        model = fields.text(body, "model")
        max_tokens = fields.integer(body, "max_tokens")
        if max_tokens is None and not counting:
            raise Problem(Failure.INVALID, "Field required", param="max_tokens")
        fields.number(body, "temperature", 0, 1)
        tools = [_tool(each) for each in fields.objects(body, "tools")]
        return Prompt(
            model=model,
            turns=_turns(body),
            max_tokens=max_tokens,
            stop=fields.texts(body, "stop_sequences"),
            stream=fields.boolean(body, "stream"),
            extra_tokens=tokens.count(json.dumps(body["tools"])) if tools else 0,
            tool=_forced(body.get("tool_choice"), tools),
            include_usage=True,
        )

    def whole(self, _prompt: Prompt, answer: Answer, stamp: Stamp) -> Body:
        """The body of an answer that is not streamed."""
        content: list[Body] = []
        if answer.tool is not None:
            content = [{**_block(answer, stamp), "input": _input(answer)}]
        elif answer.refusal is None:
            content = [{**_block(answer, stamp), "text": answer.text}]
        return {
            **_message(stamp),
            "content": content,
            "stop_reason": _reason(answer),
            "stop_sequence": answer.stop_sequence,
            "usage": _usage(answer, answer.completion_tokens),
        }

    def pieces(self, _prompt: Prompt, answer: Answer, stamp: Stamp) -> list[Piece]:
        """The events of an answer that is streamed."""

        def named(kind: Kind, name: str, **more: object) -> Piece:
            return event({"type": name, **more}, kind, name)

        start = {**_message(stamp), "content": [], "stop_reason": None, "stop_sequence": None}
        sent = [named(Kind.OPEN, "message_start", message={**start, "usage": _usage(answer, 1)})]
        if answer.refusal is None:
            begins = Kind.OPEN if answer.tool is None else Kind.PART
            sent.append(named(begins, "content_block_start", index=0, content_block=_block(answer, stamp)))
        sent.append(named(Kind.OPEN, "ping"))
        if answer.refusal is None:
            delta = {"type": "text_delta", "text": ""}
            if answer.tool is not None:
                delta = {"type": "input_json_delta", "partial_json": ""}
            sent += filled(named(Kind.TOKEN, "content_block_delta", index=0, delta=delta), answer.tokens)
            sent.append(named(Kind.CLOSE, "content_block_stop", index=0))
        end = {"stop_reason": _reason(answer), "stop_sequence": answer.stop_sequence}
        usage = {"output_tokens": answer.completion_tokens}
        sent.append(named(Kind.FINISH, "message_delta", delta=end, usage=usage))
        return [*sent, named(Kind.END, "message_stop")]

    def error_event(self, problem: Problem, request_id: str, _sent: int) -> Piece:
        """An error in the middle of a stream."""
        return event(error_body("anthropic", problem, request_id), Kind.END, "error")


def _turns(body: Body) -> list[Turn]:
    system = fields.text_of(body.get("system"), "system")
    turns = [Turn("system", system)] if system else []
    messages = fields.objects(body, "messages")
    if not messages:
        raise Problem(Failure.INVALID, "at least one message is required", param="messages")
    for place, message in enumerate(messages):
        if message.get("role") not in _ROLES:
            where = f"messages.{place}.role"
            raise Problem(Failure.INVALID, "Input should be 'user', 'assistant' or 'system'", param=where)
        turns.append(Turn(message["role"], fields.text_of(message.get("content"), f"messages.{place}.content")))
    last = messages[-1].get("content")
    if messages[-1]["role"] == "assistant" and isinstance(last, str) and last != last.rstrip():
        raise Problem(Failure.INVALID, "final assistant content cannot end with trailing whitespace", param="messages")
    return turns


def _tool(given: Body) -> Tool:
    schema = given.get("input_schema")
    return Tool(fields.text(given, "name"), schema if isinstance(schema, dict) else {})


def _forced(choice: object, tools: Sequence[Tool]) -> Tool | None:
    if choice is None:
        return None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or kind not in _CHOICES:
        raise Problem(Failure.INVALID, "Input should be 'auto', 'any', 'tool' or 'none'", param="tool_choice.type")
    if kind in {"auto", "none"}:
        return None
    for tool in tools:
        if kind == "any" or tool.name == choice.get("name"):
            return tool
    raise Problem(Failure.INVALID, "Tool not found in 'tools'", param="tool_choice")


def _message(stamp: Stamp) -> Body:
    return {"id": f"msg_{stamp.id}", "type": "message", "role": "assistant", "model": stamp.model}


def _block(answer: Answer, stamp: Stamp) -> Body:
    if answer.tool is not None:
        return {"type": "tool_use", "id": f"toolu_{stamp.id}", "name": answer.tool, "input": {}}
    return {"type": "text", "text": "", "citations": None}


def _input(answer: Answer) -> object:
    try:
        return json.loads(answer.text)
    except ValueError:  # cut by max_tokens
        return {}


def _reason(answer: Answer) -> str | None:
    return "stop_sequence" if answer.stop_sequence is not None and answer.finish == "stop" else _FINISH[answer.finish]


def _usage(answer: Answer, written: int) -> Body:
    return {
        "input_tokens": answer.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": written,
        "service_tier": "standard",
    }
