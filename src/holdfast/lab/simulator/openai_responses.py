"""``POST /v1/responses``, as OpenAI speaks it: JSON, and a stream of named events with sequence numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from holdfast.lab.simulator import fields, tokens
from holdfast.lab.simulator.failures import FAILURES, Failure, Problem
from holdfast.lab.simulator.openai_chat import forced_tool, wanted_schema
from holdfast.lab.simulator.prompt import Prompt, Tool, Turn
from holdfast.lab.simulator.script import Kind, Piece, event

if TYPE_CHECKING:
    from holdfast.lab.simulator.failures import ProviderKind
    from holdfast.lab.simulator.fields import Body
    from holdfast.lab.simulator.prompt import Answer, Stamp

__all__ = ["OpenAIResponses"]

_WHY_INCOMPLETE = {"length": "max_output_tokens", "filtered": "content_filter"}


class OpenAIResponses:
    """The responses endpoint."""

    name = "responses"
    provider: ProviderKind = "openai"

    def read(self, body: Body) -> Prompt:
        """The prompt in a request body."""
        model = fields.text(body, "model")
        turns = _turns(body)
        fields.number(body, "temperature", 0, 2)
        format_of_text = body.get("text")
        json_mode, schema = wanted_schema(
            format_of_text.get("format") if isinstance(format_of_text, dict) else None, "text.format"
        )
        tools = [_tool(each) for each in fields.objects(body, "tools") if each.get("type", "function") == "function"]
        return Prompt(
            model=model,
            turns=turns,
            max_tokens=fields.integer(body, "max_output_tokens"),
            stream=fields.boolean(body, "stream"),
            extra_tokens=sum(tokens.count(json.dumps(body[name])) for name in ("tools", "text") if body.get(name)),
            tool=forced_tool(body.get("tool_choice"), tools),
            json_mode=json_mode,
            schema=schema,
            include_usage=True,
        )

    def whole(self, _prompt: Prompt, answer: Answer, stamp: Stamp) -> Body:
        """The body of an answer that is not streamed."""
        return _response(answer, stamp)

    def pieces(self, _prompt: Prompt, answer: Answer, stamp: Stamp) -> list[Piece]:
        """The events of an answer that is streamed."""
        sent: list[Piece] = []

        def add(kind: Kind, what: str, **more: object) -> None:
            sent.append(event({"type": what, "sequence_number": len(sent), **more}, kind, what))

        whole = _response(answer, stamp)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        add(Kind.OPEN, "response.created", response=begun)
        add(Kind.OPEN, "response.in_progress", response=begun)
        item = whole["output"][0]
        place = {"item_id": item["id"], "output_index": 0}
        if answer.tool is not None:
            empty = {**item, "arguments": "", "status": "in_progress"}
            add(Kind.PART, "response.output_item.added", output_index=0, item=empty)
            for token in answer.tokens:
                add(Kind.TOKEN, "response.function_call_arguments.delta", **place, delta=token)
            add(Kind.CLOSE, "response.function_call_arguments.done", **place, arguments=answer.text, name=answer.tool)
        else:
            place["content_index"] = 0
            part = item["content"][0]
            refused = answer.refusal is not None
            field = "refusal" if refused else "text"
            what = "response.refusal" if refused else "response.output_text"
            logprobs: Body = {} if refused else {"logprobs": []}
            empty = {**item, "content": [], "status": "in_progress"}
            add(Kind.OPEN, "response.output_item.added", output_index=0, item=empty)
            add(Kind.OPEN, "response.content_part.added", **place, part={**part, field: ""})
            for token in tokens.pieces_of(part[field]) if refused else answer.tokens:
                add(Kind.TOKEN, f"{what}.delta", **place, delta=token, **logprobs)
            add(Kind.CLOSE, f"{what}.done", **place, **{field: part[field]}, **logprobs)
            add(Kind.CLOSE, "response.content_part.done", **place, part=part)
        add(Kind.CLOSE, "response.output_item.done", output_index=0, item=item)
        last = "response.incomplete" if whole["incomplete_details"] else "response.completed"
        add(Kind.END, last, response=whole)
        return sent

    def error_event(self, problem: Problem, _request_id: str, sent: int) -> Piece:
        """An error in the middle of a stream."""
        code = FAILURES[problem.failure].openai[2] or FAILURES[problem.failure].openai[1]
        value = {"type": "error", "code": code, "message": problem.words, "param": None, "sequence_number": sent}
        return event(value, Kind.END, "error")


def _turns(body: Body) -> list[Turn]:
    turns = [Turn("system", fields.text(body, "instructions"))] if body.get("instructions") else []
    given = body.get("input")
    if isinstance(given, str) and given:
        return [*turns, Turn("user", given)]
    if not given:
        raise Problem(Failure.INVALID, "Missing required parameter: 'input'.", param="input")
    for place, item in enumerate(fields.objects(body, "input")):
        if item.get("type") == "function_call_output":
            turns.append(Turn("tool", str(item.get("output", ""))))
        elif isinstance(role := item.get("role"), str):
            turns.append(Turn(role, fields.text_of(item.get("content"), f"input[{place}].content")))
    return turns


def _tool(given: Body) -> Tool:
    schema = given.get("parameters")
    return Tool(fields.text(given, "name"), schema if isinstance(schema, dict) else {})


def _response(answer: Answer, stamp: Stamp) -> Body:
    why = _WHY_INCOMPLETE.get(answer.finish)
    status = "incomplete" if why else "completed"
    return {
        "id": f"resp_{stamp.id}",
        "object": "response",
        "created_at": stamp.created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": why} if why else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": stamp.model,
        "output": [_item(answer, stamp, status)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        },
    }


def _item(answer: Answer, stamp: Stamp, status: str) -> Body:
    if answer.tool is not None:
        return {
            "type": "function_call",
            "id": f"fc_{stamp.id}",
            "call_id": f"call_{stamp.id}",
            "name": answer.tool,
            "arguments": answer.text,
            "status": status,
        }
    part: Body = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    if answer.refusal is not None:
        part = {"type": "refusal", "refusal": answer.refusal}
    return {"type": "message", "id": f"msg_{stamp.id}", "role": "assistant", "status": status, "content": [part]}
