"""Which requests are questions to a model, by their path; all others are none of our business."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from holdfast.llm.wire.known import wire_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.wire.base import Wire

__all__ = ["Asked", "Waits", "is_model_endpoint", "read_question"]

_BY_PATH = {
    "/chat/completions": wire_named("openai.chat"),
    "/responses": wire_named("openai.responses"),
    "/embeddings": wire_named("openai.embeddings"),
    "/v1/messages": wire_named("anthropic.messages"),
}
_AT_HOME = ("previous_response_id", "conversation", "prompt", "background", "container")
"""Fields that name what only the provider knows that was asked before."""
_LONGEST_MODEL = 200


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the caller's own client would wait, in seconds: for a connection, and for each piece of an answer."""

    connect: float | None = None
    read: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that a client is about to send.

    Attributes:
        wire: its protocol.
        base_url: the address before the protocol's path.
        path: the rest, with the query.
        body: parsed.
        bound: whether only the provider that it is addressed to can answer it.
    """

    wire: Wire
    base_url: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)
    waits: Waits
    bound: bool

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body["model"])


def is_model_endpoint(method: str, path: str) -> bool:
    """Whether a request to ``path`` may be a question to a model."""
    return method == "POST" and path.endswith(tuple(_BY_PATH))


def read_question(url: str, content: bytes, headers: Mapping[str, str], waits: Waits) -> Asked | None:
    """The question in a request to a model's endpoint; None when the body is not one that we understand.

    Args:
        url: the whole address.
        content: the body.
        headers: names in lower case.
        waits: the timeouts of the request.
    """
    parts = urlsplit(url)
    suffix = next(each for each in _BY_PATH if parts.path.endswith(each))
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    model = body.get("model") if isinstance(body, dict) else None
    if "@" in parts.netloc or not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL:
        return None
    if not (model.isascii() and model.isprintable()) or model != model.strip():
        return None
    return Asked(
        wire=_BY_PATH[suffix],
        base_url=urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix(suffix), "", "")),
        path=suffix + (f"?{parts.query}" if parts.query else ""),
        body=body,
        headers=headers,
        waits=waits,
        bound=any(body.get(name) for name in _AT_HOME) or b'"file_id"' in content,
    )
