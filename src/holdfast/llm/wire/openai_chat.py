"""OpenAI's chat completions: ``POST /chat/completions``, spoken by most providers and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from holdfast.errors import (
    ConfigError,
    ContentFilteredError,
    EmptyAnswerError,
    MalformedAnswerError,
    TruncatedAnswerError,
)
from holdfast.llm.messages import Completion, Finish, ToolCall, Usage
from holdfast.llm.wire import _json
from holdfast.llm.wire._openai import bearer, finish_of, usage_of
from holdfast.llm.wire._reader import nothing_in_it
from holdfast.llm.wire._rewriting import rewritten
from holdfast.llm.wire.base import Reply
from holdfast.llm.wire.failures import answer_error, in_answer, read_object
from holdfast.llm.wire.openai_chat_stream import OpenAIChatReader, content_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.messages import ChatRequest, Message
    from holdfast.llm.wire.base import Chunk, Quirks

__all__ = ["OpenAIChat"]

LimitField = Literal["max_tokens", "max_completion_tokens"]


class OpenAIChat:
    """The wire ``openai.chat``.

    A prefix to be continued becomes a last message of the assistant. Many servers go on where it ends; OpenAI's own
    models take it as a turn that was made, and may begin anew: whoever continues has to compare.

    Of several choices (``n`` > 1) the one with index 0 is the answer; the others pass with the bytes and in
    ``Completion.raw``. A refusal is text: it is what the model said.

    Args:
        limit_field: what the limit of tokens is called in a body. ``"max_tokens"`` by default, which every server
            knows; OpenAI's own reasoning models take only ``"max_completion_tokens"``.

    Raises:
        ConfigError: ``limit_field`` is neither.
    """

    name = "openai.chat"
    path = "/chat/completions"

    def __init__(self, *, limit_field: LimitField = "max_tokens") -> None:
        if limit_field not in {"max_tokens", "max_completion_tokens"}:
            raise ConfigError("limit_field", limit_field, "must be max_tokens or max_completion_tokens")
        self._limit_field = limit_field

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        return bearer(key)

    def encode(self, request: ChatRequest, *, model: str, stream: bool, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.ChatWire.encode`."""
        body: dict[str, Any] = {"model": model, "messages": [_message(each) for each in request.messages]}
        if request.max_tokens is not None:
            body[self._limit_field] = request.max_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop"] = list(request.stop)
        if request.tools:
            body["tools"] = [dict(each) for each in request.tools]
        if request.json_mode:
            body["response_format"] = {"type": "json_object"}
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        body.update(request.extra)
        return self.retarget(body, model=model, prefix=prefix)

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.Wire.retarget`."""
        aimed = {**body, "model": model}
        if prefix:
            aimed["messages"] = [*_json.items(body.get("messages")), {"role": "assistant", "content": prefix}]
        return aimed

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """See :meth:`holdfast.llm.wire.base.Wire.read`.

        Raises:
            ContentFilteredError: the provider withheld the answer or the rest of it.
            EmptyAnswerError: no choice, or neither text nor a tool call in it.
            TruncatedAnswerError: half a body, or no finish reason where the provider always gives one.
            MalformedAnswerError: the body is not a chat completion.
            ProviderError: everything else that is an error.
        """
        body = read_object(status, headers, content, quirks)
        choices = body.get("choices")
        if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
            what = "answered with an object that is not a chat completion"
            raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
        if not choices:
            what = "gave a chat completion without a choice"
            raise answer_error(EmptyAnswerError, what, quirks, headers=headers, content=content)
        choice = next((each for each in choices if each.get("index") == 0), choices[0])
        message = choice.get("message")
        if not isinstance(message, dict):
            what = "gave a chat completion without a message"
            raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
        if choice.get("finish_reason") == "error":
            raise in_answer(_failed(choice), quirks, headers=headers, content=content)
        finish = finish_of(choice.get("finish_reason"))
        if finish is Finish.CONTENT_FILTER:
            what = "withheld the answer, or the rest of it, because of its content"
            raise answer_error(ContentFilteredError, what, quirks, headers=headers, content=content)
        text, calls = content_text(message.get("content")) or _json.text(message.get("refusal")), _tool_calls(message)
        if not (text or calls or message.get("audio") or message.get("images")):
            raise answer_error(EmptyAnswerError, nothing_in_it(finish), quirks, headers=headers, content=content)
        if finish is None and quirks.finish_required:
            what = "gave an answer without saying why it ends, so that it may not be whole"
            raise answer_error(TruncatedAnswerError, what, quirks, headers=headers, content=content)
        usage = usage_of(body.get("usage")) or Usage()
        completion = Completion(
            text=text,
            finish=finish or Finish.UNKNOWN,
            tool_calls=calls,
            usage=usage,
            model=_json.text(body.get("model")),
            id=_json.text(body.get("id")),
            raw=body,
        )
        return Reply(content=content, completion=completion, usage=usage)

    def with_text(self, chunk: Chunk, text: str) -> Chunk:
        """See :meth:`holdfast.llm.wire.base.Wire.with_text`."""

        def change(body: dict[str, Any]) -> None:
            for choice in _json.items(body.get("choices")):
                delta = _json.mapping(_json.mapping(choice).get("delta"))
                if choice.get("index", 0) == 0:
                    delta["content" if delta.get("content") else "refusal"] = text

        return rewritten(chunk, text, change)

    def reader(self, quirks: Quirks) -> OpenAIChatReader:
        """See :meth:`holdfast.llm.wire.base.Wire.reader`."""
        return OpenAIChatReader(quirks)


def _message(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["content"] = message.content or None
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    calls = []
    for each in _json.items(message.get("tool_calls")):
        call = _json.mapping(each)
        function = _json.mapping(call.get("function") or call.get("custom"))
        arguments = function.get("arguments", function.get("input"))
        calls.append(
            ToolCall(
                id=_json.text(call.get("id")), name=_json.text(function.get("name")), arguments=_json.text(arguments)
            )
        )
    if legacy := _json.mapping(message.get("function_call")):
        name, arguments = _json.text(legacy.get("name")), _json.text(legacy.get("arguments"))
        calls.append(ToolCall(id="", name=name, arguments=arguments))
    return tuple(calls)


def _failed(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": choice.get("error") or {"message": "the answer ended with the finish reason 'error'"}}
