"""``POST /v1/chat/completions``, as OpenAI speaks it: JSON, and a stream of chunks without event names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from holdfast.lab.simulator import fields, tokens
from holdfast.lab.simulator.failures import Failure, Problem, error_body
from holdfast.lab.simulator.prompt import Prompt, Tool, Turn
from holdfast.lab.simulator.script import Kind, Piece, event, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.lab.simulator.failures import ProviderKind
    from holdfast.lab.simulator.fields import Body
    from holdfast.lab.simulator.prompt import Answer, Finish, Stamp

__all__ = ["OpenAIChat", "forced_tool", "wanted_schema"]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")  # what is asked for may not be hashable
_FINISH: Mapping[Finish, str | None] = {
    "stop": "stop",
    "length": "length",
    "tool": "tool_calls",
    "filtered": "content_filter",
    "refused": "stop",
    "unsaid": None,
}
_FORMS = ("text", "json_object", "json_schema")
_FINGERPRINT = "fp_simulated"
_LOGPROB = -0.01


class OpenAIChat:
    """The chat endpoint."""

    name = "chat"
    provider: ProviderKind = "openai"

    def read(self, body: Body) -> Prompt:
        """The prompt in a request body."""
        model = fields.text(body, "model")
        turns = _turns(body)
        if (fields.integer(body, "n") or 1) != 1:
            raise Problem(Failure.INVALID, "Invalid value for 'n': this model gives one choice.", param="n")
        fields.number(body, "temperature", 0, 2)
        fields.number(body, "top_p", 0, 1)
        stream = fields.boolean(body, "stream")
        options = body.get("stream_options")
        if options is not None and not (stream and isinstance(options, dict)):
            raise Problem(
                Failure.INVALID,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        tools = [_tool(each.get("function"), place) for place, each in enumerate(fields.objects(body, "tools"))]
        json_mode, schema = wanted_schema(body.get("response_format"), "response_format")
        return Prompt(
            model=model,
            turns=turns,
            max_tokens=fields.integer(body, "max_completion_tokens") or fields.integer(body, "max_tokens"),
            stop=fields.texts(body, "stop"),
            stream=stream,
            extra_tokens=sum(
                tokens.count(json.dumps(body[name])) for name in ("tools", "response_format") if body.get(name)
            ),
            tool=forced_tool(body.get("tool_choice"), tools),
            json_mode=json_mode,
            schema=schema,
            include_usage=bool(options and fields.boolean(options, "include_usage")),
            logprobs=fields.boolean(body, "logprobs"),
        )

    def whole(self, prompt: Prompt, answer: Answer, stamp: Stamp) -> Body:
        """The body of an answer that is not streamed."""
        message: Body = {"role": "assistant", "content": answer.text, "refusal": answer.refusal, "annotations": []}
        if answer.tool is not None:
            message |= {"content": None, "tool_calls": [_call(stamp, answer.tool, answer.text)]}
        elif answer.refusal is not None:
            message["content"] = None
        choice = {
            "index": 0,
            "message": message,
            "logprobs": _logprobs(answer.tokens) if prompt.logprobs else None,
            "finish_reason": _FINISH[answer.finish],
        }
        return {
            "id": f"chatcmpl-{stamp.id}",
            "object": "chat.completion",
            "created": stamp.created,
            "model": stamp.model,
            "choices": [choice],
            "usage": _usage(answer),
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }

    def pieces(self, prompt: Prompt, answer: Answer, stamp: Stamp) -> list[Piece]:
        """The events of an answer that is streamed."""

        def chunk(kind: Kind, delta: Body, finish: str | None = None, logprobs: Body | None = None) -> Piece:
            choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            return event({**head, "choices": [choice], **no_usage}, kind)

        head = {
            "id": f"chatcmpl-{stamp.id}",
            "object": "chat.completion.chunk",
            "created": stamp.created,
            "model": stamp.model,
            "service_tier": "default",
            "system_fingerprint": _FINGERPRINT,
        }
        no_usage: Body = {"usage": None} if prompt.include_usage else {}
        sent = [chunk(Kind.OPEN, {"role": "assistant", "content": None if answer.tool else "", "refusal": None})]
        if answer.tool is not None:
            sent.append(chunk(Kind.PART, {"tool_calls": [{"index": 0, **_call(stamp, answer.tool, "")}]}))
        written = tokens.pieces_of(answer.refusal) if answer.refusal is not None else answer.tokens
        if prompt.logprobs:
            sent += [chunk(Kind.TOKEN, _delta(answer, token), logprobs=_logprobs([token])) for token in written]
        else:
            sent += filled(chunk(Kind.TOKEN, _delta(answer, "")), written)
        sent.append(chunk(Kind.FINISH, {}, _FINISH[answer.finish]))
        if prompt.include_usage:
            sent.append(event({**head, "choices": [], "usage": _usage(answer)}, Kind.USAGE))
        return [*sent, Piece(b"data: [DONE]\n\n", Kind.END)]

    def error_event(self, problem: Problem, request_id: str, _sent: int) -> Piece:
        """An error in the middle of a stream."""
        return event(error_body("openai", problem, request_id), Kind.END)


def forced_tool(choice: object, tools: Sequence[Tool]) -> Tool | None:
    """The tool that ``tool_choice`` requires; None when the model is free, or must not."""
    if choice is None or choice in ("auto", "none"):
        return None
    if not tools:
        raise Problem(Failure.INVALID, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice == "required":
        return tools[0]
    function = choice.get("function", choice) if isinstance(choice, dict) else {}
    wanted = function.get("name") if isinstance(function, dict) else None
    for tool in tools:
        if tool.name == wanted:
            return tool
    raise Problem(Failure.INVALID, f"Tool choice {wanted!r} not found in 'tools' parameter.", param="tool_choice")


def wanted_schema(form: object, where: str) -> tuple[bool, Mapping[str, Any] | None]:
    """Whether the answer has to be JSON, and of which schema."""
    if form is None:
        return False, None
    kind = form.get("type") if isinstance(form, dict) else None
    if not isinstance(form, dict) or kind not in _FORMS:
        raise Problem(
            Failure.INVALID,
            f"Invalid value for '{where}.type': it must be 'text', 'json_object' or 'json_schema'.",
            param=f"{where}.type",
        )
    holder = form.get("json_schema", form)
    schema = holder.get("schema") if isinstance(holder, dict) else None
    return kind != "text", schema if kind == "json_schema" and isinstance(schema, dict) else None


def _turns(body: Body) -> list[Turn]:
    if body.get("messages") is None:
        raise Problem(Failure.INVALID, "Missing required parameter: 'messages'.", param="messages")
    messages = fields.objects(body, "messages")
    if not messages:
        raise Problem(
            Failure.INVALID,
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
        )
    for place, message in enumerate(messages):
        if message.get("role") not in _ROLES:
            where = f"messages[{place}].role"
            rule = f"it must be one of {', '.join(sorted(_ROLES))}"
            raise Problem(Failure.INVALID, f"Invalid value for '{where}': {rule}.", param=where)
    return [
        Turn(message["role"], fields.text_of(message.get("content"), f"messages[{place}].content"))
        for place, message in enumerate(messages)
    ]


def _tool(function: object, place: int) -> Tool:
    if not isinstance(function, dict):
        where = f"tools[{place}].function"
        raise Problem(Failure.INVALID, f"Missing required parameter: '{where}'.", param=where)
    schema = function.get("parameters")
    return Tool(fields.text(function, "name"), schema if isinstance(schema, dict) else {})


def _delta(answer: Answer, token: str) -> Body:
    if answer.tool is not None:
        return {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
    return {"content" if answer.refusal is None else "refusal": token}


def _call(stamp: Stamp, name: str, arguments: str) -> Body:
    return {"id": f"call_{stamp.id}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _usage(answer: Answer) -> Body:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _logprobs(written: Sequence[str]) -> Body:
    content = [
        {"token": token, "logprob": _LOGPROB, "bytes": list(token.encode("utf-8", "replace")), "top_logprobs": []}
        for token in written
    ]
    return {"content": content, "refusal": None}
