"""What OpenAI's endpoints have in common, and with them everybody who speaks their protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.llm.messages import Finish, Usage
from holdfast.llm.wire import _json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bearer", "finish_of", "usage_of"]

_FINISH: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "model_length": Finish.LENGTH,  # Mistral
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}


def bearer(key: str) -> dict[str, str]:
    """The header fields of a request with a JSON body; an empty key sends none."""
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    return headers


def finish_of(reason: object) -> Finish | None:
    """What a ``finish_reason`` means; None where there is none."""
    return _FINISH.get(reason, Finish.UNKNOWN) if isinstance(reason, str) and reason else None


def usage_of(value: object) -> Usage | None:
    """Tokens, as the chat endpoint, the embeddings endpoint or the Responses API counts them; None if they do not."""
    if not isinstance(value, dict) or not value:
        return None
    usage: dict[str, Any] = value
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    completion = _json.count(usage.get("completion_tokens")) or _json.count(usage.get("output_tokens"))
    prompt = _json.count(usage.get("prompt_tokens")) or _json.count(usage.get("input_tokens"))
    return Usage(
        prompt_tokens=prompt or max(0, _json.count(usage.get("total_tokens")) - completion),
        completion_tokens=completion,
        cached_tokens=_json.count(_json.mapping(details).get("cached_tokens")),
    )
