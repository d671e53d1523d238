"""Anthropic's messages: ``POST /v1/messages``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import ContentFilteredError, EmptyAnswerError, MalformedAnswerError, TruncatedAnswerError
from holdfast.llm.messages import Completion, Finish
from holdfast.llm.wire import _json
from holdfast.llm.wire._reader import nothing_in_it
from holdfast.llm.wire._rewriting import rewritten
from holdfast.llm.wire.anthropic_answers import finish_of, read_content, usage_of
from holdfast.llm.wire.anthropic_stream import AnthropicReader
from holdfast.llm.wire.anthropic_turns import system_of, tool_of, turns_of, with_prefix
from holdfast.llm.wire.base import Reply
from holdfast.llm.wire.failures import answer_error, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.messages import ChatRequest
    from holdfast.llm.wire.base import Chunk, Quirks

__all__ = ["AnthropicMessages"]

_VERSION = "2023-06-01"
_MAX_TOKENS = 1_024  # the protocol wants a limit
_JSON_ONLY = "Answer with one JSON object and nothing else: no text around it and no code fence."


class AnthropicMessages:
    """The wire ``anthropic.messages``. Its path starts with ``/v1``, as the SDK's base address ends before it.

    System messages, wherever they stand, become the ``system`` field, and consecutive messages of one role one turn.
    Tools are translated from OpenAI's form; a tool without ``function`` is taken to be in Anthropic's already. The
    protocol has no mode for any JSON object (it wants a schema, which goes into ``extra``): JSON mode is an instruction
    at the end of ``system``. A temperature above 1 is sent as 1, the most that is accepted (the newest models take none
    at all: leave it None for them), and stop sequences of nothing but white space, which are refused, are left out.

    A prefix to be continued is the last turn, by the assistant, without the white space at its end, which is refused:
    see :func:`holdfast.llm.wire.anthropic_turns.split_prefix` for what the continuation may therefore begin with. Some
    models refuse to continue, with a 400.
    """

    name = "anthropic.messages"
    path = "/v1/messages"

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        headers = {"content-type": "application/json", "anthropic-version": _VERSION}
        if key:
            headers["x-api-key"] = key
        return headers

    def encode(self, request: ChatRequest, *, model: str, stream: bool, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.ChatWire.encode`."""
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": _MAX_TOKENS if request.max_tokens is None else request.max_tokens,
            "messages": turns_of(request.messages),
        }
        if system := system_of(request.messages, *([_JSON_ONLY] if request.json_mode else [])):
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = min(request.temperature, 1.0)
        if stops := [each for each in request.stop if each.strip()]:
            body["stop_sequences"] = stops
        if request.tools:
            body["tools"] = [tool_of(each) for each in request.tools]
        if stream:
            body["stream"] = True
        body.update(request.extra)
        return self.retarget(body, model=model, prefix=prefix)

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.Wire.retarget`."""
        aimed = {**body, "model": model}
        if prefix:
            aimed["messages"] = with_prefix(_json.items(body.get("messages")), prefix)
        return aimed

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """See :meth:`holdfast.llm.wire.base.Wire.read`.

        A turn that the provider paused (``pause_turn``) is an answer with ``Finish.UNKNOWN``; ``Completion.raw`` says
        what it is.

        Raises:
            ContentFilteredError: the model was stopped by the provider's classifiers (``refusal``).
            EmptyAnswerError: nothing in it but thoughts.
            TruncatedAnswerError: half a body, or no reason to stop.
            MalformedAnswerError: the body is not a message.
            ProviderError: everything else that is an error.
        """
        body = read_object(status, headers, content, quirks)
        if not isinstance(body.get("content"), list):
            what = "answered with an object that is not a message"
            raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
        finish = finish_of(body.get("stop_reason"))
        if finish is Finish.CONTENT_FILTER:
            what = "withheld the answer, or the rest of it, because of its content"
            raise answer_error(ContentFilteredError, what, quirks, headers=headers, content=content)
        text, calls, something = read_content(body["content"])
        if not something:
            raise answer_error(EmptyAnswerError, nothing_in_it(finish), quirks, headers=headers, content=content)
        if finish is None and quirks.finish_required:
            what = "gave an answer without saying why it ends, so that it may not be whole"
            raise answer_error(TruncatedAnswerError, what, quirks, headers=headers, content=content)
        usage = usage_of(_json.mapping(body.get("usage")))
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
            _json.mapping(body.get("delta") or body.get("content_block"))["text"] = text

        return rewritten(chunk, text, change)

    def reader(self, quirks: Quirks) -> AnthropicReader:
        """See :meth:`holdfast.llm.wire.base.Wire.reader`."""
        return AnthropicReader(quirks)
