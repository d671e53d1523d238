"""OpenAI's Responses API: ``POST /responses``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import ContentFilteredError, EmptyAnswerError, MalformedAnswerError, TruncatedAnswerError
from holdfast.llm.messages import Completion, Finish, Usage
from holdfast.llm.wire import _json
from holdfast.llm.wire._openai import bearer, usage_of
from holdfast.llm.wire._reader import nothing_in_it
from holdfast.llm.wire._rewriting import rewritten
from holdfast.llm.wire.base import Reply
from holdfast.llm.wire.failures import answer_error, in_answer, read_object
from holdfast.llm.wire.openai_responses_output import finish_of, read_output, replace_text
from holdfast.llm.wire.openai_responses_stream import OpenAIResponsesReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.messages import ChatRequest, Message
    from holdfast.llm.wire.base import Chunk, Quirks

__all__ = ["OpenAIResponses"]


class OpenAIResponses:
    """The wire ``openai.responses``.

    The endpoint knows no stop sequences: ``ChatRequest.stop`` is left out. A prefix to be continued becomes a last
    message of the assistant, which models may or may not continue.
    """

    name = "openai.responses"
    path = "/responses"

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        return bearer(key)

    def encode(self, request: ChatRequest, *, model: str, stream: bool, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.ChatWire.encode`."""
        body: dict[str, Any] = {
            "model": model,
            "input": [item for message in request.messages for item in _items(message)],
        }
        if request.max_tokens is not None:
            body["max_output_tokens"] = request.max_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.tools:
            body["tools"] = [_tool(each) for each in request.tools]
        if request.json_mode:
            body["text"] = {"format": {"type": "json_object"}}
        if stream:
            body["stream"] = True
        body.update(request.extra)
        return self.retarget(body, model=model, prefix=prefix)

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.Wire.retarget`."""
        aimed = {**body, "model": model}
        if prefix:
            asked = body.get("input")
            turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else _json.items(asked)
            aimed["input"] = [*turns, {"role": "assistant", "content": prefix}]
        return aimed

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """See :meth:`holdfast.llm.wire.base.Wire.read`.

        A response in the background (``"background": true``) that is not done yet is an answer, with
        ``Finish.UNKNOWN`` and without text.

        Raises:
            ContentFilteredError: the provider withheld the answer or the rest of it.
            EmptyAnswerError: no output but reasoning.
            TruncatedAnswerError: half a body, or the response was given up before its end.
            MalformedAnswerError: the body is not a response.
            ProviderError: everything else that is an error.
        """
        body = read_object(status, headers, content, quirks)
        state = body.get("status", "completed")
        if not isinstance(body.get("output"), list) or not isinstance(state, str):
            what = "answered with an object that is not a response"
            raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
        if state == "failed":
            failed = {"error": {"message": "the response failed"}}
            raise in_answer(failed, quirks, headers=headers, content=content)
        waiting = state in {"queued", "in_progress"} and body.get("background") is True
        if state not in {"completed", "incomplete"} and not waiting:
            what = f"gave a response that is not complete: it is {'cancelled' if state == 'cancelled' else 'under way'}"
            raise answer_error(TruncatedAnswerError, what, quirks, headers=headers, content=content)
        output = read_output(body)
        finish = Finish.UNKNOWN if waiting else finish_of(body, output)
        if finish is Finish.CONTENT_FILTER:
            what = "withheld the answer, or the rest of it, because of its content"
            raise answer_error(ContentFilteredError, what, quirks, headers=headers, content=content)
        if not (output.something or waiting):
            raise answer_error(EmptyAnswerError, nothing_in_it(finish), quirks, headers=headers, content=content)
        usage = usage_of(body.get("usage")) or Usage()
        completion = Completion(
            text=output.text,
            finish=finish,
            tool_calls=output.calls,
            usage=usage,
            model=_json.text(body.get("model")),
            id=_json.text(body.get("id")),
            raw=body,
        )
        return Reply(content=content, completion=completion, usage=usage)

    def with_text(self, chunk: Chunk, text: str) -> Chunk:
        """See :meth:`holdfast.llm.wire.base.Wire.with_text`."""

        def change(body: dict[str, Any]) -> None:
            if "response" in body:
                replace_text(body["response"], text)
            else:
                body["delta"] = text

        return rewritten(chunk, text, change)

    def reader(self, quirks: Quirks) -> OpenAIResponsesReader:
        """See :meth:`holdfast.llm.wire.base.Wire.reader`."""
        return OpenAIResponsesReader(quirks)


def _items(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        return [{"type": "function_call_output", "call_id": call_id, "output": message.content}]
    said = [{"role": message.role, "content": message.content}] if message.content or not message.tool_calls else []
    calls = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return [*said, *calls]


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in the form of this endpoint: what a chat has under ``function`` stands beside ``type``."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return dict(tool)
    return {"type": "function", "parameters": None, "strict": False, **function}
